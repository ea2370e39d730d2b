"""A lake and a ledger of many days and agents, made fast, for what reads them: the dashboard and the service.

The figures are drawn from plausible distributions with a rhythm of the day, not computed by the pipeline: they are
there to be read and drawn. The newest window closed before `end`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from perf_pipeline.fleet_model import Approval, Severity
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.message import Message, labelled, section
from perf_pipeline.monitoring.windows import floor_to_window
from perf_pipeline.notifications.outbox import to_targets
from perf_pipeline.records import (
    Incident,
    IncidentState,
    OptimizationRequest,
    OptimizationRun,
    RequestState,
    RunOutcome,
    SourceHealth,
    SourceStatus,
)
from perf_pipeline.tables import AGENT_METRICS, AGENT_TASKS, CHANGE_EVENTS, DETECTOR_STATES, TEXT, Table
from resources.lake import Lake
from resources.ledger import Ledger

WATCHED = {
    "success_rate": ("success_drop", 90.0, 6.0),
    "errors_per_task": ("error_spike", 0.15, 0.1),
    "log_errors": ("log_error_spike", 0.05, 0.05),
    "latency": ("latency_increase", 2400.0, 300.0),
    "cost_per_task": ("cost_spike", 0.004, 0.001),
    "tokens_per_task": ("token_spike", 900.0, 150.0),
    "tasks": ("traffic_drop", 20.0, 6.0),
    "score": ("score_drop", 88.0, 6.0),
}
"""Of each metric: the finding that it is watched for, and the mean and spread of its values."""

MEMORY = bytes(400)
TASKS_A_WINDOW = 2
SOURCES = ("spans", "logs", "tasks", "changes")


def agent_names(count: int) -> list[str]:
    return [f"Agent{number:03d}" for number in range(1, count + 1)]


def write_lake(lake: Lake, agents: Sequence[str], days: int, end: datetime, window: timedelta, seed: int = 1) -> None:
    """`days` days of agent_metrics, detector_states, agent_tasks and change_events, up to the window that closed
    before `end` (aware)."""
    random = np.random.default_rng(seed)
    last = floor_to_window(end, window)
    for day in range(days, 0, -1):
        starts = pd.date_range(
            last - timedelta(days=day), last - timedelta(days=day - 1), freq=window, inclusive="left"
        )
        metrics = _metrics(random, agents, starts)
        _write_windows(lake, AGENT_METRICS, metrics)
        _write_windows(lake, DETECTOR_STATES, _states(random, metrics))
        _write_windows(lake, AGENT_TASKS, _tasks(random, agents, starts), window)
        lake.write(CHANGE_EVENTS, starts[0].to_pydatetime(), _change(agents[day % len(agents)], starts[0]))


def write_ledger(book: Ledger, agents: Sequence[str], days: int, end: datetime, window: timedelta) -> None:
    """Readings of every source and window, an incident every other day, and an optimization a week with its message."""
    last = floor_to_window(end, window)
    first = last - timedelta(days=days)
    starts = [start.to_pydatetime() for start in pd.date_range(first, last, freq=window, inclusive="left")]
    book.record_health(_reading(source, start, number) for source in SOURCES for number, start in enumerate(starts))
    book.record_incidents(_incident(agents[day % len(agents)], last, day, window) for day in range(1, days + 1, 2))
    for day in range(7, days + 1, 7):
        agent = agents[day % len(agents)]
        _optimize(book, agent, last - timedelta(days=day))
        message = Message(
            title="PERFORMANCE ALERT", headline=agent, sections=(section(labelled("Agent", agent), "A sentence."),)
        )
        kind = NotificationKind.ALERT
        for note in to_targets(f"bench-{day}", kind, message, ["slack"], last - timedelta(days=day)):
            book.enqueue(note)


def _write_windows(lake: Lake, table: Table, frame: pd.DataFrame, window: timedelta | None = None) -> None:
    """Rows in order of time, each window to its file. Conformed once for all of them, which is what takes time."""
    conformed = table.conform(frame.reindex(columns=table.columns))
    starts = conformed[table.time_column]
    starts = starts.dt.floor(window) if window else starts
    rows = pa.Table.from_pandas(conformed, preserve_index=False)
    bounds = [*np.flatnonzero(starts.ne(starts.shift()).to_numpy()), len(conformed)]
    for first, after in pairwise(bounds):
        path = lake.path(table, starts.iloc[first].to_pydatetime())
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(rows.slice(first, after - first), str(path), compression="zstd")


def _metrics(random: np.random.Generator, agents: Sequence[str], starts: pd.DatetimeIndex) -> pd.DataFrame:
    count = len(agents) * len(starts)
    window_start = starts.repeat(len(agents))
    rhythm = 1 + 0.6 * np.sin(2 * np.pi * (window_start.hour + window_start.minute / 60) / 24)
    tasks = random.poisson(14 * rhythm)
    successes = random.binomial(tasks, 0.9)
    p50 = random.lognormal(7.7, 0.12, count)
    active = tasks > 0
    return pd.DataFrame(
        {
            "agent": list(agents) * len(starts),
            "window_start": window_start,
            "tasks": tasks,
            "successes": successes,
            "success_rate": np.where(active, 100 * successes / np.maximum(tasks, 1), np.nan),
            "error_count": random.poisson(0.15 * tasks),
            "log_errors": random.poisson(0.05 * tasks),
            "latency_mean_ms": np.where(active, 1.1 * p50, np.nan),
            "latency_p50_ms": np.where(active, p50, np.nan),
            "latency_p95_ms": np.where(active, 1.9 * p50, np.nan),
            "latency_p99_ms": np.where(active, 2.4 * p50, np.nan),
            "latency_log_mean": np.where(active, np.log(p50), np.nan),
            "latency_log_sd": np.where(active, 0.3, np.nan),
            "total_tokens": random.poisson(900 * tasks),
            "cost_usd": np.where(active, 0.004 * tasks, np.nan),
            "baseline_tasks": 1000,
            "baseline_success_rate": 90.0,
            "baseline_errors_per_task": 0.15,
            "baseline_log_mean": 7.7,
            "score": np.where(active, np.clip(random.normal(88, 5, count), 0, 100), np.nan),
            "trend": random.choice(["improving", "stable", "degrading"], count, p=[0.1, 0.8, 0.1]),
            "complete": True,
        }
    )


def _states(random: np.random.Generator, metrics: pd.DataFrame) -> pd.DataFrame:
    parts = []
    for metric, (finding, mean, spread) in WATCHED.items():
        count = len(metrics)
        parts.append(
            pd.DataFrame(
                {
                    "window_start": metrics["window_start"],
                    "agent": metrics["agent"],
                    "metric": metric,
                    "finding": finding,
                    "value": np.maximum(random.normal(mean, spread / 2, count), 0),
                    "expected": mean,
                    "low": max(mean - spread, 0),
                    "high": mean + spread,
                    "evidence_nats": 0.0,
                    "phase": "quiet",
                    "event": "nothing",
                    "onset": pd.NaT,
                    "opened": pd.NaT,
                    "effect": np.nan,
                    "effect_low": np.nan,
                    "effect_high": np.nan,
                    "severity": pd.Series(np.nan, index=metrics.index, dtype=TEXT),
                    "tasks": metrics["tasks"],
                    "layout": "bench",
                    "memory": [MEMORY] * count,
                }
            )
        )
    return pd.concat(parts).sort_values(["window_start", "agent"], kind="stable")


def _tasks(random: np.random.Generator, agents: Sequence[str], starts: pd.DatetimeIndex) -> pd.DataFrame:
    count = len(agents) * len(starts) * TASKS_A_WINDOW
    times = starts.repeat(len(agents) * TASKS_A_WINDOW) + pd.to_timedelta(random.uniform(0, 1700, count), unit="s")
    latency = random.lognormal(7.7, 0.4, count)
    ok = random.random(count) < 0.9
    text = pd.Series(np.nan, index=range(count), dtype=TEXT)
    frame = pd.DataFrame(
        {
            "task_span_id": [random.bytes(8).hex() for _ in range(count)],
            "trace_id": [random.bytes(16).hex() for _ in range(count)],
            "agent": list(np.repeat(agents, TASKS_A_WINDOW)) * len(starts),
            "parent_agent": text,
            "start_time": times,
            "end_time": times + pd.to_timedelta(latency, unit="ms"),
            "ok": ok,
            "error_type": text.mask(~ok, "TimeoutError"),
            "error_message": text.mask(~ok, "The model did not answer within 120 s."),
            "latency_ms": latency,
            "llm_ms": 0.8 * latency,
            "tool_ms": 0.0,
            "llm_calls": 2,
            "tool_calls": 0,
            "error_count": (~ok).astype(int),
            "spans": 5,
            "model": "model-1",
            "provider": "provider",
            "prompt_tokens": 700,
            "completion_tokens": 200,
            "cost_usd": 0.004,
            "session_id": text,
            "task_id": text,
            "task_status": text,
            "program_version": text,
        }
    )
    return frame.sort_values("start_time", kind="stable")


def _change(agent: str, time: pd.Timestamp) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "time": [time],
            "kind": ["deployment"],
            "agent": [agent],
            "from_version": ["v1"],
            "to_version": ["v2"],
            "description": [f"Deploy {agent}"],
        }
    )


def _reading(source: str, start: datetime, number: int) -> SourceHealth:
    status = SourceStatus.UNAVAILABLE if source == "logs" and number % 500 < 3 else SourceStatus.COMPLETE
    reason = "" if status is SourceStatus.COMPLETE else "Railway did not answer within 30 s."
    return SourceHealth(source, start, status, reason, 100, 0, start + timedelta(minutes=31))


def _incident(agent: str, last: datetime, days_ago: int, window: timedelta) -> Incident:
    onset = last - timedelta(days=days_ago) + 20 * window
    is_open = days_ago == 1
    return Incident(
        id=f"{agent}-{days_ago}",
        agent=agent,
        family="reliability",
        type="success_drop",
        also=("error_spike",),
        severity=(Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL)[days_ago % 3],
        state=IncidentState.OPEN if is_open else IncidentState.RESOLVED,
        onset=onset,
        opened_at=onset + window,
        last_seen=last - window if is_open else onset + 8 * window,
        resolved_at=None if is_open else onset + 8 * window,
        reopened=0,
        root_cause="9 of 10 failures are TimeoutError, all on model model-1",
        recommended_action="INVESTIGATE",
        details="Success rate fell from 90% to 60% since 10:00 UTC (30 of 50 tasks; 95% interval of the loss 20 to 40)",
        example_traces=("0" * 31 + "1",),
        cause="TimeoutError",
    )


def _optimize(book: Ledger, agent: str, requested_at: datetime) -> None:
    identity = f"bench-{requested_at:%Y%m%d}"
    request = OptimizationRequest(
        id=identity,
        agent=agent,
        optimizer="BootstrapFewShot",
        approval=Approval.AUTOMATIC,
        max_cost_usd=5.0,
        state=RequestState.READY,
        completed_tasks=100,
        window_start=requested_at - timedelta(minutes=30),
        requested_at=requested_at,
        reasons=("100 completed tasks since the last optimization, 10 are needed",),
    )
    book.request_optimization(request)
    run = OptimizationRun(
        request_id=identity,
        id=identity,
        agent=agent,
        optimizer="BootstrapFewShot",
        cap_usd=5.0,
        baseline=None,
        baseline_sequence=0,
        data_fingerprint="bench",
        configuration={},
        started_at=requested_at + timedelta(minutes=1),
    )
    if book.begin_run(run) is None:
        return
    ended = replace(
        run,
        outcome=RunOutcome.PROMOTED,
        said="It gains 8.0 points.",
        version=identity,
        baseline_score=60.0,
        candidate_score=68.0,
        gain_points=8.0,
        held_out_items=40,
        finished_at=requested_at + timedelta(minutes=10),
    )
    book.finish_run(ended)
