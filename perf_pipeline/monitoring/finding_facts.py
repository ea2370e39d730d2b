"""The figures of a finding since it began, summed up from the detector's verdicts window by window."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from perf_pipeline.fleet_detection import DropPolicy, RatioPolicy, RisePolicy, Rule


@dataclass(frozen=True)
class Facts:
    """What happened to a metric in the windows from `onset` to `until`, both included.

    `observed` and `baseline` are means over these windows, in the metric's unit; `total` and `expected_total` are
    sums: of successes, errors or tasks (NaN for a metric that counts nothing). `effect` with its 95 % interval and
    `evidence_nats` are those of the window `until`.
    """

    onset: datetime
    until: datetime
    observed: float
    baseline: float
    total: float
    expected_total: float
    tasks: int
    effect: float
    effect_low: float
    effect_high: float
    evidence_nats: float


def facts_of(row: Mapping[Hashable, Any], past: pd.DataFrame, rule: Rule) -> Facts:
    """The facts of the finding in `row` of `tables.DETECTOR_STATES`; `past` are the rows of its agent and type.

    While a finding recovers, and when it is over, they are those of the last window in which it showed.
    """
    shown = row
    if row["phase"] != "pending":
        earlier = past[
            (past["opened"] == row["opened"])
            & (past["window_start"] <= row["window_start"])
            & (past["phase"] == "open")
            & (past["effect"] >= least_effect(rule))
        ]
        shown = earlier.iloc[-1].to_dict() if len(earlier) else row
    onset = shown["window_start"] if pd.isna(shown["onset"]) else shown["onset"]
    since = past[(past["window_start"] >= onset) & (past["window_start"] <= shown["window_start"])]
    seen = since[since["value"].notna()]
    observed, total = _summed(str(row["metric"]), seen["value"], seen["tasks"])
    baseline, expected_total = _summed(str(row["metric"]), seen["expected"], seen["tasks"])
    return Facts(
        onset=onset.to_pydatetime(),
        until=shown["window_start"].to_pydatetime(),
        observed=observed,
        baseline=baseline,
        total=total,
        expected_total=expected_total,
        tasks=int(seen["tasks"].sum()),
        effect=float(shown["effect"]),
        effect_low=float(shown["effect_low"]),
        effect_high=float(shown["effect_high"]),
        evidence_nats=float(shown["evidence_nats"]),
    )


def least_effect(rule: Rule) -> float:
    """The smallest change that matters: so many points, times, or units of the metric."""
    if isinstance(rule, DropPolicy):
        return rule.min_drop
    if isinstance(rule, RisePolicy):
        return rule.min_rise
    return rule.min_ratio if isinstance(rule, RatioPolicy) else rule.min_change


def _summed(metric: str, values: pd.Series, tasks: pd.Series) -> tuple[float, float]:
    """Mean and sum over windows; the mean of what is measured a task weighs every task alike."""
    numbers, weights = values.to_numpy(dtype=float), np.maximum(tasks.to_numpy(dtype=float), 1.0)
    if not len(numbers):
        return np.nan, np.nan
    if metric == "tasks":
        return float(numbers.mean()), float(numbers.sum())
    if metric == "latency":
        return float(np.exp(np.average(np.log(numbers), weights=weights))), np.nan
    mean = float(np.average(numbers, weights=weights))
    rates = ("errors_per_task", "log_errors", "unseen_errors")
    shares = ("success_rate", "unnoticed_failures", "missing_traces")
    total = mean if metric in rates else mean / 100 if metric in shares else np.nan
    return mean, total * float(weights.sum())
