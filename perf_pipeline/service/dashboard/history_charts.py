"""The history of an agent as charts: each metric beside its baseline, and what happened meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from perf_pipeline.monitoring.incident_times import time_of
from perf_pipeline.records import Incident
from perf_pipeline.service.dashboard.charts import Chart, ChartGrid, Line, Mark, chart
from perf_pipeline.service.dashboard.measures import in_order, measure_of
from perf_pipeline.service.dashboard.words import in_words, said

PERCENTILES = (("latency_p50_ms", "median"), ("latency_p95_ms", "95th"), ("latency_p99_ms", "99th"))

FROM_METRICS = {"score": "score", "success_rate": "success_rate", "tasks": "tasks"}
"""Metrics whose values stand in `tables.AGENT_METRICS`, also in windows in which nothing was judged."""


def history_charts(grid: ChartGrid, metrics: pd.DataFrame, states: pd.DataFrame) -> list[Chart]:
    """A chart for everything that was measured of the agent.

    `metrics` has the columns of `reductions.metrics_by_time` or of `tables.AGENT_METRICS`, `states` those of
    `reductions.states_by_time` or of `tables.DETECTOR_STATES`, one row a metric and time: of one agent, both.
    """
    metrics = metrics.assign(success_rate=100 * metrics["successes"] / metrics["tasks"].replace(0, np.nan))
    if "windows" in metrics:
        # Traffic is shown as that of one window, as its baseline is.
        metrics["tasks"] = metrics["tasks"] / metrics["windows"]
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
