"""Which windows are still to be materialized: gaps that a schedule left, and sources that were down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import SourceHealth, SourceStatus


@dataclass(frozen=True)
class CycleRun:
    """A run of the monitoring job: its windows, and when it ended; None while it has not."""

    windows: tuple[Window, ...]
    ended_at: datetime | None


@dataclass(frozen=True)
class WindowAttempts:
    """What is known of the attempts to fill a window. `last_ended` is when the latest of them ended."""

    count: int
    last_ended: datetime | None


def windows_to_catch_up(
    expected: Iterable[Window],
    filled: set[Window],
    in_flight: set[Window],
    attempts: Mapping[Window, WindowAttempts],
    now: datetime,
    limit: int,
    first_wait: timedelta = timedelta(minutes=1),
    longest_wait: timedelta = timedelta(hours=1),
) -> list[Window]:
    """Which windows to request now: expected, not filled, not being worked on; oldest first, at most `limit`.

    After each failed attempt the wait doubles, from `first_wait` up to `longest_wait`, so that a source that is
    down for a day costs a day's windows one attempt an hour each, and none is given up while it is expected.
    """
    due = []
    for window in sorted(expected):
        if window in filled or window in in_flight:
            continue
        tried = attempts.get(window)
        if tried and tried.last_ended is not None:
            wait = min(first_wait * 2 ** min(tried.count - 1, 20), longest_wait)
            if now < tried.last_ended + wait:
                continue
        due.append(window)
    return due[:limit]


def filled_windows(
    expected: Iterable[Window],
    health: Sequence[SourceHealth],
    decided: Mapping[datetime, datetime],
    now: datetime,
    lateness: timedelta,
    grace: timedelta,
) -> set[Window]:
    """The windows with nothing left to do: their cycle ran to its end on what was read last, their spans were read
    completely, and once more after the time for late spans, where that has been over for the schedule's `grace`; and
    no other source failed to answer for them. `decided` says when a cycle last came to its end, by window start."""
    read_at = {
        reading.window_start: reading.collected_at
        for reading in health
        if reading.source == "spans" and reading.status is SourceStatus.COMPLETE
    }
    unread = {reading.window_start for reading in health if reading.status is SourceStatus.UNAVAILABLE}

    def is_filled(window: Window) -> bool:
        if window.start not in decided or window.start not in read_at or window.start in unread:
            return False
        final = window.end + lateness
        owed_since = final if final + grace <= now else window.end
        return owed_since <= read_at[window.start] <= decided[window.start]

    return {window for window in expected if is_filled(window)}


def attempts_of(runs: Iterable[CycleRun]) -> tuple[set[Window], dict[Window, WindowAttempts]]:
    """Which windows are being worked on, and how often each was tried."""
    in_flight: set[Window] = set()
    attempts: dict[Window, WindowAttempts] = {}
    for run in runs:
        for window in run.windows:
            if run.ended_at is None:
                in_flight.add(window)
                continue
            known = attempts.get(window, WindowAttempts(0, None))
            last = max(run.ended_at, known.last_ended) if known.last_ended else run.ended_at
            attempts[window] = WindowAttempts(known.count + 1, last)
    return in_flight, attempts


def stretches(windows: Sequence[Window]) -> list[list[Window]]:
    """Neighbouring windows together, so that one run fills a gap."""
    result: list[list[Window]] = []
    for window in windows:
        if result and result[-1][-1].end == window.start:
            result[-1].append(window)
        else:
            result.append([window])
    return result
