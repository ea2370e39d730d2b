"""Windows of time: `[start, end)` in UTC, all of one length, starting alike in every hour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

KEY_FORMAT = "%Y-%m-%d-%H:%M"


@dataclass(frozen=True, order=True)
class Window:
    start: datetime
    end: datetime

    @property
    def key(self) -> str:
        """The Dagster partition key: the window's start, such as 2026-11-22-09:30."""
        return self.start.strftime(KEY_FORMAT)


def window_of_key(key: str, length: timedelta) -> Window:
    start = datetime.strptime(key, KEY_FORMAT).replace(tzinfo=UTC)
    return Window(start, start + length)


def floor_to_window(instant: datetime, length: timedelta) -> datetime:
    """The start of the window that holds the instant. Lengths divide the hour, so windows count from the epoch."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (instant - epoch) // length * length


def windows_between(start: datetime, end: datetime, length: timedelta) -> list[Window]:
    """The windows that lie wholly within `[start, end]`, oldest first."""
    first = floor_to_window(start, length)
    if first < start:
        first += length
    count = max((end - first) // length, 0)
    return [Window(first + i * length, first + (i + 1) * length) for i in range(count)]


def windows_due(tick: datetime, length: timedelta, lateness: int, earliest: datetime) -> list[Window]:
    """The window that closes at the tick, and the `lateness` windows before it that are read again; oldest first."""
    closing_end = floor_to_window(tick, length)
    return windows_between(max(closing_end - (lateness + 1) * length, earliest), closing_end, length)


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
