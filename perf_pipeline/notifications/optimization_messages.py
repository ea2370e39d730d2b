"""What people are told when an optimization has ended: in the thread of the question, where they were asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_model import Approval
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.message import Line, Message, labelled, section
from perf_pipeline.notifications.approval_messages import question_key
from perf_pipeline.notifications.outbox import to_targets
from perf_pipeline.notifications.routing import targets_of
from perf_pipeline.optimization.approvals import dollars
from perf_pipeline.records import Notification, OptimizationRun, RunOutcome

TITLES = {
    RunOutcome.PROMOTED: "🚀 {agent} got better: {optimizer} promoted a new version",
    RunOutcome.REJECTED: "⚖️ {agent} stays as it is: {optimizer} found nothing proven to be better",
    RunOutcome.TOO_FEW_ITEMS: "⚖️ {agent} stays as it is: too few held-out tasks for a proof",
    RunOutcome.STALE: "⚖️ {agent} stays as it is: another version was promoted meanwhile",
    RunOutcome.BUDGET_EXHAUSTED: "💸 {agent} stays as it is: the cap ended {optimizer} early",
    RunOutcome.REFUSED: "✋ {optimizer} for {agent} was not run",
    RunOutcome.CANCELLED: "✋ {optimizer} for {agent} was cancelled",
    RunOutcome.INFRASTRUCTURE_FAILURE: "🔌 {optimizer} for {agent} failed, and says nothing about the agent",
}


def result_messages(
    run: OptimizationRun, fleet: FleetConfig, now: datetime, *, failed: str | None = None
) -> tuple[Notification, ...]:
    """The message to each target that hears of optimizations. `failed` is why a run is given up.

    Raises ValueError for a run that has not ended.
    """
    if failed:
        run = replace(run, outcome=RunOutcome.INFRASTRUCTURE_FAILURE, said=failed)
    agent = fleet.agent(run.agent)
    asked = agent is not None and fleet.optimization_policy(agent).approval is Approval.REQUIRED
    targets = targets_of(fleet.notifications, NotificationKind.OPTIMIZATION, [run.agent])
    thread = question_key(run.request_id) if asked else None
    key = f"optimization:{run.request_id}:result"
    return to_targets(key, NotificationKind.OPTIMIZATION, result_message(run, fleet), targets, now, thread=thread)


def result_message(run: OptimizationRun, fleet: FleetConfig) -> Message:
    if run.outcome is None:
        raise ValueError(f"The run of request {run.request_id} has not ended.")
    lines: list[Line | str] = []
    if run.baseline_score is not None and run.candidate_score is not None:
        scores = f"{run.baseline_score:.0f} → {run.candidate_score:.0f} points on {run.held_out_items} held-out tasks"
        lines.append(labelled("Score", scores))
    if run.said and run.outcome is not RunOutcome.PROMOTED:
        lines.append(labelled("Why", run.said))
    lines.append(labelled("Cost", f"{_cents(run.spent_usd)} of at most {dollars(run.cap_usd)}{_simulated(run, fleet)}"))
    if run.outcome is RunOutcome.PROMOTED:
        lines.append(labelled("Version", f"{run.version}; take it back with 'perf-pipeline rollback {run.agent}'"))
    title = TITLES[run.outcome].format(agent=run.agent, optimizer=run.optimizer)
    return Message(title=title, sections=(section(*lines),))


def _cents(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 0.01 or amount == 0 else "less than $0.01"


def _simulated(run: OptimizationRun, fleet: FleetConfig) -> str:
    agent = fleet.agent(run.agent)
    if agent is None or agent.target is None or not fleet.models[agent.target.task_model].is_simulated:
        return ""
    return " (simulated model)"
