"""The performance score, 0 to 100, and its trend.

Score: `w_success · s + w_latency · l + w_errors · e` with weights that sum to 100 and each part in 0..1:
s is the success rate; l is 1 where the median latency is at or under the agent's objective, and falls with its
logarithm to 0 at four times the objective; e is 1 where errors per task are at or under the baseline, and falls
linearly to 0 at the rate that counts as a spike. A metric of fleet.yaml with a weight adds its part beside these 100,
and the sum is scaled to 100; where it has no value in a window, it is left out. Trend: Theil-Sen slope with the
Mann-Kendall test (Kendall's tau against time), as scipy computes them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from perf_pipeline.fleet import FleetConfig, ScoreWeights
from perf_pipeline.fleet_detection import RatioPolicy
from perf_pipeline.monitoring.custom_metrics import score_parts

TREND_WINDOWS = 48
TREND_REACH = 2 * TREND_WINDOWS
"""So many windows back the scores of a trend are looked for: idle windows have none."""

MIN_TREND_WINDOWS = 8
TREND_P_VALUE = 0.05

FLOOR_ERRORS_PER_TASK = 0.05
"""A baseline below one error in twenty tasks is not told apart from it: one more error must not cost the score."""


def score(
    success_rate: float,
    latency_p50_ms: float,
    errors_per_task: float,
    baseline_errors_per_task: float,
    weights: ScoreWeights,
    latency_objective_ms: float,
    error_policy: RatioPolicy,
    custom: Sequence[tuple[float, float]] = (),
) -> float:
    """The score of one window. `success_rate` in percent; NaN latency counts as unmeasured and costs nothing.

    `custom` are weights and parts of the metrics of fleet.yaml that were measured (`custom_metrics.score_parts`).
    """
    success = success_rate / 100
    ratio = latency_p50_ms / latency_objective_ms
    latency = 1.0 if math.isnan(ratio) or ratio <= 1 else max(0.0, 1 - math.log(ratio) / math.log(4))
    expected = max(baseline_errors_per_task, FLOOR_ERRORS_PER_TASK)
    excess = (errors_per_task - expected) / (expected * (error_policy.min_ratio - 1))
    errors = min(1.0, max(0.0, 1 - excess))
    built_in = weights.success * success + weights.latency * latency + weights.errors * errors
    added = sum(weight * part for weight, part in custom)
    # Weights that sum to 100 only up to rounding must not carry a perfect window above it.
    return min(100.0, 100 * (built_in + added) / (100 + sum(weight for weight, _ in custom)))


def add_scores(metrics: pd.DataFrame, history: pd.DataFrame, fleet: FleetConfig) -> pd.DataFrame:
    """`metrics` (observed columns and baselines, and those of `with_custom_metrics`) with `score` and `trend`; missing
    where there were no tasks."""
    scored = metrics.assign(score=[_score_of(row, fleet) for _, row in metrics.iterrows()])
    scored["score"] = scored["score"].astype("float64")
    columns = ["agent", "window_start", "score", "complete"]
    known = pd.concat([history[columns], scored[columns]], ignore_index=True)
    known = known[known["complete"] & known["score"].notna()].sort_values("window_start")
    by_agent = dict(list(known.groupby("agent")))
    scored["trend"] = [
        trend(_latest_scores(by_agent.get(agent, known[:0]), window_start))
        for agent, window_start in zip(scored["agent"], scored["window_start"], strict=True)
    ]
    return scored


def _latest_scores(known: pd.DataFrame, window_start: pd.Timestamp) -> np.ndarray:
    return known[known["window_start"] <= window_start]["score"].tail(TREND_WINDOWS).to_numpy(dtype=float)


def _score_of(row: pd.Series, fleet: FleetConfig) -> float:
    agent = fleet.agent(row["agent"])
    if row["tasks"] == 0:
        return math.nan
    return score(
        float(row["success_rate"]),
        float(row["latency_p50_ms"]),
        float(row["error_count"] / row["tasks"]),
        float(row["baseline_errors_per_task"]),
        fleet.weights(agent),
        agent.latency_objective_ms if agent else math.inf,
        fleet.detection.error_spike,
        score_parts({str(name): value for name, value in row.items()}, str(row["agent"]), fleet.metrics),
    )


def trend(scores: np.ndarray) -> str:
    """improving, stable or degrading over the given scores, oldest first; unknown below eight of them."""
    if len(scores) < MIN_TREND_WINDOWS:
        return "unknown"
    if np.ptp(scores) == 0:
        return "stable"
    from scipy import stats

    positions = np.arange(len(scores))
    if stats.kendalltau(positions, scores).pvalue >= TREND_P_VALUE:  # pyright: ignore[reportAttributeAccessIssue]
        return "stable"
    slope = stats.theilslopes(scores, positions).slope  # pyright: ignore[reportAttributeAccessIssue]
    if slope == 0:
        return "stable"
    return "improving" if slope > 0 else "degrading"
