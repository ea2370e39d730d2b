"""A window is compared with the complete windows of the same agent before it, and with nothing else."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.monitoring.baselines import BASELINE_COLUMNS, add_baselines
from perf_pipeline.tables import AGENT_METRICS
from tests.builders import Row, frame, metrics_row, shipped_fleet

POLICY = shipped_fleet().detection
WEEK = 7 * 48


def metrics(*rows: Row) -> pd.DataFrame:
    return frame(AGENT_METRICS, rows)


def baseline_of(current: Row, *history: Row, earlier: tuple[Row, ...] = ()) -> pd.Series:
    """The baseline of `current`, with `history` from the lake and `earlier` windows of the same run."""
    run = metrics(*earlier, current).drop(columns=[*BASELINE_COLUMNS, "score", "trend"])
    return add_baselines(run, metrics(*history), POLICY).iloc[-1]


def test_all_tasks_of_the_windows_before_are_pooled() -> None:
    found = baseline_of(
        metrics_row(number=9, tasks=5, successes=0, errors=5),
        metrics_row(number=1, tasks=30, successes=30, errors=0),
        metrics_row(number=2, tasks=10, successes=0, errors=20),
    )
    assert found["baseline_tasks"] == 40
    assert found["baseline_success_rate"] == pytest.approx(75)
    assert found["baseline_errors_per_task"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    "ignored",
    [
        metrics_row(number=5, tasks=100, successes=0, complete=False),
        metrics_row(number=9, tasks=100, successes=0),
        metrics_row(number=10, tasks=100, successes=0),
        metrics_row(agent="AuditAgent", number=5, tasks=100, successes=0),
        metrics_row(number=9 - WEEK - 1, tasks=100, successes=0),
        metrics_row(number=5, tasks=0),
    ],
    ids=["incomplete", "the window itself", "the future", "another agent", "too long ago", "idle"],
)
def test_other_windows_do_not_count(ignored: Row) -> None:
    found = baseline_of(metrics_row(number=9), metrics_row(number=1, tasks=40, successes=30), ignored)
    assert found["baseline_tasks"] == 40
    assert found["baseline_success_rate"] == pytest.approx(75)


def test_history_reaches_back_for_exactly_the_baseline_days() -> None:
    found = baseline_of(metrics_row(number=WEEK), metrics_row(number=0, tasks=25), metrics_row(number=-1, tasks=50))
    assert found["baseline_tasks"] == 25


def test_a_window_of_the_run_does_not_count_for_itself_but_for_the_later_ones() -> None:
    run = metrics(
        metrics_row(number=0, tasks=40, successes=20),
        metrics_row(number=1, tasks=40, successes=0),
        metrics_row(number=2, tasks=40, successes=0, complete=False),
        metrics_row(number=3, tasks=40, successes=0),
    ).drop(columns=[*BASELINE_COLUMNS, "score", "trend"])
    found = add_baselines(run, AGENT_METRICS.empty(), POLICY)
    assert list(found["baseline_tasks"]) == [0, 40, 80, 80]
    assert list(found["baseline_success_rate"]) == [85, 50, 25, 25]


def test_without_enough_tasks_success_and_errors_are_assumed_and_latency_is_not() -> None:
    few = metrics_row(number=1, tasks=POLICY.min_baseline_tasks - 1, successes=0, errors=19)
    found = baseline_of(metrics_row(number=9), few)
    assert found["baseline_tasks"] == 19
    assert found["baseline_success_rate"] == POLICY.assumed_success_rate
    assert found["baseline_errors_per_task"] == pytest.approx(0.15)
    assert math.isnan(found["baseline_log_mean"])
    assert math.isnan(found["baseline_log_sd"])
    enough = metrics_row(number=1, tasks=POLICY.min_baseline_tasks, successes=0)
    assert baseline_of(metrics_row(number=9), enough)["baseline_success_rate"] == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.floats(1, 1e5), min_size=1, max_size=12), min_size=1, max_size=8))
def test_latency_has_the_mean_and_deviation_of_all_the_tasks_together(windows: list[list[float]]) -> None:
    logarithms = [np.log(window) for window in windows]
    history: list[dict[str, Any]] = [
        metrics_row(
            number=number,
            tasks=len(own),
            latency_log_mean=own.mean(),
            latency_log_sd=own.std(ddof=1) if len(own) > 1 else math.nan,
        )
        for number, own in enumerate(logarithms)
    ]
    filler = metrics_row(number=20, tasks=POLICY.min_baseline_tasks, latency_log_mean=math.nan)
    found = baseline_of(metrics_row(number=30), *history, filler)
    together = np.concatenate(logarithms)
    assert found["baseline_log_mean"] == pytest.approx(together.mean())
    assert found["baseline_log_sd"] == pytest.approx(together.std(ddof=1) if len(together) > 1 else 0, abs=1e-7)


def test_tasks_whose_latency_was_never_measured_give_no_latency_baseline() -> None:
    unmeasured = metrics_row(number=1, tasks=40, latency_log_mean=math.nan, latency_log_sd=math.nan)
    found = baseline_of(metrics_row(number=9), unmeasured)
    assert found["baseline_success_rate"] == 100
    assert math.isnan(found["baseline_log_mean"])
