"""Optimizations not triggering: targets, keys, approvers, thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from perf_pipeline.doctor.finding import Concern, Examined, Finding, failed, ok, warning
from perf_pipeline.fleet_model import Approval
from perf_pipeline.optimization.policy import Choice
from perf_pipeline.records import RequestState
from perf_pipeline.tables import OPTIMIZATION_DECISIONS

OPTIMIZATIONS = Concern.OPTIMIZATIONS


def target_checks(examined: Examined, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether what fleet.yaml names can be imported here, and whether the keys of its models are set."""
    from dspy_modules.programs import ProgramError
    from perf_pipeline.runs.target import load_target
    from perf_pipeline.runs.tools import RunRefused

    fleet = examined.fleet
    with_target = [agent for agent in fleet.agents if agent.target is not None]
    if not with_target:
        yield warning(
            OPTIMIZATIONS,
            "targets",
            "No agent has a target, so all of them are monitored only.",
            "Name a target for an agent in fleet.yaml: docs/your-agent.md says how.",
        )
    for agent in with_target:
        assert agent.target is not None
        try:
            load_target(agent.target, fleet.models, environment.get)
        except (ProgramError, RunRefused) as error:
            yield failed(OPTIMIZATIONS, f"target of {agent.name}", str(error))
        else:
            yield ok(OPTIMIZATIONS, f"target of {agent.name}", "It can be imported here.")
    yield from _key_checks(examined, environment)


def _key_checks(examined: Examined, environment: Mapping[str, str]) -> Iterator[Finding]:
    used = {
        getattr(agent.target, part)
        for agent in examined.fleet.agents
        if agent.target
        for part in ("task_model", "reflection_model", "judge_model")
    } | {examined.fleet.analysts.model}
    for name, model in examined.fleet.models.items():
        variable = model.api_key_variable
        if name not in used or variable is None:
            continue
        if environment.get(variable, "").strip():
            yield ok(OPTIMIZATIONS, f"model {name}", f"{variable} is set.")
        else:
            yield failed(
                OPTIMIZATIONS,
                f"model {name}",
                f"{variable} is not set here: it holds the key of {model.model}.",
                "Set it where Dagster's runs are.",
            )


def approver_check(examined: Examined) -> Iterator[Finding]:
    fleet = examined.fleet
    asking = sorted(
        agent.name
        for agent in fleet.agents
        if agent.target and fleet.optimization_policy(agent).approval is Approval.REQUIRED
    )
    approvers = fleet.approvals.approvers
    if not asking:
        return
    if not approvers:
        yield failed(
            OPTIMIZATIONS,
            "approvers",
            f"{', '.join(asking)} need approval, and nobody may give it.",
            "List people under approvals.approvers in fleet.yaml, each with a name and a Slack member ID.",
        )
        return
    without = [approver.name for approver in approvers if approver.slack is None]
    if examined.settings.slack is not None and without:
        yield warning(
            OPTIMIZATIONS,
            "approvers",
            f"Without a Slack member ID: {', '.join(without)}; they cannot answer in Slack.",
            "Add slack to them in fleet.yaml, or let them answer by 'perf-pipeline approve'.",
        )
        return
    yield ok(OPTIMIZATIONS, "approvers", f"{', '.join(approver.name for approver in approvers)} may approve.")


def decision_check(examined: Examined, now: datetime) -> Iterator[Finding]:
    """Why the agents are not optimized, in the words of their newest decisions; and what waits for people."""
    decisions = examined.lake.read(OPTIMIZATION_DECISIONS, now - examined.fleet.catch_up, now)
    newest = decisions.sort_values("window_start").drop_duplicates("agent", keep="last")
    for _, row in newest.iterrows():
        if row["decision"] != str(Choice.OPTIMIZE):
            reasons = "; ".join(str(row["reasons"]).splitlines())
            yield ok(
                OPTIMIZATIONS, f"decision for {row['agent']}", f"{str(row['decision']).replace('_', ' ')}: {reasons}"
            )
    if newest.empty:
        yield warning(
            OPTIMIZATIONS,
            "decisions",
            "There is no decision yet.",
            "The first cycle makes them: 'perf-pipeline trigger', or switch on monitoring_schedule.",
        )
    waiting = examined.book.optimization_requests(RequestState.AWAITING_APPROVAL)
    if waiting:
        agents = ", ".join(request.agent for request in waiting)
        yield warning(OPTIMIZATIONS, "approvals", f"Waiting for people: {agents}.", "See 'perf-pipeline approvals'.")
