"""Whether a candidate program replaces the one in production: both answered the same held-out items.

Scores are from 0 to 1, what people read is in points of 100. That the candidate is better is a probability of the mean
difference under the Bayesian bootstrap (Rubin 1981): the items, and two made-up ones that differ by as much as the
others do, one in each direction, get random weights. Where all differences have one size, as with right and wrong, it
is exactly that of the binomial model with a uniform prior, P(Beta(wins + 1, losses + 1) > 1/2).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

DRAWS = 10_000
"""Twice as many make a posterior: see `_gain_draws`."""
SEED = 20_260_301
CREDIBLE = 0.9
DECIMALS = 12
"""Differences are rounded to so many decimals: 0.3 - 0.1 and 0.2 are one size, and 0.1 + 0.2 - 0.3 is no win."""

Interval = tuple[float, float]
Floats = NDArray[np.float64]


class GateDecision(StrEnum):
    """`canary_only`: it looks better, on too few items to be promoted."""

    PROMOTE = "promote"
    REJECT = "reject"
    CANARY_ONLY = "canary_only"


@dataclass(frozen=True)
class GatePolicy:
    """What a candidate must show. Gains are in points of 100.

    With these values a candidate that is no better is promoted in at most 10 % of cases, where answers are right or
    wrong and the baseline scores 60: benchmarks/optimization/gate_calibration.py.
    """

    min_items: int = 20
    min_gain_points: float = 2.0
    min_probability: float = 0.9
    min_slice_items: int = 5
    max_slice_loss_probability: float = 0.9


@dataclass(frozen=True)
class PairedScore:
    """What baseline and candidate scored at a held-out item, from 0 to 1. `slice` is the kind of item that it is."""

    item_id: str
    baseline: float
    candidate: float
    slice: str | None = None


@dataclass(frozen=True)
class SliceVerdict:
    """How the items of a slice fared. It regresses where it got worse beyond what chance explains."""

    name: str
    items: int
    gain_points: float
    wins: int
    losses: int
    p_worse: float
    regresses: bool


@dataclass(frozen=True)
class GateVerdict:
    """Scores and gain in points of 100, with 90 % intervals (lowest, highest). `reasons` are sentences."""

    decision: GateDecision
    items: int
    baseline_points: float
    baseline_interval: Interval
    candidate_points: float
    candidate_interval: Interval
    gain_points: float
    gain_interval: Interval
    wins: int
    losses: int
    p_better: float
    slices: tuple[SliceVerdict, ...]
    reasons: tuple[str, ...]


def judge_candidate(pairs: Sequence[PairedScore], policy: GatePolicy) -> GateVerdict:
    """Raises ValueError where there is no item, one is there twice, or a score is not from 0 to 1."""
    _check(pairs)
    differences = _differences(pairs)
    gain, p_better = _gain_points(differences), _probability_of_gain(differences)
    gain_interval = _gain_interval(differences, gain)
    slices = _slices(pairs, policy)
    wins, losses = _wins_and_losses(differences)

    flaws = _flaws(gain, p_better, slices, policy)
    too_few = len(pairs) < policy.min_items
    if flaws:
        decision = GateDecision.REJECT
    elif too_few:
        decision = GateDecision.CANARY_ONLY
    else:
        decision = GateDecision.PROMOTE
    reasons = list(flaws)
    if not flaws:
        low, high = gain_interval
        reasons.append(
            f"It gains {gain:.1f} points (90 % interval {low:.1f} to {high:.1f}) and is better with a probability of "
            f"{_floored(100 * p_better)} %."
        )
    if too_few:
        reasons.append(f"There are {len(pairs)} held-out items, and {policy.min_items} are needed to promote it.")
    baseline = math.fsum(pair.baseline for pair in pairs) / len(pairs)
    candidate = math.fsum(pair.candidate for pair in pairs) / len(pairs)
    return GateVerdict(
        decision=decision,
        items=len(pairs),
        baseline_points=100 * baseline,
        baseline_interval=_score_interval(baseline, len(pairs)),
        candidate_points=100 * candidate,
        candidate_interval=_score_interval(candidate, len(pairs)),
        gain_points=gain,
        gain_interval=gain_interval,
        wins=wins,
        losses=losses,
        p_better=p_better,
        slices=slices,
        reasons=tuple(reasons),
    )


def _check(pairs: Sequence[PairedScore]) -> None:
    if not pairs:
        raise ValueError("There is no held-out item, so the candidate cannot be judged.")
    if len({pair.item_id for pair in pairs}) < len(pairs):
        raise ValueError("A held-out item is there twice: each may count once.")
    for pair in pairs:
        if not (0 <= pair.baseline <= 1 and 0 <= pair.candidate <= 1):
            raise ValueError(f"Item {pair.item_id} has a score that is not from 0 to 1: correct the metric.")


def _differences(pairs: Sequence[PairedScore]) -> Floats:
    """(items,) candidate minus baseline."""
    return np.round([pair.candidate - pair.baseline for pair in pairs], DECIMALS)


def _wins_and_losses(differences: Floats) -> tuple[int, int]:
    return int(np.sum(differences > 0)), int(np.sum(differences < 0))


def _gain_points(differences: Floats) -> float:
    return round(100 * math.fsum(differences) / len(differences), DECIMALS)


def _probability_of_gain(differences: Floats) -> float:
    """That the mean difference is above 0. The opposite differences give the rest to 1."""
    sizes = np.unique(np.abs(differences[differences != 0]))
    if len(sizes) <= 1:
        wins, losses = _wins_and_losses(differences)
        return float(stats.beta.sf(0.5, wins + 1, losses + 1))
    return float(np.mean(_gain_draws(differences) > 0))


def _gain_draws(differences: Floats) -> Floats:
    """(2 * DRAWS,) draws of the mean difference.

    One half is drawn for the differences and one, mirrored, for their opposites, so that exchanging baseline and
    candidate mirrors the draws and nothing else.
    """
    nonzero = np.abs(differences[differences != 0])
    # Where nothing differed, the made-up items differ as much as scores can: seeing no difference proves none.
    made_up = round(math.fsum(nonzero) / len(nonzero), DECIMALS) if len(nonzero) else 1.0
    known = np.concatenate([differences, [made_up, -made_up]])
    return np.concatenate([_weighted_means(known), -_weighted_means(-known)])


def _weighted_means(values: Floats) -> Floats:
    """(DRAWS,) means under weights that are exponential for each value, hence Gamma(k) for k equal ones.

    They are drawn for the distinct values in order, so that the order of the items does not matter.
    """
    generator = np.random.default_rng(SEED)
    total, weights = np.zeros(DRAWS), np.zeros(DRAWS)
    for value, count in zip(*np.unique(values, return_counts=True), strict=True):
        weight = generator.standard_gamma(count, DRAWS)
        total += value * weight
        weights += weight
    return total / weights


def _gain_interval(differences: Floats, gain: float) -> Interval:
    """In points. The made-up items pull the draws towards 0; the interval is widened to hold what was measured."""
    low, high = 100 * np.quantile(_gain_draws(differences), [(1 - CREDIBLE) / 2, (1 + CREDIBLE) / 2])
    return min(float(low), gain), max(float(high), gain)


def _score_interval(mean: float, items: int) -> Interval:
    """Wilson's interval, in points: right for scores of 0 and 1, wider than needed for those between."""
    z = float(special.ndtri((1 + CREDIBLE) / 2))
    centre = (mean + z * z / (2 * items)) / (1 + z * z / items)
    reach = z / (1 + z * z / items) * math.sqrt(mean * (1 - mean) / items + z * z / (4 * items * items))
    return 100 * max(centre - reach, 0.0), 100 * min(centre + reach, 1.0)


def _slices(pairs: Sequence[PairedScore], policy: GatePolicy) -> tuple[SliceVerdict, ...]:
    """By name. Items without a slice are in none."""
    members: dict[str, list[PairedScore]] = defaultdict(list)
    for pair in pairs:
        if pair.slice is not None:
            members[pair.slice].append(pair)
    return tuple(_slice_verdict(name, members[name], policy) for name in sorted(members))


def _slice_verdict(name: str, pairs: Sequence[PairedScore], policy: GatePolicy) -> SliceVerdict:
    differences = _differences(pairs)
    gain, p_worse = _gain_points(differences), _probability_of_gain(-differences)
    wins, losses = _wins_and_losses(differences)
    enough = len(pairs) >= policy.min_slice_items
    regresses = enough and gain < 0 and p_worse >= policy.max_slice_loss_probability
    return SliceVerdict(name, len(pairs), gain, wins, losses, p_worse, regresses)


def _flaws(gain: float, p_better: float, slices: Sequence[SliceVerdict], policy: GatePolicy) -> list[str]:
    """What speaks against the candidate, but for the number of items, in sentences."""
    flaws = []
    if gain < policy.min_gain_points:
        flaws.append(f"It gains {_floored(gain)} points, and at least {policy.min_gain_points:g} are needed.")
    if p_better < policy.min_probability:
        flaws.append(
            f"It is better with a probability of {_floored(100 * p_better)} %, and at least "
            f"{100 * policy.min_probability:g} % are needed."
        )
    flaws += [
        f"It gets worse on '{part.name}': of {part.items} items {part.wins} won and {part.losses} lost."
        for part in slices
        if part.regresses
    ]
    return flaws


def _floored(value: float) -> str:
    """With one decimal, rounded down: what is below a limit must not read as if it reached it."""
    return f"{math.floor(round(10 * value, 6)) / 10:.1f}"
