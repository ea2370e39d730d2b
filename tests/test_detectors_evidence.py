"""Evidence is a bet against health: it does not grow by itself, and what it grows from is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.monitoring.detectors.evidence import forget_evidence, gather, statistic
from perf_pipeline.monitoring.detectors.memory import ALTERNATIVES, NEVER, empty_memory

SIZES = np.array([0.2, 0.4, 0.8])
"""Shifts of a standard normal value."""


def log_ratios(values: np.ndarray, sizes: np.ndarray = SIZES) -> np.ndarray:
    return sizes * values[:, None] - sizes**2 / 2


def add(memory: np.ndarray, ratios: np.ndarray, index: int, seen: bool | np.ndarray = True) -> None:
    runs = len(memory)
    gather(memory, ratios, np.broadcast_to(seen, runs), index, np.full(runs, float(index)), np.ones(runs))


def after_healthy_windows(runs: int, windows: int, seed: int, cap: float = math.inf, luck: float = 0.0) -> np.ndarray:
    """Shiryaev-Roberts statistics (not logarithms) of many agents; `luck` in nats favours the change unfairly."""
    rng, memory = np.random.default_rng(seed), empty_memory(1, runs)[0]
    for index in range(windows):
        add(memory, np.minimum(log_ratios(rng.normal(size=runs), SIZES / 2) + luck, cap), index)
    return np.exp(statistic(memory))


def windows_until(bar: float, runs: int, seed: int, cap: float = math.inf, luck: float = 0.0) -> np.ndarray:
    """How many healthy windows each agent has until its statistic reaches the bar, or 600."""
    rng, memory, until = np.random.default_rng(seed), empty_memory(1, runs)[0], np.full(runs, 600.0)
    for index in range(600):
        add(memory, np.minimum(log_ratios(rng.normal(size=runs)) + luck, cap), index)
        crossed = (statistic(memory) >= math.log(bar)) & (until == 600)
        until[crossed] = index + 1
    return until


def standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


@pytest.mark.parametrize("windows", [1, 5, 20, 40])
def test_while_healthy_the_mean_statistic_is_the_number_of_windows(windows: int) -> None:
    found = after_healthy_windows(runs=6000, windows=windows, seed=windows)
    assert abs(found.mean() - windows) < 4 * standard_error(found)
    assert standard_error(found) < 0.05 * windows


def test_that_mean_tells_an_unfair_bet_from_a_fair_one() -> None:
    found = after_healthy_windows(runs=6000, windows=20, seed=20, luck=0.05)
    assert found.mean() - 20 > 10 * standard_error(found)


def test_capped_ratios_never_raise_the_mean() -> None:
    found = after_healthy_windows(runs=6000, windows=20, seed=20, cap=0.1)
    assert found.mean() < 20 + 4 * standard_error(found)


@pytest.mark.parametrize("cap", [math.inf, 1.0])
def test_the_mean_time_to_a_false_alarm_is_at_least_the_bar(cap: float) -> None:
    bar = 50
    until = windows_until(bar, runs=4000, seed=1, cap=cap)
    assert until.mean() - 3 * standard_error(until) >= bar
    assert np.median(until) < 5 * bar


def test_that_time_tells_an_unfair_bet_from_a_fair_one() -> None:
    until = windows_until(50, runs=2000, seed=1, luck=0.08)
    assert until.mean() + 3 * standard_error(until) < 50


def test_a_change_is_reached_long_before_a_false_alarm() -> None:
    runs, rng = 1000, np.random.default_rng(2)
    memory, until = empty_memory(1, runs)[0], np.full(runs, 100.0)
    for index in range(100):
        add(memory, log_ratios(rng.normal(0.8, 1, runs)), index)
        crossed = (statistic(memory) >= math.log(1000)) & (until == 100)
        until[crossed] = index + 1
    assert np.median(until) < 25


def test_the_run_dates_the_change() -> None:
    runs, change, rng = 2000, 60, np.random.default_rng(3)
    memory = empty_memory(1, runs)[0]
    for index in range(change + 15):
        add(memory, log_ratios(rng.normal(1.5 if index >= change else 0.0, 1, runs), np.array([0.7, 1.5, 3.0])), index)
    began = memory["began"][:, 1]
    assert abs(np.median(began) - change) <= 1
    assert np.mean(np.abs(began - change) <= 3) > 0.8


Told = tuple[bool, float, float, float, float, float]
"""A window: whether it was seen, its log ratios, and what was observed and expected."""

MEASURED = st.lists(
    st.tuples(st.booleans(), *[st.floats(-6, 6)] * ALTERNATIVES, st.floats(0, 50), st.floats(0, 50)), max_size=25
)


def gathered(windows: list[Told]) -> np.ndarray:
    memory = empty_memory(1, 1)[0]
    for index, (seen, *ratios, observed, expected) in enumerate(windows):
        terms = np.array([observed]), np.array([expected])
        gather(memory, np.array([ratios]), np.array([seen]), index, *terms)
    return memory


@given(MEASURED)
def test_evidence_is_the_recursion_of_shiryaev_and_roberts(
    windows: list[Told],
):
    total = np.zeros(ALTERNATIVES)
    for seen, *ratios, _observed, _expected in windows:
        if seen:
            total = np.exp(ratios) * (total + 1)
    assert np.exp(statistic(gathered(windows)))[0] == pytest.approx(total.mean(), rel=1e-9)


@given(MEASURED)
def test_a_run_is_pages_cusum_with_the_sums_since_it_began(
    windows: list[Told],
) -> None:
    memory = gathered(windows)
    for size in range(ALTERNATIVES):
        told = [(row[1 + size] if row[0] else 0.0, row[4], row[5], row[0]) for row in windows]
        height, began = 0.0, None
        for index, (ratio, *_rest) in enumerate(told):
            began = index if height <= 0 < ratio else began
            height = max(height + ratio, 0.0)
            began = began if height > 0 else None
        members = [row for row in told[began:] if row[3]] if began is not None else []
        assert memory["run"][0, size] == pytest.approx(height, abs=1e-9)
        assert memory["began"][0, size] == (NEVER if began is None else began)
        assert memory["peak"][0, size] == (max(row[0] for row in members) if members else 0.0)
        assert memory["seen_in_run"][0, size] == pytest.approx(sum(row[1] for row in members))
        assert memory["expected_in_run"][0, size] == pytest.approx(sum(row[2] for row in members))


@given(MEASURED, st.integers(0, 5))
def test_windows_that_say_nothing_change_nothing(windows: list[Told], silent: int) -> None:
    memory = gathered(windows)
    before = memory.tobytes()
    for index in range(silent):
        gather(memory, np.full((1, 3), 5.0), np.array([False]), 100 + index, np.array([9.0]), np.array([9.0]))
    assert memory.tobytes() == before


@given(MEASURED.filter(len), st.data(), st.integers(1, ALTERNATIVES), st.floats(0, 3))
def test_more_evidence_in_any_window_never_makes_less_of_the_whole(
    windows: list[Told], data: st.DataObject, size: int, more: float
) -> None:
    place = data.draw(st.integers(0, len(windows) - 1))
    values = list(windows[place])
    values[size] += more
    stronger: list[Told] = [*windows[:place], tuple(values), *windows[place + 1 :]]  # type: ignore[list-item]
    assert statistic(gathered(stronger))[0] >= statistic(gathered(windows))[0] - 1e-9


@settings(max_examples=30)
@given(MEASURED)
def test_an_agent_whose_evidence_is_forgotten_is_as_one_that_was_never_seen(
    windows: list[Told],
) -> None:
    memory = gathered(windows)
    forget_evidence(memory, np.array([True]))
    assert memory.tobytes() == empty_memory(1, 1)[0].tobytes()


def test_one_agents_window_leaves_the_others_alone() -> None:
    memory = empty_memory(1, 3)[0]
    add(memory, np.full((3, 3), 2.0), 0)
    others = memory[[0, 2]].tobytes()
    add(memory, np.full((3, 3), 2.0), 1, np.array([False, True, False]))
    forget_evidence(memory, np.array([False, True, False]))
    assert memory[[0, 2]].tobytes() == others
