"""What a detector's model says about one window of all agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

CUSTOM, CUSTOM_TASKS = "custom:", "custom tasks:"
"""Before the name of a metric of fleet.yaml: its value, and the number of tasks that the value rests on."""


@dataclass(frozen=True)
class Observation:
    """A window of all agents: arrays with one entry each; NaN where nothing was measured.

    `index` is the window's number since 1970 (UTC). `present` marks the agents that there are data of: for others
    the entries mean nothing. `changed` marks those that a planned change touches. Latencies are natural logarithms of
    milliseconds. `custom` holds the metrics of fleet.yaml, by the names that `measured` takes.
    """

    index: int
    windows_an_hour: int
    present: np.ndarray
    tasks: np.ndarray
    successes: np.ndarray
    errors: np.ndarray
    log_errors: np.ndarray
    latency_log_mean: np.ndarray
    latency_log_sd: np.ndarray
    tokens: np.ndarray
    cost: np.ndarray
    score: np.ndarray
    changed: np.ndarray
    unnoticed_failures: np.ndarray
    finished_rows: np.ndarray
    missing_traces: np.ndarray
    unseen_errors: np.ndarray
    custom: Mapping[str, np.ndarray] = field(default_factory=dict)

    def measured(self, name: str) -> np.ndarray:
        """A field, or a metric of fleet.yaml by `CUSTOM` or `CUSTOM_TASKS` and its name."""
        if name.startswith((CUSTOM, CUSTOM_TASKS)):
            nothing = np.full(len(self.tasks), np.nan)
            return self.custom.get(name, nothing)
        return getattr(self, name)

    @property
    def hour_of_day(self) -> int:
        return self.index // self.windows_an_hour % 24

    @property
    def hour_of_week(self) -> int:
        return self.index // self.windows_an_hour % 168


@dataclass(frozen=True)
class Judgement:
    """One entry per agent; `log_ratios` is agents × sizes, in nats, before capping.

    `value`, `expected`, `low` and `high` are in the metric's own unit: what was seen, the baseline, and the band in
    which 95 % of healthy windows of this size lie. `residual` is standardised, and positive where things go badly.
    `observed_term` and `expected_term` add up over a run to its effect (`Model.effect`). `increments` (agents × sums)
    belong to the model's sums. `chance` is the probability of a total loss of success while healthy; 1 where nothing
    of the kind was seen.
    """

    seen: np.ndarray
    log_ratios: np.ndarray
    value: np.ndarray
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    residual: np.ndarray
    observed_term: np.ndarray
    expected_term: np.ndarray
    increments: np.ndarray
    chance: np.ndarray


class Model(Protocol):
    """How one metric behaves while healthy, and the sizes of change that are looked for.

    `memory` holds records of `memory.RECORD`, `seasons` those of `seasons`; both have one entry per agent.
    """

    @property
    def sums(self) -> Sequence[str]:
        """Names of the decayed sums."""
        ...

    @property
    def seasons(self) -> Mapping[str, int]:
        """Names of the seasonal fields, with their numbers of slots."""
        ...

    def baseline(self, memory: np.ndarray) -> tuple[np.ndarray, ...]:
        """What the memory makes of healthy windows, in numbers of the model's own (one entry per agent)."""
        ...

    def judge(
        self, memory: np.ndarray, baseline: tuple[np.ndarray, ...], seasons: np.ndarray, seen: Observation
    ) -> Judgement:
        """The window against the memory of what came before it, of which `baseline` was worked out."""
        ...

    def learn_season(
        self, memory: np.ndarray, seasons: np.ndarray, seen: Observation, told: Judgement, learns: np.ndarray
    ) -> None:
        """Take the window into the seasonal slots of the agents in `learns`, in place."""
        ...

    def accept(self, memory: np.ndarray, seasons: np.ndarray, which: np.ndarray, effect: np.ndarray) -> None:
        """Move the baseline of the agents in `which` by the effect of their change, in place."""
        ...

    def effect(
        self, memory: np.ndarray, baseline: tuple[np.ndarray, ...], size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Effect of the run of the given size (an index per agent), in the policy's unit, and its standard error.

        `baseline` is what the run was judged against in the window.
        """
        ...
