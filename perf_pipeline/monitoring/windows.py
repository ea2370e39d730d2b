"""Windows of time: `[start, end)` in UTC, all of one length, starting alike in every hour."""

from __future__ import annotations

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
