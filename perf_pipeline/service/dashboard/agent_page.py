"""One agent: its history beside what was expected, what happened meanwhile, its notable traces and its versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from perf_pipeline.monitoring.incident_times import time_of
from perf_pipeline.notifications.alert_layout import TraceUrl
from perf_pipeline.notifications.incident_words import brief
from perf_pipeline.notifications.safe_text import web_address
from perf_pipeline.notifications.team_clock import duration
from perf_pipeline.records import Incident, IncidentState, ProgramAlias, ProgramVersion
from perf_pipeline.service.dashboard.charts import Chart, ChartGrid, Line, Mark, chart
from perf_pipeline.service.dashboard.measures import in_order, measure_of
from perf_pipeline.service.dashboard.reductions import NOTABLE_TASKS
from perf_pipeline.service.dashboard.words import in_words, latency, said

PERCENTILES = (("latency_p50_ms", "median"), ("latency_p95_ms", "95th"), ("latency_p99_ms", "99th"))

FROM_METRICS = {"score": "score", "success_rate": "success_rate", "tasks": "tasks"}
"""Metrics whose values stand in `tables.AGENT_METRICS`, also in windows in which nothing was judged."""


@dataclass(frozen=True)
class TraceRow:
    trace_id: str
    url: str | None
    started_at: datetime
    latency: str
    what: str


@dataclass(frozen=True)
class IncidentRow:
    id: str
    type: str
    severity: str
    state: str
    since: datetime
    lasted: str
    brief: str


@dataclass(frozen=True)
class ChangeRow:
    time: datetime
    kind: str
    text: str


@dataclass(frozen=True)
class VersionRow:
    """`standing` says whether it runs, or why it never will again."""

    version: str
    parent: str
    registered_at: datetime
    standing: str


def agent_charts(grid: ChartGrid, metrics: pd.DataFrame, states: pd.DataFrame, window: timedelta) -> list[Chart]:
    """A chart for everything that was measured of the agent.

    `metrics` has the columns of `reductions.metrics_by_time` or of `tables.AGENT_METRICS`, `states` those of
    `reductions.states_by_time` or of `tables.DETECTOR_STATES`, one row a metric and time: of one agent, both.
    """
    metrics = metrics.assign(success_rate=100 * metrics["successes"] / metrics["tasks"].replace(0, np.nan))
    # A longer stretch of time holds so many windows; traffic is shown as that of one, as its baseline is.
    windows = grid.every / window
    metrics["tasks"] = metrics["tasks"] / windows
    by_metric = {str(metric): rows for metric, rows in states.groupby("metric", observed=True)}
    names = {*by_metric, *FROM_METRICS, "percentiles", "cost"}
    charts = [_chart_of(name, grid, metrics, by_metric.get(name)) for name in in_order(names)]
    return [one for one in charts if one is not None]


def _chart_of(name: str, grid: ChartGrid, metrics: pd.DataFrame, states: pd.DataFrame | None) -> Chart | None:
    measure = measure_of(name)
    if name == "percentiles":
        lines = [Line(label, grid.on_grid(metrics, column, measure.factor)) for column, label in PERCENTILES]
        return chart(grid, measure, lines)
    if name == "cost":
        return chart(grid, measure, [Line("seen", grid.on_grid(metrics, "cost_usd"))])
    band = None
    if states is not None:
        expected, low, high = (grid.on_grid(states, column, measure.factor) for column in ("expected", "low", "high"))
        band = expected, low, high
    if name in FROM_METRICS:
        values = grid.on_grid(metrics, FROM_METRICS[name])
    else:
        assert states is not None
        values = grid.on_grid(states, "value", measure.factor)
    return chart(grid, measure, [Line("seen", values)], band)


def marks_of(
    incidents: Sequence[Incident],
    changes: pd.DataFrame,
    gaps: Sequence[tuple[datetime, datetime]],
    window: timedelta,
    now: datetime,
) -> list[Mark]:
    """`changes` are rows of `tables.CHANGE_EVENTS`, `gaps` times for which the spans could not be read."""
    marks = [Mark("outage", "spans not read", start, end) for start, end in gaps]
    for incident in incidents:
        time = time_of(incident, window, now)
        marks.append(Mark("incident", in_words(incident.type), time.start, time.end))
    marks += [Mark("change", said(row["description"]), row["time"].to_pydatetime()) for _, row in changes.iterrows()]
    return marks


def incident_rows(
    incidents: Sequence[Incident], window: timedelta, timezone: str, now: datetime
) -> tuple[IncidentRow, ...]:
    """Newest first."""
    rows = []
    for incident in sorted(incidents, key=lambda one: one.onset, reverse=True):
        time = time_of(incident, window, now)
        so_far = "" if incident.state is IncidentState.RESOLVED else " so far"
        rows.append(
            IncidentRow(
                id=incident.id,
                type=in_words(incident.type),
                severity=str(incident.severity),
                state=str(incident.state),
                since=incident.onset,
                lasted=duration(time.end - time.start) + so_far,
                brief=brief(incident, timezone),
            )
        )
    return tuple(rows)


def change_rows(changes: pd.DataFrame) -> tuple[ChangeRow, ...]:
    """Newest first."""
    rows = []
    for _, row in changes.sort_values("time", ascending=False, kind="stable").iterrows():
        versions = [said(row[name]) for name in ("from_version", "to_version") if isinstance(row[name], str)]
        text = said(row["description"]) + (f" ({' → '.join(versions)})" if versions else "")
        rows.append(ChangeRow(row["time"].to_pydatetime(), said(row["kind"]), text))
    return tuple(rows)


def slowest_traces(tasks: pd.DataFrame, trace_url: TraceUrl) -> tuple[TraceRow, ...]:
    """`tasks` are rows of `tables.AGENT_TASKS`."""
    slow = tasks[tasks["latency_ms"].notna()].sort_values("latency_ms", ascending=False, kind="stable")
    return tuple(_trace(row, trace_url) for _, row in slow.head(NOTABLE_TASKS).iterrows())


def failing_traces(tasks: pd.DataFrame, trace_url: TraceUrl) -> tuple[TraceRow, ...]:
    """Newest first."""
    failed = tasks[~tasks["ok"].astype(bool)].sort_values("start_time", ascending=False, kind="stable")
    return tuple(_trace(row, trace_url) for _, row in failed.head(NOTABLE_TASKS).iterrows())


def _trace(row: pd.Series, trace_url: TraceUrl) -> TraceRow:
    trace_id = said(row["trace_id"])
    parts = [row[name] for name in ("error_type", "error_message", "model", "program_version")]
    return TraceRow(
        trace_id=trace_id,
        url=web_address(trace_url(trace_id)),
        started_at=row["start_time"].to_pydatetime(),
        latency=latency(row["latency_ms"]),
        what=" · ".join(said(part)[:160] for part in parts if isinstance(part, str) and part) or "succeeded",
    )


def version_rows(versions: Sequence[ProgramVersion], running: ProgramAlias | None) -> tuple[VersionRow, ...]:
    """Newest first; the code itself, which every agent began with, is not among them."""
    rows = []
    for one in sorted(versions, key=lambda version: version.registered_at, reverse=True):
        standing = "in production" if running and running.version == one.version else ""
        if one.quarantined_because:
            standing = f"taken back: {said(one.quarantined_because)}"
        rows.append(VersionRow(one.version, one.parent or "the code", one.registered_at, standing))
    return tuple(rows)
