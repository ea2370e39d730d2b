"""How often the gate promotes candidates that are worse, as good, or better.

Run by `python -m benchmarks.optimization.gate_calibration`.

Baseline and candidate are right or wrong at each held-out item. With the probability `correlation` the two share the
luck of an item, as programs do that find the same items hard.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from perf_pipeline.optimization.gate import GateDecision, GatePolicy, PairedScore, judge_candidate

POLICY = GatePolicy()
BASE = 0.6
CHANGES = (-5, 0, 10, 20)
"""True changes of the candidate, in points."""
ITEMS = (20, 30, 50)
CORRELATIONS = (0.0, 0.5)
SLICES: Mapping[str, Sequence[float]] = {"none": (), "5 kinds": (0.35, 0.25, 0.2, 0.12, 0.08)}
"""The shares of the kinds of items, uneven as in production."""

Counts = NDArray[np.int64]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, default=20_000, help="simulated gates for each line")
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    frame = calibrate(given.trials, given.seed)
    Console(width=100).print(_table(frame, given.trials))


def calibrate(trials: int, seed: int) -> pd.DataFrame:
    """One row for each number of items, correlation, slicing and true change.

    Columns: items; correlation; slices (a name of SLICES); change_points; promoted (share of the trials, 0 to 1).
    """
    generator = np.random.default_rng(seed)
    rows = [
        {
            "items": items,
            "correlation": correlation,
            "slices": slices,
            "change_points": change,
            "promoted": _promoted(generator, trials, items, correlation, change, SLICES[slices]),
        }
        for items, correlation, slices, change in product(ITEMS, CORRELATIONS, SLICES, CHANGES)
    ]
    return pd.DataFrame(rows)


@cache
def promotes(items: int, wins: int, losses: int) -> bool:
    """What the real gate says of so many items, wins and losses without slices. Nothing else matters to it, so it is
    asked once."""
    return judge_candidate(pairs_with(items, wins, losses), POLICY).decision is GateDecision.PROMOTE


@cache
def regresses(items: int, wins: int, losses: int) -> bool:
    """What the real gate says of a slice with so many. One without items does not regress."""
    pairs = pairs_with(items, wins, losses, kind="all")
    return bool(pairs) and judge_candidate(pairs, POLICY).slices[0].regresses


def pairs_with(items: int, wins: int, losses: int, kind: str | None = None) -> list[PairedScore]:
    """Right and wrong answers with so many wins and losses."""
    scores = [(0.0, 1.0)] * wins + [(1.0, 0.0)] * losses + [(1.0, 1.0)] * (items - wins - losses)
    return [PairedScore(str(number), *score, kind) for number, score in enumerate(scores)]


def _promoted(
    generator: np.random.Generator,
    trials: int,
    items: int,
    correlation: float,
    change: int,
    shares: Sequence[float],
) -> float:
    """The share of the trials in which the gate promotes."""
    luck = generator.random((trials, items))
    shared = generator.random((trials, items)) < correlation
    baseline = luck < BASE
    candidate = np.where(shared, luck, generator.random((trials, items))) < BASE + change / 100
    everything = np.ones((trials, items), dtype=bool)
    promoted = _lookup(promotes, _counts(baseline, candidate, everything))
    if shares:
        kinds = generator.choice(len(shares), size=(trials, items), p=shares)
        for kind in range(len(shares)):
            promoted &= ~_lookup(regresses, _counts(baseline, candidate, kinds == kind))
    return float(promoted.mean())


def _counts(baseline: NDArray[np.bool_], candidate: NDArray[np.bool_], of: NDArray[np.bool_]) -> Counts:
    """(trials, 3): items, wins and losses among the items `of` each trial."""
    wins, losses = of & candidate & ~baseline, of & baseline & ~candidate
    return np.column_stack([of.sum(axis=1), wins.sum(axis=1), losses.sum(axis=1)])


def _lookup(answer: Callable[[int, int, int], bool], counts: Counts) -> NDArray[np.bool_]:
    """(trials,) of what the gate answers, asked once for equal counts."""
    distinct, which = np.unique(counts, axis=0, return_inverse=True)
    answers = np.array([answer(*map(int, row)) for row in distinct])
    return answers[which.reshape(-1)]


def _table(frame: pd.DataFrame, trials: int) -> Table:
    table = Table(title=f"Promoted of 100 candidates, by their true change in points ({trials:,} trials each)")
    for column in ("Items", "Correlation", "Slices"):
        table.add_column(column)
    for change in CHANGES:
        table.add_column(f"{change:+d}" if change else "none", justify="right")
    for line, rows in frame.groupby(["items", "correlation", "slices"], sort=False):
        rates = rows.set_index("change_points")["promoted"]
        table.add_row(*(str(value) for value in line), *(f"{100 * rates[change]:.1f}" for change in CHANGES))
    return table


if __name__ == "__main__":
    main()
