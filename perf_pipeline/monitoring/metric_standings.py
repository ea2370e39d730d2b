"""How the metrics of fleet.yaml stood in a day or a week: against their objectives, and the time before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perf_pipeline.fleet_detection import ChangePolicy
from perf_pipeline.fleet_metrics import MetricConfig
from perf_pipeline.monitoring.windows import Window


@dataclass(frozen=True)
class MetricStanding:
    """`value` and `before` are means over agents and windows, weighted by tasks, in the metric's `unit`; NaN where
    there was none. `worst` is the agent that did worst and its value, where there are several. `moved` says that the
    mean changed by what `detection` calls the smallest change that matters, for better or worse."""

    name: str
    unit: str
    value: float
    before: float
    objective: float | None
    met: bool
    moved: bool
    worst: tuple[str, float] | None = None


@dataclass(frozen=True)
class UncomputedMetric:
    """A metric that could not be computed, or not be compared, in so many windows, the latest one included."""

    name: str
    windows: int
    reason: str


def standings(
    values: pd.DataFrame, span: Window, before: Window, metrics: Sequence[MetricConfig]
) -> tuple[MetricStanding, ...]:
    """The metrics that have an objective or moved, and a value in the span, in the order of fleet.yaml.

    `values` are rows of `tables.CUSTOM_METRICS` over both times.
    """
    told = []
    for metric in metrics:
        own = values[(values["metric"] == metric.name) & (values["definition"] == metric.definition)]
        own = own[own["value"].notna() & (own["tasks"] > 0)]
        now, then = _within(own, span), _within(own, before)
        value, earlier = _mean(now), _mean(then)
        moved = _moved(metric, value, earlier)
        if math.isnan(value) or (metric.objective is None and not moved):
            continue
        by_agent = {str(agent): _mean(rows) for agent, rows in now.groupby("agent")}
        worst = max(by_agent.items(), key=lambda item: metric.sign * item[1]) if len(by_agent) > 1 else None
        met = metric.objective is None or metric.sign * (value - metric.objective) <= 0
        told.append(MetricStanding(metric.name, metric.unit, value, earlier, metric.objective, met, moved, worst))
    return tuple(told)


def uncomputed(values: pd.DataFrame, span: Window, metrics: Sequence[MetricConfig]) -> tuple[UncomputedMetric, ...]:
    """The metrics of fleet.yaml that went wrong in the newest window of the span that they were computed in."""
    told = []
    for metric in metrics:
        own = _within(values[values["metric"] == metric.name], span)
        failed = own[own["error"].notna()]
        newest = failed[failed["window_start"] == own["window_start"].max()]
        if len(newest):
            told.append(
                UncomputedMetric(metric.name, int(failed["window_start"].nunique()), str(newest["error"].iloc[0]))
            )
    return tuple(told)


def _within(values: pd.DataFrame, span: Window) -> pd.DataFrame:
    return values[(values["window_start"] >= span.start) & (values["window_start"] < span.end)]


def _mean(values: pd.DataFrame) -> float:
    return float(np.average(values["value"], weights=values["tasks"])) if len(values) else math.nan


def _moved(metric: MetricConfig, value: float, before: float) -> bool:
    if math.isnan(value) or math.isnan(before):
        return False
    rule = metric.rule
    if isinstance(rule, ChangePolicy):
        return abs(value - before) >= rule.min_change
    if value <= 0 or before <= 0:
        return False
    return max(value / before, before / value) >= rule.min_ratio
