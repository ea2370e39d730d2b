"""What an agent is expected to do, from its own history."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from perf_pipeline.fleet import DetectionPolicy

BASELINE_COLUMNS = [
    "baseline_tasks",
    "baseline_success_rate",
    "baseline_errors_per_task",
    "baseline_log_mean",
    "baseline_log_sd",
]


def add_baselines(observed: pd.DataFrame, history: pd.DataFrame, policy: DetectionPolicy) -> pd.DataFrame:
    """`observed` with the columns `baseline_*` of `tables.AGENT_METRICS`.

    Each window is compared with the complete windows of the same agent in the `baseline_days` before it, from
    `history` and from the earlier windows of `observed`; all their tasks are pooled. With fewer than
    `min_baseline_tasks` tasks there is no baseline yet: success falls back to `assumed_success_rate`, errors to
    the failures that this rate implies, latency to nothing.
    """
    known = pd.concat([history[observed.columns.intersection(history.columns)], observed], ignore_index=True)
    known = known[known["complete"] & (known["tasks"] > 0)]
    rows = [
        _baseline(known[known["agent"] == agent], window_start, policy)
        for agent, window_start in zip(observed["agent"], observed["window_start"], strict=True)
    ]
    baselines = pd.DataFrame(rows, columns=BASELINE_COLUMNS, index=observed.index)
    return pd.concat([observed, baselines], axis=1)


def _baseline(known: pd.DataFrame, window_start: pd.Timestamp, policy: DetectionPolicy) -> list[float]:
    since = window_start - timedelta(days=policy.baseline_days)
    past = known[(known["window_start"] >= since) & (known["window_start"] < window_start)]
    tasks = int(past["tasks"].sum())
    if tasks < policy.min_baseline_tasks:
        assumed = policy.assumed_success_rate
        return [tasks, assumed, 1 - assumed / 100, np.nan, np.nan]
    mean, deviation = _pooled_moments(past)
    return [
        tasks,
        100 * past["successes"].sum() / tasks,
        past["error_count"].sum() / tasks,
        mean,
        deviation,
    ]


def _pooled_moments(past: pd.DataFrame) -> tuple[float, float]:
    """Mean and sample deviation of all tasks' log latency, from each window's: within plus between windows."""
    measured = past[past["latency_log_mean"].notna()]
    weights = measured["tasks"].to_numpy(dtype=float)
    if not weights.sum():
        return np.nan, np.nan
    means = measured["latency_log_mean"].to_numpy(dtype=float)
    within = np.nan_to_num(measured["latency_log_sd"].to_numpy(dtype=float)) ** 2
    mean = np.average(means, weights=weights)
    squares = np.sum((weights - 1) * within + weights * (means - mean) ** 2)
    return float(mean), float(np.sqrt(squares / max(weights.sum() - 1, 1)))
