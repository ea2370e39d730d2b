"""Errors in spans and in logs: counts that follow the tasks, come in clumps, or come without any task."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nbinom

from perf_pipeline.monitoring.detectors.counts import CountModel
from tests.builders import metrics_row
from tests.metric_tables import (
    DAY,
    Change,
    Law,
    agents,
    events,
    judged,
    knowing,
    memory_after,
    metrics,
    observation,
    watch,
)

ERRORS = CountModel("errors", 0.15)
LOGS = CountModel("log_errors", 0.15, background=True)


def known_agents(count: int, rate: float = 0.1, tasks: float = 2000.0) -> np.ndarray:
    """Agents known by so many tasks, ten a window, whose errors are independent of each other."""
    windows = tasks / 10
    weight = windows * (1 + 10 * rate) ** -2
    return knowing(
        ERRORS,
        count,
        count=rate * tasks,
        tasks=tasks,
        windows=windows,
        count_tasks=rate * tasks * 10,
        tasks_squared=tasks * 10,
        spread=rate * tasks,
        clump=weight,
        clump_shared=weight * 10 * rate,
        shared=weight * (10 * rate) ** 2,
    )


@given(st.integers(1, 40), st.floats(0.01, 1.0), st.floats(50, 5000))
def test_the_ratios_are_a_fair_bet_at_the_worst_healthy_mean_and_a_bad_one_below(
    tasks: int, rate: float, known: float
) -> None:
    counts = np.arange(2000)
    memory = known_agents(len(counts), rate, known)
    ratios = judged(ERRORS, memory, observation(agents=len(counts), tasks=tasks, errors=counts)).log_ratios
    learnt, _, error, clumps, shared = (values[0] for values in ERRORS.baseline(memory))
    mean = max(learnt * tasks, 0.03 * tasks)
    shape = 1 / (clumps / mean + shared)

    def mean_ratios(truth: float) -> np.ndarray:
        chances = nbinom.logpmf(counts, shape, shape / (shape + truth))
        return np.exp(chances[:, None] + ratios).sum(axis=0)

    # What is left of the sum beyond the counts looked at is next to nothing for these means.
    assert mean_ratios(mean * (1 + error)) == pytest.approx(np.ones(3), rel=1e-3)
    assert (mean_ratios(mean) <= 1.001).all()


@given(st.integers(1, 40), st.floats(0.0, 1.0))
def test_each_error_more_is_more_evidence(tasks: int, rate: float) -> None:
    seen = observation(agents=60, tasks=tasks, errors=np.arange(60))
    assert (np.diff(judged(ERRORS, known_agents(60, rate), seen).log_ratios, axis=0) > 0).all()


@given(st.integers(1, 40), st.floats(0.05, 1.0))
def test_no_more_errors_than_usual_are_no_evidence(tasks: int, rate: float) -> None:
    memory = known_agents(1, rate)
    usual = np.floor(float(ERRORS.baseline(memory)[0][0]) * tasks)
    assert (judged(ERRORS, memory, observation(tasks=tasks, errors=usual)).log_ratios <= 0).all()


def test_without_tasks_span_errors_say_nothing_and_log_errors_do() -> None:
    seen = observation(tasks=0, errors=3, log_errors=3)
    assert not judged(ERRORS, known_agents(1), seen).seen.any()
    assert judged(LOGS, known_agents(1), seen).seen.all()


@pytest.mark.parametrize("model", [ERRORS, LOGS])
def test_what_was_not_counted_is_not_judged(model: CountModel) -> None:
    told = judged(model, known_agents(1), observation(tasks=10))
    assert not told.seen.any()
    assert told.residual[0] == 0


# What is learnt


def learnt_logs(law: Law) -> tuple[float, float]:
    """Log errors a task, and log errors a window without tasks; the median of some agents."""
    memory = memory_after(agents(law, range(8 * DAY), 21, count=8), {"log_error_spike"})
    rate, base, *_ = LOGS.baseline(memory.records[0])
    return float(np.median(rate)), float(np.median(base))


def test_errors_that_come_with_tasks_are_told_from_those_that_come_anyway() -> None:
    varied = {"day_amplitude": 0.9, "tasks": 10.0}
    with_tasks = learnt_logs(Law(log_errors=0.3, **varied))
    anyway = learnt_logs(Law(log_errors=0.0, log_background=2.0, **varied))
    both = learnt_logs(Law(log_errors=0.2, log_background=1.0, **varied))
    assert with_tasks == pytest.approx((0.3, 0.0), abs=0.15)
    assert anyway == pytest.approx((0.0, 2.0), abs=0.3)
    assert both == pytest.approx((0.2, 1.0), abs=0.3)
    assert anyway[0] < both[0] < with_tasks[0]


def test_background_errors_at_night_are_no_spike() -> None:
    law = Law(day_amplitude=1.0, log_errors=0.0, log_background=2.0)
    said = watch(agents(law, range(8 * DAY), 22, count=6), {"log_error_spike"})
    assert not said["event"].any()


def test_a_storm_in_the_logs_of_an_idle_agent_is_found() -> None:
    past = [
        metrics_row(number=number, tasks=number % 7 if number < -DAY else 0, log_errors=number % 2)
        for number in range(-4 * DAY, 0)
    ]
    storm = [metrics_row(number=number, tasks=0, log_errors=20) for number in range(3)]
    (opened,) = events(watch(metrics(*past, *storm), {"log_error_spike"}))
    assert opened in ((0, "OPENED"), (1, "OPENED"))


def test_errors_that_agents_recover_from_are_part_of_the_baseline() -> None:
    law = Law(success=0.95, recovered_errors=1.5)
    said = watch(agents(law, range(8 * DAY), 23, count=6), {"error_spike"})
    assert not said["event"].any()
    late = said[said["number"] >= 6 * DAY]
    assert late["expected"].median() == pytest.approx(1.55, abs=0.2)


def test_more_recovered_errors_are_an_error_spike_and_no_drop_of_success() -> None:
    law, spike = Law(success=0.95, recovered_errors=0.3), [Change(0, 12, errors=5.0)]
    table = agents(law, range(-6 * DAY, 12), 24, count=6, changes=spike)
    said = watch(table, {"error_spike", "success_drop"}, since=-5 * DAY)
    assert set(said.loc[said["event"] > 0, "finding"]) == {"error_spike"}
    opened = said[said["event"] == 1].drop_duplicates("agent")
    assert len(opened) == 6
    assert (opened["number"].between(0, 4)).all()
    assert opened["effect"].between(2.5, 9).all()


def test_one_error_more_of_a_quiet_agent_alarms_nobody() -> None:
    past = [metrics_row(number=number, tasks=10) for number in range(-6 * DAY, 0)]
    few = [metrics_row(number=number, tasks=10, successes=9, errors=1) for number in range(2)]
    many = [metrics_row(number=number, tasks=10, successes=2, errors=8) for number in range(2)]
    memory = memory_after(metrics(*past), {"error_spike"})
    assert not watch(metrics(*few), {"error_spike"}, memory)["event"].any()
    assert watch(metrics(*many), {"error_spike"}, memory)["event"].any()


def test_errors_that_come_in_clumps_are_learnt_as_such_and_say_less() -> None:
    def learnt(clump: int) -> tuple[float, float]:
        """The dispersion, and the most that a window of 12 errors says, where errors come `clump` at a time."""
        rng = np.random.default_rng(25)
        rows = [
            metrics_row(number=number, tasks=10, errors=clump * int(rng.poisson(2 / clump)))
            for number in range(-6 * DAY, 0)
        ]
        memory = memory_after(metrics(*rows), {"error_spike"}).records[0]
        _, _, _, clumps, shared = ERRORS.baseline(memory)
        seen = observation(tasks=10, errors=12)
        return float(clumps[0] + 2 * shared[0]), float(judged(ERRORS, memory, seen).log_ratios.max())

    (single, single_evidence), (clumped, clumped_evidence) = learnt(1), learnt(4)
    assert single < 0.5
    assert clumped == pytest.approx(3, rel=0.4)
    assert clumped_evidence < single_evidence / 2


def test_a_single_burst_hardly_moves_the_baseline() -> None:
    past = [metrics_row(number=number, tasks=10, successes=9, errors=1) for number in range(-5 * DAY, 0)]
    memory = memory_after(metrics(*past), {"error_spike"})
    burst = memory_after(metrics(metrics_row(number=0, tasks=10, errors=500)), {"error_spike"}, memory)
    quiet = metrics(*(metrics_row(number=number, tasks=10, successes=9, errors=1) for number in range(1, 8)))
    after = memory_after(quiet, {"error_spike"}, burst)
    before, now = (float(ERRORS.baseline(one.records[0])[0][0]) for one in (memory, after))
    assert before == pytest.approx(0.1, abs=0.01)
    assert now == pytest.approx(before, abs=0.01)
