"""Four ordinary ways to watch the same metrics, with textbook settings, through the same interface.

Each gives, for every agent and window, whether it alarms and how large the effect looks. An alarm opens a finding, and
two quiet windows close it. While it is open, every further alarm is a row of state "ongoing", so that a severity may
grow. All look back only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from benchmarks.detection.healthy_fleet import Floats
from benchmarks.detection.incident_plan import severity_of

QUIET_WINDOWS = 2
MIN_TASKS = 5  # below it, a threshold on a share says nothing
MIN_HISTORY = 48  # windows with tasks
P_VALUE = 1e-4
ASSUMED_SUCCESS = 0.85
FINDING_COLUMNS = ["agent", "window_start", "type", "severity", "onset", "state"]


@dataclass(frozen=True)
class Series:
    """One agent's metrics on an unbroken grid of windows; NaN where nothing arrived."""

    per_week: int
    tasks: Floats
    successes: Floats
    errors: Floats
    log_errors: Floats
    latency: Floats  # mean of ln(ms)
    latency_sd: Floats
    p95: Floats
    cost: Floats  # ln(USD a task)

    def trailing(self, values: Floats) -> pd.api.typing.Rolling:
        """The seven days before each window, without it."""
        return pd.Series(values).shift(1).rolling(self.per_week, min_periods=1)

    def pooled(self, counts: Floats) -> Floats:
        """Counts a task over the seven days before."""
        tasks = self.trailing(self.tasks).sum().to_numpy()
        return np.where(tasks > 0, self.trailing(counts).sum().to_numpy() / np.maximum(tasks, 1), np.nan)

    def history(self) -> NDArray[np.bool_]:
        """Where the seven days before hold enough windows with tasks."""
        return self.trailing((self.tasks > 0).astype(float)).sum().to_numpy() >= MIN_HISTORY

    def first_week(self, values: Floats) -> float:
        """Mean of the first seven days after the first row."""
        start = int(np.argmax(~np.isnan(self.tasks)))
        week = values[start : start + self.per_week]
        return float(np.nanmean(week)) if np.isfinite(week).any() else np.nan


@dataclass(frozen=True)
class Signal:
    """One type's alarms and apparent sizes (success in points lost, else a factor), by window."""

    alarm: NDArray[np.bool_]
    size: Floats


Watch = Callable[[Series], dict[str, Signal]]


def fixed_thresholds(series: Series) -> dict[str, Signal]:
    """Limits as somebody writes them down once: 70 % success, 0.3 errors a task, multiples of the first week."""
    enough = series.tasks >= MIN_TASKS
    success, errors = series.successes / series.tasks, series.errors / series.tasks
    p95 = series.p95 / series.first_week(series.p95)
    cost = np.exp(series.cost) / series.first_week(np.exp(series.cost))
    logs = series.log_errors / series.first_week(series.log_errors)
    usual = series.first_week(series.tasks)
    silent = pd.Series(np.nan_to_num(series.tasks, nan=1)).rolling(4).sum().to_numpy() == 0
    learned = np.arange(len(series.tasks)) >= int(np.argmax(~np.isnan(series.tasks))) + series.per_week
    return {
        "success_drop": Signal(enough & (success < ASSUMED_SUCCESS - 0.15), 100 * (ASSUMED_SUCCESS - success)),
        "error_spike": Signal(enough & (errors > 0.3), errors / 0.15),
        "log_error_spike": Signal(learned & (series.log_errors >= MIN_TASKS) & (logs > 3), logs),
        "latency_increase": Signal(learned & enough & (p95 > 2), p95),
        "cost_spike": Signal(learned & enough & (cost > 2), cost),
        "silence": Signal(learned & silent & (usual >= 2), np.zeros(len(series.tasks))),
        "traffic_surge": Signal(learned & enough & (series.tasks > 3 * usual), series.tasks / usual),
    }


def three_sigma(series: Series) -> dict[str, Signal]:
    """Each window's rate against mean and standard deviation of the seven days before."""
    return _by_deviation(series, lambda values: _standardized(series, values), 3.0)


def ewma_chart(series: Series, weight: float = 0.2, limit: float = 3.0) -> dict[str, Signal]:
    """An exponentially weighted mean of the standardized rates (Roberts 1959), with its own three sigma limits."""

    def smoothed(values: Floats) -> Floats:
        # One outlier is clipped, as charts do, so that it does not alarm for a day.
        standardized = pd.Series(np.clip(_standardized(series, values), -4, 4))
        mean = standardized.ewm(alpha=weight, adjust=False, ignore_na=True).mean().to_numpy()
        return mean / np.sqrt(weight / (2 - weight))

    return _by_deviation(series, smoothed, limit)


def exact_tests(series: Series) -> dict[str, Signal]:
    """Each window against the pooled seven days before at p < 1e-4, with the effect floors of fleet.yaml.

    Binomial for success, Poisson for errors, z for the logs of latency and cost, negative binomial for error logs and
    (against the same time of the day) traffic, where a Poisson test would alarm all day.
    """
    tasks, history, z = np.nan_to_num(series.tasks), series.history(), stats.norm.isf(P_VALUE)
    some = history & (tasks > 0)
    success, errors = series.pooled(series.successes), series.pooled(series.errors)
    p_success = stats.binom.cdf(np.nan_to_num(series.successes), tasks, np.nan_to_num(success, nan=1))
    p_errors = stats.poisson.sf(np.nan_to_num(series.errors) - 1, np.maximum(tasks * np.nan_to_num(errors), 1e-9))
    points = 100 * (success - series.successes / series.tasks)
    error_factor = series.errors / series.tasks / np.maximum(errors, 1e-3)

    latency_shift = series.latency - series.trailing(series.latency).mean().to_numpy()
    cost_shift = series.cost - series.trailing(series.cost).mean().to_numpy()
    spread = np.sqrt(series.trailing(series.latency_sd**2).mean().to_numpy() / series.tasks)
    slow = (latency_shift > z * spread) & (latency_shift > np.log(1.2))
    dear = (_standardized(series, series.cost) > z) & (cost_shift > np.log(1.4))

    usual_logs = series.trailing(series.log_errors).mean().to_numpy()
    _, p_logs = _over_dispersed_tails(series, series.log_errors, usual_logs)
    log_factor = series.log_errors / np.maximum(usual_logs, 1e-3)
    daily = series.per_week // 7
    same_time = np.stack([pd.Series(series.tasks).shift(daily * day).to_numpy() for day in range(1, 8)])
    known = np.isfinite(same_time).sum(axis=0)
    expected = np.where(known >= 3, np.nansum(same_time, axis=0) / np.maximum(known, 1), np.nan)
    p_few, p_many = _over_dispersed_tails(series, series.tasks, expected)
    share = tasks / np.maximum(expected, 0.1)
    return {
        "success_drop": Signal(some & (p_success < P_VALUE) & (points >= 8), points),
        "error_spike": Signal(some & (p_errors < P_VALUE) & (error_factor >= 2), error_factor),
        "log_error_spike": Signal(history & (p_logs < P_VALUE) & (log_factor >= 2), log_factor),
        "latency_increase": Signal(some & slow, np.exp(latency_shift)),
        "cost_spike": Signal(some & dear, np.exp(cost_shift)),
        "silence": Signal((p_few < P_VALUE) & (tasks == 0), np.zeros(len(tasks))),
        "traffic_drop": Signal((p_few < P_VALUE) & (tasks > 0) & (share <= 0.5), share),
        "traffic_surge": Signal((p_many < P_VALUE) & (share >= 2), share),
    }


def _over_dispersed_tails(series: Series, counts: Floats, expected: Floats) -> tuple[Floats, Floats]:
    """P(this few) and P(this many), negative binomial with the dispersion of the seven days before; 1 if unknown."""
    excess = series.trailing((counts - expected) ** 2 - expected).sum().to_numpy()
    dispersion = np.clip(excess / np.maximum(series.trailing(expected**2).sum().to_numpy(), 1e-9), 0.01, 10)
    shape, mean = 1 / dispersion, np.maximum(expected, 0.05)
    success = shape / (shape + mean)
    few, many = stats.nbinom.cdf(counts, shape, success), stats.nbinom.sf(counts - 1, shape, success)
    return np.nan_to_num(few, nan=1.0), np.nan_to_num(many, nan=1.0)


RIVALS: dict[str, Watch] = {
    "fixed thresholds": fixed_thresholds,
    "3-sigma": three_sigma,
    "EWMA chart": ewma_chart,
    "exact tests": exact_tests,
}


def detect(watch: Watch, metrics: pd.DataFrame) -> pd.DataFrame:
    """Findings (FINDING_COLUMNS) of one way to watch, over the metrics of a backtest."""
    windows = pd.DatetimeIndex(np.sort(metrics["window_start"].unique()))
    step = pd.Timedelta(np.diff(windows).min())
    grid = pd.date_range(windows[0], windows[-1], freq=step)
    rows = []
    for agent, frame in metrics.groupby("agent", sort=True):
        series = _series(frame, grid, round(pd.Timedelta(days=7) / step))
        usual = 100 * np.nan_to_num(series.pooled(series.successes), nan=ASSUMED_SUCCESS)
        arrived = np.isfinite(series.tasks)
        with np.errstate(invalid="ignore", divide="ignore"):
            signals = watch(series)
        for finding_type, signal in signals.items():
            rows += _lifecycle(str(agent), finding_type, signal, usual, arrived, grid)
    findings = pd.DataFrame(rows, columns=FINDING_COLUMNS)
    return findings.sort_values(["window_start", "agent"], kind="stable", ignore_index=True)


def _series(frame: pd.DataFrame, grid: pd.DatetimeIndex, per_week: int) -> Series:
    full = frame.set_index("window_start").drop(columns="agent").reindex(grid).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        cost = np.log(full["cost_usd"].to_numpy() / full["tasks"].to_numpy())
    return Series(
        per_week,
        *(full[name].to_numpy() for name in ("tasks", "successes", "error_count", "log_errors")),
        latency=full["latency_log_mean"].to_numpy(),
        latency_sd=full["latency_log_sd"].to_numpy(),
        p95=full["latency_p95_ms"].to_numpy(),
        cost=cost,
    )


def _standardized(series: Series, values: Floats) -> Floats:
    """Deviation from the trailing mean in trailing standard deviations; NaN without history."""
    past = series.trailing(values)
    spread = past.std().to_numpy()
    deviation = (values - past.mean().to_numpy()) / np.where(spread > 0, spread, np.nan)
    return np.where(past.count().to_numpy() >= MIN_HISTORY, deviation, np.nan)


def _by_deviation(series: Series, deviation: Callable[[Floats], Floats], limit: float) -> dict[str, Signal]:
    success, errors = series.successes / series.tasks, series.errors / series.tasks

    def usual(values: Floats) -> Floats:
        return series.trailing(values).mean().to_numpy()

    share = series.tasks / usual(series.tasks)
    traffic = deviation(series.tasks)
    return {
        "success_drop": Signal(deviation(success) < -limit, 100 * (usual(success) - success)),
        "error_spike": Signal(deviation(errors) > limit, errors / usual(errors)),
        "log_error_spike": Signal(deviation(series.log_errors) > limit, series.log_errors / usual(series.log_errors)),
        "latency_increase": Signal(deviation(series.latency) > limit, np.exp(series.latency - usual(series.latency))),
        "cost_spike": Signal(deviation(series.cost) > limit, np.exp(series.cost - usual(series.cost))),
        "silence": Signal((traffic < -limit) & (series.tasks == 0), np.zeros(len(share))),
        "traffic_drop": Signal((traffic < -limit) & (series.tasks > 0), share),
        "traffic_surge": Signal(traffic > limit, share),
    }


def _lifecycle(
    agent: str,
    finding_type: str,
    signal: Signal,
    usual_success: Floats,
    arrived: NDArray[np.bool_],
    windows: pd.DatetimeIndex,
) -> list[tuple]:
    """Rows of one agent and type. Windows that did not arrive are neither alarming nor quiet."""
    rows: list[tuple] = []
    onset, quiet, severity = None, 0, "low"
    alarm = signal.alarm & arrived
    for at in np.flatnonzero(arrived).tolist() if alarm.any() else ():
        if alarm[at]:
            quiet = 0
            state = "open" if onset is None else "ongoing"
            onset = windows[at] if onset is None else onset
            size = float(np.nan_to_num(signal.size[at], nan=0.0, posinf=1e6))
            severity = severity_of(finding_type, size, float(usual_success[at]), np.inf)
            rows.append((agent, windows[at], finding_type, severity, onset, state))
        elif onset is not None:
            quiet += 1
            if quiet == QUIET_WINDOWS:
                rows.append((agent, windows[at], finding_type, severity, onset, "resolved"))
                onset = None
    return rows
