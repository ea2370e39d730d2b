"""Where optimizations stand: what was requested, what it is predicted to gain, and what it gained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.optimization.policy import committed_this_month, spent_by_request
from perf_pipeline.records import OptimizationRequest, OptimizationRun, RequestState, RunOutcome


@dataclass(frozen=True)
class OptimizationStanding:
    """`predicted` is the range of the policy, `gain` what was measured on held-out tasks: percent, relative. `points`
    are the scores before and after. None where not known. `outcome` is that of the run."""

    agent: str
    optimizer: str
    state: RequestState
    predicted: tuple[float, float] | None = None
    gain: float | None = None
    points: tuple[float, float] | None = None
    outcome: RunOutcome | None = None


@dataclass(frozen=True)
class Budget:
    """What the requests of a calendar month of the team's clock may cost at most, and what the month allows."""

    month: str
    committed_usd: float
    budget_usd: float


def requests_in(requests: Iterable[OptimizationRequest], start: datetime, end: datetime) -> list[OptimizationRequest]:
    """Those made in `[start, end)`, and older ones that are still open; oldest first."""
    current = [
        request
        for request in requests
        if request.requested_at < end and (request.requested_at >= start or request.state.is_open)
    ]
    return sorted(current, key=lambda request: request.requested_at)


def latest_requests(
    requests: Iterable[OptimizationRequest], start: datetime, end: datetime
) -> dict[str, OptimizationRequest]:
    """Of `requests_in`, each agent's latest."""
    return {request.agent: request for request in requests_in(requests, start, end)}


def standing_of(
    request: OptimizationRequest, fleet: FleetConfig, runs: Mapping[str, OptimizationRun] | None = None
) -> OptimizationStanding:
    """`runs` are the ledger's, by request."""
    run = (runs or {}).get(request.id)
    agent = fleet.agent(request.agent)
    policy = fleet.optimization_policy(agent) if agent else None
    predicted = policy.expected_improvement if policy and policy.optimizer == request.optimizer else None
    if run is None or run.outcome is not RunOutcome.PROMOTED or run.baseline_score is None:
        outcome = run.outcome if run else None
        return OptimizationStanding(request.agent, request.optimizer, request.state, predicted, outcome=outcome)
    points = run.baseline_score, run.baseline_score + (run.gain_points or 0)
    return OptimizationStanding(
        request.agent, request.optimizer, request.state, predicted, run.relative_gain, points, run.outcome
    )


def measured_gains(runs: Iterable[OptimizationRun], optimizer: str) -> list[float]:
    """What the optimizer's promoted versions gained on held-out tasks, in percent, relative; oldest first."""
    promoted = [run for run in runs if run.optimizer == optimizer and run.outcome is RunOutcome.PROMOTED]
    return [run.relative_gain for run in promoted if run.relative_gain is not None]


def budget_at_end(
    requests: Iterable[OptimizationRequest], runs: Iterable[OptimizationRun], end: datetime, fleet: FleetConfig
) -> Budget:
    """The budget of the month that `end`, which is not in it, closes a day of."""
    last = (end - timedelta(microseconds=1)).astimezone(UTC).astimezone(ZoneInfo(fleet.timezone))
    made = [request for request in requests if request.requested_at < end]
    committed = committed_this_month(made, last, spent_by_request(runs))
    return Budget(f"{last:%B}", committed, fleet.monthly_budget_usd)
