"""Success, and other shares: K ~ BetaBinomial(n; p, rho). Tasks of one window share their luck, which rho measures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from scipy.special import gammaln

from perf_pipeline.monitoring.detectors.judgement import Judgement, Observation
from perf_pipeline.monitoring.detectors.lifecycle import MATURE_TASKS

PRIOR_TASKS = 20.0
"""What the prior is worth beside an agent's own tasks."""

PRIOR_DISPERSION, DISPERSION_WEIGHT = 0.02, 400.0
"""An agent's rho begins here, and is its own once about so many pairs of tasks were seen."""

DROPS = np.array([0.12, 0.25, 0.50])
LOWEST, HIGHEST = 0.005, 0.995

SUCCESSES, TASKS, SPREAD, EXCESS, PAIRS = range(5)


class SuccessModel:
    sums: tuple[str, ...] = ("successes", "tasks", "spread", "excess", "pairs")
    seasons: Mapping[str, int] = MappingProxyType({})

    def __init__(self, assumed: float, *, bad: str | None = None, of: str = "tasks") -> None:
        """`assumed` is the share (0..1) of what goes well that an agent without history is given.

        Of successes without more; else of all `of` but the `bad` ones (what `Observation.measured` is asked for), and
        the share of the bad ones is what is told as value and baseline.
        """
        self.assumed = assumed
        self.bad = bad
        self.of = of

    def _counts(self, seen: Observation) -> tuple[np.ndarray, np.ndarray]:
        """How many went well, and of how many; NaN where it was not measured."""
        n = seen.measured(self.of)
        return (seen.successes, n) if self.bad is None else (n - seen.measured(self.bad), n)

    def judge(
        self,
        memory: np.ndarray,  # noqa: ARG002
        baseline: tuple[np.ndarray, ...],
        seasons: np.ndarray,  # noqa: ARG002
        seen: Observation,
    ) -> Judgement:
        good, of = self._counts(seen)
        told = seen.present & (of > 0) & np.isfinite(good)
        n = np.where(told, of, 1.0)
        k = np.where(told, good, 1.0)
        rate, error, rho = baseline
        null = np.clip(rate - error, LOWEST, HIGHEST)
        width = np.sqrt(rate * (1 - rate) * (1 + (n - 1) * rho) / n)
        share = k / n
        residual = (rate - share) / width
        kept = n * np.clip(share, rate - 5 * width, rate + 5 * width)
        variance = rate * (1 - rate)
        increments = np.stack(
            [
                kept,
                n,
                n * (1 + (n - 1) * rho),
                (kept - n * rate) ** 2 / variance - n,
                n * (n - 1),
            ],
            axis=1,
        )
        value, expected = 100 * share, 100 * rate
        low = 100 * np.clip(rate - 1.96 * np.hypot(width, error), 0, 1)
        high = 100 * np.clip(rate + 1.96 * np.hypot(width, error), 0, 1)
        if self.bad is not None:
            value, expected, low, high = 100 - value, 100 - expected, 100 - high, 100 - low
        healthy = _log_beta_binomial(k, n, null, rho)
        changed = [_log_beta_binomial(k, n, np.maximum(null - drop, 0.02), rho) for drop in DROPS]
        return Judgement(
            seen=told,
            log_ratios=np.stack(changed, axis=1) - healthy[:, None],
            value=value,
            expected=expected,
            low=low,
            high=high,
            residual=np.where(told, residual, 0.0),
            observed_term=k,
            expected_term=n,
            increments=increments,
            chance=np.where(told & (k == 0), np.exp(_log_beta_binomial(np.zeros_like(n), n, null, rho)), 1.0),
        )

    def baseline(self, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Success rate (0..1), its standard error, and rho."""
        own = memory["trusted"]
        assumed = self.prior(memory)
        weight = own[:, TASKS] + PRIOR_TASKS
        rate = np.clip((own[:, SUCCESSES] + assumed * PRIOR_TASKS) / weight, 0.02, 0.99)
        rho = (own[:, EXCESS] + PRIOR_DISPERSION * DISPERSION_WEIGHT) / (own[:, PAIRS] + DISPERSION_WEIGHT)
        rho = np.clip(rho, 0.002, 0.4)
        error = np.sqrt(rate * (1 - rate) * (own[:, SPREAD] + PRIOR_TASKS)) / weight
        return rate, error, rho

    def prior(self, memory: np.ndarray) -> float:
        """What is expected of an agent without history: between the fleet file's rate and that of the others."""
        tasks = memory["trusted"][:, TASKS]
        grown = tasks >= MATURE_TASKS
        weight = np.minimum(grown.sum(), 5.0)
        fleet = np.median(memory["trusted"][grown, SUCCESSES] / tasks[grown]) if grown.any() else self.assumed
        return float((2 * self.assumed + weight * fleet) / (2 + weight))

    def learn_season(
        self, memory: np.ndarray, seasons: np.ndarray, seen: Observation, told: Judgement, learns: np.ndarray
    ) -> None:
        """Success has no seasons of its own: what varies over the day is part of rho."""

    def accept(self, memory: np.ndarray, seasons: np.ndarray, which: np.ndarray, effect: np.ndarray) -> None:  # noqa: ARG002
        rate, _, _ = self.baseline(memory)
        own = memory["trusted"]
        now = np.clip(rate - effect / 100, LOWEST, HIGHEST)
        own[which, SUCCESSES] = (now * own[:, TASKS])[which]

    def effect(
        self, memory: np.ndarray, baseline: tuple[np.ndarray, ...], size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        rate, error, rho = baseline
        row = np.arange(len(memory))
        k, n = memory["seen_in_run"][row, size], memory["expected_in_run"][row, size]
        now = (k + rate) / (n + 1)
        windows = np.maximum(n / np.maximum(memory["tasks"] / np.maximum(memory["windows"], 1), 1), 1)
        sampling = np.sqrt(now * (1 - now) * (1 + (n / windows - 1).clip(0) * rho) / np.maximum(n, 1))
        return 100 * (rate - now), 100 * np.hypot(sampling, error)


def _log_beta_binomial(k: np.ndarray, n: np.ndarray, rate: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """Logarithm of the beta-binomial probability, without the binomial coefficient, which ratios do not need."""
    total = 1 / rho - 1
    alpha, beta = rate * total, (1 - rate) * total
    rise = gammaln(k + alpha) - gammaln(alpha) + gammaln(n - k + beta) - gammaln(beta)
    return rise - gammaln(n + total) + gammaln(total)
