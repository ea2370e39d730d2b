"""Tables of the lake by day, kept in memory, so that a page does not read thousands of small files again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import pandas as pd

from perf_pipeline.tables import Table
from resources.lake import Lake

DAY = timedelta(days=1)

CHANGING_DAYS = 3
"""Late spans and readings that failed change windows of the last two days; a backfill changes older ones, rarely."""

LOOK_AFTER_CHANGING, LOOK_AFTER_SETTLED = timedelta(seconds=20), timedelta(minutes=10)
"""How long a day's rows are shown before it is looked whether its files have changed."""

Signature = tuple[int, datetime | None]


@dataclass
class _Day:
    signature: Signature
    looked_at: datetime
    rows: pd.DataFrame
    by_agent: dict[str, pd.DataFrame]


class LakeDays:
    """What `reduce` makes of each UTC day's rows of a table. At most `kept` days stay in memory.

    `reduce` gets rows with the columns of the table, and gives rows that have a column `agent`, too.
    """

    def __init__(self, lake: Lake, table: Table, reduce: Callable[[pd.DataFrame], pd.DataFrame], kept: int) -> None:
        self._lake, self._table, self._reduce, self._kept = lake, table, reduce, kept
        self._days: dict[datetime, _Day] = {}
        self._locks: dict[datetime, threading.Lock] = {}
        self._lock = threading.Lock()

    @cached_property
    def _nothing(self) -> pd.DataFrame:
        return self._reduce(self._table.empty())

    def of_all(self, start: datetime, end: datetime, now: datetime) -> pd.DataFrame:
        """The reduced rows of the days that `[start, end)` touches, oldest day first."""
        return pd.concat([self._day(day, now).rows for day in days_touched(start, end)], ignore_index=True)

    def of_agent(self, agent: str, start: datetime, end: datetime, now: datetime) -> pd.DataFrame:
        """Those of one agent."""
        days = [self._day(day, now) for day in days_touched(start, end)]
        return pd.concat([day.by_agent.get(agent, day.rows[:0]) for day in days], ignore_index=True)

    def _day(self, day: datetime, now: datetime) -> _Day:
        with self._lock:
            lock = self._locks.setdefault(day, threading.Lock())
        # Two readers of one day wait for each other, so that it is read once.
        with lock:
            known = self._days.get(day)
            if known is not None and now - known.looked_at < _look_after(day, now):
                return known
            written = self._lake.written(self._table, day, day + DAY)
            signature = len(written), max(written.values(), default=None)
            if known is not None and known.signature == signature:
                known.looked_at = now
                return known
            rows = self._reduce(self._lake.read(self._table, day, day + DAY)) if written else self._nothing
            groups = {str(agent): own for agent, own in rows.groupby("agent", sort=False, observed=True)}
            fresh = _Day(signature, now, rows, groups)
        with self._lock:
            self._days[day] = fresh
            for old in sorted(self._days)[: -self._kept]:
                del self._days[old]
        return fresh


def days_touched(start: datetime, end: datetime) -> list[datetime]:
    """The UTC midnights of the days that `[start, end)` touches."""
    day = start.replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    while day < end:
        found.append(day)
        day += DAY
    return found


def _look_after(day: datetime, now: datetime) -> timedelta:
    return LOOK_AFTER_CHANGING if now - day < CHANGING_DAYS * DAY else LOOK_AFTER_SETTLED
