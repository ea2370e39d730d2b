"""Things with an identity that the ledger remembers: what must never be forgotten, or never happen twice.

All times are aware, in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from perf_pipeline.fleet_model import Approval, Severity
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.message import Message


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
    cause: str = ""


@dataclass(frozen=True)
class AlertThread:
    """The incidents that people hear of in one message and its thread, because they seem to be one trouble.

    `id` begins the keys of its messages. `cause` is that of the worst incident, `opened_at` the window at whose close
    the first ones opened. `targets` are those that were told. `told_at` is when people were told, or when it got worse
    after somebody had acknowledged it: since then somebody is wanted.
    """

    id: str
    cause: str
    opened_at: datetime
    told_at: datetime
    targets: tuple[str, ...]
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None


@dataclass(frozen=True)
class ToldIncident:
    """What people know of an incident, and in which thread they heard it. Nobody heard of it where `withheld`."""

    incident_id: str
    thread: str
    severity: Severity
    state: IncidentState
    reopened: int
    withheld: bool = False


@dataclass(frozen=True)
class Silence:
    """From `starts_at` to before `ends_at`, nobody is told of incidents that match. Patterns are those of a shell."""

    id: str
    agent: str
    type: str
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str = ""


class NotificationState(StrEnum):
    PENDING = "pending"
    CLAIMED = "claimed"
    SENT = "sent"
    WITHHELD = "withheld"
    UNDELIVERABLE = "undeliverable"


@dataclass(frozen=True)
class Notification:
    """A message of the outbox, to one target of fleet.yaml. `key` is unique: what was said once under it is never
    said again. It ends with `@target`.

    `thread` is the key of the message that this one answers, at the same target. `picture` is a PNG. `maybe_posted`
    says that an attempt may have posted it although nobody heard so.
    """

    key: str
    kind: NotificationKind
    message: Message
    created_at: datetime
    target: str
    thread: str | None = None
    picture: bytes | None = None
    state: NotificationState = NotificationState.PENDING
    attempts: int = 0
    claimed_by: str | None = None
    claimed_at: datetime | None = None
    not_before: datetime | None = None
    sent_at: datetime | None = None
    channel: str | None = None
    message_ts: str | None = None
    note: str | None = None
    maybe_posted: bool = False


@dataclass(frozen=True)
class Learned:
    """What people knew of an incident before a message, if anything, and what they know after it."""

    before: ToldIncident | None
    after: ToldIncident


@dataclass(frozen=True)
class Telling:
    """Messages, and what people know once they have them. Recorded together or not at all.

    `thread` is a new one, or one whose acknowledgement ends; `more_targets_of` one that only more targets hear of.
    """

    notifications: tuple[Notification, ...]
    thread: AlertThread | None
    learned: tuple[Learned, ...]
    more_targets_of: AlertThread | None = None


class RequestState(StrEnum):
    AWAITING_APPROVAL = "awaiting_approval"
    READY = "ready"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    DECLINED = "declined"
    EXPIRED = "expired"

    @property
    def is_open(self) -> bool:
        return self in (RequestState.AWAITING_APPROVAL, RequestState.READY, RequestState.RUNNING)

    @property
    def came_to_nothing(self) -> bool:
        """Nothing was run and nothing was spent."""
        return self in (RequestState.CANCELLED, RequestState.DECLINED, RequestState.EXPIRED)


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


class ApprovalState(StrEnum):
    REQUESTED = "requested"
    APPROVED = "approved"
    DECLINED = "declined"
    EXPIRED = "expired"


class Answer(StrEnum):
    APPROVE = "approve"
    DECLINE = "decline"


@dataclass(frozen=True)
class ApprovalRecord:
    """Whether people agree to an optimization request. `fingerprint` stands for what they were asked, as it was then.

    `answered_by` is the approver's name in fleet.yaml, `answered_through` the way: button, reaction, API, CLI.
    """

    request_id: str
    fingerprint: str
    state: ApprovalState
    requested_at: datetime
    expires_at: datetime
    answered_by: str | None = None
    answered_through: str | None = None
    answered_at: datetime | None = None


@dataclass(frozen=True)
class AnswerRecord:
    """One attempt to answer, accepted or refused. `id` is that of the click, reaction or command, so that the same
    one is never counted or replied to twice."""

    id: str
    request_id: str
    answer: Answer
    person: str
    through: str
    at: datetime
    accepted: bool
    reply: str
