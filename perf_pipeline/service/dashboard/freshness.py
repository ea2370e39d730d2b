"""How new the data is, and which sources could not be read: the first thing to know of all that a page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from perf_pipeline.monitoring.windows import floor_to_window
from perf_pipeline.notifications.team_clock import duration
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.service.dashboard.words import ago, clock_time, said

LATE_WINDOWS = 2
"""So many windows may have closed without being read before the pipeline counts as late."""


@dataclass(frozen=True)
class Freshness:
    """`level`: ok, late, outage or empty. `troubles` are sources that could not be read, a sentence each."""

    level: str
    sentence: str
    troubles: tuple[str, ...] = ()


def freshness(health: Sequence[SourceHealth], now: datetime, window: timedelta, timezone: str) -> Freshness:
    """`health` are the readings of the last day or so, in order of their windows."""
    if not health:
        return Freshness(
            "empty",
            "Nothing was read in the last two days. Switch on monitoring_schedule in Dagster's UI, or run the pipeline "
            "once on simulated agents with 'perf-pipeline demo'.",
        )
    newest = max(reading.window_start for reading in health)
    troubles = tuple(_trouble(reading, timezone, now) for reading in health if _fails(reading, newest))
    closed_at = newest + window
    read_at = max(reading.collected_at for reading in health)
    if closed_at > now:
        sentence = f"The window from {clock_time(newest, timezone, now)} is still open; read {ago(read_at, now)}."
    else:
        sentence = f"Read up to {clock_time(closed_at, timezone, now)}, {ago(closed_at, now)}."
    behind = (floor_to_window(now, window) - closed_at) // window
    if behind > LATE_WINDOWS:
        late = duration(floor_to_window(now, window) - closed_at)
        return Freshness(
            "late",
            f"{sentence} {behind} windows ({late}) have closed since and were not read: see whether Dagster's daemon "
            "runs, and monitoring_schedule is switched on.",
            troubles,
        )
    return Freshness("outage" if troubles else "ok", sentence, troubles)


def _fails(reading: SourceHealth, newest: datetime) -> bool:
    return reading.window_start == newest and reading.status is not SourceStatus.COMPLETE


def _trouble(reading: SourceHealth, timezone: str, now: datetime) -> str:
    read = "could not be read" if reading.status is SourceStatus.UNAVAILABLE else "could be read in part only"
    reason = f": {said(reading.reason)}" if reading.reason else "."
    return (
        f"{said(reading.source)} {read} for the window from {clock_time(reading.window_start, timezone, now)}{reason}"
    )
