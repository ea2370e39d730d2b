"""Errors: counts ~ NegativeBinomial(mean = rate × tasks + background, dispersion phi)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from perf_pipeline.monitoring.detectors.judgement import Judgement, Observation
from perf_pipeline.monitoring.detectors.least_squares import NormalEquations

PRIOR_TASKS = 20.0
PRIOR_WINDOWS = 4.0
PRIOR_CLUMPS, PRIOR_DISPERSION, DISPERSION_WEIGHT = 0.2, 0.1, 6.0
TIMES = np.array([2.0, 4.0, 12.0])

LOWEST_RATE = 0.03
"""Errors per task that are told apart from none: one more error in a quiet agent must not alarm anybody."""

COUNT, TASKS, WINDOWS, COUNT_TASKS, TASKS_SQUARED, SPREAD, CLUMP, CLUMP_SHARED, SHARED, CLUMP_EXCESS, EXCESS = range(11)


class CountModel:
    """`field` is the attribute of `Observation` that is counted.

    With `background`, counts may also come while no task runs: the mean is fitted as a line over the tasks.
    """

    sums: tuple[str, ...] = (
        "count", "tasks", "windows", "count_tasks", "tasks_squared", "spread",
        "clump", "clump_shared", "shared", "clump_excess", "excess",
    )  # fmt: skip
    seasons: Mapping[str, int] = MappingProxyType({})

    def __init__(self, field: str, assumed_rate: float, *, background: bool = False) -> None:
        self.field = field
        self.assumed_rate = assumed_rate
        self.background = background

    def judge(
        self,
        memory: np.ndarray,  # noqa: ARG002
        baseline: tuple[np.ndarray, ...],
        seasons: np.ndarray,  # noqa: ARG002
        seen: Observation,
    ) -> Judgement:
        counted = getattr(seen, self.field)
        told = seen.present & np.isfinite(counted) & (self.background | (seen.tasks > 0))
        n = np.where(told, seen.tasks, 1.0)
        x = np.where(told, counted, 0.0)
        rate, base, error, clumps, shared = baseline
        expected = rate * n + base
        mean = np.maximum(expected, LOWEST_RATE * np.maximum(n, 1.0))
        phi = clumps / mean + shared
        null = mean * (1 + error)
        shape = 1 / phi
        deviation = np.sqrt(mean + phi * mean**2)
        kept = np.minimum(x, np.ceil(mean + 5 * deviation))
        excess, weight = (kept - mean) ** 2 - mean, (1 + mean) ** -2
        increments = np.stack(
            [
                kept,
                n,
                np.ones_like(n),
                kept * n,
                n * n,
                mean + phi * mean**2,
                weight,
                weight * mean,
                weight * mean**2,
                weight * excess / mean,
                weight * excess,
            ],
            axis=1,
        )
        ratios = [x * np.log(times) - (x + shape) * np.log((shape + times * null) / (shape + null)) for times in TIMES]
        per = np.maximum(n, 1.0)
        return Judgement(
            seen=told,
            log_ratios=np.stack(ratios, axis=1),
            value=x / per,
            expected=expected / per,
            low=np.maximum(expected - 1.96 * deviation, 0) / per,
            high=(expected + 1.96 * deviation) / per,
            residual=np.where(told, (x - mean) / deviation, 0.0),
            observed_term=x,
            expected_term=mean,
            increments=increments,
            chance=np.ones_like(n),
        )

    def baseline(self, memory: np.ndarray) -> tuple[np.ndarray, ...]:
        """Errors a task, errors a window without tasks, relative standard error of the mean, clumps and shared luck."""
        own = memory["trusted"]
        assumed = self.assumed_rate
        if self.background:
            # A line through the counts, drawn to the assumed rate by as much as PRIOR_TASKS tasks weigh.
            line = NormalEquations(
                x_x=own[:, TASKS_SQUARED] + PRIOR_TASKS,
                x_y=own[:, TASKS],
                y_y=own[:, WINDOWS] + PRIOR_WINDOWS,
                x_value=own[:, COUNT_TASKS] + PRIOR_TASKS * assumed,
                y_value=own[:, COUNT],
            )
            rate = np.clip(line.first_beside(np.clip(line.second(), 0, None)), 0, None)
            base = np.clip(line.second_beside(rate), 0, None)
        else:
            rate = (own[:, COUNT] + assumed * PRIOR_TASKS) / (own[:, TASKS] + PRIOR_TASKS)
            base = np.zeros_like(rate)
        # Variance - mean = clumps · mean + shared · mean²: errors that bring others, and luck that a window shares.
        variance = NormalEquations(
            x_x=own[:, CLUMP] + DISPERSION_WEIGHT / 4,
            x_y=own[:, CLUMP_SHARED],
            y_y=own[:, SHARED] + DISPERSION_WEIGHT / 4,
            x_value=own[:, CLUMP_EXCESS] + DISPERSION_WEIGHT / 4 * PRIOR_CLUMPS,
            y_value=own[:, EXCESS] + DISPERSION_WEIGHT / 4 * PRIOR_DISPERSION,
        )
        clumps = np.clip(variance.first_beside(np.clip(variance.second(), 0.0, 3.0)), 0.02, 5.0)
        shared = np.clip(variance.second_beside(clumps), 0.005, 3.0)
        total = own[:, COUNT] + assumed * PRIOR_TASKS
        error = np.sqrt(own[:, SPREAD] + assumed * PRIOR_TASKS) / np.maximum(total, LOWEST_RATE * own[:, TASKS] + 0.5)
        return rate, base, error, clumps, shared

    def learn_season(
        self, memory: np.ndarray, seasons: np.ndarray, seen: Observation, told: Judgement, learns: np.ndarray
    ) -> None:
        """Errors follow the tasks, and have no seasons beyond them."""

    def accept(self, memory: np.ndarray, seasons: np.ndarray, which: np.ndarray, effect: np.ndarray) -> None:  # noqa: ARG002
        own = memory["trusted"]
        for column in (COUNT, COUNT_TASKS):
            own[which, column] *= effect[which]

    def effect(
        self, memory: np.ndarray, baseline: tuple[np.ndarray, ...], size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        _, _, error, clumps, shared = baseline
        row = np.arange(len(memory))
        x, mean = memory["seen_in_run"][row, size], memory["expected_in_run"][row, size]
        times = (x + 0.5) / (mean + 0.5)
        windows = np.maximum(memory["last"] - memory["began"][row, size] + 1, 1)
        return times, times * np.sqrt((1 + clumps) / np.maximum(x, 0.5) + shared / windows + error**2)
