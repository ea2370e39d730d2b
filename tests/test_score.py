"""The score is 0 to 100, better where an agent does better, and its trend is what the windows show."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.fleet import ScoreWeights
from perf_pipeline.monitoring.score import TREND_WINDOWS, add_scores, score, trend
from perf_pipeline.tables import AGENT_METRICS
from tests.builders import Row, frame, metrics_row, shipped_fleet

FLEET = shipped_fleet()
ERRORS = FLEET.detection.error_spike
WEIGHTS = FLEET.score_weights

percents = st.floats(0, 100)
latencies = st.floats(0, 1e6) | st.just(math.nan)
rates = st.floats(0, 50)


@st.composite
def any_weights(draw: st.DrawFn) -> ScoreWeights:
    first, second = sorted((draw(percents), draw(percents)))
    return ScoreWeights(success=first, latency=second - first, errors=100 - second)


def score_of(
    success: float = 100,
    latency_ms: float = 4000,
    errors: float = 0,
    baseline_errors: float = 0.1,
    weights: ScoreWeights = WEIGHTS,
) -> float:
    """The score against an objective of 4 s."""
    return score(success, latency_ms, errors, baseline_errors, weights, 4000, ERRORS)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (score_of(), 100),
        (score_of(latency_ms=1), 100),
        (score_of(latency_ms=math.nan), 100),
        (score_of(latency_ms=8000), 87.5),
        (score_of(latency_ms=16000), 75),
        (score_of(latency_ms=900_000), 75),
        (score_of(errors=0.1), 100),
        (score_of(errors=0.15), 90),
        (score_of(errors=0.2), 80),
        (score_of(errors=7), 80),
        (score_of(errors=0.05, baseline_errors=0), 100),
        (score_of(errors=0.075, baseline_errors=0), 90),
        (score_of(success=50), 72.5),
        (score_of(success=0, latency_ms=16000, errors=1), 0),
    ],
)
def test_each_part_of_the_score_falls_as_it_is_declared(found: float, expected: float) -> None:
    assert found == pytest.approx(expected)


@settings(deadline=None)
@given(percents, latencies, rates, rates, any_weights())
def test_the_score_lies_between_0_and_100(
    success: float, latency: float, errors: float, baseline: float, weights: ScoreWeights
) -> None:
    assert 0 <= score_of(success, latency, errors, baseline, weights) <= 100


def test_weights_that_sum_to_100_only_roughly_do_not_carry_the_score_above_it() -> None:
    weights = ScoreWeights(success=55.0000005, latency=25, errors=20)
    assert score_of(weights=weights) == 100


@settings(deadline=None)
@given(st.tuples(percents, percents), st.floats(0, 1e6), rates, rates)
def test_more_success_never_scores_less(
    success: tuple[float, float], latency: float, errors: float, baseline: float
) -> None:
    worse, better = sorted(success)
    assert score_of(worse, latency, errors, baseline) <= score_of(better, latency, errors, baseline)


@settings(deadline=None)
@given(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), st.tuples(rates, rates), rates)
def test_more_latency_or_errors_never_score_more(
    latency: tuple[float, float], errors: tuple[float, float], baseline: float
) -> None:
    (fast, slow), (few, many) = sorted(latency), sorted(errors)
    assert score_of(latency_ms=slow, errors=few, baseline_errors=baseline) <= score_of(
        latency_ms=fast, errors=few, baseline_errors=baseline
    )
    assert score_of(errors=many, baseline_errors=baseline) <= score_of(errors=few, baseline_errors=baseline)


def test_a_weight_of_all_on_success_leaves_the_rest_out() -> None:
    only_success = ScoreWeights(success=100, latency=0, errors=0)
    assert score_of(success=40, latency_ms=1e9, errors=50, weights=only_success) == pytest.approx(40)


rising = np.arange(20.0)
noise = np.tile([70.0, 90.0], 10)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (rising[:7], "unknown"),
        ([], "unknown"),
        (rising[:8], "improving"),
        (rising[::-1], "degrading"),
        (np.full(20, 88.0), "stable"),
        (noise, "stable"),
        (noise + 3 * rising, "improving"),
        (noise - 3 * rising, "degrading"),
        (np.r_[np.full(19, 90.0), 0.0], "stable"),
        (np.r_[np.full(10, 90.0), np.full(10, 60.0)], "degrading"),
    ],
)
def test_the_trend_of_known_series_is_the_known_one(scores: np.ndarray, expected: str) -> None:
    assert trend(np.asarray(scores)) == expected


def scored(rows: list[Row], history: list[Row] | None = None) -> pd.DataFrame:
    metrics = frame(AGENT_METRICS, rows).drop(columns=["score", "trend"])
    return add_scores(metrics, frame(AGENT_METRICS, history or []), FLEET)


def test_a_window_is_scored_by_its_agents_own_objective() -> None:
    rows = [metrics_row("InboundAgent", latency_ms=8000), metrics_row("StrategyAgent", latency_ms=8000)]
    assert list(scored(rows)["score"]) == pytest.approx([87.5, 100])


def test_an_agent_outside_the_fleet_file_has_no_latency_objective_to_miss() -> None:
    assert scored([metrics_row("Stranger", latency_ms=1e9)])["score"].iloc[0] == 100


def test_an_idle_window_has_no_score() -> None:
    found = scored([metrics_row(tasks=0)])
    assert math.isnan(found["score"].iloc[0])
    assert found["trend"].iloc[0] == "unknown"


def test_the_trend_looks_back_from_each_window_over_complete_windows_of_its_agent() -> None:
    history = [metrics_row(number=number, score=float(number)) for number in range(7)]
    assert scored([metrics_row(number=7)], history)["trend"].iloc[0] == "improving"
    assert scored([metrics_row(number=7, complete=False)], history)["trend"].iloc[0] == "unknown"
    assert scored([metrics_row("AuditAgent", number=7)], history)["trend"].iloc[0] == "unknown"
    later = [metrics_row(number=number) for number in range(7, 20)]
    assert scored([*later, metrics_row(number=3)], history)["trend"].iloc[-1] == "unknown"


def test_the_trend_forgets_what_is_older_than_its_windows() -> None:
    history = [metrics_row(number=number, score=5.0 * number) for number in range(-5, 0)]
    history += [metrics_row(number=number, score=100.0) for number in range(TREND_WINDOWS - 1)]
    assert scored([metrics_row(number=TREND_WINDOWS - 1)], history)["trend"].iloc[0] == "stable"
