"""How often the gate promotes what is no better, and what is: the two figures of its calibration."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from benchmarks.optimization.gate_calibration import calibrate

TRIALS = 20_000
SEED = 0
NO_BETTER = (-5, 0)
BETTER = 20
ITEMS_OF_BETTER = 30


@dataclass(frozen=True)
class Rate:
    """A share of the simulated gates, 0 to 1, and the setting that it is of."""

    promoted: float
    items: int
    correlation: float
    slices: str
    change_points: int

    def in_words(self) -> str:
        change = f"{self.change_points:+d} points" if self.change_points else "no change"
        return f"{change}, {self.items} items, correlation {self.correlation:g}, slices: {self.slices}"


@dataclass(frozen=True)
class PromotionRates:
    """`false` is the highest of candidates that are no better, `true` the lowest of those that gain 20 points on 30
    items."""

    false: Rate
    true: Rate


def measure_promotions() -> PromotionRates:
    return rates_of(calibrate(TRIALS, SEED))


def rates_of(frame: pd.DataFrame) -> PromotionRates:
    no_better = frame[frame["change_points"].isin(NO_BETTER)]
    better = frame[(frame["change_points"] == BETTER) & (frame["items"] == ITEMS_OF_BETTER)]
    return PromotionRates(_rate(no_better.nlargest(1, "promoted")), _rate(better.nsmallest(1, "promoted")))


def _rate(one_row: pd.DataFrame) -> Rate:
    [row] = one_row.to_dict("records")
    return Rate(
        float(row["promoted"]),
        int(row["items"]),
        float(row["correlation"]),
        str(row["slices"]),
        int(row["change_points"]),
    )
