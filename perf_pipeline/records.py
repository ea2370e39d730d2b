"""Things with an identity that the ledger remembers: what must never be forgotten, or never happen twice.

All times are aware, in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

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
    last in which it was not over. `reopened` counts how often it came back after it had ended. `evidence` is JSON
    of `monitoring.cause_evidence.CauseEvidence`; empty where none is known.
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
    evidence: str = ""


@dataclass(frozen=True)
class IncidentAnalysis:
    """What a language model says of an incident, or why none does.

    `digest` stands for the facts that it was asked about. Until `due_at` an alert waits for it. `written_by` names the
    model, and is None until it has answered; where it does not, `trouble` says why, in words for people, and rules word
    the incident. `confidence` is the model's own estimate, 0 to 1.
    """

    incident_id: str
    digest: str
    due_at: datetime
    attempts: int = 1
    written_by: str | None = None
    written_at: datetime | None = None
    trouble: str = ""
    cause_kind: str = ""
    confidence: float | None = None
    what_changed: str = ""
    likely_cause: str = ""
    what_to_do: str = ""

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.written_by is not None or bool(self.trouble)


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
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def is_open(self) -> bool:
        return self in (RequestState.AWAITING_APPROVAL, RequestState.READY, RequestState.RUNNING)

    @property
    def came_to_nothing(self) -> bool:
        """It is no optimization: the agent's tasks since the last one go on counting."""
        return not self.is_open and self is not RequestState.FINISHED


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


class Scope(StrEnum):
    """What a token of the HTTP service may do: see, run the pipeline, act and answer for a person, or all of it."""

    READ = "read"
    TRIGGER = "trigger"
    APPROVE = "approve"
    ADMIN = "admin"


@dataclass(frozen=True)
class ApiToken:
    """A bearer token of the HTTP service, without its secret. `name` says what it is for, `person` for whom it acts.

    `digest` is the SHA-256 of the secret, in hex. `last_used_at` is coarse: see `TokenLedger.note_use`.
    """

    id: str
    digest: str = field(repr=False)
    name: str
    person: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None

    def is_usable(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes


class FeedbackKind(StrEnum):
    HUMAN = "human"
    JUDGE = "judge"
    CODE = "code"


@dataclass(frozen=True)
class TaskFeedback:
    """What somebody said about a task: about its topmost span, or about its row in agent_state.

    `score` is 0 for wrong to 1 for right, `correction` holds the right output fields.
    """

    name: str
    kind: FeedbackKind
    at: datetime
    span_id: str | None = None
    task_id: str | None = None
    score: float | None = None
    label: str | None = None
    explanation: str = ""
    correction: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class TaskPayload:
    """What went into a task and what came out, by field; None where the trace does not say."""

    span_id: str
    inputs: Mapping[str, Any] | None
    outputs: Mapping[str, Any] | None


@dataclass(frozen=True)
class TaskRecord:
    """A task with what went in and what came out. `task_status` is that of its row in agent_state."""

    span_id: str
    trace_id: str
    agent: str
    start_time: datetime
    ok: bool
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any] | None
    task_id: str | None = None
    session_id: str | None = None
    task_status: str | None = None
    error_type: str | None = None
    program_version: str | None = None


class LabelOrigin(StrEnum):
    """How it is known what the right answer to a task is."""

    CORRECTION = "correction"
    ANNOTATION = "annotation"
    OUTCOME = "outcome"
    JUDGE = "judge"
    FILE = "file"


@dataclass(frozen=True)
class LabelledExample:
    """A task with its right answer. `id` is its span_id, `answered` what the agent said; `failed` says that this was
    wrong, or nothing. Near-duplicates, and tasks of one session, have the same `group`."""

    id: str
    inputs: Mapping[str, Any]
    expected: Mapping[str, Any]
    origin: LabelOrigin
    answered: Mapping[str, Any] | None = None
    failed: bool = False
    group: str = ""
    session_id: str | None = None
    start_time: datetime | None = None


class RunOutcome(StrEnum):
    """How an optimization run ended. Only `promoted` changes what agents run."""

    PROMOTED = "promoted"
    REJECTED = "rejected"
    TOO_FEW_ITEMS = "too_few_items"
    STALE = "stale"
    BUDGET_EXHAUSTED = "budget_exhausted"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    INFRASTRUCTURE_FAILURE = "infrastructure_failure"


@dataclass(frozen=True)
class OptimizationRun:
    """The run of a request. `id` follows from agent, optimizer, data and configuration.

    `baseline` is the version that the candidate is compared with, None for the program as it stands in the code; it is
    pinned, as are `configuration` and the data, when the run begins. `outcome` is None until the run has ended;
    `trouble` is why it is interrupted, if it is, and `not_before` when it goes on. `attempts` counts how often it was
    begun or taken up again. Scores and `gain_points` are points of 100 on the held-out items.
    """

    request_id: str
    id: str
    agent: str
    optimizer: str
    cap_usd: float
    baseline: str | None
    baseline_sequence: int
    data_fingerprint: str
    configuration: Mapping[str, Any]
    started_at: datetime
    attempts: int = 1
    outcome: RunOutcome | None = None
    said: str = ""
    version: str | None = None
    baseline_score: float | None = None
    candidate_score: float | None = None
    gain_points: float | None = None
    held_out_items: int | None = None
    spent_usd: float = 0.0
    finished_at: datetime | None = None
    trouble: str = ""
    not_before: datetime | None = None
    cancel_requested_by: str | None = None

    @property
    def relative_gain(self) -> float | None:
        """In percent of the baseline's score; None where that is 0 or not known."""
        if not self.baseline_score or self.gain_points is None:
            return None
        return 100 * self.gain_points / self.baseline_score


class SpendPurpose(StrEnum):
    TASK = "task"
    REFLECTION = "reflection"
    JUDGE = "judge"
    GATE = "gate"
    ANALYST = "analyst"


class SpendState(StrEnum):
    """`unknown`: nobody heard how the call ended, so that it counts as billed, with all that was reserved for it."""

    RESERVED = "reserved"
    SETTLED = "settled"
    NOT_BILLED = "not_billed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ProgramVersion:
    """A version of an agent's program, as it was registered. `sha256` is that of its artifact; `parent` is the version
    that it was made from. One that is quarantined is never run again."""

    agent: str
    version: str
    sha256: str
    run_id: str
    parent: str | None
    registered_at: datetime
    quarantined_because: str | None = None


@dataclass(frozen=True)
class ProgramAlias:
    """Which version an agent runs under a name, such as production; None is the program as it stands in the code.

    `sequence` counts the moves of the alias, so that an older copy of it can be told from a newer one.
    """

    agent: str
    name: str
    version: str | None
    sequence: int
    moved_at: datetime
    moved_by: str
    reason: str
