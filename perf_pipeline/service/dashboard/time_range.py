"""The stretch of time that a page is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from perf_pipeline.monitoring.windows import Window, floor_to_window


class RangeName(StrEnum):
    """As addresses name it."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "28d"
    QUARTER = "90d"


@dataclass(frozen=True)
class TimeRange:
    """`every` is the time that one point of a chart stands for; None for one window."""

    name: RangeName
    label: str
    length: timedelta
    every: timedelta | None

    def span(self, now: datetime, window: timedelta) -> Window:
        """Up to the end of the window that is open at `now`."""
        end = floor_to_window(now, window) + window
        return Window(end - self.length, end)


RANGES = {
    one.name: one
    for one in (
        TimeRange(RangeName.DAY, "24 hours", timedelta(hours=24), None),
        TimeRange(RangeName.WEEK, "7 days", timedelta(days=7), None),
        TimeRange(RangeName.MONTH, "28 days", timedelta(days=28), timedelta(hours=6)),
        TimeRange(RangeName.QUARTER, "90 days", timedelta(days=90), timedelta(days=1)),
    )
}
