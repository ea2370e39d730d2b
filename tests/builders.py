"""Rows of the pipeline's tables for tests: every builder names what its test is about, and fills in the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from perf_pipeline.fleet import Approval, FleetConfig, load_fleet
from perf_pipeline.fleet_targets import ModelConfig, TargetConfig
from perf_pipeline.monitoring.ownership import own_spans
from perf_pipeline.monitoring.tasks import tasks_from_spans
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import OptimizationRequest, RequestState, SourceHealth, SourceStatus
from perf_pipeline.tables import AGENT_TASKS, ANOMALIES, CHANGE_EVENTS, RAW_LOGS, RAW_SPANS, Table

LENGTH = timedelta(minutes=30)
START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
"""Start of window 0."""

Row = dict[str, Any]


def optimizable(fleet: FleetConfig) -> FleetConfig:
    """The same fleet, each of whose agents names something to optimize."""
    model = ModelConfig(
        model="embedded/simulated-1", usd_per_million_input_tokens=1, usd_per_million_output_tokens=1, max_tokens=100
    )
    target = TargetConfig(
        program="agents:Program",
        metric="agents:metric",
        output_fields=("answer",),
        task_model="m",
        reflection_model="m",
    )
    agents = tuple(agent.model_copy(update={"target": target}) for agent in fleet.agents)
    return fleet.model_copy(update={"agents": agents, "models": {"m": model}})


@cache
def shipped_fleet() -> FleetConfig:
    """The fleet file at the root of the repository."""
    return load_fleet(Path(__file__).parents[1] / "fleet.yaml")


def window(number: int = 0) -> Window:
    return Window(START + number * LENGTH, START + (number + 1) * LENGTH)


def frame(table: Table, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as the declared table; columns that no row names are missing."""
    known = list(rows)
    return table.conform(pd.DataFrame(known, columns=table.columns)) if known else table.empty()


def span(
    trace: str,
    id: str,
    parent: str | None = None,
    agent: str | None = None,
    kind: str = "CHAIN",
    at: float = 0.0,
    ms: float | None = 1000.0,
    status: str = "OK",
    **columns: Any,
) -> Row:
    """A row of `raw_spans` that began `at` seconds after START. `ms` None is a span whose end is not known."""
    start = START + timedelta(seconds=at)
    return {
        "trace_id": trace,
        "span_id": id,
        "parent_id": parent,
        "agent": agent,
        "name": "Program.step",
        "kind": kind,
        "start_time": start,
        "end_time": None if ms is None else start + timedelta(milliseconds=ms),
        "latency_ms": ms,
        "status": status,
    } | columns


def recorded_spans(trace: str | None = None) -> list[Row]:
    """The spans that DSPy 3.4 and OpenInference wrote, of one trace or of all: answered, failed, fallback_failed,
    agent_span. None for what is missing."""
    spans = pd.read_csv(Path(__file__).parent / "data" / "dspy_spans.csv").astype(object)
    for column in ("start_time", "end_time"):
        spans[column] = [datetime.fromisoformat(text) for text in spans[column]]
    wanted = spans[spans["trace_id"] == trace] if trace else spans
    return [
        {str(name): value for name, value in row.items()}
        for row in wanted.where(wanted.notna(), None).to_dict("records")
    ]


def spans_table(rows: Iterable[Mapping[str, Any]]) -> ir.Table:
    """Rows of `raw_spans` in a DuckDB database of their own."""
    return ibis.duckdb.connect().create_table("raw_spans", frame(RAW_SPANS, rows))


def owned_spans(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Row]:
    """What `own_spans` says of each span, by trace_id and span_id; None for what is missing."""
    columns = ["agent", "caller", "task_span_id", "begins_task", "waits"]
    owned = own_spans(spans_table(rows)).to_pandas()
    values = owned[columns].astype(object).where(owned[columns].notna(), None)
    keys = zip(owned["trace_id"], owned["span_id"], strict=True)
    return {key: dict(zip(columns, row, strict=True)) for key, row in zip(keys, values.to_numpy(), strict=True)}


def tasks_of(rows: Iterable[Mapping[str, Any]], windows: int = 2) -> pd.DataFrame:
    """`agent_tasks` of the spans, over the given number of windows from START, in order of trace and span."""
    owned = own_spans(spans_table(rows))
    tasks = AGENT_TASKS.conform(tasks_from_spans(owned, START, START + windows * LENGTH).to_pandas())
    return tasks.sort_values(["trace_id", "task_span_id"], ignore_index=True)


def task(
    agent: str = "InboundAgent", at: float = 0.0, ms: float | None = 1000.0, ok: bool = True, **columns: Any
) -> Row:
    """A row of `agent_tasks` that began `at` seconds after START."""
    start = START + timedelta(seconds=at)
    return {
        "task_span_id": "top",
        "trace_id": f"trace-{agent}-{at}",
        "agent": agent,
        "start_time": start,
        "end_time": None if ms is None else start + timedelta(milliseconds=ms),
        "ok": ok,
        "latency_ms": ms,
        "llm_ms": 0.0,
        "tool_ms": 0.0,
        "llm_calls": 0,
        "tool_calls": 0,
        "error_count": 0 if ok else 1,
        "spans": 1,
    } | columns


def log_line(message: str, at: float = 0.0, severity: str = "error", agent: str | None = None) -> Row:
    """A row of `raw_logs` written `at` seconds after START."""
    time = START + timedelta(seconds=at)
    return {"timestamp": time, "severity": severity, "message": message, "agent": agent, "attributes": "{}"}


def logs(*rows: Row) -> pd.DataFrame:
    return frame(RAW_LOGS, rows)


def change(at: float, description: str, agent: str | None = None, kind: str = "deployment") -> Row:
    """A row of `change_events`, `at` seconds after START."""
    return {"time": START + timedelta(seconds=at), "kind": kind, "agent": agent, "description": description}


def changes(*rows: Row) -> pd.DataFrame:
    return frame(CHANGE_EVENTS, rows)


def metrics_row(
    agent: str = "InboundAgent",
    number: int = 0,
    tasks: int = 20,
    successes: int | None = None,
    errors: int = 0,
    latency_ms: float = 1000.0,
    **columns: Any,
) -> Row:
    """A row of `agent_metrics` in window `number`, all well unless said otherwise.

    All tasks took `latency_ms`. The baseline rests on 200 tasks: 85 %, 0.1 errors a task, typically 1000 ms.
    """
    succeeded = tasks if successes is None else successes
    latency = latency_ms if tasks else math.nan
    return {
        "agent": agent,
        "window_start": pd.Timestamp(window(number).start).as_unit("us"),
        "tasks": tasks,
        "successes": succeeded,
        "success_rate": 100 * succeeded / tasks if tasks else math.nan,
        "error_count": errors,
        "log_errors": 0,
        "latency_mean_ms": latency,
        "latency_p50_ms": latency,
        "latency_p95_ms": latency,
        "latency_p99_ms": latency,
        "latency_log_mean": math.log(latency),
        "latency_log_sd": 0.3 if tasks > 1 else math.nan,
        "total_tokens": pd.NA,
        "cost_usd": math.nan,
        "baseline_tasks": 200,
        "baseline_success_rate": 85.0,
        "baseline_errors_per_task": 0.1,
        "baseline_log_mean": math.log(1000),
        "score": 90.0 if tasks else math.nan,
        "trend": "stable",
        "complete": True,
        **dict.fromkeys(("unnoticed_failures", "finished_rows", "missing_traces", "unseen_errors"), pd.NA),
    } | columns


def finding_row(
    agent: str = "InboundAgent", number: int = 0, type: str = "success_drop", severity: str = "high", **columns: Any
) -> Row:
    """A row of `anomalies` in window `number`."""
    return {
        "window_start": window(number).start,
        "agent": agent,
        "type": type,
        "metric": "success_rate",
        "state": "open",
        "severity": severity,
        "onset": window(number).start,
        "opened": window(number).start,
        "tasks": 10,
        "root_cause": f"cause in window {number}",
        "recommended_action": "IMMEDIATE",
        "details": f"{type} in window {number}",
        "example_traces": f"trace-{number}",
    } | columns


def anomalies(*rows: Row) -> pd.DataFrame:
    return frame(ANOMALIES, rows)


def health(
    source: str = "spans",
    number: int = 0,
    status: SourceStatus = SourceStatus.COMPLETE,
    reason: str = "",
    read_after: timedelta = timedelta(minutes=1),
) -> SourceHealth:
    """How a source was read for window `number`, `read_after` its end."""
    return SourceHealth(source, window(number).start, status, reason, 1, 0, window(number).end + read_after)


def request(
    agent: str = "InboundAgent",
    state: RequestState = RequestState.FINISHED,
    completed_tasks: int = 0,
    requested_at: datetime = START,
    max_cost_usd: float = 5.0,
) -> OptimizationRequest:
    return OptimizationRequest(
        id=f"{agent}-{requested_at:%Y%m%d%H%M}",
        agent=agent,
        optimizer="BootstrapFewShot",
        approval=Approval.AUTOMATIC,
        max_cost_usd=max_cost_usd,
        state=state,
        completed_tasks=completed_tasks,
        window_start=requested_at,
        requested_at=requested_at,
    )
