"""A candidate is promoted where it is proven to be better on enough held-out items, and on no kind of them worse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from math import comb
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.optimization.gate_calibration import CHANGES, calibrate, pairs_with, promotes, regresses
from perf_pipeline.optimization.gate import GateDecision, GatePolicy, GateVerdict, PairedScore, judge_candidate

POLICY = GatePolicy()


def judged(scores: Sequence[tuple[float, float]], policy: GatePolicy = POLICY) -> GateVerdict:
    """The verdict on (baseline, candidate) scores."""
    return judge_candidate([PairedScore(str(number), *pair) for number, pair in enumerate(scores)], policy)


def tally(items: int, wins: int, losses: int, kind: str | None = None) -> list[PairedScore]:
    return [replace(pair, item_id=f"{kind} {pair.item_id}") for pair in pairs_with(items, wins, losses, kind)]


def false_promotions(items: int, p_win: float, p_loss: float) -> float:
    """The probability that the gate promotes a candidate that wins and loses each item with these probabilities."""
    total = 0.0
    for wins in range(items + 1):
        for losses in range(items - wins + 1):
            ways = comb(items, wins) * comb(items - wins, losses)
            chance = ways * p_win**wins * p_loss**losses * (1 - p_win - p_loss) ** (items - wins - losses)
            # What is next to impossible counts as promoted, which spares asking.
            if losses < wins and (chance < 1e-7 or promotes(items, wins, losses)):
                total += chance
    return total


def test_a_candidate_that_is_better_on_enough_items_is_promoted() -> None:
    verdict = judge_candidate(tally(20, 5, 1), POLICY)
    assert verdict.decision is GateDecision.PROMOTE
    assert (verdict.items, verdict.wins, verdict.losses) == (20, 5, 1)
    assert (verdict.baseline_points, verdict.candidate_points, verdict.gain_points) == (75, 95, 20)
    assert verdict.p_better == pytest.approx(1 - 8 / 128)
    (reason,) = verdict.reasons
    assert reason.startswith("It gains 20.0 points (90 % interval ")
    assert reason.endswith("and is better with a probability of 93.7 %.")


def test_a_candidate_that_is_better_on_too_few_items_goes_to_canary_only() -> None:
    verdict = judge_candidate(tally(19, 6, 0), POLICY)
    assert verdict.decision is GateDecision.CANARY_ONLY
    assert verdict.reasons[-1] == "There are 19 held-out items, and 20 are needed to promote it."


def test_a_candidate_that_is_not_better_is_rejected_however_few_the_items() -> None:
    verdict = judge_candidate(tally(10, 1, 1), POLICY)
    assert verdict.decision is GateDecision.REJECT
    assert verdict.reasons == (
        "It gains 0.0 points, and at least 2 are needed.",
        "It is better with a probability of 50.0 %, and at least 90 % are needed.",
        "There are 10 held-out items, and 20 are needed to promote it.",
    )


def test_a_gain_that_chance_explains_is_no_reason_to_promote() -> None:
    verdict = judge_candidate(tally(20, 3, 1), POLICY)
    assert verdict.decision is GateDecision.REJECT
    assert verdict.reasons == ("It is better with a probability of 81.2 %, and at least 90 % are needed.",)


def test_a_sure_gain_that_is_small_is_no_reason_to_promote() -> None:
    verdict = judged([(0.5, 0.519)] * 50)
    assert verdict.p_better > 0.99
    assert verdict.decision is GateDecision.REJECT
    assert verdict.reasons == ("It gains 1.9 points, and at least 2 are needed.",)
    assert judged([(0.5, 0.52)] * 50).decision is GateDecision.PROMOTE


def test_what_is_below_a_limit_does_not_read_as_if_it_reached_it() -> None:
    assert judged([(0.5, 0.51996)] * 50).reasons == ("It gains 1.9 points, and at least 2 are needed.",)


def test_a_candidate_that_gets_worse_on_a_kind_of_items_is_rejected_although_it_is_better_on_all() -> None:
    verdict = judge_candidate(tally(30, 15, 0, "billing") + tally(6, 0, 3, "refund"), POLICY)
    assert verdict.decision is GateDecision.REJECT
    assert verdict.reasons == ("It gets worse on 'refund': of 6 items 0 won and 3 lost.",)
    assert [(part.name, part.items, part.wins, part.losses, part.regresses) for part in verdict.slices] == [
        ("billing", 30, 15, 0, False),
        ("refund", 6, 0, 3, True),
    ]


@pytest.mark.parametrize(
    ("items", "wins", "losses"), [(4, 0, 4), (6, 0, 2), (6, 1, 3), (6, 0, 0)], ids=["few", "chance", "mixed", "equal"]
)
def test_a_kind_with_few_items_or_losses_that_chance_explains_stops_nothing(items: int, wins: int, losses: int) -> None:
    verdict = judge_candidate(tally(30, 15, 0, "billing") + tally(items, wins, losses, "refund"), POLICY)
    assert verdict.decision is GateDecision.PROMOTE
    assert not any(part.regresses for part in verdict.slices)


def test_items_of_no_kind_are_in_no_slice() -> None:
    assert judge_candidate(tally(20, 5, 0), POLICY).slices == ()


def test_two_programs_that_answer_alike_are_as_good_as_each_other_as_far_as_the_items_show() -> None:
    verdict = judged([(1, 1)] * 12 + [(0, 0)] * 8)
    assert (verdict.p_better, verdict.gain_points) == (0.5, 0)
    low, high = verdict.gain_interval
    assert low == pytest.approx(-high)
    assert 3 < high < 15


def test_a_difference_that_only_rounding_makes_is_none() -> None:
    verdict = judged([(0.1 + 0.2, 0.3), (0.3, 0.1 + 0.2)] * 10)
    assert (verdict.wins, verdict.losses, verdict.p_better) == (0, 0, 0.5)


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ([], "no held-out item"),
        ([PairedScore("a", 0, 1), PairedScore("a", 0, 1)], "there twice"),
        ([PairedScore("a", 0, 1.5)], "Item a has a score that is not from 0 to 1"),
        ([PairedScore("a", math.nan, 1)], "Item a has a score that is not from 0 to 1"),
    ],
)
def test_what_cannot_be_judged_is_refused(scores: list[PairedScore], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        judge_candidate(scores, POLICY)


counts = st.tuples(st.integers(0, 25), st.integers(0, 25), st.integers(0, 25)).filter(lambda three: sum(three) > 0)
thirds = st.integers(0, 3).map(lambda third: third / 3)
graded = st.lists(st.tuples(thirds, thirds), min_size=1, max_size=30)


@settings(max_examples=30, deadline=None)
@given(counts)
def test_for_right_and_wrong_the_probability_is_exact(three: tuple[int, int, int]) -> None:
    wins, losses, _ = three
    verdict = judge_candidate(pairs_with(sum(three), wins, losses), POLICY)
    tosses = wins + losses + 1
    assert verdict.p_better == pytest.approx(sum(comb(tosses, heads) for heads in range(wins + 1)) / 2**tosses)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12))
def test_the_exact_probability_is_that_of_the_draws(wins: int, losses: int) -> None:
    """One difference that is a hair larger makes the gate draw."""
    exact = judged([(0, 0.5)] * (wins + 1) + [(0.5, 0)] * losses).p_better
    drawn = judged([(0, 0.5)] * wins + [(0, 0.5 + 1e-9)] + [(0.5, 0)] * losses).p_better
    assert drawn == pytest.approx(exact, abs=0.015)


@settings(max_examples=25, deadline=None)
@given(graded)
def test_exchanging_baseline_and_candidate_mirrors_the_verdict(scores: list[tuple[float, float]]) -> None:
    verdict, other = judged(scores), judged([(candidate, baseline) for baseline, candidate in scores])
    assert verdict.p_better == pytest.approx(1 - other.p_better, abs=1e-9)
    assert verdict.gain_interval == pytest.approx([-point for point in reversed(other.gain_interval)], abs=1e-9)
    assert verdict.gain_points == pytest.approx(-other.gain_points)
    assert (verdict.wins, verdict.losses) == (other.losses, other.wins)
    assert verdict.baseline_interval == pytest.approx(other.candidate_interval)


@settings(max_examples=25, deadline=None)
@given(graded, st.randoms(use_true_random=False))
def test_the_order_of_the_items_does_not_matter(scores: list[tuple[float, float]], chance: Random) -> None:
    shuffled = list(scores)
    chance.shuffle(shuffled)
    assert judged(shuffled) == judged(scores)


@settings(max_examples=25, deadline=None)
@given(graded)
def test_each_interval_holds_what_was_measured(scores: list[tuple[float, float]]) -> None:
    verdict = judged(scores)
    for points, (low, high) in (
        (verdict.baseline_points, verdict.baseline_interval),
        (verdict.candidate_points, verdict.candidate_interval),
        (verdict.gain_points, verdict.gain_interval),
    ):
        assert low - 1e-9 <= points <= high + 1e-9


@settings(max_examples=25, deadline=None)
@given(graded, st.integers(5, 40))
def test_nothing_is_promoted_that_lacks_items_gain_or_proof(scores: list[tuple[float, float]], least: int) -> None:
    verdict = judged(scores, GatePolicy(min_items=least))
    proven = verdict.gain_points >= 2 and verdict.p_better >= 0.9
    assert (verdict.decision is GateDecision.PROMOTE) is (proven and len(scores) >= least)
    assert (verdict.decision is GateDecision.CANARY_ONLY) is (proven and len(scores) < least)
    assert verdict.reasons


@pytest.mark.parametrize("items", [20, 30, 50])
@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_noise_is_promoted_in_at_most_a_tenth_of_cases(items: int, correlation: float) -> None:
    """Exactly, for a base of 60 %, without change and with five points less."""
    for candidate in (0.6, 0.55):
        p_win = (1 - correlation) * 0.4 * candidate
        p_loss = (1 - correlation) * 0.6 * (1 - candidate) + correlation * (0.6 - candidate)
        assert false_promotions(items, p_win, p_loss) <= 0.1


def test_the_calibration_simulates_what_is_computed_exactly() -> None:
    frame = calibrate(trials=60, seed=1).set_index(["items", "correlation", "slices", "change_points"])["promoted"]
    assert len(frame) == 3 * 2 * 2 * len(CHANGES)
    assert frame[30, 0.0, "none", 0] == pytest.approx(false_promotions(30, 0.24, 0.24), abs=0.1)
    assert frame[30, 0.5, "none", 20] > frame[30, 0.5, "none", 10] > frame[30, 0.5, "none", 0]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=5))
def test_the_calibration_puts_slices_together_as_the_gate_does(kinds: list[tuple[int, int, int]]) -> None:
    kinds = [(wins + losses + ties, wins, losses) for wins, losses, ties in kinds]
    pairs = [pair for number, kind in enumerate(kinds) for pair in tally(*kind, kind=str(number))]
    if pairs:
        items, wins, losses = (sum(column) for column in zip(*kinds, strict=True))
        expected = promotes(items, wins, losses) and not any(regresses(*kind) for kind in kinds)
        assert (judge_candidate(pairs, POLICY).decision is GateDecision.PROMOTE) is expected
