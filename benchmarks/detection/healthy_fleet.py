"""The healthy side of a simulated fleet: what each agent is like when nothing is wrong.

Every law here is known in closed form, so that the evidence in the data can be computed and not guessed:
tasks are negative binomial, successes beta-binomial around a probability whose logit may follow an AR(1) process,
errors a binomial share of the failures plus negative binomial recovered ones, error logs negative binomial around a
background and a share per error, latency, tokens and cost lognormal with effects per window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FIRST_WINDOW = pd.Timestamp("2026-03-02", tz="UTC")


@dataclass(frozen=True)
class HealthyFleet:
    """Parameters (shape: agents) and paths over time (shape: agents x windows) of a healthy fleet.

    Latency is in ln(ms), cost in ln(USD) a task, rates are a task unless they say otherwise.
    """

    names: list[str]
    windows: pd.DatetimeIndex
    began: NDArray[np.int64]  # index of each agent's first window
    expected_tasks: Floats  # path; mean of the negative binomial
    traffic_dispersion: Floats  # variance = mean + dispersion * mean^2
    success: Floats  # path; probability before the AR(1) process
    success_rho: Floats  # correlation between the tasks of a window
    success_ar_sd: Floats  # stationary, on the logit
    success_ar_phi: Floats
    errors_per_failure: Floats  # probability that a failed task leaves an error
    recovered_errors: Floats  # a task
    recovered_dispersion: Floats
    log_background: Floats  # error logs a window, without any error
    logs_per_error: Floats
    log_dispersion: Floats
    latency: Floats  # path; mean of ln(ms)
    latency_sd: Floats  # within a window
    latency_ar_sd: Floats  # between windows, stationary
    latency_ar_phi: Floats
    tokens: Floats  # mean of ln(tokens) a task
    tokens_sd: Floats
    tokens_with_latency: Floats  # correlation
    cost_per_token: Floats  # ln(USD)
    cost_sd: Floats  # of a task, beside the tokens'
    cost_window_sd: Floats  # between windows, of tokens and cost together

    def error_rate(self) -> Floats:
        """Healthy errors a task (agents x windows)."""
        share = self.errors_per_failure[:, None] * (1 - self.success)
        return share + self.recovered_errors[:, None]


def draw_fleet(
    rng: np.random.Generator, agents: int, windows: pd.DatetimeIndex, late_agent: int | None
) -> HealthyFleet:
    """Draw a fleet. `late_agent` begins between day 10 and half of the time; the others with the first window."""
    window_days = (windows[1] - windows[0]) / pd.Timedelta(days=1)
    days: Floats = (np.arange(len(windows)) * window_days).astype(np.float64)
    began = np.zeros(agents, dtype=np.int64)
    if late_agent is not None:
        began[late_agent] = int(rng.uniform(min(10, days[-1] / 3), days[-1] / 2) / window_days)

    def uniform(low: float, high: float) -> Floats:
        return rng.uniform(low, high, agents)

    def log_uniform(low: float, high: float) -> Floats:
        return np.exp(rng.uniform(np.log(low), np.log(high), agents))

    def some(share: float) -> Floats:
        return (rng.random(agents) < share).astype(float)

    success = uniform(0.70, 0.99)[:, None] + _drift(rng, days, uniform(0, 0.02))
    latency = np.log(log_uniform(500, 20_000))[:, None] + _drift(rng, days, uniform(0, 0.08))
    latency = latency + uniform(0, 0.18)[:, None] * _daily_wave(rng, days, agents)
    success_ar = float(rng.random() < 0.4)  # a property of the seed, as of a shared model behind the fleet
    latency_ar = float(rng.random() < 0.5)
    return HealthyFleet(
        names=[f"Agent{number + 1}" for number in range(agents)],
        windows=windows,
        began=began,
        expected_tasks=_expected_tasks(rng, windows, days, log_uniform(0.5, 30)),
        traffic_dispersion=uniform(0.02, 0.4),
        success=np.clip(success, 0.6, 0.995),
        success_rho=np.maximum(uniform(0, 0.06) * some(0.8), 0.0005),
        success_ar_sd=uniform(0.1, 0.3) * success_ar,
        success_ar_phi=uniform(0.7, 0.95),
        errors_per_failure=uniform(0.7, 0.9),
        recovered_errors=np.maximum(uniform(0, 0.3) * some(0.8), 0.005),
        recovered_dispersion=uniform(0.05, 0.6),
        log_background=log_uniform(0.01, 0.5),
        logs_per_error=uniform(0.3, 2),
        log_dispersion=uniform(0.05, 0.5),
        latency=latency,
        latency_sd=uniform(0.2, 0.8),
        latency_ar_sd=np.maximum(uniform(0, 0.15), 0.001),
        latency_ar_phi=uniform(0.3, 0.9) * latency_ar,
        tokens=np.log(log_uniform(500, 20_000)),
        tokens_sd=uniform(0.2, 0.7),
        tokens_with_latency=uniform(0, 0.4),
        cost_per_token=np.log(log_uniform(0.5e-6, 10e-6)),
        cost_sd=uniform(0.02, 0.2),
        cost_window_sd=uniform(0.01, 0.1),
    )


def _expected_tasks(rng: np.random.Generator, windows: pd.DatetimeIndex, days: Floats, mean: Floats) -> Floats:
    """Traffic with a daily wave of any phase and two weekend-like days of the week."""
    agents = len(mean)
    daily = 1 + rng.uniform(0, 0.9, agents)[:, None] * _daily_wave(rng, days, agents)
    quiet_days = rng.choice(7, size=2, replace=False)
    is_quiet = np.isin(windows.dayofweek.to_numpy(), quiet_days)
    weekly = np.where(is_quiet[None, :], rng.uniform(0.1, 1, agents)[:, None], 1.0)
    shape = daily * weekly
    return mean[:, None] * shape / shape.mean(axis=1, keepdims=True)


def _daily_wave(rng: np.random.Generator, days: Floats, agents: int) -> Floats:
    return np.sin(2 * np.pi * (days[None, :] - rng.random(agents)[:, None]))


def _drift(rng: np.random.Generator, days: Floats, largest: Floats) -> Floats:
    """A random walk of daily steps, joined by lines, that goes as far as `largest` from where it began."""
    knots = np.arange(int(days[-1]) + 2)
    walk = np.cumsum(rng.normal(size=(len(largest), len(knots))), axis=1)
    walk = (walk - walk[:, :1]) / np.abs(walk - walk[:, :1]).max(axis=1, keepdims=True)
    return largest[:, None] * np.stack([np.interp(days, knots, path) for path in walk])
