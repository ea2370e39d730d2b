"""Success rates: small counts, tasks that share their luck, and agents that nobody knows yet."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom

from perf_pipeline.monitoring.detectors.success import SuccessModel
from tests.builders import metrics_row
from tests.metric_tables import DAY, Law, agents, judged, knowing, memory_after, metrics, observation, watch

MODEL = SuccessModel(0.85)
SUCCESS = {"success_drop"}
RATES, LUCK = st.floats(0.3, 0.97), st.floats(0.005, 0.3)


def known_agents(count: int, rate: float = 0.9, luck: float = 0.02, tasks: float = 500.0) -> np.ndarray:
    """Agents known by so many tasks, ten a window, that succeeded at this rate and shared this luck."""
    return knowing(
        MODEL,
        count,
        successes=rate * tasks,
        tasks=tasks,
        spread=tasks * (1 + 9 * luck),
        excess=luck * 1e6,
        pairs=1e6,
    )


@given(st.integers(1, 40), RATES, LUCK)
def test_the_ratios_are_a_fair_bet_at_the_worst_healthy_rate_and_a_bad_one_at_better_rates(
    tasks: int, rate: float, luck: float
) -> None:
    successes = np.arange(tasks + 1)
    memory = known_agents(len(successes), rate, luck)
    ratios = np.exp(
        judged(MODEL, memory, observation(agents=len(successes), tasks=tasks, successes=successes)).log_ratios
    )
    baseline, error, learnt = (values[0] for values in MODEL.baseline(memory))
    total = 1 / learnt - 1

    def mean_ratios(truth: float) -> np.ndarray:
        return betabinom.pmf(successes, tasks, truth * total, (1 - truth) * total) @ ratios

    assert mean_ratios(baseline - error) == pytest.approx(np.ones(3), rel=1e-6)
    assert (mean_ratios(baseline) <= 1).all()


@given(st.integers(1, 40), RATES, LUCK)
def test_each_failure_more_is_more_evidence(tasks: int, rate: float, luck: float) -> None:
    successes = np.arange(tasks + 1)
    told = judged(
        MODEL, known_agents(tasks + 1, rate, luck), observation(agents=tasks + 1, tasks=tasks, successes=successes)
    )
    assert (np.diff(told.log_ratios, axis=0) < 0).all()


def at_the_baseline_or_above(tasks: int, rate: float, luck: float) -> np.ndarray:
    """The log ratios of all windows whose share of successes is not below what was expected."""
    baseline = float(MODEL.baseline(known_agents(1, rate, luck))[0][0])
    successes = np.arange(np.ceil(baseline * tasks), tasks + 1)
    count = len(successes)
    seen = observation(agents=count, tasks=tasks, successes=successes)
    return judged(MODEL, known_agents(count, rate, luck), seen).log_ratios


@given(st.integers(1, 40), RATES, st.floats(0.002, 0.1))
def test_success_at_the_baseline_or_above_is_no_evidence(tasks: int, rate: float, luck: float) -> None:
    assert (at_the_baseline_or_above(tasks, rate, luck) < 0).all()


@given(st.integers(1, 40), RATES, st.floats(0.1, 0.4))
def test_where_luck_is_shared_by_all_it_is_at_most_a_trifle_and_success_of_all_is_none(
    tasks: int, rate: float, luck: float
) -> None:
    # Where most windows of an agent succeed wholly, one at its mean is a bad one.
    ratios = at_the_baseline_or_above(tasks, rate, luck)
    assert (ratios < 0.8).all()
    assert (ratios[-1] < 0).all()


def test_a_bigger_drop_is_found_sooner() -> None:
    drops = {}
    for rate in (0.75, 0.6, 0.3):
        memory = known_agents(1)
        seen = observation(tasks=10, successes=10 * rate)
        drops[rate] = judged(MODEL, memory, seen).log_ratios.max()
    assert 0 < drops[0.75] < drops[0.6] < drops[0.3]


@pytest.mark.parametrize("successes", [0.0, 1.0])
def test_a_window_of_one_task_is_judged_and_says_little(successes: float) -> None:
    told = judged(MODEL, known_agents(1), observation(tasks=1, successes=successes))
    assert told.seen.all()
    assert (told.log_ratios < 2).all()
    assert (told.log_ratios > 0).all() == (successes == 0)
    assert told.value[0] == 100 * successes


def test_two_failures_of_two_say_more_than_one_of_one_and_less_than_twice_as_much() -> None:
    one = judged(MODEL, known_agents(1, luck=0.1), observation(tasks=1, successes=0)).log_ratios
    two = judged(MODEL, known_agents(1, luck=0.1), observation(tasks=2, successes=0)).log_ratios
    assert (one < two).all()
    assert (two < 2 * one).all()


def test_a_window_without_tasks_says_nothing() -> None:
    told = judged(MODEL, known_agents(1), observation(tasks=0, successes=0))
    assert not told.seen.any()
    assert told.residual[0] == 0
    assert told.chance[0] == 1


def test_windows_without_tasks_leave_baseline_and_evidence_as_they_were() -> None:
    some = metrics(*(metrics_row(number=number, tasks=2, successes=number % 2 + 1) for number in range(30)))
    idle = metrics(*(metrics_row(number=number, tasks=0) for number in range(30, 40)))
    before = memory_after(some, SUCCESS)
    after = memory_after(idle, SUCCESS, before)
    for name in ("ratio", "run", "began", "seen_in_run", "expected_in_run", "windows", "tasks", "block_windows"):
        assert (after.records[name] == before.records[name]).all()
    assert MODEL.baseline(after.records[0])[0] == pytest.approx(MODEL.baseline(before.records[0])[0], abs=0.01)


def test_it_takes_five_failures_to_call_the_loss_of_everything_unlikely() -> None:
    chances = [
        judged(MODEL, known_agents(1, luck=0.05), observation(tasks=tasks, successes=0)).chance[0]
        for tasks in range(1, 9)
    ]
    assert (np.diff(chances) < 0).all()
    assert chances[0] == pytest.approx(0.1, abs=0.02)
    assert judged(MODEL, known_agents(1), observation(tasks=5, successes=1)).chance[0] == 1


# What is learnt


@pytest.mark.parametrize("luck", [0.03, 0.1, 0.25])
def test_how_much_luck_tasks_share_is_learnt(luck: float) -> None:
    memory = memory_after(agents(Law(success=0.85, shared_luck=luck), range(12 * DAY), 7, count=12), SUCCESS)
    learnt = MODEL.baseline(memory.records[0])[2]
    assert luck / 1.4 < np.median(learnt) < luck * 1.4
    assert ((luck / 3 < learnt) & (learnt < luck * 3)).all()


def test_who_shares_luck_gives_less_evidence() -> None:
    seen = observation(tasks=10, successes=4)
    independent, shared = (judged(MODEL, known_agents(1, luck=luck), seen).log_ratios for luck in (0.01, 0.2))
    assert (shared < independent).all()


def test_the_band_holds_most_healthy_windows() -> None:
    law = Law(success=0.85, shared_luck=0.1)
    said = watch(agents(law, range(10 * DAY), 8, count=20), SUCCESS, since=5 * DAY)
    judged_ones = said[said["seen"]]
    inside = (judged_ones["value"] >= judged_ones["low"]) & (judged_ones["value"] <= judged_ones["high"])
    assert 0.93 < inside.mean() < 0.98


@pytest.mark.parametrize("rate", [0.5, 0.7, 0.97])
def test_the_rate_is_learnt(rate: float) -> None:
    memory = memory_after(agents(Law(success=rate), range(8 * DAY), 9), SUCCESS)
    found, error, _ = MODEL.baseline(memory.records[0])
    assert found == pytest.approx(rate, abs=0.02)
    assert 0 < error < 0.02


def test_of_a_new_agent_the_fleet_files_rate_is_expected_and_little_is_certain() -> None:
    memory = knowing(MODEL, 1)
    rate, error, _ = MODEL.baseline(memory)
    assert rate == pytest.approx(0.85)
    assert error > 0.05
    seen = observation(tasks=10, successes=5)
    assert (judged(MODEL, memory, seen).log_ratios < judged(MODEL, known_agents(1, 0.85), seen).log_ratios).all()


def test_of_a_new_agent_in_a_fleet_what_the_others_do_is_expected() -> None:
    def expected_of_a_newcomer(others: int) -> float:
        old = agents(Law(success=0.6), range(3 * DAY), 10, count=others) if others else metrics()
        new = metrics(metrics_row("Newcomer", 3 * DAY, tasks=10, successes=6))
        said = watch(pd.concat([old, new]) if others else new, SUCCESS)
        return float(said[(said["agent"] == "Newcomer")]["expected"].iloc[-1])

    alone, one, five = (expected_of_a_newcomer(others) for others in (0, 1, 5))
    assert alone == pytest.approx(85)
    assert 60 < five < one < alone
    assert five == pytest.approx((2 * 85 + 5 * 60) / 7, abs=2)


def test_an_agents_own_tasks_outweigh_what_was_assumed_of_it() -> None:
    few = metrics(*(metrics_row(number=number, tasks=10, successes=5) for number in range(2)))
    many = metrics(*(metrics_row(number=number, tasks=10, successes=5) for number in range(40)))
    after_few, after_many = (
        float(MODEL.baseline(memory_after(table, SUCCESS).records[0])[0][0]) for table in (few, many)
    )
    assert after_few == pytest.approx((10 + 0.85 * 20) / 40, abs=0.02)
    assert after_many == pytest.approx(0.5, abs=0.03)


def test_a_rise_of_success_is_no_finding() -> None:
    past = agents(Law(success=0.6), range(-10 * DAY, 0), 11)
    risen = agents(Law(success=0.98), range(2 * DAY), 12)
    assert not watch(risen, SUCCESS, memory_after(past, SUCCESS))["event"].any()
