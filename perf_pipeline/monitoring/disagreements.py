"""Where spans, agent_state and logs tell different stories of an agent, counted per window.

What a system that was not read would have said is not known, so it is not counted: not as agreement either.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import SourceHealth, SourceStatus

FINISHED = ("completed", "failed")

SLACK = timedelta(seconds=5)
"""So far the clocks of logs and spans may differ, and a log line may come after the task that it is about."""

UNNOTICED_FAILURES, FINISHED_ROWS, MISSING_TRACES, UNSEEN_ERRORS = (
    "unnoticed_failures",
    "finished_rows",
    "missing_traces",
    "unseen_errors",
)
COUNTS = (UNNOTICED_FAILURES, FINISHED_ROWS, MISSING_TRACES, UNSEEN_ERRORS)


@dataclass(frozen=True)
class Evidence:
    """What the systems say of some windows.

    `tasks` (`tables.AGENT_TASKS`) reach back by `longest` before the first window, for a line of error may be about a
    task that began earlier; `states` (`tables.TASK_STATES`) and `logs` (`tables.RAW_LOGS`) are those of the windows.
    `traced` are the task ids on spans from `longest` before the first window to `lateness` after the last, and `health`
    is that of the same time.
    """

    tasks: pd.DataFrame
    states: pd.DataFrame
    logs: pd.DataFrame
    traced: Collection[str]
    health: Sequence[SourceHealth]
    longest: timedelta
    lateness: timedelta


def count_disagreements_by_window(metrics: pd.DataFrame, windows: Sequence[Window], evidence: Evidence) -> pd.DataFrame:
    """`metrics` (agent and window_start of `tables.AGENT_METRICS`) with the columns COUNTS, missing where not known.

    Failures are counted where agent_state was read for the window. Missing traces and unexplained lines of error may
    only be spans that are still to come, so they are counted once the time for late spans is over, and for a row of
    agent_state only where all spans were read from its creation to its end.
    """
    read = _Read(evidence.health, windows[0].end - windows[0].start, evidence.lateness)
    counted = metrics.copy()
    own = evidence.tasks[evidence.tasks["start_time"] >= windows[0].start]
    failures = own[~own["ok"] & own["span_ok"].fillna(False).astype(bool)]
    finished = _judged_rows(evidence, read)
    missing = finished[~finished["task_id"].isin(set(evidence.traced))]
    unseen = unexplained_errors(evidence.logs, evidence.tasks, evidence.longest)
    for name, rows, time, known in (
        (UNNOTICED_FAILURES, failures, "start_time", read.states),
        (FINISHED_ROWS, finished, "updated_at", read.states_and_late_spans),
        (MISSING_TRACES, missing, "updated_at", read.states_and_late_spans),
        (UNSEEN_ERRORS, unseen, "timestamp", read.logs_and_late_spans),
    ):
        counted[name] = _per_window(counted, rows, time, windows, known)
    return counted


def unexplained_errors(logs: pd.DataFrame, tasks: pd.DataFrame, longest: timedelta) -> pd.DataFrame:
    """The lines of severity error that name an agent none of whose failing tasks ran when they were written.

    A failing task is one that failed, or in which errors began. One whose end is not known may have run for `longest`.
    """
    errors = logs[(logs["severity"] == "error") & logs["agent"].notna()]
    failing = tasks[~tasks["ok"] | (tasks["error_count"] > 0)]
    explained = pd.Series(False, index=errors.index)
    for agent, lines in errors.groupby("agent"):
        own = failing[failing["agent"] == agent].sort_values("start_time")
        if own.empty:
            continue
        ends = own["end_time"].fillna(own["start_time"] + longest) + SLACK
        # Of the tasks that had begun when a line was written, the one that ends last ran then, if any did.
        latest_end = np.maximum.accumulate(_microseconds(ends))
        written = _microseconds(lines["timestamp"])
        begun = _microseconds(own["start_time"] - SLACK).searchsorted(written, side="right")
        explained[lines.index] = (begun > 0) & (latest_end[np.maximum(begun - 1, 0)] >= written)
    return errors[~explained]


def _microseconds(times: pd.Series) -> np.ndarray:
    return times.dt.as_unit("us").astype("int64").to_numpy()


class _Read:
    """Which windows were read, and when."""

    def __init__(self, health: Iterable[SourceHealth], length: timedelta, lateness: timedelta) -> None:
        self._at: dict[tuple[str, datetime], datetime] = {}
        for reading in health:
            if reading.status is SourceStatus.COMPLETE:
                self._at[reading.source, reading.window_start] = reading.collected_at
        self.length, self._lateness = length, lateness

    def _closed(self, source: str, start: datetime, after: timedelta) -> bool:
        read_at = self._at.get((source, start))
        return read_at is not None and read_at >= start + self.length + after

    def spans(self, start: datetime) -> bool:
        return self._closed("spans", start, timedelta(0))

    def states(self, start: datetime) -> bool:
        return self._closed("task states", start, timedelta(0))

    def states_and_late_spans(self, start: datetime) -> bool:
        return self.states(start) and self._closed("spans", start, self._lateness)

    def logs_and_late_spans(self, start: datetime) -> bool:
        return self._closed("logs", start, timedelta(0)) and self._closed("spans", start, self._lateness)


def _judged_rows(evidence: Evidence, read: _Read) -> pd.DataFrame:
    """The finished rows all of whose spans must have been read: a window that was not may hold the rest."""
    rows = evidence.states[evidence.states["status"].isin(FINISHED)]
    if rows.empty:
        return rows
    earliest = rows["updated_at"] - evidence.longest
    first = rows["created_at"].fillna(earliest).clip(lower=earliest).dt.floor(read.length)
    last = rows["updated_at"].dt.floor(read.length)
    span = pd.date_range(first.min(), last.max(), freq=read.length)
    unread = pd.DatetimeIndex([start for start in span if not read.spans(start.to_pydatetime())], tz="UTC")
    before, through = unread.searchsorted(first, side="left"), unread.searchsorted(last, side="right")
    return rows[before == through]


def _per_window(
    metrics: pd.DataFrame, rows: pd.DataFrame, time: str, windows: Sequence[Window], known: Callable[[datetime], bool]
) -> pd.Series:
    """How many of the rows each agent has in each window; missing in the windows that are not `known`."""
    length = windows[0].end - windows[0].start
    started = rows[time].dt.floor(length).dt.as_unit("us")
    counts = rows.groupby([started, rows["agent"]]).size()
    keys = pd.MultiIndex.from_frame(metrics[["window_start", "agent"]])
    found = pd.Series(counts.reindex(keys).fillna(0).to_numpy(), index=metrics.index).astype("Int64")
    judged = {window.start for window in windows if known(window.start)}
    return found.where(metrics["window_start"].isin(list(judged)))
