"""Things with an identity that the ledger remembers: what must never be forgotten, or never happen twice.

All times are aware, in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from perf_pipeline.fleet import Approval, Severity


class SourceStatus(StrEnum):
    COMPLETE = "complete"
    PARTIAL = "partial"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class SourceHealth:
    """How well a source (spans, logs, tasks, changes) could be read for a window, when it was last read."""

    source: str
    window_start: datetime
    status: SourceStatus
    reason: str
    rows: int
    late_rows: int
    collected_at: datetime


class IncidentState(StrEnum):
    OPEN = "open"
    RECOVERING = "recovering"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Incident:
    """From the first finding of a family that opened for an agent to the last that was resolved.

    `id` follows from agent, family and `opened_at`, so the same findings give the same incident. `type`, `severity`
    and the texts are those of its worst finding; `also` names the other types. Times are starts of windows: `onset`
    when the change began, `opened_at` and `resolved_at` those at whose close it opened and ended, `last_seen` the
    last in which it was not over. `reopened` counts how often it came back after it had ended.
    """

    id: str
    agent: str
    family: str
    type: str
    also: tuple[str, ...]
    severity: Severity
    state: IncidentState
    onset: datetime
    opened_at: datetime
    last_seen: datetime
    resolved_at: datetime | None
    reopened: int
    root_cause: str
    recommended_action: str
    details: str
    example_traces: tuple[str, ...] = ()


class NotificationState(StrEnum):
    PENDING = "pending"
    CLAIMED = "claimed"
    SENT = "sent"
    WITHHELD = "withheld"
    UNDELIVERABLE = "undeliverable"


@dataclass(frozen=True)
class Notification:
    """A message of the outbox. `key` is unique: what was said once under a key is never said again."""

    key: str
    kind: str
    text: str
    blocks: list[dict[str, Any]]
    created_at: datetime
    state: NotificationState = NotificationState.PENDING
    attempts: int = 0
    claimed_by: str | None = None
    claimed_at: datetime | None = None
    not_before: datetime | None = None
    sent_at: datetime | None = None
    channel: str | None = None
    message_ts: str | None = None
    note: str | None = None


class RequestState(StrEnum):
    AWAITING_APPROVAL = "awaiting_approval"
    READY = "ready"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"

    @property
    def is_open(self) -> bool:
        return self in (RequestState.AWAITING_APPROVAL, RequestState.READY, RequestState.RUNNING)


@dataclass(frozen=True)
class OptimizationRequest:
    """A decision to optimize, recorded once. `completed_tasks` is the agent's total at that time."""

    id: str
    agent: str
    optimizer: str
    approval: Approval
    max_cost_usd: float
    state: RequestState
    completed_tasks: int
    window_start: datetime
    requested_at: datetime
    reasons: tuple[str, ...] = field(default=())
