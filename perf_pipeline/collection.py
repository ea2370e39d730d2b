"""How a source is read for the windows of a run: what could not be read never replaces what could."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.tables import Table
from resources.reading import Reading, SourceError


@dataclass(frozen=True)
class Collected:
    """The rows of all windows, how well each window could be read, and why a source did not answer."""

    frame: pd.DataFrame
    health: list[SourceHealth]
    failures: list[str]

    @property
    def late_rows(self) -> int:
        return sum(reading.late_rows for reading in self.health)

    @property
    def problems(self) -> list[str]:
        """Why the rows may be incomplete, a sentence for each reason."""
        reasons = [reading.reason for reading in self.health if reading.reason]
        return list(dict.fromkeys([*reasons, *self.failures]))


def collect(
    source: str,
    table: Table,
    windows: Sequence[Window],
    read: Callable[[datetime, datetime], Reading],
    previous: Callable[[Window], pd.DataFrame | None],
    known: Sequence[SourceHealth],
    now: datetime,
) -> Collected:
    """Read each window. `previous` gives the rows that an earlier run stored, or None for none.

    A window that cannot be read keeps its earlier rows and, if these were complete when it had closed, its earlier
    health: its old `collected_at` shows that the later reading is still owed. A partial reading does not replace a
    complete one either. Late rows are those that the earlier run, made after the window closed, did not have.
    """
    frames: list[pd.DataFrame] = []
    health: list[SourceHealth] = []
    failures: list[str] = []
    earlier = {reading.window_start: reading for reading in known if reading.source == source}
    for window in windows:
        stored, before = previous(window), earlier.get(window.start)
        had_closed = before is not None and before.collected_at >= window.end
        was_complete = before is not None and before.status is SourceStatus.COMPLETE
        stands = before if had_closed and was_complete and stored is not None else None
        try:
            reading = read(window.start, window.end)
        except SourceError as error:
            frames.append(table.empty() if stored is None else stored)
            failures.append(str(error))
            if stands:
                health.append(stands)
            else:
                health.append(
                    SourceHealth(source, window.start, SourceStatus.UNAVAILABLE, str(error), len(frames[-1]), 0, now)
                )
            continue
        if reading.gaps and stands and stored is not None:
            frames.append(stored)
            failures.extend(reading.gaps)
            health.append(stands)
            continue
        frames.append(reading.frame)
        late = max(len(reading.frame) - len(stored), 0) if stored is not None and had_closed else 0
        status = SourceStatus.PARTIAL if reading.gaps else SourceStatus.COMPLETE
        reason = " ".join(reading.gaps)
        total_late = late + (before.late_rows if before and had_closed else 0)
        health.append(SourceHealth(source, window.start, status, reason, len(reading.frame), total_late, now))
    filled = [frame for frame in frames if len(frame)]
    frame = table.conform(pd.concat(filled, ignore_index=True)) if filled else table.empty()
    return Collected(frame, health, failures)
