"""Findings: what an agent did in a window that chance does not explain, and that is large enough to matter.

Every detector tests the window against the agent's own baseline, asks for a small p-value *and* a large effect,
and takes only windows whose spans were read completely. The p-values hold for one window; what repeated looks
do to them is the subject of the detection engine (issue 4). scipy.stats takes a second to import, so it is imported
where it is used: definitions load without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from perf_pipeline.fleet import DetectionPolicy, FleetConfig, Severity
from perf_pipeline.records import SourceHealth, SourceStatus

FLOOR_ERRORS_PER_TASK = 0.05
"""A baseline below one error in twenty tasks is not told apart from it: one more error must not alarm anybody."""


@dataclass(frozen=True)
class Finding:
    """One row of `tables.ANOMALIES`, without its cause.

    `observed` and `baseline` are in percent for a success_drop, in errors per task for an error_spike, in
    milliseconds for a latency_increase; `effect` in points for the first, in times the baseline for the others.
    `reason` is what a source said of a data_gap.
    """

    window_start: datetime
    agent: str
    type: str
    severity: Severity
    observed: float
    baseline: float
    effect: float
    p_value: float
    tasks: int
    details: str
    reason: str = ""


def find_anomalies(metrics: pd.DataFrame, fleet: FleetConfig) -> list[Finding]:
    """The findings in rows of `tables.AGENT_METRICS`, in their order; incomplete windows give none."""
    findings: list[Finding] = []
    judged = metrics[metrics["complete"] & (metrics["tasks"] > 0)]
    judged = judged[~judged["agent"].isin(fleet.ignored_agents)]
    for _, row in judged.iterrows():
        for detect in (success_drop, error_spike, latency_increase):
            finding = detect(row, fleet.detection)
            if finding:
                findings.append(finding)
    return findings


def success_drop(row: pd.Series, policy: DetectionPolicy) -> Finding | None:
    """Fewer successes than the baseline allows: exact one-sided binomial test."""
    tasks, observed, expected = int(row["tasks"]), float(row["success_rate"]), float(row["baseline_success_rate"])
    drop = expected - observed
    if drop < policy.success_drop.min_drop:
        return None
    # A baseline of 100 % would make a single failure impossible instead of rare: one is always conceivable. An
    # assumed rate stands for the history that it replaces.
    grounds = max(int(row["baseline_tasks"]), policy.min_baseline_tasks)
    rate = min(expected / 100, 1 - 1 / (grounds + 2))
    from scipy import stats

    p_value = float(stats.binomtest(int(row["successes"]), tasks, rate, alternative="less").pvalue)
    if p_value > policy.success_drop.p_value:
        return None
    severity = policy.success_drop.severity.of(drop)
    if observed <= policy.success_drop.critical_below:
        severity = Severity.CRITICAL
    words = f"Success rate dropped from {expected:.0f}% to {observed:.0f}% ({row['successes']} of {tasks} tasks)"
    return _finding(row, "success_drop", severity, observed, expected, drop, p_value, words)


def error_spike(row: pd.Series, policy: DetectionPolicy) -> Finding | None:
    """More errors than the baseline allows: exact one-sided Poisson test with the tasks as exposure."""
    tasks, errors = int(row["tasks"]), int(row["error_count"])
    # One error in all the tasks that the baseline rests on is always conceivable, and rare errors are not told apart.
    conceivable = max(FLOOR_ERRORS_PER_TASK, 1 / (int(row["baseline_tasks"]) + 2))
    expected = max(float(row["baseline_errors_per_task"]), conceivable)
    ratio = errors / tasks / expected
    if ratio < policy.error_spike.min_ratio:
        return None
    from scipy import stats

    p_value = float(stats.poisson.sf(errors - 1, expected * tasks))
    if p_value > policy.error_spike.p_value:
        return None
    words = f"Errors rose to {errors} in {tasks} tasks, {ratio:.1f} times the usual {expected * tasks:.1f}"
    return _finding(
        row, "error_spike", policy.error_spike.severity.of(ratio), errors / tasks, expected, ratio, p_value, words
    )


def latency_increase(row: pd.Series, policy: DetectionPolicy) -> Finding | None:
    """Slower than the baseline: one-sided z-test of the mean log latency against the baseline's deviation."""
    mean, expected, deviation = (
        float(row[name]) for name in ("latency_log_mean", "baseline_log_mean", "baseline_log_sd")
    )
    if math.isnan(mean) or math.isnan(expected) or math.isnan(deviation):
        return None
    ratio = math.exp(mean - expected)
    if ratio < policy.latency_increase.min_ratio:
        return None
    # Fleets on a fixed machine can have next to no spread: a tenth keeps microscopic changes from being certain.
    error = max(deviation, 0.1) / math.sqrt(row["tasks"])
    from scipy import stats

    p_value = float(stats.norm.sf((mean - expected) / error))
    if p_value > policy.latency_increase.p_value:
        return None
    observed_ms, expected_ms = math.exp(mean), math.exp(expected)
    words = f"Typical latency rose from {_duration(expected_ms)} to {_duration(observed_ms)} ({ratio:.1f} times)"
    return _finding(
        row,
        "latency_increase",
        policy.latency_increase.severity.of(ratio),
        observed_ms,
        expected_ms,
        ratio,
        p_value,
        words,
    )


GAP_MEANS = {True: "no agent is judged on it", False: "what they would add is missing"}


def find_data_gaps(health: Iterable[SourceHealth]) -> list[Finding]:
    """A finding for each window whose spans, logs or task counts could not be read completely.

    Missing spans blind the whole product, so they are of high severity; the other sources only enrich.
    """
    findings = []
    for reading in health:
        if reading.status is SourceStatus.COMPLETE:
            continue
        meaning = GAP_MEANS[reading.source == "spans"]
        essential = reading.source == "spans" and reading.status is SourceStatus.UNAVAILABLE
        findings.append(
            Finding(
                window_start=reading.window_start,
                agent=f"source:{reading.source}",
                type="data_gap",
                severity=Severity.HIGH if essential else Severity.MEDIUM,
                observed=math.nan,
                baseline=math.nan,
                effect=math.nan,
                p_value=math.nan,
                tasks=0,
                details=f"The {reading.source} of this window are {reading.status}; {meaning}",
                reason=reading.reason,
            )
        )
    return findings


def _finding(
    row: pd.Series,
    kind: str,
    severity: Severity,
    observed: float,
    baseline: float,
    effect: float,
    p_value: float,
    details: str,
) -> Finding:
    start = row["window_start"].to_pydatetime()
    return Finding(
        start, str(row["agent"]), kind, severity, observed, baseline, effect, p_value, int(row["tasks"]), details
    )


def _duration(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.1f} s" if round(milliseconds) >= 1000 else f"{milliseconds:.0f} ms"
