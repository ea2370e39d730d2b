"""The newest rows of a table, kept in memory for those who ask often: what was written since is read, and no more."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from perf_pipeline.tables import Table
from resources.lake import Lake, read_parquet

LOOKS_EVERY_SECONDS = 3.0
LOOKS_AT_ALL_EVERY_SECONDS = 60.0
RECENT = timedelta(days=2)
"""Listing months of files takes a tenth of a second, and old windows hardly ever change."""


@dataclass(frozen=True)
class Rows:
    """The rows of a table by agent and, for each, in the order of time. `version` is another one after each change.

    `arrays` are its columns, which are a hundred times faster to cut and to put together than frames are. Times are
    datetime64[us] in UTC, counts that may be missing are floats.
    """

    version: int
    table: Table
    arrays: Mapping[str, np.ndarray]
    bounds: Mapping[str, tuple[int, int]]

    def of(self, agent: str) -> pd.DataFrame:
        """The agent's rows, as the table declares them; none for one that is not known."""
        first, end = self.bounds.get(agent, (0, 0))
        return self.table.conform(pd.DataFrame({name: values[first:end] for name, values in self.arrays.items()}))


def _array(column: pd.Series) -> np.ndarray:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    if isinstance(column.dtype, pd.Int64Dtype):
        return column.to_numpy(dtype="float64", na_value=np.nan)
    return column.to_numpy(dtype=object) if isinstance(column.dtype, pd.StringDtype) else column.to_numpy()


class TableHistory:
    """The rows of `table`, which has a column `agent`, of the partitions that begin less than `reach` ago."""

    def __init__(self, lake: Lake, table: Table, reach: timedelta) -> None:
        self._lake, self._table, self.reach = lake, table, reach
        self._lock = threading.Lock()
        self._known: dict[datetime, datetime] = {}
        self._rows: Rows | None = None
        self._looked, self._looked_at_all = -np.inf, -np.inf

    def rows(self, now: datetime) -> Rows:
        """While one thread looks for news, the others get what is known."""
        if self._rows is not None and time.monotonic() - self._looked < LOOKS_EVERY_SECONDS:
            return self._rows
        if self._lock.acquire(blocking=self._rows is None):
            try:
                self._look(now)
            finally:
                self._lock.release()
        assert self._rows is not None
        return self._rows

    def _look(self, now: datetime) -> None:
        began = time.monotonic()
        if self._rows is not None and began - self._looked < LOOKS_EVERY_SECONDS:
            return
        oldest = now - self.reach
        everything = began - self._looked_at_all >= LOOKS_AT_ALL_EVERY_SECONDS
        since = oldest if everything else max(now - RECENT, oldest)
        written = self._lake.written(self._table, since, now + timedelta(days=1))
        changed = [start for start, at in written.items() if self._known.get(start) != at]
        gone = [start for start in self._known if start < oldest or (start >= since and start not in written)]
        if changed or gone or self._rows is None:
            self._take(changed, gone)
            self._known = {start: at for start, at in self._known.items() if start not in set(gone)}
            self._known |= {start: written[start] for start in changed}
        self._looked = began
        if everything:
            self._looked_at_all = began

    def _take(self, changed: list[datetime], gone: list[datetime]) -> None:
        files = [self._lake.path(self._table, start) for start in sorted(changed)]
        frame = read_parquet(self._table, files)
        arrays = {name: _array(frame[name]) for name in self._table.columns}
        known, time_column = self._rows, self._table.time_column
        if known is not None:
            replaced = np.array([start.replace(tzinfo=None) for start in (*changed, *gone)], "datetime64[us]")
            left = ~np.isin(known.arrays[time_column], replaced)
            arrays = {name: np.concatenate([known.arrays[name][left], values]) for name, values in arrays.items()}
        codes, names = pd.factorize(arrays["agent"], sort=True)
        order = np.lexsort((arrays[time_column], codes))
        ends = np.cumsum(np.bincount(codes, minlength=len(names)))
        firsts = [0, *ends[:-1]]
        bounds = {str(name): (int(first), int(end)) for name, first, end in zip(names, firsts, ends, strict=False)}
        version = known.version + 1 if known is not None else 1
        self._rows = Rows(version, self._table, {name: values[order] for name, values in arrays.items()}, bounds)
