"""How a source is read for the windows of a run: what could not be read never replaces what could.

A window's rows are put in their place first, and its health is recorded after that: a process that is killed in
between leaves a window that is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import pandas as pd

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.tables import Table, TableError
from resources.lake import Lake
from resources.reading import Reading, SourceError

Read = Callable[[datetime, datetime], Iterable[Reading]]


class Keeps(StrEnum):
    """Which rows of an earlier reading of a window stay, where a later reading does not have them."""

    NOTHING = "nothing"
    """The rows say how things are: the later reading replaces the earlier."""
    FROM_FEWER = "from fewer"
    """The rows happened; a source that gives fewer than before has forgotten some."""
    EVERYTHING = "everything"
    """The rows happened, and move to another window when they change."""


@dataclass(frozen=True)
class CollectedWindow:
    """What came of reading a window: the health that now holds for it, and what this reading found.

    `failure` says why the reading was not used, `refused` what was wrong with rows that do not fit their table.
    `added_rows` are those that no earlier reading had; `late_rows` of `health` adds up the ones that came after the
    window had been read.
    """

    health: SourceHealth
    failure: str = ""
    refused: str = ""
    duplicates: int = 0
    added_rows: int = 0

    @property
    def problems(self) -> list[str]:
        """Why the window's rows may be incomplete, a sentence for each reason."""
        return [reason for reason in dict.fromkeys([self.health.reason, self.failure]) if reason]


def collect(
    source: str,
    table: Table,
    windows: Sequence[Window],
    read: Read,
    lake: Lake,
    known: Sequence[SourceHealth],
    clock: Callable[[], datetime],
    keeps: Keeps = Keeps.NOTHING,
) -> Iterator[CollectedWindow]:
    """Read each window into the lake, and say how that went as soon as its rows are in their place.

    A window that cannot be read keeps its earlier rows and, if these were complete when it had closed, its earlier
    health: its old `collected_at` shows that the later reading is still owed. A partial reading does not replace a
    complete one either. `collected_at` is when the reading began. Late rows are those that the earlier reading, made
    after the window closed, did not have.
    """
    earlier = {reading.window_start: reading for reading in known if reading.source == source}
    for window in windows:
        yield _collect(source, table, window, read, lake, earlier.get(window.start), clock(), keeps)


def _collect(
    source: str,
    table: Table,
    window: Window,
    read: Read,
    lake: Lake,
    before: SourceHealth | None,
    now: datetime,
    keeps: Keeps,
) -> CollectedWindow:
    stored = lake.count(table, window.start)
    had_closed = before is not None and before.collected_at >= window.end
    was_complete = before is not None and before.status is SourceStatus.COMPLETE
    stands = before if had_closed and was_complete and stored is not None else None
    # A process that was killed before it recorded a window's health stored rows that nobody knows of yet.
    known_rows = min(stored or 0, before.rows) if before and had_closed else stored or 0
    gaps: list[str] = []
    forgotten = ""
    try:
        with lake.replacing(table, window.start) as partition:
            for reading in read(window.start, window.end):
                gaps.extend(reading.gaps)
                partition.add(_within(reading.frame, table, window))
            if gaps and stands:
                return CollectedWindow(stands, " ".join(gaps))
            given = partition.given
            if stored and (keeps is Keeps.EVERYTHING or (keeps is Keeps.FROM_FEWER and given < stored)):
                for rows in lake.batches(table, window.start):
                    partition.add_kept(rows)
            if stored and keeps is Keeps.FROM_FEWER and given < stored:
                forgotten = _forgotten(table, window, given, stored)
            partition.commit()
    except SourceError as error:
        reason, refused = str(error), ""
    except TableError as error:
        reason = refused = str(error)
    else:
        added = max(partition.rows - known_rows, 0)
        health = SourceHealth(
            source=source,
            window_start=window.start,
            status=SourceStatus.PARTIAL if gaps else SourceStatus.COMPLETE,
            reason=" ".join(gaps),
            rows=partition.rows,
            late_rows=(added + before.late_rows) if before and had_closed else 0,
            collected_at=now,
        )
        return CollectedWindow(health, forgotten, duplicates=partition.duplicates, added_rows=added)
    if stands:
        return CollectedWindow(stands, reason, refused)
    health = SourceHealth(source, window.start, SourceStatus.UNAVAILABLE, reason, known_rows, 0, now)
    return CollectedWindow(health, reason, refused)


def _forgotten(table: Table, window: Window, given: int, stored: int) -> str:
    return (
        f"The source of {table.name} gave {given} of the {stored} rows that it had given for {window.key}: the others "
        "are kept as they were read. See whether its retention is shorter than catch_up_hours in fleet.yaml, or its "
        "data was deleted."
    )


def _within(frame: pd.DataFrame, table: Table, window: Window) -> pd.DataFrame:
    times = frame[table.time_column]
    outside = int(((times < window.start) | (times >= window.end)).sum())
    if outside:
        raise TableError(
            f"The source of {table.name} gave {outside} of {len(frame)} rows that lie outside the window that was "
            f"asked for, {window.key}: it does not keep to the times of a request, so nothing of it was used."
        )
    return frame
