"""What the pages read of the lake: recent windows whole, older ones summed up, all of it kept in memory by day."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.service.dashboard.lake_days import DAY, LakeDays
from perf_pipeline.service.dashboard.reductions import (
    metrics_by_time,
    notable_tasks,
    once_a_metric,
    states_by_time,
)
from perf_pipeline.service.dashboard.time_range import RANGES, TimeRange
from perf_pipeline.tables import AGENT_METRICS, AGENT_TASKS, ANOMALIES, CHANGE_EVENTS, DETECTOR_STATES
from resources.lake import Lake

METRICS = AGENT_METRICS.view(
    "agent",
    "window_start",
    "tasks",
    "successes",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "cost_usd",
    "score",
    "trend",
)
STATES = DETECTOR_STATES.view("window_start", "agent", "metric", "value", "expected", "low", "high", "tasks")
TASKS = AGENT_TASKS.view(
    "task_span_id",
    "trace_id",
    "agent",
    "start_time",
    "ok",
    "error_type",
    "error_message",
    "latency_ms",
    "model",
    "program_version",
)

PART = timedelta(hours=6)
"""Older days are kept in parts of this length, out of which days are made."""

WHOLE_DAYS, SUMMED_DAYS = 10, 95

PAUSE_SECONDS = 0.05

TRACES_REACH = timedelta(days=7)


_log = logging.getLogger(__name__)


class FleetHistory:
    """Raises what the lake raises. `now` is aware; all spans are UTC."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._metrics = LakeDays(lake, METRICS, _as_it_is, WHOLE_DAYS)
        self._states = LakeDays(lake, STATES, once_a_metric, WHOLE_DAYS)
        self._summed_metrics = LakeDays(lake, METRICS, lambda rows: metrics_by_time(rows, PART), SUMMED_DAYS)
        self._summed_states = LakeDays(lake, STATES, _states_in_parts, SUMMED_DAYS)
        self._tasks = LakeDays(lake, TASKS, notable_tasks, WHOLE_DAYS)
        self._changes = LakeDays(lake, CHANGE_EVENTS, _as_it_is, SUMMED_DAYS)

    def metrics_of_all(self, span: Window, now: datetime) -> pd.DataFrame:
        """Windows of all agents, for a span of a few days."""
        return self._metrics.of_all(span.start, span.end, now)

    def metrics(self, agent: str, span: Window, span_range: TimeRange, now: datetime) -> pd.DataFrame:
        """Rows at the times of the range's grid, at least those that the span touches."""
        if span_range.every is None:
            return self._metrics.of_agent(agent, span.start, span.end, now)
        parts = self._summed_metrics.of_agent(agent, span.start, span.end, now)
        return metrics_by_time(parts, span_range.every)

    def states(self, agent: str, span: Window, span_range: TimeRange, now: datetime) -> pd.DataFrame:
        if span_range.every is None:
            return self._states.of_agent(agent, span.start, span.end, now)
        parts = self._summed_states.of_agent(agent, span.start, span.end, now)
        return states_by_time(parts, span_range.every)

    def notable_tasks(self, agent: str, span: Window, now: datetime) -> pd.DataFrame:
        """The slowest and the newest failed tasks of each of the last days of the span."""
        start = max(span.start, span.end - TRACES_REACH)
        tasks = self._tasks.of_agent(agent, start, span.end, now)
        return tasks[tasks["start_time"] >= start]

    def changes(self, agent: str, span: Window, now: datetime) -> pd.DataFrame:
        """What changed for the agent, or for the whole fleet."""
        events = self._changes.of_all(span.start, span.end, now)
        concerns = events["agent"].isna() | (events["agent"] == agent)
        return events[concerns & (events["time"] >= span.start) & (events["time"] < span.end)]

    def findings(self, agent: str, start: datetime, end: datetime) -> pd.DataFrame:
        rows = self._lake.read(ANOMALIES, start, end)
        return rows[rows["agent"] == agent]

    def warm(self, now: datetime) -> None:
        """Read what the longest range needs, newest day first, before anybody asks for it; with pauses, in which those
        who ask meanwhile are served."""
        reach = max(one.length for one in RANGES.values())
        day = now
        while day > now - reach:
            for days in (self._summed_metrics, self._summed_states, self._changes):
                days.of_all(day, day + timedelta(microseconds=1), now)
            day -= DAY
            time.sleep(PAUSE_SECONDS)

    def warm_in_background(self, clock: Callable[[], datetime]) -> threading.Thread:
        def warm() -> None:
            try:
                self.warm(clock())
            except Exception as error:  # noqa: BLE001 - whatever failed, the pages read for themselves
                _log.warning(
                    "The history could not be read ahead (%s); pages read it when somebody asks for them. Check "
                    "PERF_PIPELINE_LAKE.",
                    type(error).__name__,
                )

        thread = threading.Thread(target=warm, name="dashboard-history", daemon=True)
        thread.start()
        return thread


def _as_it_is(rows: pd.DataFrame) -> pd.DataFrame:
    return rows


def _states_in_parts(states: pd.DataFrame) -> pd.DataFrame:
    summed = states_by_time(once_a_metric(states), PART)
    # The names of agents and metrics are repeated in every row: as categories they take a fraction of the memory.
    return summed.astype({"agent": "category", "metric": "category"})
