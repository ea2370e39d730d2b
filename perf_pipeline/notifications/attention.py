"""What waits for people: approvals, incidents that nobody looks after, messages that did not arrive, silences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from perf_pipeline.monitoring.metric_standings import UncomputedMetric
from perf_pipeline.records import (
    AlertThread,
    ApprovalRecord,
    ApprovalState,
    Incident,
    IncidentState,
    OptimizationRequest,
    RequestState,
    Silence,
    ToldIncident,
)


@dataclass(frozen=True)
class WaitingApproval:
    """`expires_at` is None while nobody has been asked."""

    agent: str
    optimizer: str
    max_cost_usd: float
    expires_at: datetime | None


@dataclass(frozen=True)
class Attention:
    """`unacknowledged` are open incidents that people were told of; `silences` those that are in force.

    `uncomputed` are metrics of fleet.yaml that went wrong.
    """

    approvals: tuple[WaitingApproval, ...] = ()
    unacknowledged: tuple[Incident, ...] = ()
    undeliverable: int = 0
    silences: tuple[Silence, ...] = ()
    uncomputed: tuple[UncomputedMetric, ...] = ()


def waiting_approvals(
    requests: Iterable[OptimizationRequest], approvals: Iterable[ApprovalRecord]
) -> tuple[WaitingApproval, ...]:
    """The requests that wait for an approval, the one that expires first at the beginning."""
    expiry = {one.request_id: one.expires_at for one in approvals if one.state is ApprovalState.REQUESTED}
    waiting = [
        WaitingApproval(request.agent, request.optimizer, request.max_cost_usd, expiry.get(request.id))
        for request in requests
        if request.state is RequestState.AWAITING_APPROVAL
    ]
    return tuple(sorted(waiting, key=lambda one: (one.expires_at is None, one.expires_at or 0, one.agent)))


def unacknowledged(
    incidents: Iterable[Incident], told: Mapping[str, ToldIncident], threads: Mapping[str, AlertThread]
) -> tuple[Incident, ...]:
    """Incidents that are not over, which people were told of in a thread that nobody has acknowledged, worst first."""
    alone = [
        incident
        for incident in incidents
        if incident.state is not IncidentState.RESOLVED
        and (known := told.get(incident.id)) is not None
        and not known.withheld
        and (thread := threads.get(known.thread)) is not None
        and thread.acknowledged_at is None
    ]
    return tuple(sorted(alone, key=lambda incident: (-incident.severity.rank, incident.onset, incident.agent)))


def in_force(silences: Iterable[Silence], now: datetime) -> tuple[Silence, ...]:
    return tuple(silence for silence in silences if silence.starts_at <= now < silence.ends_at)
