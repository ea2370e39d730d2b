"""Where optimizations stand: what was requested, what it is predicted to gain, and what it gained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.optimization.policy import committed_this_month
from perf_pipeline.records import OptimizationRequest, RequestState


@dataclass(frozen=True)
class OptimizationStanding:
    """`predicted` is the range of the policy, `gain` what was measured: percent, relative; None where not known."""

    agent: str
    optimizer: str
    state: RequestState
    predicted: tuple[float, float] | None = None
    gain: float | None = None


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
    request: OptimizationRequest, fleet: FleetConfig, gains: Mapping[str, float] | None = None
) -> OptimizationStanding:
    """`gains` are the measured ones, by the request's id."""
    agent = fleet.agent(request.agent)
    policy = fleet.optimization_policy(agent) if agent else None
    predicted = policy.expected_improvement if policy and policy.optimizer == request.optimizer else None
    return OptimizationStanding(
        request.agent, request.optimizer, request.state, predicted, (gains or {}).get(request.id)
    )


def budget_at_end(requests: Iterable[OptimizationRequest], end: datetime, fleet: FleetConfig) -> Budget:
    """The budget of the month that `end`, which is not in it, closes a day of."""
    last = (end - timedelta(microseconds=1)).astimezone(UTC).astimezone(ZoneInfo(fleet.timezone))
    committed = committed_this_month([request for request in requests if request.requested_at < end], last)
    return Budget(f"{last:%B}", committed, fleet.monthly_budget_usd)
