"""How completely each source was read, window by window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from perf_pipeline.monitoring.completeness import SourceCompleteness
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.notifications.summary_words import count, percent
from perf_pipeline.notifications.team_clock import moment
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.service.dashboard.words import said

MISSING = "missing"
STATUSES = (str(SourceStatus.COMPLETE), str(SourceStatus.PARTIAL), str(SourceStatus.UNAVAILABLE), MISSING)

MAX_CELLS_A_DAY = 48
"""Shorter windows share a cell, which shows the worst of them: a phone has no room for more."""

MAX_GAPS = 40


@dataclass(frozen=True)
class Cell:
    """Windows in a row that could be read alike. `column` counts from midnight on the team's clock; `hint` says from
    when on, how they could be read, and why not completely."""

    column: int
    columns: int
    status: str
    hint: str


@dataclass(frozen=True)
class DayRow:
    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Gap:
    """Windows in a row that are not complete for one reason."""

    status: str
    start: datetime
    end: datetime
    windows: str
    reason: str


@dataclass(frozen=True)
class SourceMap:
    source: str
    summary: str
    columns: int
    days: tuple[DayRow, ...]
    gaps: tuple[Gap, ...]
    more_gaps: int


def source_maps(
    sources: Sequence[SourceCompleteness],
    health: Iterable[SourceHealth],
    windows: Sequence[Window],
    timezone: str,
) -> tuple[SourceMap, ...]:
    """`windows` are all that have closed, oldest first; `sources` their summary, which says which sources there are."""
    readings = {(reading.source, reading.window_start): reading for reading in health}
    return tuple(
        _map(source, [(window, readings.get((source.source, window.start))) for window in windows], timezone)
        for source in sources
    )


Read = tuple[Window, SourceHealth | None]


def _map(source: SourceCompleteness, read: Sequence[Read], timezone: str) -> SourceMap:
    gaps = gaps_of(read)
    length = read[0][0].end - read[0][0].start if read else timedelta(minutes=30)
    columns = min(MAX_CELLS_A_DAY, timedelta(days=1) // length)
    missing = source.missing
    return SourceMap(
        source=source.source,
        summary=f"{percent(source.complete_percent)} of {count(source.windows, 'window')} complete"
        + (f"; {count(missing, 'window')} not." if missing else "."),
        columns=columns,
        days=_days(read, columns, timezone),
        gaps=tuple(reversed(gaps))[:MAX_GAPS],
        more_gaps=max(len(gaps) - MAX_GAPS, 0),
    )


def gaps_of(read: Sequence[Read]) -> list[Gap]:
    """Oldest first. Windows that follow each other, and are incomplete for the same reason, are one."""
    found: list[Gap] = []
    number = 0
    for window, reading in read:
        status, reason = _status(reading), said(reading.reason) if reading else ""
        if status == SourceStatus.COMPLETE:
            continue
        last = found[-1] if found else None
        if last and (last.status, last.reason, last.end) == (status, reason, window.start):
            number += 1
            found[-1] = Gap(status, last.start, window.end, count(number, "window"), reason)
        else:
            number = 1
            found.append(Gap(status, window.start, window.end, count(1, "window"), reason))
    return found


def _days(read: Sequence[Read], columns: int, timezone: str) -> tuple[DayRow, ...]:
    """Newest day first, as days of the team's clock."""
    zone = ZoneInfo(timezone)
    days: dict[date, dict[int, Read]] = {}
    for window, reading in read:
        local = window.start.astimezone(zone)
        column = (local.hour * 60 + local.minute) * columns // (24 * 60)
        cells = days.setdefault(local.date(), {})
        known = cells.get(column)
        if known is None or STATUSES.index(_status(reading)) > STATUSES.index(_status(known[1])):
            cells[column] = (window, reading)
    return tuple(
        DayRow(f"{day:%b} {day.day}", _cells(cells, timezone)) for day, cells in sorted(days.items(), reverse=True)
    )


def _cells(read: dict[int, Read], timezone: str) -> tuple[Cell, ...]:
    found: list[Cell] = []
    alike: tuple[str, str] | None = None
    for column in sorted(read):
        window, reading = read[column]
        status, reason = _status(reading), said(reading.reason) if reading else ""
        last = found[-1] if found else None
        if last and alike == (status, reason) and last.column + last.columns == column:
            found[-1] = replace(last, columns=last.columns + 1)
        else:
            hint = f"{status} from {moment(window.start, timezone)}" + (f": {reason}" if reason else "")
            found.append(Cell(column, 1, status, hint))
        alike = status, reason
    return tuple(found)


def _status(reading: SourceHealth | None) -> str:
    return str(reading.status) if reading else MISSING
