"""Whether an agent is to be optimized now: the thresholds of fleet.yaml and the guards around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from perf_pipeline.fleet import AgentConfig, Approval, FleetConfig
from perf_pipeline.records import ApprovalRecord, OptimizationRequest, OptimizationRun, RequestState


class Choice(StrEnum):
    OPTIMIZE = "optimize"
    WAIT = "wait"
    NOT_ELIGIBLE = "not_eligible"


@dataclass(frozen=True)
class Decision:
    """One row of `tables.OPTIMIZATION_DECISIONS`, without its window. Counts that are not known are None."""

    agent: str
    decision: Choice
    optimizer: str
    tasks_since_optimization: int | None
    tasks_total: int | None
    min_tasks: int
    max_cost_usd: float
    approval: Approval
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class CompletedTasks:
    """An agent's rows of agent_state with status completed: all, and those changed since it was last optimized."""

    total: int
    since_optimization: int


NO_TASKS = CompletedTasks(0, 0)

NO_TARGET = "it is monitored only: fleet.yaml names no target for it, so there is nothing to optimize"


def latest_optimizations(requests: Iterable[OptimizationRequest]) -> dict[str, datetime]:
    """When each agent's latest optimization was requested (UTC). One that came to nothing was none."""
    latest: dict[str, datetime] = {}
    for request in requests:
        if not request.state.came_to_nothing:
            latest[request.agent] = max(request.requested_at, latest.get(request.agent, request.requested_at))
    return latest


def decide(
    fleet: FleetConfig,
    completed_tasks: Mapping[str, CompletedTasks] | None,
    requests: Sequence[OptimizationRequest],
    committed_usd: float,
    open_data_incident: bool,
    now: datetime,
    approvals: Sequence[ApprovalRecord] = (),
    runs: Sequence[OptimizationRun] = (),
) -> list[Decision]:
    """One decision for each agent of the fleet file, in its order.

    `completed_tasks` holds the agents with rows in agent_state, or is None where these could not be read;
    `committed_usd` is what this month's requests may cost at most; each decision to optimize commits its cap before
    the next agent is looked at. An agent without a target, or below its threshold, is not eligible; one that reached
    it, or whose last optimization is still in flight, waits while a guard stands in the way. `approvals` say when
    people turned a request down, or let it expire, and `runs` when one ended without being an optimization.
    """
    decisions: list[Decision] = []
    for agent in fleet.agents:
        decision = _decide(
            agent, fleet, completed_tasks, requests, committed_usd, open_data_incident, now, approvals, runs
        )
        if decision.decision is Choice.OPTIMIZE:
            committed_usd += decision.max_cost_usd
        decisions.append(decision)
    return decisions


def _decide(
    agent: AgentConfig,
    fleet: FleetConfig,
    completed_tasks: Mapping[str, CompletedTasks] | None,
    requests: Sequence[OptimizationRequest],
    committed_usd: float,
    open_data_incident: bool,
    now: datetime,
    approvals: Sequence[ApprovalRecord],
    runs: Sequence[OptimizationRun],
) -> Decision:
    policy = fleet.optimization_policy(agent)
    own = sorted((request for request in requests if request.agent == agent.name), key=lambda r: r.requested_at)
    completed = (completed_tasks or {}).get(agent.name, NO_TASKS)
    last_optimized = latest_optimizations(own).get(agent.name)
    cool_down = timedelta(hours=fleet.cool_down_hours)

    guards: list[str] = []
    if completed_tasks is None:
        guards.append("the task counts could not be read completely, so the threshold cannot be checked")
    if open_data_incident:
        guards.append("a source is failing, so the figures are not to be trusted now")
    in_flight = [request for request in own if request.state.is_open]
    if in_flight:
        guards.append(f"an optimization is in flight ({in_flight[-1].state.replace('_', ' ')})")
    elif last_optimized and now < (again := last_optimized + cool_down):
        guards.append(f"cooling down until {again:%Y-%m-%d %H:%M} UTC")
    elif (refusal := _latest_refusal(own, approvals, runs)) and now < (again := refusal.at + cool_down):
        guards.append(f"the last request {refusal.words}; it is not asked again before {again:%Y-%m-%d %H:%M} UTC")
    if committed_usd + policy.max_cost_usd > fleet.monthly_budget_usd:
        guards.append(
            f"${policy.max_cost_usd:g} more would exceed the month's budget of ${fleet.monthly_budget_usd:g} "
            f"(${committed_usd:g} committed)"
        )

    if agent.monthly_budget_usd is not None:
        own_usd = committed_this_month(own, now.astimezone(ZoneInfo(fleet.timezone)), spent_by_request(runs))
        if own_usd + policy.max_cost_usd > agent.monthly_budget_usd:
            guards.append(
                f"${policy.max_cost_usd:g} more would exceed the agent's budget of ${agent.monthly_budget_usd:g} "
                f"a month (${own_usd:g} committed)"
            )

    reached = completed.since_optimization >= policy.min_tasks
    count = f"{completed.since_optimization} completed tasks since the last optimization, {policy.min_tasks} are needed"
    if agent.target is None:
        choice, reasons = Choice.NOT_ELIGIBLE, (NO_TARGET,)
    elif completed_tasks is None:
        choice, reasons = Choice.WAIT, tuple(guards)
    elif not reached and not in_flight:
        choice, reasons = Choice.NOT_ELIGIBLE, (count, *guards)
    elif guards:
        choice, reasons = Choice.WAIT, (count, *guards)
    else:
        consent = _consent(policy.approval, fleet)
        choice = Choice.OPTIMIZE
        reasons = (count, f"{policy.optimizer} for at most ${policy.max_cost_usd:g}, {consent}")
    return Decision(
        agent.name,
        choice,
        policy.optimizer,
        completed.since_optimization if completed_tasks is not None else None,
        completed.total if completed_tasks is not None else None,
        policy.min_tasks,
        policy.max_cost_usd,
        policy.approval,
        reasons,
    )


@dataclass(frozen=True)
class _Refusal:
    """That people did not agree to a request, in words, and when that was known."""

    at: datetime
    words: str


def _latest_refusal(
    requests: Sequence[OptimizationRequest], approvals: Sequence[ApprovalRecord], runs: Sequence[OptimizationRun]
) -> _Refusal | None:
    approval_of = {approval.request_id: approval for approval in approvals}
    run_of = {run.request_id: run for run in runs}
    refusals = []
    for request in requests:
        approval, run = approval_of.get(request.id), run_of.get(request.id)
        if request.state in (RequestState.DECLINED, RequestState.EXPIRED):
            ended = (approval.answered_at or approval.expires_at) if approval else request.requested_at
            by = f" by {approval.answered_by}" if approval and approval.answered_by else ""
            words = f"was declined{by}" if request.state is RequestState.DECLINED else "expired unanswered"
        elif request.state in (RequestState.REFUSED, RequestState.FAILED, RequestState.CANCELLED):
            ended = (run.finished_at if run else None) or request.requested_at
            reason = f" ({run.said.rstrip('.')})" if run and run.said else ""
            words = f"{'was ' if request.state is not RequestState.FAILED else ''}{request.state}{reason}"
        else:
            continue
        refusals.append(_Refusal(ended, words))
    return max(refusals, key=lambda refusal: refusal.at, default=None)


def _consent(approval: Approval, fleet: FleetConfig) -> str:
    if approval is Approval.AUTOMATIC:
        return "runs on its own"
    if not fleet.approvals.approvers:
        return "asks for approval, which nobody can give: list people under approvals.approvers in fleet.yaml"
    return "asks for approval"


def committed_this_month(
    requests: Sequence[OptimizationRequest], local_now: datetime, spent: Mapping[str, float] | None = None
) -> float:
    """What the requests of `local_now`'s calendar month, in its time zone, may still cost or have cost, in US dollars.

    `spent` says what those that were run have spent so far, by request. One that is open counts with its cap.
    """
    known = spent or {}
    return sum(
        request.max_cost_usd if request.state.is_open else known.get(request.id, _unknown_cost(request))
        for request in requests
        if request.requested_at.astimezone(local_now.tzinfo).strftime("%Y-%m") == local_now.strftime("%Y-%m")
    )


def spent_by_request(runs: Iterable[OptimizationRun]) -> dict[str, float]:
    """US dollars, of the runs that have ended."""
    return {run.request_id: run.spent_usd for run in runs if run.finished_at is not None}


def _unknown_cost(request: OptimizationRequest) -> float:
    return 0.0 if request.state.came_to_nothing else request.max_cost_usd
