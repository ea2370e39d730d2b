"""Traffic: tasks a window ~ NegativeBinomial around what the same hour of the day, and of the week, used to bring.

Nothing is assumed of calendars or time zones: a quiet day of the week is known once it was seen. A drop is measured
against the lower of the two expectations, a surge against the higher, so that neither a weekend nor a Monday alarms.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from perf_pipeline.monitoring.detectors.judgement import Judgement, Observation

DAY, WEEK = 24, 168
DAYS_REMEMBERED = 7.0
WEEKLY_FADING = 0.7
SHRINKAGE = 0.5
"""Tasks as expected by the hour of the day, that stand beside what the hour of the week brought."""

NEIGHBOURS = np.array([0.5, 1.0, 0.5])
"""Weights of an hour of the week and the hours around it: an hour alone brings too few tasks to be known by."""

PRIOR_DISPERSION, DISPERSION_WEIGHT = 0.3, 12.0
DROPS = np.array([0.5, 0.2, 0.02])
SURGES = np.array([2.0, 3.5, 8.0])
LEAST_SURGE_BASE = 1.0
"""Tasks a window from which a surge is counted: a sleeping agent that is called twice is not one."""

EXCESS, MEAN_SQUARED, WINDOWS = range(3)


class TrafficModel:
    """`surge` looks for more than is expected; without it, for less."""

    sums: tuple[str, ...] = ("excess", "mean_squared", "windows")
    seasons: Mapping[str, int] = MappingProxyType(
        {"day_mean": DAY, "day_count": DAY, "week_seen": WEEK, "week_expected": WEEK}
    )

    def __init__(self, *, surge: bool) -> None:
        self.surge = surge
        self.times = SURGES if surge else DROPS

    def judge(
        self, memory: np.ndarray, baseline: tuple[np.ndarray, ...], seasons: np.ndarray, seen: Observation
    ) -> Judgement:
        day, week, known = self.expectations(memory, seasons, seen)
        told = seen.present & known
        x = np.where(told, seen.tasks, 0.0)
        (phi,) = baseline
        mean = np.maximum(np.maximum(day, week), LEAST_SURGE_BASE) if self.surge else np.minimum(day, week)
        mean = np.maximum(mean, 1e-3)
        shape = 1 / phi
        ratios = [
            x * np.log(times) - (x + shape) * np.log((shape + times * mean) / (shape + mean)) for times in self.times
        ]
        middle = np.maximum(week, 1e-3)
        deviation = np.sqrt(middle + phi * middle**2)
        kept = np.clip(x, middle - 3 * deviation, middle + 3 * deviation)
        increments = np.stack([(kept - middle) ** 2 - middle, middle**2, np.ones_like(x)], axis=1)
        sign = 1 if self.surge else -1
        return Judgement(
            seen=told,
            log_ratios=np.stack(ratios, axis=1),
            value=np.where(seen.present, seen.tasks, np.nan),
            expected=np.where(known, middle, np.nan),
            low=np.maximum(middle - 1.96 * deviation, 0),
            high=middle + 1.96 * deviation,
            residual=np.where(told, sign * (x - middle) / deviation, 0.0),
            observed_term=x,
            expected_term=mean,
            increments=increments,
            chance=np.ones_like(x),
        )

    def expectations(
        self, memory: np.ndarray, seasons: np.ndarray, seen: Observation
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tasks expected by the hour of the day, by the hour of the week, and whether a whole week was seen."""
        day = seasons["day_mean"][:, seen.hour_of_day]
        around = [(seen.hour_of_week + offset) % WEEK for offset in (-1, 0, 1)]
        came = seasons["week_seen"][:, around] @ NEIGHBOURS
        usual = seasons["week_expected"][:, around] @ NEIGHBOURS
        week = day * (came + SHRINKAGE) / (usual + SHRINKAGE)
        age = seen.index - memory["first"]
        return day, week, (memory["first"] >= 0) & (age >= (WEEK + 1) * seen.windows_an_hour)

    def baseline(self, memory: np.ndarray) -> tuple[np.ndarray]:
        """The dispersion; what is expected are the seasons."""
        own = memory["trusted"]
        usual = (own[:, MEAN_SQUARED] + 1e-3) / (own[:, WINDOWS] + 1)
        phi = own[:, EXCESS] + PRIOR_DISPERSION * DISPERSION_WEIGHT * usual
        return (np.clip(phi / (own[:, MEAN_SQUARED] + DISPERSION_WEIGHT * usual), 0.02, 4.0),)

    def learn_season(
        self,
        memory: np.ndarray,  # noqa: ARG002
        seasons: np.ndarray,
        seen: Observation,
        told: Judgement,
        learns: np.ndarray,
    ) -> None:
        ready = learns & seen.present
        limit = np.where(told.seen, told.high * 1.5 + 3, np.inf)
        x = np.minimum(np.where(ready, seen.tasks, 0.0), limit)
        hour, weekly = seen.hour_of_day, seen.hour_of_week
        mean, count = seasons["day_mean"][:, hour], seasons["day_count"][:, hour]
        more = np.minimum(count + 1, DAYS_REMEMBERED * seen.windows_an_hour)
        fading = WEEKLY_FADING ** (1 / seen.windows_an_hour)
        for name, term in (("week_seen", x), ("week_expected", np.where(count > 0, mean, x))):
            slots = seasons[name]
            slots[:, weekly] = np.where(ready, fading * slots[:, weekly] + term, slots[:, weekly])
        seasons["day_mean"][:, hour] = np.where(ready, mean + (x - mean) / more, mean)
        seasons["day_count"][:, hour] = np.where(ready, more, count)

    def accept(self, memory: np.ndarray, seasons: np.ndarray, which: np.ndarray, effect: np.ndarray) -> None:  # noqa: ARG002
        factor = np.where(which, effect if self.surge else 1 / np.maximum(effect, 1e-9), 1.0)[:, None]
        for name in ("day_mean", "week_seen", "week_expected"):
            seasons[name] *= factor

    def effect(
        self,
        memory: np.ndarray,
        baseline: tuple[np.ndarray, ...],  # noqa: ARG002
        size: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """How many times more than expected; for a drop, how many times less."""
        row = np.arange(len(memory))
        x, mean = memory["seen_in_run"][row, size], memory["expected_in_run"][row, size]
        times = (x + 0.5) / (mean + 0.5)
        times = times if self.surge else 1 / times
        return times, times * np.sqrt(1 / np.maximum(x, 0.5) + 1 / np.maximum(mean, 0.5))
