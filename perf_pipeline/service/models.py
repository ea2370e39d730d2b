"""What the routes answer and take, as types: shapes, units and examples. All times are UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Id = str


def _as_iso_8601(value: object) -> object:
    """Pydantic would also take a number, as seconds."""
    if isinstance(value, str) and not re.match(r"\d{4}-\d{2}-\d{2}[T ]", value):
        raise ValueError("must be a time in ISO 8601, such as 2026-11-22T10:00:00Z")
    return value


def _as_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


IsoTime = Annotated[datetime, BeforeValidator(_as_iso_8601), AfterValidator(_as_utc)]
"""A time that a caller gives: aware, in UTC where it names no zone."""


def _example(**content: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [content]})


class WindowModel(BaseModel):
    """The window or stretch of windows from `start` to before `end`."""

    start: datetime
    end: datetime


class TriggerAnswer(BaseModel):
    """What a run of the cycle did. `errors` are sentences, and hold what kept it from doing more."""

    model_config = _example(
        success=True,
        agents_analyzed=7,
        anomalies_detected=1,
        optimizations_triggered=2,
        slack_messages_sent=3,
        run_id="0b7a4a0e-4f0e-4a8e-9a3c-0f4f6d1f2f11",
        window={"start": "2026-11-22T10:00:00Z", "end": "2026-11-22T10:30:00Z"},
        errors=[],
    )

    success: bool = Field(description="Whether the run came to its end")
    agents_analyzed: int = Field(description="Agents with a row of agent_metrics in the window")
    anomalies_detected: int = Field(description="Findings of the window that are open")
    optimizations_triggered: int = Field(description="Requests recorded for the window since the run began")
    slack_messages_sent: int = Field(
        description="Messages sent to Slack since the run began, about incidents of the window or these requests"
    )
    run_id: Id
    window: WindowModel | None
    errors: list[str]


class RunModel(BaseModel):
    """A run of the cycle; `result` once it is over."""

    model_config = _example(
        run_id="0b7a4a0e-4f0e-4a8e-9a3c-0f4f6d1f2f11",
        status="STARTED",
        is_over=False,
        window={"start": "2026-11-22T10:00:00Z", "end": "2026-11-22T10:30:00Z"},
        triggered_by="ana",
        url="http://127.0.0.1:3000/runs/0b7a4a0e-4f0e-4a8e-9a3c-0f4f6d1f2f11",
        result=None,
    )

    run_id: Id
    status: str = Field(description="As Dagster names it, such as QUEUED, STARTED, SUCCESS, FAILURE")
    is_over: bool
    window: WindowModel | None
    triggered_by: str | None = Field(description="Who asked for it; null for one that the schedule began")
    url: str = Field(description="Its page in Dagster's UI")
    result: TriggerAnswer | None


class LastWindow(WindowModel):
    finished_at: datetime = Field(description="When a cycle last came to its end for it")


class LastRun(BaseModel):
    run_id: Id
    status: str
    created_at: datetime
    ended_at: datetime | None
    url: str


class DagsterModel(BaseModel):
    """What Dagster says of itself. `said` is why it cannot be asked, where it cannot."""

    reachable: bool
    said: str
    daemon_runs: bool | None
    switched_off: list[str] = Field(description="Schedules and sensors that are switched off")
    last_run: LastRun | None


class MissingWindows(BaseModel):
    """Closed windows that have something left to do, of so many hours."""

    count: int
    oldest: datetime | None
    looked_at_hours: float


class SourceModel(BaseModel):
    """How a source could be read for its newest window."""

    source: str
    status: Literal["complete", "partial", "unavailable"]
    reason: str
    window_start: datetime
    read_at: datetime
    rows: int
    incomplete_windows_of_a_day: int


class AgentModel(BaseModel):
    """An agent's newest complete window, and its score in the newest one in which it did something."""

    model_config = _example(
        agent="InboundAgent",
        policy="execution",
        optimizer="BootstrapFewShot",
        window_start="2026-11-22T09:30:00Z",
        tasks=42,
        success_rate=92.9,
        latency_p95_ms=4180.0,
        error_count=3,
        score=91.2,
        scored_window="2026-11-22T09:30:00Z",
        trend="stable",
        tasks_of_a_day=1893,
        cost_usd_of_a_day=4.31,
        open_incidents=0,
    )

    agent: str
    policy: str | None = Field(description="Its optimization policy in fleet.yaml; null for one that is not listed")
    optimizer: str | None
    window_start: datetime | None
    tasks: int
    success_rate: float | None = Field(description="In percent; null where it did nothing")
    latency_p95_ms: float | None
    error_count: int
    score: float | None = Field(description="0 to 100")
    scored_window: datetime | None
    trend: str = Field(description="improving, stable, degrading or unknown")
    tasks_of_a_day: int
    cost_usd_of_a_day: float | None = Field(description="US dollars of its model calls, as far as known")
    open_incidents: int


class RunningOptimization(BaseModel):
    request_id: Id
    agent: str
    optimizer: str
    state: str


class SpendModel(BaseModel):
    """US dollars of optimizers: what this month's requests may cost at most, or have cost, and what it allows."""

    month: str
    committed_usd: float
    budget_usd: float
    optimizers_in_all_usd: float


class StatusModel(BaseModel):
    """How the pipeline and its agents stand."""

    as_of: datetime
    last_window: LastWindow | None = Field(description="The newest closed window that a cycle came to its end for")
    next_window_closes_at: datetime = Field(description="When the schedule runs the cycle next, if it is switched on")
    dagster: DagsterModel
    missing_windows: MissingWindows
    sources: list[SourceModel]
    agents: list[AgentModel]
    open_incidents: int
    running_optimizations: list[RunningOptimization]
    waiting_approvals: int
    spend: SpendModel


class AgentWindow(BaseModel):
    """A row of agent_metrics. A number is null where it was not measured; it is never 0 for unknown."""

    window_start: datetime
    tasks: int
    successes: int
    success_rate: float | None
    error_count: int
    log_errors: int
    latency_mean_ms: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_p99_ms: float | None
    total_tokens: int | None
    cost_usd: float | None
    baseline_success_rate: float | None
    score: float | None
    trend: str
    complete: bool


class AgentHistory(BaseModel):
    """An agent's windows, oldest first."""

    agent: str
    window_minutes: int
    since: datetime
    until: datetime
    windows: list[AgentWindow]


class IncidentModel(BaseModel):
    """From the first finding that opened to the last that was resolved."""

    model_config = _example(
        id="3c1d9a60f5b2",
        agent="InboundAgent",
        type="success_drop",
        also=[],
        severity="critical",
        state="open",
        onset="2026-11-22T09:30:00Z",
        opened_at="2026-11-22T09:30:00Z",
        last_seen="2026-11-22T10:00:00Z",
        resolved_at=None,
        reopened=0,
        root_cause="All failing tasks raised RateLimitError.",
        recommended_action="IMMEDIATE",
        details="Success fell from 92 % to 0 % of 12 tasks.",
        example_traces=["7f6b9f0c5d9e4b0a8f6f3f0e9a1b2c3d"],
        thread="alert:5f0c1e9d2a7b",
        acknowledged_by=None,
    )

    id: Id
    agent: str
    type: str
    also: list[str] = Field(description="Other types of findings in it")
    severity: Literal["low", "medium", "high", "critical"]
    state: Literal["open", "recovering", "resolved"]
    onset: datetime
    opened_at: datetime
    last_seen: datetime
    resolved_at: datetime | None
    reopened: int
    root_cause: str
    recommended_action: str
    details: str
    example_traces: list[str]
    thread: str | None = Field(description="In which people heard of it; null where they did not")
    acknowledged_by: str | None


class Reply(BaseModel):
    """What was done, in a sentence."""

    model_config = _example(reply="ana looks after it now.")

    reply: str


class SilenceRequest(BaseModel):
    """Nobody is told of incidents whose agent and type match the patterns of a shell, for so many hours."""

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        json_schema_extra={"examples": [{"agent": "Re*", "type": "latency_*", "hours": 4, "comment": "Load test"}]},
    )

    agent: str = Field(default="*", min_length=1, max_length=200)
    type: str = Field(default="*", min_length=1, max_length=200)
    hours: float = Field(gt=0, le=366 * 24)
    comment: str = Field(default="", max_length=1000)


class SilenceModel(BaseModel):
    model_config = _example(
        id="a1b2c3d4e5f6",
        agent="Re*",
        type="latency_*",
        starts_at="2026-11-22T10:00:00Z",
        ends_at="2026-11-22T14:00:00Z",
        created_by="ana",
        comment="Load test",
    )

    id: Id
    agent: str
    type: str
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str


class OptimizationModel(BaseModel):
    """A request to optimize an agent, its approval and its run. Scores are points of 100 on held-out tasks."""

    model_config = _example(
        request_id="StrategyAgent-GEPA-5f0c1e9d",
        agent="StrategyAgent",
        optimizer="GEPA",
        state="awaiting_approval",
        is_open=True,
        requested_at="2026-11-22T10:00:30Z",
        reasons=["24 completed tasks since the last optimization, of at least 20"],
        cap_usd=30.0,
        spent_usd=0.0,
        outcome=None,
        said="",
        trouble="",
        baseline_score=None,
        candidate_score=None,
        held_out_items=None,
        version=None,
        attempts=0,
        fingerprint="9c5b8f0e7d6a4b31",
        approval_state="requested",
        expires_at="2026-11-24T10:00:30Z",
        answered_by=None,
        answered_through=None,
    )

    request_id: Id
    agent: str
    optimizer: str
    state: str
    is_open: bool
    requested_at: datetime
    reasons: list[str]
    cap_usd: float
    spent_usd: float
    outcome: str | None
    said: str
    trouble: str
    baseline_score: float | None
    candidate_score: float | None
    held_out_items: int | None
    version: str | None
    attempts: int
    fingerprint: str = Field(description="Stands for what is asked; an answer must give it")
    approval_state: str
    expires_at: datetime | None
    answered_by: str | None
    answered_through: str | None


class AnswerRequest(BaseModel):
    """An answer to exactly what the fingerprint stands for: see GET /optimizations/{request_id}."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"fingerprint": "9c5b8f0e7d6a4b31"}]})

    fingerprint: str = Field(min_length=1, max_length=64)


class ProgramVersionModel(BaseModel):
    """A version of an agent's program, as it was registered."""

    model_config = _example(
        agent="InboundAgent",
        version="8c1f0a6d2b7e4f90",
        sha256="8c1f0a6d2b7e4f90…",
        run_id="5f0c1e9d",
        parent=None,
        registered_at="2026-11-22T10:00:00Z",
        quarantined_because=None,
        in_production=True,
    )

    agent: str
    version: str
    sha256: str
    run_id: str
    parent: str | None
    registered_at: datetime
    quarantined_because: str | None
    in_production: bool
