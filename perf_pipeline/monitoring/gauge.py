"""A detector for any series of readings: custom metrics, exported series. One set of parameters for all of them.

The series is looked at in twelve *views*: the reading itself; its distance from the medians of the last 8, 64 and
512 readings; how far these medians lie apart; its distance from what was usual at the same time of the day and of
the week, as it is and smoothed; and how much the series moves. In each view it counts by how many usual half-ranges
the reading lies outside all that was seen before; the views are added up. Only what exceeds the alarm
that came before is counted again, until that has faded.

Nothing looks ahead, memory is bounded, and no unit, period or length is assumed. Parameters were chosen on
simulations and on the artificial series of the Numenta Anomaly Benchmark only (`benchmarks/nab.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from perf_pipeline.monitoring.gauge_memory import SameTime, TrailingMedians, UsualRange

DAY, WEEK = 86_400.0, 604_800.0
LARGEST = 1e300
"""Beyond this a difference of two readings may overflow: such a reading counts as missing."""
ROUNDING = 1e-11
"""Differences below this share of the readings' size are the rounding of the arithmetic."""
LOGARITHM_ROUNDING = 1e-9


@dataclass(frozen=True)
class GaugeSettings:
    """Lengths are in readings, whatever their spacing."""

    median_lengths: tuple[int, int, int] = (8, 64, 512)
    movement_lengths: tuple[int, int] = (8, 48)
    """Over how many steps from reading to reading the movement is averaged."""
    smoothing: int = 8
    """How many readings the smoothed distances from the same time of the day and week remember."""
    bins_a_day: int = 48
    days_kept: int = 7
    bins_a_week: int = 168
    weeks_kept: int = 4
    block: int = 64
    """Ranges are taken over blocks of so many readings; the median block tells the usual range."""
    blocks_kept: int = 128
    """Extremes are forgotten after so many blocks: 28 days of readings every 5 minutes."""
    silent: int = 30
    """A view says nothing on its first readings ..."""
    half_trusted: int = 300
    """... and weighs `(n - silent) / (n + half_trusted)` after n of them: who has seen little is not surprised."""
    most: float = 10.0
    """Usual half-ranges that a view may add at most, so that one view cannot drown the others."""
    fading: float = 100.0
    """After so many readings what was counted has faded to 37 %."""
    alarm_above: float = 0.3
    """A score above this is an alarm; it does not change the scores. In simulations that were not used to choose it
    0.7 of 1000 healthy readings alarmed, and 86 % of the incidents were found; at 0.5 it was 0.35 and 74 %."""


@dataclass(slots=True)
class Gauge:
    """The state of one series. `step` it with each reading, in order of time."""

    settings: GaugeSettings = field(default_factory=GaugeSettings)
    trailing: TrailingMedians = field(init=False)
    day: SameTime = field(init=False)
    week: SameTime = field(init=False)
    day_level: float | None = None
    week_level: float | None = None
    steps: list[float] = field(default_factory=list)
    """Absolute differences from reading to reading, the latest."""
    usual_step: float = 0.0
    """Mean of the steps that were not zero."""
    moves: int = 0
    ranges: list[UsualRange] = field(init=False)
    counted: float = 0.0

    def __post_init__(self) -> None:
        settings = self.settings
        self.trailing = TrailingMedians(settings.median_lengths)
        self.day = SameTime(DAY, settings.bins_a_day, settings.days_kept)
        self.week = SameTime(WEEK, settings.bins_a_week, settings.weeks_kept)
        self.ranges = [UsualRange(settings.block, settings.blocks_kept) for _ in range(12)]

    def step(self, time: float, value: float) -> float:
        """The anomaly score of a reading, in [0, 1): `s / (1 + s)`, where s is how many usual half-ranges, summed
        over the views, it lies outside everything seen; 0.5 is one half-range.

        `time` is in seconds since the epoch. A reading that is not a number scores 0 and leaves no trace.
        """
        if not abs(value) <= LARGEST:
            return 0.0
        settings = self.settings
        views, roundings = self._views(time, value)
        surprise = 0.0
        for view, rounding, usual in zip(views, roundings, self.ranges, strict=True):
            if view is None:
                continue
            seen = usual.seen
            excess = usual.see(view, rounding, settings.most)
            if excess and seen > settings.silent:
                surprise += excess * (seen - settings.silent) / (seen + settings.half_trusted)
        self.counted *= math.exp(-1.0 / settings.fading)
        new = max(surprise - self.counted, 0.0)
        self.counted = max(self.counted, surprise)
        return new / (1.0 + new)

    def _views(self, time: float, value: float) -> tuple[list[float | None], list[float]]:
        """The twelve views, None where one is not known yet, and the size of their rounding; the value is learned."""
        settings = self.settings
        recent = self.trailing.recent
        medians = self.trailing.medians() or [value] * 3
        short, middle, long = medians
        first, second, third = settings.median_lengths
        movements = self._movements(abs(value - recent[-1])) if recent else [None, None]
        of_day, of_week = self.day.see(time, value), self.week.see(time, value)
        self.day_level = _smoothed(self.day_level, value, of_day, settings.smoothing)
        self.week_level = _smoothed(self.week_level, value, of_week, settings.smoothing)
        views = [
            value,
            value - short,
            value - middle,
            value - long,
            short - middle if len(recent) >= max(first, second // 2) else None,
            middle - long if len(recent) >= max(second, third // 2) else None,
            None if of_day is None else value - of_day,
            None if of_week is None else value - of_week,
            None if of_day is None else self.day_level,
            None if of_week is None else self.week_level,
            *movements,
        ]
        self.trailing.add(value)
        # The movements are logarithms: their rounding does not depend on the readings' size.
        rounding = ROUNDING * max(abs(value), abs(long))
        return views, [rounding] * 10 + [LOGARITHM_ROUNDING] * 2

    def _movements(self, step: float) -> list[float | None]:
        """The logarithm of the mean step, per length: None where nothing ever moved."""
        if step > 0:
            self.moves += 1
            # A running mean of the last 2000 or so, as the size of steps may change for good.
            self.usual_step += (step - self.usual_step) / min(self.moves, 2000)
        self.steps.append(step)
        lengths = self.settings.movement_lengths
        if len(self.steps) > lengths[-1]:
            del self.steps[0]
        # Two per cent of the usual step, so that standing still is far below every movement, but not infinitely.
        least = 0.02 * self.usual_step
        if not least:
            return [None] * len(lengths)
        return [
            math.log(sum(self.steps[-length:]) / length + least) if len(self.steps) >= length else None
            for length in lengths
        ]

    def to_state(self) -> dict[str, Any]:
        """The whole state in numbers, texts, lists and dictionaries, as JSON can hold them."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Gauge:
        """The gauge that `to_state` was asked of: it goes on as if it had never stopped."""
        parts = dict(state)
        # JSON knows no tuples.
        settings: dict[str, Any] = {
            name: tuple(setting) if isinstance(setting, list) else setting
            for name, setting in parts.pop("settings").items()
        }
        gauge = cls(GaugeSettings(**settings))
        gauge.trailing = TrailingMedians(**parts.pop("trailing"))
        gauge.day, gauge.week = SameTime(**parts.pop("day")), SameTime(**parts.pop("week"))
        gauge.ranges = [UsualRange(**usual) for usual in parts.pop("ranges")]
        for name, part in parts.items():
            setattr(gauge, name, part)
        return gauge


def score_readings(
    times: Iterable[float], values: Iterable[float], settings: GaugeSettings | None = None
) -> np.ndarray:
    """The scores of a whole series, one a reading: `Gauge.step` over all of them, and nothing else."""
    step = Gauge(settings or GaugeSettings()).step
    return np.array([step(time, value) for time, value in zip(times, values, strict=True)], float)


def _smoothed(level: float | None, value: float, usual: float | None, length: int) -> float | None:
    """The level moved towards the value's distance from what is usual; as it was where that is not known."""
    if usual is None:
        return level
    return value - usual if level is None else level + (value - usual - level) / length
