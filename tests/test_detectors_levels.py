"""Latency, cost, tokens and the score: means that vary between windows, within them, and over the day."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perf_pipeline.monitoring.detectors.levels import COST, LATENCY, SCORE, TOKENS, LevelModel, LevelSettings
from tests.builders import START, Row, metrics_row
from tests.metric_tables import DAY, Change, Law, agents, judged, knowing, memory_after, metrics, observation, watch

LATENCY_MODEL, SCORE_MODEL = LevelModel(LATENCY), LevelModel(SCORE)


def known_agents(model: LevelModel, count: int, level: float, between: float, within: float, windows: float = 200.0):
    """Agents known by so many windows of ten tasks; deviations between windows and of single tasks."""
    variance = between**2 + within**2 / 10
    weight = windows * (10 / 14) ** 2
    return knowing(
        model,
        count,
        precision=windows / variance,
        level=level * windows / variance,
        windows=windows,
        precision_squared=windows / variance,
        within=within**2 * windows * 9,
        within_weight=windows * 9,
        s_1=weight,
        s_n=weight / 10,
        s_nn=weight / 100,
        r_1=weight * variance,
        r_n=weight * variance / 10,
    )


def healthy_variance(model: LevelModel, memory: np.ndarray, tasks: int) -> tuple[float, float, float]:
    level, error, between, within = (float(values[0]) for values in model.baseline(memory))
    return level, error, between + within / tasks


@given(st.integers(1, 40), st.floats(0.05, 0.4), st.floats(0.1, 1.0), st.floats(10, 500))
def test_the_ratios_are_a_fair_bet_at_the_worst_healthy_level_and_a_bad_one_at_better_levels(
    tasks: int, between: float, within: float, windows: float
) -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    count = len(nodes)
    memory = known_agents(LATENCY_MODEL, count, math.log(1000), between, within, windows)
    level, error, variance = healthy_variance(LATENCY_MODEL, memory, tasks)

    def mean_ratios(truth: float) -> np.ndarray:
        values = truth + nodes * math.sqrt(variance)
        seen = observation(agents=count, tasks=tasks, latency_log_mean=values, latency_log_sd=within)
        shift = np.array(LATENCY.sizes) / math.sqrt(variance)
        ratios = judged(LATENCY_MODEL, memory, seen).log_ratios[:, shift < 8]
        return (weights / weights.sum()) @ np.exp(ratios)

    assert mean_ratios(level + error) == pytest.approx(1, rel=1e-4)
    assert (mean_ratios(level) <= 1.0001).all()


@pytest.mark.parametrize(("model", "worse"), [(LATENCY_MODEL, 1), (SCORE_MODEL, -1)])
def test_worse_is_more_evidence_and_better_is_none(model: LevelModel, worse: int) -> None:
    level, step = (math.log(1000), 0.05) if worse > 0 else (85.0, 2.0)
    values = level + worse * step * np.arange(-20, 21)
    memory = known_agents(model, len(values), level, 2 * step, 5 * step)
    seen = observation(agents=len(values), tasks=10, **{model.settings.field: values}, latency_log_sd=5 * step)
    ratios = judged(model, memory, seen).log_ratios
    assert (np.diff(ratios, axis=0) > 0).all()
    assert (ratios[:21] < 0).all()
    assert (ratios[-1] > 0).all()


# Latency


@pytest.mark.parametrize(("between", "within"), [(0.05, 0.3), (0.1, 0.8), (0.3, 0.6)])
def test_spread_between_windows_and_within_them_is_learnt(between: float, within: float) -> None:
    law = Law(latency_between=between, latency_within=within)
    memory = memory_after(agents(law, range(8 * DAY), 31, count=10), {"latency_increase"})
    level, _, between_variance, within_variance = LATENCY_MODEL.baseline(memory.records[0])
    assert np.median(level) == pytest.approx(math.log(1000), abs=0.05)
    assert np.sqrt(np.median(within_variance)) == pytest.approx(within, rel=0.1)
    assert np.sqrt(np.median(between_variance)) == pytest.approx(between, rel=0.35)


def test_spread_within_is_learnt_from_numbers_of_tasks_where_nobody_measured_it() -> None:
    law = Law(latency_between=0.1, latency_within=0.8, traffic_dispersion=1.0)
    table = agents(law, range(12 * DAY), 32, count=10).assign(latency_log_sd=np.nan)
    _, _, between, within = LATENCY_MODEL.baseline(memory_after(table, {"latency_increase"}).records[0])
    assert np.sqrt(np.median(within)) == pytest.approx(0.8, rel=0.3)
    assert np.sqrt(np.median(between)) < 0.3


def test_a_window_of_few_tasks_says_less() -> None:
    slow: dict[str, Any] = {"latency_log_mean": math.log(2000), "latency_log_sd": 0.6}
    memory = known_agents(LATENCY_MODEL, 1, math.log(1000), 0.1, 0.6)
    one, ten, hundred = (
        judged(LATENCY_MODEL, memory, observation(tasks=tasks, **slow)).log_ratios.max() for tasks in (1, 10, 100)
    )
    assert 0 < one < ten < hundred


def slow_windows(times: float, windows: int, tasks: int = 10) -> pd.DataFrame:
    return metrics(*(metrics_row(number=number, tasks=tasks, latency_ms=1000 * times) for number in range(windows)))


def ordinary_past(tasks: int = 10) -> pd.DataFrame:
    """Days in which latencies go up and down a little."""
    return metrics(
        *(
            metrics_row(number=number, tasks=tasks, latency_ms=(900.0, 1100.0, 1000.0)[number % 3])
            for number in range(-4 * DAY, 0)
        )
    )


@pytest.mark.parametrize("tasks", [1, 2, 10])
def test_one_slow_task_in_one_window_is_no_finding(tasks: int) -> None:
    past = memory_after(ordinary_past(tasks), {"latency_increase"})
    one_slow = slow_windows(30 ** (1 / tasks), 1, tasks)
    after = metrics(*(metrics_row(number=number, tasks=tasks) for number in range(1, 6)))
    assert not watch(pd.concat([one_slow, after]), {"latency_increase"}, past)["event"].any()


def test_a_lasting_slowdown_is_found_at_its_second_window_with_its_size() -> None:
    past = memory_after(ordinary_past(), {"latency_increase"})
    said = watch(slow_windows(2.2, 3), {"latency_increase"}, past)
    (opened,) = said[said["event"] > 0].to_dict("records")
    assert opened["number"] <= 1
    assert opened["onset"] == 0
    assert opened["effect"] == pytest.approx(2.2, rel=0.1)
    assert opened["severity"] == 2


def test_getting_faster_is_no_finding() -> None:
    past = memory_after(ordinary_past(), {"latency_increase"})
    assert not watch(slow_windows(0.3, 10), {"latency_increase"}, past)["event"].any()


def test_the_slow_hour_of_the_day_is_learnt() -> None:
    law = Law(latency_between=0.05)
    table = agents(law, range(-12 * DAY, 2 * DAY), 33, count=6)
    at_three = table["window_start"].dt.hour == 3
    table["latency_log_mean"] += np.where(at_three, math.log(1.4), 0.0)
    said = watch(table, {"latency_increase"})
    late = said[said["number"] >= 0]
    assert not late["event"].any()
    clock = (late["number"] + START.hour * 2) % DAY // 2
    slow, usual = (late.loc[clock == hour, "expected"].mean() for hour in (3, 15))
    assert 1.25 < slow / usual < 1.45


def test_what_that_hour_does_at_another_is_a_finding() -> None:
    law = Law(latency_between=0.05, latency_within=0.3)
    past = agents(law, range(-12 * DAY, 0), 34)
    past["latency_log_mean"] += np.where(past["window_start"].dt.hour == 3, math.log(1.4), 0.0)
    memory = memory_after(past, {"latency_increase"})
    slow = agents(law, range(8), 35, changes=[Change(0, 8, latency=1.4)])
    assert watch(slow, {"latency_increase"}, memory)["event"].any()


def test_nothing_is_expected_of_an_agent_before_its_first_window() -> None:
    told = judged(LATENCY_MODEL, knowing(LATENCY_MODEL, 1), observation(tasks=0))
    assert not told.seen.any()
    assert np.isfinite(told.log_ratios[~told.seen[:, None].repeat(3, 1)]).all()
    first = judged(
        LATENCY_MODEL, knowing(LATENCY_MODEL, 1), observation(tasks=4, latency_log_mean=9.0, latency_log_sd=0.5)
    )
    assert first.residual[0] == 0
    assert first.expected[0] == pytest.approx(math.exp(9))


# Cost and tokens


@pytest.mark.parametrize("settings", [COST, TOKENS])
@pytest.mark.parametrize("total", [np.nan, 0.0])
def test_cost_and_tokens_that_are_missing_or_zero_say_nothing(settings: LevelSettings, total: float) -> None:
    model = LevelModel(settings)
    measured: dict[str, Any] = {settings.field: total}
    told = judged(model, known_agents(model, 1, 0.0, 0.1, 0.5), observation(tasks=10, **measured))
    assert not told.seen.any()
    assert np.isfinite(told.log_ratios).all()
    assert np.isfinite(told.increments).all()


def test_an_agent_whose_tokens_come_and_go_is_judged_where_they_are() -> None:
    def row(number: int, tokens: float | None) -> Row:
        cost = np.nan if tokens is None else tokens * 1e-5
        return metrics_row(number=number, tasks=10, total_tokens=tokens, cost_usd=cost)

    past = [row(number, (19000, 0, 21000, None)[number % 4]) for number in range(-4 * DAY, 0)]
    dear = [row(number, 80000) for number in range(3)]
    said = watch(metrics(*past, *dear), {"token_spike", "cost_spike"})
    said = said[said["event"] > 0]
    assert set(said["finding"]) == {"token_spike", "cost_spike"}
    assert set(said["number"]) == {1}
    assert said["effect"].tolist() == pytest.approx([4, 4], rel=0.15)


def test_tokens_that_grow_with_the_tasks_are_no_spike() -> None:
    law = Law(day_amplitude=0.9, traffic_dispersion=0.5)
    said = watch(agents(law, range(6 * DAY), 36, count=6), {"token_spike", "cost_spike"})
    assert not said["event"].any()


def test_a_dearer_model_is_a_cost_spike_and_no_token_spike() -> None:
    table = agents(Law(), range(-5 * DAY, 10), 37, count=4, changes=[Change(0, 10, cost=3.0)])
    said = watch(table, {"token_spike", "cost_spike"})
    said = said[said["event"] == 1]
    assert set(said["finding"]) == {"cost_spike"}
    assert said["agent"].nunique() == 4
    assert (said.drop_duplicates("agent")["number"] <= 3).all()


# The score


def test_a_fall_of_the_score_is_found_and_a_rise_is_not() -> None:
    past = agents(Law(), range(-5 * DAY, 0), 38, count=4)
    memory = memory_after(past, {"score_drop"})
    worse = agents(Law(score=60.0), range(10), 39, count=4)
    better = agents(Law(score=99.0), range(10), 39, count=4)
    said = watch(worse, {"score_drop"}, memory)
    opened = said[said["event"] == 1]
    assert opened["agent"].nunique() == 4
    assert opened["effect"].mean() == pytest.approx(25, abs=6)
    assert not watch(better, {"score_drop"}, memory)["event"].any()


def test_without_a_score_nothing_is_said_of_it() -> None:
    past = memory_after(agents(Law(), range(-5 * DAY, 0), 40), {"score_drop"})
    unscored = metrics(*(metrics_row("agent-00", number, tasks=0) for number in range(10)))
    said = watch(unscored, {"score_drop"}, past)
    assert not said["seen"].any()
    assert said["evidence"].nunique() == 1
