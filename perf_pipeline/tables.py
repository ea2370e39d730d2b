"""One declared schema per table: columns, dtypes, units and meaning.

The same declaration feeds the assets' column metadata, the blocking schema checks, the lake and the docs.
All times are UTC. A nullable number is missing where it was not measured; it is never 0 for 'unknown'.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import pandera.pandas as pa
import pyarrow

TIME = pd.DatetimeTZDtype(unit="us", tz="UTC")
TEXT = pd.StringDtype(na_value=float("nan"))
NUMBER = "float64"
COUNT = "int64"
OPTIONAL_COUNT = "Int64"
FLAG = "bool"
OPTIONAL_FLAG = "boolean"
BYTES = pd.ArrowDtype(pyarrow.binary())


class TableError(ValueError):
    """A frame does not fit its declared table. The message names the table, the column and the rule."""


@dataclass(frozen=True)
class Table:
    """A table of the lake. `time_column` says which window a row belongs to."""

    name: str
    description: str
    time_column: str
    schema: pa.DataFrameSchema

    @property
    def columns(self) -> list[str]:
        return list(self.schema.columns)

    def view(self, *columns: str) -> Table:
        """The same table with some of its columns only: what is read through it costs no more than they do."""
        schema = pa.DataFrameSchema({name: self.schema.columns[name] for name in columns}, name=self.name, strict=True)
        return Table(self.name, self.description, self.time_column, schema)

    def empty(self) -> pd.DataFrame:
        return self._no_rows.copy()

    @cached_property
    def _no_rows(self) -> pd.DataFrame:
        return self.conform(pd.DataFrame({name: [] for name in self.columns}))

    def conform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The declared columns, in order and with their dtypes. Raises TableError where one does not fit."""
        missing = [name for name in self.columns if name not in frame.columns]
        if missing:
            raise TableError(f"{self.name} lacks the column(s) {', '.join(missing)}.")
        converted: dict[str, pd.Series] = {}
        for name, column in self.schema.columns.items():
            try:
                converted[name] = _as_dtype(frame[name], column.dtype)
            except (ValueError, TypeError) as error:
                raise TableError(f"{self.name}.{name} cannot be read as {column.dtype}: {error}") from error
        return pd.DataFrame(converted).reset_index(drop=True)

    def problems(self, frame: pd.DataFrame) -> list[str]:
        """What is wrong with the frame, a sentence each; empty when it fits its declaration."""
        try:
            self.schema.validate(frame, lazy=True)
        except pa.errors.SchemaErrors as error:
            cases = error.failure_cases.fillna({"failure_case": "a missing value"}).astype(str)
            grouped = cases.groupby(["column", "check"], dropna=False)["failure_case"]
            return [
                f"{self.name}.{column}: {check} fails in {len(values)} case(s), such as {values.iloc[0][:80]}."
                for (column, check), values in grouped
            ]
        return []


def _as_dtype(values: pd.Series, dtype: object) -> pd.Series:
    target = getattr(dtype, "type", dtype)
    if values.dtype == target:
        return values
    if target == TIME:
        return pd.to_datetime(values, utc=True).astype(TIME)
    return values.astype(target)  # pyright: ignore[reportCallIssue, reportArgumentType]


def _column(dtype: object, description: str, *, nullable: bool = False, **checks: float) -> pa.Column:
    rules = []
    if "at_least" in checks:
        rules.append(pa.Check.ge(checks["at_least"]))
    if "at_most" in checks:
        rules.append(pa.Check.le(checks["at_most"]))
    return pa.Column(dtype, rules, nullable=nullable, description=description)


def _table(
    name: str, description: str, time_column: str, columns: dict[str, pa.Column], key: Iterable[str] | None = None
) -> Table:
    schema = pa.DataFrameSchema(columns, name=name, strict=True, unique=list(key) if key else None)
    return Table(name, description, time_column, schema)


RAW_SPANS = _table(
    "raw_spans",
    "Spans that started in the window, one row each, without payloads.",
    "start_time",
    {
        "span_id": _column(TEXT, "Identity of the span, 16 hex digits"),
        "trace_id": _column(TEXT, "Identity of its trace, 32 hex digits"),
        "parent_id": _column(TEXT, "span_id of the caller; missing for the topmost span", nullable=True),
        "agent": _column(TEXT, "Agent named by the span itself, by the attributes of fleet.yaml", nullable=True),
        "name": _column(TEXT, "Name of the operation"),
        "kind": _column(TEXT, "OpenInference span kind: AGENT, CHAIN, LLM, TOOL, RETRIEVER, ... or UNKNOWN"),
        "start_time": _column(TIME, "When it began (UTC)"),
        "end_time": _column(TIME, "When it ended (UTC)", nullable=True),
        "latency_ms": _column(NUMBER, "end_time - start_time, in milliseconds", nullable=True),
        "status": _column(TEXT, "OK, ERROR or UNSET"),
        "status_message": _column(TEXT, "What the tracer noted beside an error", nullable=True),
        "error_type": _column(TEXT, "Type of the exception recorded on the span", nullable=True),
        "model": _column(TEXT, "Language model called", nullable=True),
        "provider": _column(TEXT, "Provider of that model", nullable=True),
        "tool": _column(TEXT, "Tool called", nullable=True),
        "prompt_tokens": _column(OPTIONAL_COUNT, "Tokens sent", nullable=True, at_least=0),
        "completion_tokens": _column(OPTIONAL_COUNT, "Tokens received", nullable=True, at_least=0),
        "cost_usd": _column(NUMBER, "Cost in US dollars", nullable=True, at_least=0),
        "session_id": _column(TEXT, "Session or conversation", nullable=True),
        "task_id": _column(TEXT, "agent_state.id of the task, where the agent stamps it", nullable=True),
        "program_version": _column(TEXT, "Version of the agent's program", nullable=True),
    },
    key=["trace_id", "span_id"],
)

RAW_LOGS = _table(
    "raw_logs",
    "Log lines written in the window, one row each.",
    "timestamp",
    {
        "timestamp": _column(TIME, "When the line was written (UTC)"),
        "severity": _column(TEXT, "debug, info, warn or error"),
        "message": _column(TEXT, "The line"),
        "agent": _column(TEXT, "Agent that the line is about, where it names one", nullable=True),
        "service_id": _column(TEXT, "Railway service", nullable=True),
        "deployment_id": _column(TEXT, "Railway deployment", nullable=True),
        "attributes": _column(TEXT, "Structured fields of the line, as a JSON object of strings"),
    },
)

TASK_COUNTS = _table(
    "task_counts",
    "Rows of agent_state by agent and status: changed in the window, and in total when the window was read.",
    "window_start",
    {
        "window_start": _column(TIME, "Start of the window (UTC)"),
        "agent": _column(TEXT, "agent_state.agent_name"),
        "status": _column(TEXT, "agent_state.status: pending, in_progress, completed, failed"),
        "tasks_in_window": _column(COUNT, "Rows whose updated_at lies in the window", at_least=0),
        "tasks_total": _column(COUNT, "Rows in the table, whenever written", at_least=0),
        # Nullable for the files that were written before the column was counted.
        "tasks_since_optimization": _column(
            OPTIONAL_COUNT,
            "Rows changed since the agent's latest optimization was requested; all of them where there was none",
            nullable=True,
            at_least=0,
        ),
    },
    key=["window_start", "agent", "status"],
)

TASK_STATES = _table(
    "task_states",
    "Rows of agent_state whose latest change fell into the window. A task that changes again is in both windows.",
    "updated_at",
    {
        "task_id": _column(TEXT, "agent_state.id"),
        "agent": _column(TEXT, "agent_state.agent_name"),
        "status": _column(TEXT, "agent_state.status: pending, in_progress, completed, failed"),
        "created_at": _column(TIME, "When the task was created (UTC)", nullable=True),
        "updated_at": _column(TIME, "When its row was last changed (UTC)"),
    },
    key=["task_id", "updated_at"],
)

CHANGE_EVENTS = _table(
    "change_events",
    "What changed in the window and might explain a change of behaviour.",
    "time",
    {
        "time": _column(TIME, "When the change took effect (UTC)"),
        "kind": _column(TEXT, "deployment, model, prompt, promotion or rollback"),
        "agent": _column(TEXT, "Agent that it concerns; missing for the whole fleet", nullable=True),
        "from_version": _column(TEXT, "What was there before", nullable=True),
        "to_version": _column(TEXT, "What is there now", nullable=True),
        "description": _column(TEXT, "The change in a few words, such as the commit's subject"),
    },
)

AGENT_TASKS = _table(
    "agent_tasks",
    "One row a task: the topmost span of a trace that belongs to an agent, with its subtree summed up.",
    "start_time",
    {
        "task_span_id": _column(TEXT, "span_id of the task's topmost span"),
        "trace_id": _column(TEXT, "Trace that holds the task"),
        "agent": _column(TEXT, "Agent that did the task"),
        "parent_agent": _column(TEXT, "Agent that called it", nullable=True),
        "start_time": _column(TIME, "When the task began (UTC)"),
        "end_time": _column(TIME, "When the task ended (UTC)", nullable=True),
        "ok": _column(FLAG, "Whether its topmost span ended without an error and agent_state does not say failed"),
        "error_type": _column(TEXT, "Exception that failed the task", nullable=True),
        "error_message": _column(TEXT, "What the tracer noted, or that agent_state alone says failed", nullable=True),
        "latency_ms": _column(NUMBER, "Duration of the topmost span, in milliseconds", nullable=True),
        "llm_ms": _column(NUMBER, "Sum of the durations of its language-model calls, in milliseconds", at_least=0),
        "tool_ms": _column(NUMBER, "Sum of the durations of its tool calls, in milliseconds", at_least=0),
        "llm_calls": _column(COUNT, "Language-model calls", at_least=0),
        "tool_calls": _column(COUNT, "Tool calls", at_least=0),
        "error_count": _column(COUNT, "Errors that began in the task: ERROR spans without an ERROR child", at_least=0),
        "spans": _column(COUNT, "Spans in the task, its topmost one included", at_least=1),
        "model": _column(TEXT, "Model of its first language-model call", nullable=True),
        "provider": _column(TEXT, "Provider of that model", nullable=True),
        "prompt_tokens": _column(OPTIONAL_COUNT, "Tokens sent", nullable=True, at_least=0),
        "completion_tokens": _column(OPTIONAL_COUNT, "Tokens received", nullable=True, at_least=0),
        "cost_usd": _column(NUMBER, "Cost in US dollars", nullable=True, at_least=0),
        "session_id": _column(TEXT, "Session or conversation", nullable=True),
        "task_id": _column(TEXT, "agent_state.id, where the agent stamps it", nullable=True),
        "task_status": _column(TEXT, "agent_state.status of the row with that id", nullable=True),
        "program_version": _column(TEXT, "Version of the agent's program", nullable=True),
        # Nullable for the files that were written before it was told.
        "span_ok": _column(OPTIONAL_FLAG, "Whether its topmost span ended without an error", nullable=True),
        # These six are missing in the files that were written before they were told.
        "tools": _column(TEXT, "Tools that it called, one a line, in alphabetical order", nullable=True),
        "first_failing_step": _column(TEXT, "Step in which its first error began; missing for none", nullable=True),
        "first_failing_kind": _column(TEXT, "Span kind of that step", nullable=True),
        "first_failing_error": _column(TEXT, "Exception of that step, where one is known", nullable=True),
        "slowest_step": _column(TEXT, "Step with the longest time of its own, without its children's", nullable=True),
        "slowest_step_ms": _column(NUMBER, "That time, in milliseconds", nullable=True, at_least=0),
    },
    key=["trace_id", "task_span_id"],
)

CUSTOM_METRICS = _table(
    "custom_metrics",
    "The metrics of fleet.yaml: one row a metric, agent and window in which the agent did something.",
    "window_start",
    {
        "window_start": _column(TIME, "Start of the window (UTC)"),
        "agent": _column(TEXT, "Agent"),
        "metric": _column(TEXT, "Its name in fleet.yaml"),
        "value": _column(NUMBER, "Its value, in its unit; missing where there is none", nullable=True),
        "unit": _column(TEXT, "The unit, as fleet.yaml says it"),
        "tasks": _column(COUNT, "Tasks that the value rests on; of an annotation those that have one", at_least=0),
        "definition": _column(TEXT, "Names what fleet.yaml said it is when it was computed"),
        "error": _column(TEXT, "Why it could not be computed, as a sentence", nullable=True),
    },
    key=["window_start", "agent", "metric"],
)

AGENT_METRICS = _table(
    "agent_metrics",
    "One row an agent and window, also where the agent did nothing.",
    "window_start",
    {
        "agent": _column(TEXT, "Agent"),
        "window_start": _column(TIME, "Start of the window (UTC)"),
        "tasks": _column(COUNT, "Tasks that began in the window", at_least=0),
        "successes": _column(COUNT, "Those that succeeded", at_least=0),
        "success_rate": _column(NUMBER, "successes / tasks, in percent", nullable=True, at_least=0, at_most=100),
        "error_count": _column(COUNT, "Errors that began in these tasks, recovered ones included", at_least=0),
        "log_errors": _column(COUNT, "Log lines of severity error that name the agent", at_least=0),
        "latency_mean_ms": _column(NUMBER, "Mean task latency, in milliseconds", nullable=True),
        "latency_p50_ms": _column(NUMBER, "Median task latency, in milliseconds", nullable=True),
        "latency_p95_ms": _column(NUMBER, "95th percentile (linear interpolation), in milliseconds", nullable=True),
        "latency_p99_ms": _column(NUMBER, "99th percentile (linear interpolation), in milliseconds", nullable=True),
        "latency_log_mean": _column(NUMBER, "Mean of ln(latency in ms)", nullable=True),
        "latency_log_sd": _column(NUMBER, "Sample standard deviation of ln(latency in ms)", nullable=True, at_least=0),
        "total_tokens": _column(OPTIONAL_COUNT, "Tokens sent and received", nullable=True, at_least=0),
        "cost_usd": _column(NUMBER, "Cost in US dollars", nullable=True, at_least=0),
        "baseline_tasks": _column(
            COUNT, "Tasks of the agent, outside incidents, that its baselines learned from", at_least=0
        ),
        "baseline_success_rate": _column(NUMBER, "Expected success, in percent", at_least=0, at_most=100),
        "baseline_errors_per_task": _column(NUMBER, "Expected errors a task", at_least=0),
        "baseline_log_mean": _column(NUMBER, "Expected mean of ln(latency in ms)", nullable=True),
        "score": _column(NUMBER, "Performance score, 0 to 100", nullable=True, at_least=0, at_most=100),
        "trend": _column(TEXT, "improving, stable, degrading or unknown (too little history)"),
        "complete": _column(FLAG, "Whether the window is closed and its spans were read completely"),
        # Missing where a system that is compared was not read, and in files written before they were counted.
        "unnoticed_failures": _column(
            OPTIONAL_COUNT,
            "Tasks that agent_state calls failed and whose spans show no error",
            nullable=True,
            at_least=0,
        ),
        "finished_rows": _column(
            OPTIONAL_COUNT,
            "Rows of agent_state that finished in the window and whose spans must have been read",
            nullable=True,
            at_least=0,
        ),
        "missing_traces": _column(OPTIONAL_COUNT, "Those that no span belongs to", nullable=True, at_least=0),
        "unseen_errors": _column(
            OPTIONAL_COUNT,
            "Log lines of severity error, written while no task of the agent was failing",
            nullable=True,
            at_least=0,
        ),
    },
    key=["window_start", "agent"],
)

DETECTOR_STATES = _table(
    "detector_states",
    "One row an agent, type of finding and window: what was expected, how strong the evidence is, and what the "
    "detector remembers for the next window.",
    "window_start",
    {
        "window_start": _column(TIME, "Start of the window (UTC)"),
        "agent": _column(TEXT, "Agent"),
        "metric": _column(TEXT, "What is watched: success_rate, errors_per_task, latency, ..."),
        "finding": _column(TEXT, "Type of finding that it is watched for: success_drop, error_spike, ..."),
        "value": _column(NUMBER, "What was seen; missing where nothing could be", nullable=True),
        "expected": _column(NUMBER, "The baseline, in the same unit; missing while it is not known", nullable=True),
        "low": _column(NUMBER, "Lower end of the band that holds 95 % of healthy windows of this size", nullable=True),
        "high": _column(NUMBER, "Upper end of that band", nullable=True),
        "evidence_nats": _column(NUMBER, "Logarithm of the evidence that something changed; 0 for none", at_least=0),
        "phase": _column(TEXT, "quiet, pending, open or recovering, at the close of the window"),
        "event": _column(TEXT, "What happened at the close of the window: nothing, opened, resolved or new_normal"),
        "onset": _column(TIME, "Window in which the change began, as far as can be told (UTC)", nullable=True),
        "opened": _column(TIME, "Window at whose close the finding opened (UTC)", nullable=True),
        "effect": _column(NUMBER, "Points lost, or times the baseline; missing while quiet", nullable=True),
        "effect_low": _column(NUMBER, "Lower end of its 95 % interval", nullable=True),
        "effect_high": _column(NUMBER, "Upper end of its 95 % interval", nullable=True),
        "severity": _column(
            TEXT, "low, medium, high or critical, the worst so far; missing while quiet", nullable=True
        ),
        "tasks": _column(COUNT, "Tasks of the agent in the window", at_least=0),
        "layout": _column(TEXT, "Version of the memory's layout"),
        "memory": _column(BYTES, "What the detector remembers of the agent, for the next window"),
    },
    key=["window_start", "agent", "finding"],
)

ANOMALIES = _table(
    "anomalies",
    "One row a finding and window: what an agent, or a source, does that it should not do, until it is over.",
    "window_start",
    {
        "window_start": _column(TIME, "Start of the window (UTC)"),
        "agent": _column(TEXT, "Agent, or the source for a data_gap"),
        "type": _column(TEXT, "success_drop, error_spike, latency_increase, silence, ... or data_gap"),
        "metric": _column(TEXT, "What is watched; missing for a data_gap", nullable=True),
        "state": _column(TEXT, "pending, open, recovering or resolved, at the close of the window"),
        "severity": _column(TEXT, "low, medium, high or critical"),
        "onset": _column(TIME, "Window in which the change began, as far as can be told (UTC)", nullable=True),
        "opened": _column(TIME, "Window at whose close the finding opened; missing while pending (UTC)", nullable=True),
        "observed": _column(NUMBER, "What was measured since the onset, in the unit of the metric", nullable=True),
        "baseline": _column(NUMBER, "What was expected, in the same unit", nullable=True),
        "effect": _column(NUMBER, "Points lost, or times the baseline", nullable=True),
        "effect_low": _column(NUMBER, "Lower end of its 95 % interval", nullable=True),
        "effect_high": _column(NUMBER, "Upper end of its 95 % interval", nullable=True),
        "evidence_nats": _column(
            NUMBER, "Logarithm of the evidence; missing for a data_gap", nullable=True, at_least=0
        ),
        "tasks": _column(COUNT, "Tasks since the onset, which the finding rests on", at_least=0),
        "root_cause": _column(TEXT, "Most likely cause, in words"),
        "recommended_action": _column(TEXT, "IMMEDIATE, INVESTIGATE or MONITOR"),
        "details": _column(TEXT, "The finding in one sentence"),
        "example_traces": _column(TEXT, "trace_ids of examples, separated by spaces"),
        # Nullable for the files that were written before it was told.
        "cause": _column(
            TEXT,
            "The cause without figures, the same for all that fail for it; empty if none stands out",
            nullable=True,
        ),
        "cause_evidence": _column(
            TEXT, "What is known of the cause in figures, as JSON (`monitoring.cause_evidence`)", nullable=True
        ),
    },
    key=["window_start", "agent", "type"],
)

OPTIMIZATION_DECISIONS = _table(
    "optimization_decisions",
    "One row an agent and window: whether to optimize it, and why or why not.",
    "window_start",
    {
        "window_start": _column(TIME, "Start of the window (UTC)"),
        "agent": _column(TEXT, "Agent"),
        "decision": _column(TEXT, "optimize, wait or not_eligible"),
        "optimizer": _column(TEXT, "GEPA or BootstrapFewShot"),
        "tasks_since_optimization": _column(
            OPTIONAL_COUNT,
            "Completed tasks since the last optimization, if known",
            nullable=True,
            at_least=0,
        ),
        "tasks_total": _column(
            OPTIONAL_COUNT, "Completed tasks in all when decided, if known", nullable=True, at_least=0
        ),
        "min_tasks": _column(COUNT, "Completed tasks that the policy asks for", at_least=1),
        "max_cost_usd": _column(NUMBER, "Cap on the cost of the run, in US dollars", at_least=0),
        "approval": _column(TEXT, "required or automatic"),
        "reasons": _column(TEXT, "Why, one reason a line"),
    },
    key=["window_start", "agent"],
)

DAILY_SUMMARY = _table(
    "daily_summary",
    "One row an agent and day of the team's clock: what the daily summary says.",
    "day_start",
    {
        "day_start": _column(TIME, "Start of the day (UTC)"),
        "agent": _column(TEXT, "Agent"),
        "score": _column(NUMBER, "Mean score of the day weighted by tasks, 0 to 100", nullable=True),
        "trend": _column(TEXT, "improving, stable, degrading or unknown"),
        "tasks": _column(COUNT, "Tasks that began in the day", at_least=0),
        "success_rate": _column(NUMBER, "In percent", nullable=True),
        "latency_p95_ms": _column(NUMBER, "Worst 95th percentile of the day's windows, in milliseconds", nullable=True),
        # Nullable, as are the incidents, for the files that were written before they were summed up, too.
        "cost_usd": _column(NUMBER, "Cost of its model calls, as far as known, in US dollars", nullable=True),
        "anomalies": _column(COUNT, "Findings of the day, each counted once", at_least=0),
        "incidents": _column(
            OPTIONAL_COUNT, "Incidents that opened, ended or went on in the day", nullable=True, at_least=0
        ),
        "optimization": _column(TEXT, "State of its latest optimization request; missing for none", nullable=True),
    },
    key=["day_start", "agent"],
)

WEEKLY_SUMMARY = _table(
    "weekly_summary",
    "One row an agent and week of the team's clock, beside the week before: what the weekly summary says.",
    "week_start",
    {
        "week_start": _column(TIME, "Start of the week (UTC)"),
        "agent": _column(TEXT, "Agent"),
        "score": _column(NUMBER, "Mean score of the week weighted by tasks, 0 to 100", nullable=True),
        "score_before": _column(NUMBER, "The same of the week before", nullable=True),
        "tasks": _column(COUNT, "Tasks that began in the week", at_least=0),
        "tasks_before": _column(COUNT, "Those of the week before", at_least=0),
        "success_rate": _column(NUMBER, "In percent", nullable=True),
        "success_rate_before": _column(NUMBER, "That of the week before, in percent", nullable=True),
        "cost_usd": _column(NUMBER, "Cost of its model calls, as far as known, in US dollars", nullable=True),
        "cost_usd_before": _column(NUMBER, "That of the week before", nullable=True),
        "incidents": _column(COUNT, "Incidents that opened, ended or went on in the week", at_least=0),
        "hours_in_incident": _column(NUMBER, "Hours of the week in at least one incident", at_least=0),
        "optimization": _column(TEXT, "State of its latest optimization request; missing for none", nullable=True),
    },
    key=["week_start", "agent"],
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        RAW_SPANS,
        RAW_LOGS,
        TASK_COUNTS,
        TASK_STATES,
        CHANGE_EVENTS,
        AGENT_TASKS,
        CUSTOM_METRICS,
        AGENT_METRICS,
        DETECTOR_STATES,
        ANOMALIES,
        OPTIMIZATION_DECISIONS,
        DAILY_SUMMARY,
        WEEKLY_SUMMARY,
    )
}
