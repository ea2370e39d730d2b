"""Levels: a window's mean is normal around a baseline, with variance between windows and within them.

Latency and cost are means of logarithms or logarithms of means, so a change is a factor; the score is in points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from perf_pipeline.monitoring.detectors.judgement import Judgement, Observation
from perf_pipeline.monitoring.detectors.least_squares import NormalEquations

HOURS = 24
PRIOR_WINDOWS = 6.0

PRECISION, LEVEL, WINDOWS, PRECISION_SQUARED, WITHIN, WITHIN_WEIGHT, S_1, S_N, S_NN, R_1, R_N = range(11)


@dataclass(frozen=True)
class LevelSettings:
    """`field` is what `Observation.measured` is asked for, and `within_field` that with the deviation of its window's
    tasks, where that is measured; the value rests on `tasks_field` tasks. A `total` is a sum over the tasks: the
    logarithm of its mean is judged. `logarithmic` values are logarithms already, or made so.

    `sizes` are the changes looked for (in the value's own unit, all positive); `direction` is +1 where more is worse.
    `between` and `within` are the deviations that an agent without history is given, `least_between` the smallest
    that any agent is; `hour` is how far hours of the day may differ (one standard deviation; 0 for none). Of `positive`
    values the logarithm is judged, and of others nothing.
    """

    field: str
    sizes: tuple[float, float, float]
    direction: int = 1
    between: float = 0.15
    least_between: float = 0.02
    within: float = 0.6
    within_field: str | None = None
    hour: float = 0.0
    logarithmic: bool = True
    total: bool = False
    tasks_field: str = "tasks"
    positive: bool = False


LATENCY = LevelSettings(
    "latency_log_mean", (np.log(1.25), np.log(1.6), np.log(2.5)), within_field="latency_log_sd", hour=0.1
)
COST = LevelSettings("cost", (np.log(1.4), np.log(2.0), np.log(3.5)), total=True)
TOKENS = LevelSettings("tokens", (np.log(1.4), np.log(2.0), np.log(3.5)), total=True)
SCORE = LevelSettings(
    "score", (8.0, 16.0, 32.0), direction=-1, between=3.0, least_between=1.0, within=30.0, logarithmic=False
)


class LevelModel:
    sums: tuple[str, ...] = (
        "precision", "level", "windows", "precision_squared", "within", "within_weight",
        "s_1", "s_n", "s_nn", "r_1", "r_n",
    )  # fmt: skip

    def __init__(self, settings: LevelSettings) -> None:
        self.settings = settings
        self.sizes = np.array(settings.sizes)
        self.seasons: Mapping[str, int] = {"hour_residual": HOURS, "hour_precision": HOURS} if settings.hour else {}

    def judge(
        self, memory: np.ndarray, baseline: tuple[np.ndarray, ...], seasons: np.ndarray, seen: Observation
    ) -> Judgement:
        setting = self.settings
        raw, within_window = self._values(seen)
        tasks = seen.measured(setting.tasks_field)
        told = seen.present & (tasks > 0) & np.isfinite(raw)
        n = np.where(told, tasks, 1.0)
        level, error, between, within = baseline
        level = np.where(self._known(memory), level, np.where(told, raw, 0.0))
        offset = self._offset(seasons, seen)
        x = np.where(told, raw, level + offset)
        if setting.total:
            # The logarithm of a mean of few tasks lies below that of many by half its variance.
            x = np.where(told, x + within / (2 * n), x)
        expected = level + offset
        variance = between + within / n
        residual = (x - expected) / np.sqrt(variance)
        kept = expected + np.clip(x - expected, -3 * np.sqrt(variance), 3 * np.sqrt(variance))
        precision = 1 / variance
        squares = (kept - expected) ** 2
        weight = (n / (n + 4)) ** 2
        measured = told & np.isfinite(within_window) & (n > 1)
        increments = np.stack(
            [
                precision,
                precision * (kept - offset),
                np.ones_like(n),
                precision**2 * variance,
                np.where(measured, (n - 1) * np.where(measured, within_window, 0.0) ** 2, 0.0),
                np.where(measured, n - 1, 0.0),
                weight,
                weight / n,
                weight / n**2,
                weight * squares,
                weight * squares / n,
            ],
            axis=1,
        )
        excess = setting.direction * (x - expected) - error
        ratios = (self.sizes[None, :] * excess[:, None] - self.sizes[None, :] ** 2 / 2) * precision[:, None]
        band = 1.96 * np.sqrt(variance + error**2)
        to_unit = np.exp if setting.logarithmic else np.asarray
        return Judgement(
            seen=told,
            log_ratios=ratios,
            value=to_unit(np.where(told, raw, np.nan)),
            expected=to_unit(expected),
            low=to_unit(expected - band),
            high=to_unit(expected + band),
            residual=np.where(told, setting.direction * residual, 0.0),
            observed_term=precision * setting.direction * (x - expected),
            expected_term=precision,
            increments=increments,
            chance=np.ones_like(n),
        )

    def baseline(self, memory: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Level, its standard error, variance between windows, and variance of a single task within one."""
        own, setting = memory["trusted"], self.settings
        precision = np.maximum(own[:, PRECISION], 1e-12)
        level = own[:, LEVEL] / precision
        prior_between, prior_within = setting.between**2, setting.within**2
        measured = own[:, WITHIN_WEIGHT]
        pooled = (own[:, WITHIN] + prior_within * 4) / (measured + 4)
        # Least squares of the squared residuals over 1 and 1/n, drawn to the prior by a few windows.
        ridge = PRIOR_WINDOWS * 0.25
        residuals = NormalEquations(
            x_x=own[:, S_1] + ridge,
            x_y=own[:, S_N],
            y_y=own[:, S_NN] + ridge,
            x_value=own[:, R_1] + ridge * prior_between,
            y_value=own[:, R_N] + ridge * prior_within,
        )
        within = np.where(measured > 0, pooled, np.clip(residuals.second(), 0, None))
        between = np.maximum(residuals.first_beside(within), setting.least_between**2)
        error = np.sqrt(own[:, PRECISION_SQUARED]) / precision
        return level, error, between, within

    def _known(self, memory: np.ndarray) -> np.ndarray:
        return memory["trusted"][:, PRECISION] > 0

    def _values(self, seen: Observation) -> tuple[np.ndarray, np.ndarray]:
        values, setting = seen.measured(self.settings.field), self.settings
        if setting.total:
            positive = np.isfinite(values) & (values > 0) & (seen.tasks > 0)
            per_task = np.where(positive, values, 1.0) / np.where(positive, seen.tasks, 1.0)
            values = np.where(positive, np.log(per_task), np.nan)
        if setting.positive:
            positive = np.isfinite(values) & (values > 0)
            values = np.where(positive, np.log(np.where(positive, values, 1.0)), np.nan)
        nothing = np.full(len(seen.tasks), np.nan)
        return values, seen.measured(setting.within_field) if setting.within_field else nothing

    def _offset(self, seasons: np.ndarray, seen: Observation) -> np.ndarray:
        if not self.seasons:
            return np.zeros(len(seasons))
        hour = seen.hour_of_day
        return seasons["hour_residual"][:, hour] / (seasons["hour_precision"][:, hour] + self.settings.hour**-2)

    def learn_season(
        self, memory: np.ndarray, seasons: np.ndarray, seen: Observation, told: Judgement, learns: np.ndarray
    ) -> None:
        if not self.seasons:
            return
        level, _, between, within = self.baseline(memory)
        raw, _ = self._values(seen)
        ready = learns & told.seen & self._known(memory)
        variance = between + within / np.where(ready, seen.measured(self.settings.tasks_field), 1.0)
        residual = np.where(ready, raw, level) - level
        limit = 3 * np.sqrt(variance) + self.settings.hour
        hour, fading = seen.hour_of_day, 0.5 ** (1 / (14 * seen.windows_an_hour))
        for name, term in (
            ("hour_residual", np.clip(residual, -limit, limit) / variance),
            ("hour_precision", 1 / variance),
        ):
            slots = seasons[name]
            slots[:, hour] = np.where(ready, fading * slots[:, hour] + term, slots[:, hour])

    def accept(self, memory: np.ndarray, seasons: np.ndarray, which: np.ndarray, effect: np.ndarray) -> None:  # noqa: ARG002
        moved = np.log(np.maximum(effect, 1e-9)) if self.settings.logarithmic else effect
        own = memory["trusted"]
        own[which, LEVEL] += (self.settings.direction * moved * own[:, PRECISION])[which]

    def effect(
        self, memory: np.ndarray, baseline: tuple[np.ndarray, ...], size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        row = np.arange(len(memory))
        precision = np.maximum(memory["expected_in_run"][row, size], 1e-12)
        change = memory["seen_in_run"][row, size] / precision
        _, error, _, _ = baseline
        deviation = np.sqrt(1 / precision + error**2)
        if self.settings.logarithmic:
            return np.exp(change), np.exp(change) * deviation
        return change, deviation
