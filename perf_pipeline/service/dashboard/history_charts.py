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

FROM_METRICS = {"score": "score", "success_rate": "success_rate", "tasks": "tasks", "cost": "cost_usd"}
"""Metrics whose values stand in this column of `tables.AGENT_METRICS`, also in windows in which nothing was judged."""

ALWAYS = (*FROM_METRICS, "percentiles")


def history_charts(grid: ChartGrid, metrics: pd.DataFrame, states: pd.DataFrame) -> list[Chart]:
    """A chart for everything that was measured of the agent.

    `metrics` has the columns of `reductions.metrics_by_time` or of `tables.AGENT_METRICS`, `states` those of
    `reductions.states_by_time` or of `tables.DETECTOR_STATES`, one row a metric and time: of one agent, both.
    """
    seen = grid.on_grid(metrics)
    seen["success_rate"] = 100 * seen["successes"] / seen["tasks"].replace(0, np.nan)
    if "windows" in seen:
        # Traffic is shown as that of one window, as its baseline is.
        seen["tasks"] = seen["tasks"] / seen["windows"]
    judged = {str(metric): grid.on_grid(rows) for metric, rows in states.groupby("metric", observed=True)}
    charts = [_chart_of(name, grid, seen, judged.get(name)) for name in in_order({*judged, *ALWAYS})]
    return [one for one in charts if one is not None]


def _chart_of(name: str, grid: ChartGrid, seen: pd.DataFrame, judged: pd.DataFrame | None) -> Chart | None:
    """`seen` and `judged` are at the times of the grid."""
    measure = measure_of(name)

    def shown(table: pd.DataFrame, column: str) -> np.ndarray:
        return table[column].to_numpy(float) * measure.factor

    if name == "percentiles":
        return chart(grid, measure, [Line(label, shown(seen, column)) for column, label in PERCENTILES])
    values = shown(seen, FROM_METRICS[name]) if name in FROM_METRICS or judged is None else shown(judged, "value")
    band = None if judged is None else (shown(judged, "expected"), shown(judged, "low"), shown(judged, "high"))
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
