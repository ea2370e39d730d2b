"""Charts as data: lines over one grid of times, the band of the baseline, and what happened meanwhile.

`charts.js` draws them; the figures stand in a table beside each, for who does not see them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.notifications.team_clock import moment
from perf_pipeline.service.dashboard.measures import Measure
from perf_pipeline.service.dashboard.words import UNKNOWN, number

MAX_ROWS = 32
"""A table of more rows is no help to anybody: each row is then the mean of several points."""

SIGNIFICANT = 5


@dataclass(frozen=True)
class Line:
    label: str
    values: np.ndarray


@dataclass(frozen=True)
class Chart:
    """`lines` are what was seen, the most important first; `band` is expected, low and high, where they are known.

    `sentence` says what the picture shows. `rows` are the same figures as text under `columns`.
    """

    measure: Measure
    lines: tuple[Line, ...]
    band: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    sentence: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def id(self) -> str:
        """For addresses within the page: of letters that may stand there."""
        return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in self.measure.metric)


@dataclass(frozen=True)
class Mark:
    """What happened in a stretch of time, or at one where `end` is None. `kind`: incident, outage or change."""

    kind: str
    label: str
    start: datetime
    end: datetime | None = None


@dataclass(frozen=True)
class ChartGrid:
    """The times that all charts of a page share: starts of windows, or of stretches of `every`."""

    span: Window
    every: timedelta
    timezone: str

    @cached_property
    def starts(self) -> pd.DatetimeIndex:
        # Stretches count from the epoch, as those of the reduced rows do.
        first = pd.Timestamp(self.span.start).floor(self.every)
        return pd.date_range(first, self.span.end, freq=self.every, inclusive="left", unit="us")

    def on_grid(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows, which have unique `window_start`, at the grid's times; missing values where there is no row."""
        return rows.set_index(pd.DatetimeIndex(rows["window_start"])).reindex(self.starts)


def chart(
    grid: ChartGrid,
    measure: Measure,
    lines: Sequence[Line],
    band: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> Chart | None:
    """None where nothing was ever seen: an empty picture says less than its absence."""
    shown = tuple(line for line in lines if np.isfinite(line.values).any())
    if not shown:
        return None
    known_band = band if band is not None and np.isfinite(band[0]).any() else None
    if known_band and measure.scale:
        # The band of a noisy metric may reach beyond what the metric can be.
        expected, low, high = (np.clip(values, *measure.scale) for values in known_band)
        known_band = expected, low, high
    columns = [line.label for line in shown] + (["expected", "low", "high"] if known_band else [])
    values = [line.values for line in shown] + list(known_band or ())
    return Chart(
        measure=measure,
        lines=shown,
        band=known_band,
        sentence=_sentence(grid, measure, shown[0], known_band),
        columns=("from", *columns),
        rows=_rows(grid, measure, values),
    )


def page_data(grid: ChartGrid, charts: Iterable[Chart], marks: Iterable[Mark]) -> dict[str, object]:
    """What `charts.js` draws. Times are milliseconds since 1970, points in the middle of their stretch of time."""
    half = grid.every / 2
    starts = [start.to_pydatetime() for start in grid.starts]
    return {
        "x": [_milliseconds(start + half) for start in starts],
        "when": [moment(start, grid.timezone) for start in starts],
        "from": _milliseconds(grid.span.start),
        "to": _milliseconds(grid.span.end),
        "ticks": [[_milliseconds(time), label] for time, label in ticks(grid.span, grid.timezone)],
        "marks": [
            {
                "kind": mark.kind,
                "label": mark.label,
                "from": _milliseconds(max(mark.start, grid.span.start)),
                "to": _milliseconds(min(mark.end, grid.span.end)) if mark.end else None,
            }
            for mark in marks_within(grid, marks)
        ],
        "charts": [
            {
                "id": one.id,
                "title": one.measure.title,
                "prefix": one.measure.prefix,
                "suffix": one.measure.suffix,
                "scale": one.measure.scale,
                "lines": [{"label": line.label, "values": _plain(line.values)} for line in one.lines],
                "band": [_plain(values) for values in one.band] if one.band else None,
            }
            for one in charts
        ],
    }


def marks_within(grid: ChartGrid, marks: Iterable[Mark]) -> list[Mark]:
    """Those that the grid's time touches."""
    return [one for one in marks if one.start < grid.span.end and (one.end or one.start) >= grid.span.start]


def ticks(span: Window, timezone: str) -> list[tuple[datetime, str]]:
    """Round times of the team's clock within the span: every three hours of a day, days of more than that."""
    zone = ZoneInfo(timezone)
    length = span.end - span.start
    found: list[tuple[datetime, str]] = []
    day = span.start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    step = 1 if length <= timedelta(days=8) else 4 if length <= timedelta(days=30) else 14
    hours = range(0, 24, 3) if length <= timedelta(days=2) else (0,)
    while day.astimezone(UTC) < span.end:
        for hour in hours:
            time = day.replace(hour=hour)
            if span.start <= time.astimezone(UTC) < span.end:
                found.append((time.astimezone(UTC), f"{time:%H:%M}" if hour else f"{time:%b} {time.day}"))
        day += timedelta(days=step)
    return found


def _sentence(
    grid: ChartGrid, measure: Measure, line: Line, band: tuple[np.ndarray, np.ndarray, np.ndarray] | None
) -> str:
    known = np.flatnonzero(np.isfinite(line.values))
    last, lowest, highest = known[-1], known[line.values[known].argmin()], known[line.values[known].argmax()]
    starts = grid.starts

    def told(position: int) -> str:
        return _shown(measure, float(line.values[position]))

    text = f"{told(last)} at {moment(starts[last].to_pydatetime(), grid.timezone)}"
    if band is not None and math.isfinite(expected := float(band[0][last])):
        text += f", {_shown(measure, expected)} expected"
        if math.isfinite(low := float(band[1][last])) and math.isfinite(high := float(band[2][last])):
            text += f" ({_shown(measure, low)} to {_shown(measure, high)})"
    return f"{text}; from {told(lowest)} to {told(highest)} in this time."


def _rows(grid: ChartGrid, measure: Measure, values: Sequence[np.ndarray]) -> tuple[tuple[str, ...], ...]:
    starts = grid.starts
    together = max(math.ceil(len(starts) / MAX_ROWS), 1)
    means = np.array([_means(part, together) for part in values])
    rows = []
    for row in np.flatnonzero(np.isfinite(means).any(axis=0))[::-1]:
        when = moment(starts[row * together].to_pydatetime(), grid.timezone)
        rows.append((when, *(_shown(measure, float(mean)) for mean in means[:, row])))
    return tuple(rows)


def _means(values: np.ndarray, together: int) -> np.ndarray:
    """The means of so many known values at a time; NaN where none of them is known."""
    parts = np.append(values, np.full(-len(values) % together, np.nan)).reshape(-1, together)
    known = np.isfinite(parts)
    count = known.sum(axis=1)
    return np.where(count, np.where(known, parts, 0).sum(axis=1) / np.maximum(count, 1), np.nan)


def _shown(measure: Measure, value: float) -> str:
    return UNKNOWN if math.isnan(value) else f"{measure.prefix}{number(value)}{measure.suffix}"


def _plain(values: np.ndarray) -> list[float | None]:
    return [float(f"{value:.{SIGNIFICANT}g}") if math.isfinite(value) else None for value in values.tolist()]


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)
