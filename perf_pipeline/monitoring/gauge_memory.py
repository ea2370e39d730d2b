"""What a gauge remembers of its series: trailing medians, the same time of earlier days or weeks, the usual range.

Each is bounded in memory and a dataclass of plain numbers and lists, so that it can be saved as it is.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field


@dataclass(slots=True)
class TrailingMedians:
    """Medians of the last `lengths[i]` values, shortest first."""

    lengths: tuple[int, ...]
    recent: list[float] = field(default_factory=list)
    ordered: list[list[float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lengths = tuple(self.lengths)
        if not self.ordered:
            self.ordered = [[] for _ in self.lengths]

    def medians(self) -> list[float]:
        """One a length, over as many values as there are yet; none at all before the first value."""
        return [_median(values) for values in self.ordered if values]

    def add(self, value: float) -> None:
        recent, known = self.recent, len(self.recent)
        for length, values in zip(self.lengths, self.ordered, strict=True):
            if known >= length:
                del values[bisect_left(values, recent[-length])]
            insort(values, value)
        if known >= self.lengths[-1]:
            del recent[0]
        recent.append(value)


@dataclass(slots=True)
class SameTime:
    """What was usual at the same time of earlier periods: the median of the bin's means in the last `kept` periods.

    Bins count from the epoch, so neither a calendar nor a time zone is assumed. A bin that is empty, as with rare
    or irregular readings, borrows from the bin before it, but for its last mean, which may be of this very period.
    """

    period: float
    """Seconds."""
    bins: int
    kept: int
    means: list[list[float]] = field(default_factory=list)
    bin: int | None = None
    mean: float = 0.0
    count: int = 0
    usual: float | None = None

    def __post_init__(self) -> None:
        if not self.means:
            self.means = [[] for _ in range(self.bins)]

    def see(self, time: float, value: float) -> float | None:
        """What was usual at this time, None if that is unknown; the value is then learned."""
        bin_now = int(time // (self.period / self.bins))
        if bin_now != self.bin:
            self._enter(bin_now)
        self.count += 1
        self.mean += (value - self.mean) / self.count
        return self.usual

    def _enter(self, bin_now: int) -> None:
        if self.bin is not None:
            means = self.means[self.bin % self.bins]
            means.append(self.mean)
            if len(means) > self.kept:
                del means[0]
        self.bin, self.mean, self.count = bin_now, 0.0, 0
        means = self.means[bin_now % self.bins] or self.means[(bin_now - 1) % self.bins][:-1]
        self.usual = _median(sorted(means)) if means else None


@dataclass(slots=True)
class UsualRange:
    """The extremes of a view of the series, and how wide its range usually is.

    The stream is cut into blocks of `block` values, of which the last `kept` are remembered by their extremes. The
    *usual half-range* is half the distance between the median of their highs and the median of their lows: a
    few incidents do not widen it.
    """

    block: int
    kept: int
    high: float = 0.0
    low: float = 0.0
    seen: int = 0
    half_range: float = 0.0
    in_block: int = 0
    block_high: float = 0.0
    block_low: float = 0.0
    highs: list[float] = field(default_factory=list)
    lows: list[float] = field(default_factory=list)

    def see(self, value: float, rounding: float, most: float) -> float:
        """By how many usual half-ranges the value lies outside all that was seen, at most `most`; it is then learned.

        What is within `rounding` of the extremes lies inside.
        """
        excess = 0.0
        if not self.seen:
            self.high = self.low = value
        elif value > self.high:
            excess = self._excess(value - self.high, rounding, most)
            self.high = value
        elif value < self.low:
            excess = self._excess(self.low - value, rounding, most)
            self.low = value
        if not self.in_block:
            self.block_high = self.block_low = value
        elif value > self.block_high:
            self.block_high = value
        elif value < self.block_low:
            self.block_low = value
        self.seen += 1
        self.in_block += 1
        if self.in_block >= self.block:
            self._close_block()
        return excess

    def _excess(self, beyond: float, rounding: float, most: float) -> float:
        if beyond <= rounding:
            return 0.0
        # Where most blocks are constant the usual range is none, and the whole range must serve.
        half = self.half_range if self.half_range > rounding else (self.high - self.low) / 2
        return min(beyond / half, most) if half > rounding else most

    def _close_block(self) -> None:
        self.highs.append(self.block_high)
        self.lows.append(self.block_low)
        if len(self.highs) > self.kept:
            del self.highs[0], self.lows[0]
        self.high, self.low = max(self.highs), min(self.lows)
        self.half_range = (_median(sorted(self.highs)) - _median(sorted(self.lows))) / 2
        self.in_block = 0


def _median(ordered: list[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
