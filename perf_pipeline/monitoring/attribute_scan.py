"""Which attribute values, alone or combined, explain that more tasks are affected than usual.

Every combination is scored by the expectation-based Poisson scan statistic (Neill 2009, "Expectation-based scan
statistics for monitoring spatial time series data"): the logarithm of how much likelier the count becomes if the rate
inside has changed, less the logarithm of the number of combinations of that order. The best is taken,
and the tasks that it does not explain are looked at again, so that causes at the same time are all found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from perf_pipeline.monitoring.task_cells import Cells, Floats
from perf_pipeline.monitoring.usual_rates import PRIOR_TASKS, expected_affected
from perf_pipeline.monitoring.value_combinations import Combinations

MAX_CAUSES = 3
SHARE_OF_A_FURTHER_CAUSE = 0.2
"""A further cause explains at least this share of the excess: rates differ a little everywhere, at all times."""

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Combination:
    """Tasks with these values: `affected` of `tasks` now, `usual_rate` of `usual_tasks` before.

    `usual_rate` and `share`, of the whole excess, are 0 to 1. `p_value` is the chance of so many while nothing has
    changed, for the whole set of combinations that were looked at.
    """

    values: Mapping[str, str]
    affected: int
    tasks: int
    usual_rate: float
    usual_tasks: int
    share: float
    p_value: float


@dataclass(frozen=True)
class Scan:
    """`causes` explain the excess together, the strongest first; there are none where all tasks are affected alike.
    `others` are the next best single explanations. `looked_at` counts the combinations."""

    causes: tuple[Combination, ...]
    others: tuple[Combination, ...]
    looked_at: int


def scan(cells: Cells, order: int = 2, shown: int = 10) -> Scan:
    """Combinations of up to `order` values of different attributes; `shown` of them at most."""
    known = Combinations.of(cells, order)
    if not len(known):
        return Scan((), (), 0)
    counted = _Counted.of(known)
    usual = expected_affected(cells)
    everywhere = max(_added_evidence(cells.affected, cells.tasks, one) for one in usual)
    left = np.ones(len(cells.tasks), dtype=bool)
    first = counted.look(usual, left)
    found, evidence = [], 0.0
    best: tuple[float, int] = (everywhere, 0)
    for _ in range(MAX_CAUSES):
        look = counted.look(usual, left)
        strongest = int(np.argmax(look.scores))
        cause = counted.combination(strongest, look, usual, left)
        further = cause.p_value <= SIGNIFICANT and cause.share >= SHARE_OF_A_FURTHER_CAUSE
        if look.scores[strongest] <= 0 or (found and not further):
            break
        found.append((strongest, cause))
        inside = counted.combinations.inside(strongest) & left
        expected = usual[look.way[strongest]]
        evidence += _added_evidence(cells.affected[inside], cells.tasks[inside], expected[inside])
        evidence -= float(counted.cost[strongest])
        # Also where it is only as good as "everywhere", but for rounding: it says more.
        if evidence >= best[0] - 1e-6:
            best = (evidence, len(found))
        left = left & ~inside
    causes = found[: best[1]]
    taken = {number for number, _ in causes}
    ranked = [int(number) for number in np.argsort(-first.scores, kind="stable") if first.scores[number] > -np.inf]
    others = [number for number in ranked if number not in taken][: max(shown - len(causes), 0)]
    return Scan(
        tuple(cause for _, cause in causes),
        tuple(counted.combination(number, first, usual) for number in others),
        len(known),
    )


def tail(affected: float, expected: float, rests_on: float) -> float:
    """The chance of at least `affected` where `expected` is a guess that rests on so many affected tasks: a Poisson
    count whose rate has a gamma distribution, which is a negative binomial one."""
    if affected <= 0:
        return 1.0
    return float(stats.nbinom.sf(affected - 1, rests_on, rests_on / (rests_on + max(expected, 1e-12))))


def of_many(p_value: float, looked_at: int) -> float:
    """Šidák's correction for the smallest of so many p-values."""
    return float(-np.expm1(looked_at * np.log1p(-min(p_value, 1 - 1e-16))))


def _scan_statistic(affected: Floats, tasks: Floats, expected: Floats) -> Floats:
    """The logarithm of the likelihood of `affected` of `tasks` at their own rate, over that at the expected one; 0
    where they are no more than expected. For rare ones it is the Poisson statistic a ln(a/e) - (a - e)."""
    usual, rest = _possible(expected, tasks), tasks - affected
    statistic = special.xlogy(affected, affected / usual) + special.xlogy(rest, rest / (tasks - usual))
    return np.where(affected > usual, statistic, 0.0)


def _possible(expected: Floats, tasks: Floats) -> Floats:
    """More than none, and where there are tasks not all of them."""
    return np.maximum(np.minimum(expected, tasks * (1 - 1e-12)), 1e-12)


def _added_evidence(affected: Floats, tasks: Floats, expected: Floats) -> float:
    """The same for cells of which one share of the tasks that would have been well is affected, whatever their own
    rates: what hits all tasks does not hit those the more that have often been affected before."""
    usual = _possible(expected, tasks)
    well = tasks - usual
    hit = np.clip((affected.sum() - usual.sum()) / max(well.sum(), 1e-12), 0, 1 - 1e-12)
    return float((special.xlogy(affected, (usual + hit * well) / usual) + (tasks - affected) * np.log1p(-hit)).sum())


@dataclass(frozen=True)
class _Look:
    """The score of every combination, and which way of expecting it is the highest by."""

    scores: Floats
    way: NDArray[np.intp]


@dataclass(frozen=True)
class _Counted:
    """The combinations, and what each one's score is lowered by for being one of many."""

    cells: Cells
    combinations: Combinations
    cost: Floats

    @classmethod
    def of(cls, known: Combinations) -> _Counted:
        of_the_order = np.bincount(known.orders)[known.orders]
        # What is new with the trouble needs no more than the trouble itself to be suspected.
        return cls(known.cells, known, np.where(known.is_new(), 0.0, np.log(of_the_order)))

    def look(self, ways: Sequence[Floats], left: NDArray[np.bool_]) -> _Look:
        """`ways` are the counts to expect of the cells, one for each way of expecting; `left` the cells that no other
        cause explains."""
        affected, tasks = (self.combinations.sums(one * left) for one in (self.cells.affected, self.cells.tasks))
        statistics = np.stack(
            [_scan_statistic(affected, tasks, self.combinations.sums(expected * left)) for expected in ways]
        )
        highest = statistics.max(axis=0)
        return _Look(np.where(highest > 0, highest - self.cost, -np.inf), statistics.argmax(axis=0))

    def combination(
        self, number: int, look: _Look, ways: Sequence[Floats], left: NDArray[np.bool_] | None = None
    ) -> Combination:
        """The share and the p-value are of the tasks that are `left`, the counts of all."""
        cells, inside, usual = self.cells, self.combinations.inside(number), ways[look.way[number]]
        here = inside if left is None else inside & left
        affected, expected = float(cells.affected[here].sum()), float(usual[here].sum())
        tasks, seen = float(cells.tasks[inside].sum()), float(cells.usual_tasks[inside].sum())
        before, usually = float(cells.usual_affected[inside].sum()), float(usual[inside].sum()) / tasks
        excess = max(float(cells.affected.sum() - ways[0].sum()), affected - expected)
        return Combination(
            values=self.combinations.values(number),
            affected=round(float(cells.affected[inside].sum())),
            tasks=round(tasks),
            usual_rate=before / seen if seen else min(usually, 1.0),
            usual_tasks=round(seen),
            share=float(np.clip((affected - expected) / excess, 0, 1)) if excess > 0 else 0.0,
            p_value=of_many(
                tail(affected, expected, before + PRIOR_TASKS * usually), len(ways) * len(self.combinations)
            ),
        )
