"""One window of all agents through all detectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from perf_pipeline.monitoring.detectors.evidence import forget_evidence, gather
from perf_pipeline.monitoring.detectors.judgement import Judgement, Model, Observation
from perf_pipeline.monitoring.detectors.lifecycle import (
    IS_OPEN,
    Bar,
    Bars,
    Event,
    Outcome,
    advance,
    is_mature,
    telling_size,
)
from perf_pipeline.monitoring.detectors.memory import SUMS

CAPS = np.array([-3.6, -0.6, 0.85])
"""The most that one window may say for each size of change, in nats above the bar: alone it opens nothing."""

BLOCK = 8
"""Windows whose residuals are added up to see whether neighbours share their luck."""

BLOCK_PRIOR, BLOCK_FADING = 12.0, 0.98
CALIBRATION_PRIOR, CALIBRATION_FADING, CALIBRATION_CAP = 100.0, 0.998, 6.0
LONGEST_RUN_DAYS = 3

REGIME_WEIGHT = 1 / 7
"""What a planned change, or a new normal, leaves of the weight of the baseline before it."""

SQUARES_OF_WEIGHTS = ("spread", "precision_squared")
NEW_NORMAL = int(Event.NEW_NORMAL)


@dataclass(frozen=True)
class Detector:
    """A metric, how it behaves, and what is called a change of it.

    Detectors of one metric share its seasons, which the first of them keeps. `definition` names what a metric of
    fleet.yaml is, and `watches` says of which agents: there is nothing to be said of the others.
    """

    metric: str
    finding: str
    family: str
    model: Model
    bar: Bar
    definition: str = ""
    watches: Callable[[str], bool] = lambda _agent: True

    @property
    def absolute(self) -> bool:
        return self.metric == "success_rate"


@dataclass(frozen=True)
class Panel:
    """All detectors side by side: what they have in common is worked out for all of them at once."""

    detectors: tuple[Detector, ...]
    agents: int

    @cached_property
    def bars(self) -> Bars:
        return Bars.of([(detector.bar, detector.absolute) for detector in self.detectors], self.agents)

    @cached_property
    def caps(self) -> np.ndarray:
        return self.bars.evidence[:, None] + CAPS

    @cached_property
    def fading_powers(self) -> np.ndarray:
        """detectors × 1 × sums: 2 for sums of squared weights, which fade twice as fast."""
        powers = np.ones((len(self.detectors), 1, SUMS))
        for place, detector in enumerate(self.detectors):
            for column, name in enumerate(detector.model.sums):
                powers[place, 0, column] += name in SQUARES_OF_WEIGHTS
        return powers

    @cached_property
    def same_family(self) -> np.ndarray:
        families = np.array([detector.family for detector in self.detectors])
        return families[:, None] == families[None, :]


def step(
    panel: Panel,
    memory: np.ndarray,
    seasons: Mapping[str, np.ndarray],
    seen: Observation,
    half_life: float,
) -> tuple[np.ndarray, dict[str, np.ndarray], list[Judgement], Outcome]:
    """Memory and seasons after the window, what each model said of it, and what became of it (detectors × agents).

    `memory` (detectors × agents) and `seasons` (by metric) are not changed. `half_life` of the baseline in windows.
    With a planned change a new regime begins: the old baseline stays what the window is compared with, and gives way
    to what comes now within a day instead of a week.
    """
    memory = memory.copy()
    seasons = {metric: slots.copy() for metric, slots in seasons.items()}
    before_open = memory["phase"] >= IS_OPEN
    frozen = panel.same_family @ before_open
    _fade(panel, memory, seen, half_life)
    if seen.changed.any():
        memory["trusted"][:, seen.changed] *= REGIME_WEIGHT
    baselines = [detector.model.baseline(own) for detector, own in zip(panel.detectors, memory, strict=True)]
    judgements = [
        detector.model.judge(own, baseline, seasons[detector.metric], seen)
        for detector, own, baseline in zip(panel.detectors, memory, baselines, strict=True)
    ]
    told = _side_by_side(judgements)
    every = memory.reshape(-1)
    mature = is_mature(every)
    tempered = told.log_ratios * _tempering(every)[:, None]
    ratios = np.minimum(tempered - _miscalibration(every), panel.caps)
    gather(every, ratios, told.seen, seen.index, told.observed_term, told.expected_term)
    memory["last"] = np.where(seen.present, seen.index, memory["last"])
    memory["first"] = np.where(seen.present & (memory["first"] < 0), seen.index, memory["first"])
    size = telling_size(every)
    effects = [
        detector.model.effect(own, baseline, sizes)
        for detector, own, baseline, sizes in zip(
            panel.detectors, memory, baselines, size.reshape(memory.shape), strict=True
        )
    ]
    effect, error = (np.concatenate(parts) for parts in zip(*effects, strict=True))
    outcome = advance(every, told, ratios, seen.index, panel.bars, size, effect, error)
    _accept_new_normals(panel, memory, seasons, outcome)
    _learn_seasons(panel, memory, seasons, seen, judgements, outcome, frozen)
    _learn(every, told, tempered, seen, np.tile(seen.tasks, len(memory)), mature, outcome, frozen.reshape(-1))
    return memory, seasons, judgements, outcome


def _side_by_side(judgements: Sequence[Judgement]) -> Judgement:
    """One judgement of all detectors, one after the other."""
    joined = {
        field.name: np.concatenate([getattr(told, field.name) for told in judgements])
        for field in fields(Judgement)
        if field.name != "increments"
    }
    agents = len(judgements[0].seen)
    increments = np.zeros((len(judgements), agents, SUMS))
    for place, told in enumerate(judgements):
        increments[place, :, : told.increments.shape[1]] = told.increments
    return Judgement(**joined, increments=increments.reshape(-1, SUMS))


def _fade(panel: Panel, memory: np.ndarray, seen: Observation, half_life: float) -> None:
    """Let the baselines grow older by the time since the agent was last seen; not while a change is open."""
    elapsed = np.where(memory["last"] >= 0, seen.index - memory["last"], 0.0)
    elapsed = np.where(seen.present & (memory["phase"] < IS_OPEN), elapsed, 0.0)
    factor = (0.5 ** (elapsed / half_life))[:, :, None] ** panel.fading_powers
    memory["trusted"] *= factor
    memory["recent"] *= factor


def _tempering(memory: np.ndarray) -> np.ndarray:
    """What a window's evidence is worth after a window that was as unlucky.

    Where neighbouring windows share their luck, sums of residuals vary more than independent ones would, and the
    second bad window in a row says less than the first. The inflation of that variance is measured over blocks.
    """
    blocks = memory["blocks"] + BLOCK_PRIOR
    inflation = (memory["block_squares"] + BLOCK_PRIOR) / blocks - np.sqrt(2 / blocks)
    return np.where(memory["residual"] > 0, 1 / np.clip(inflation, 1.0, 10.0), 1.0)


def _miscalibration(memory: np.ndarray) -> np.ndarray:
    """Nats to take from a window's log ratios (one per size), so that the mean ratio of healthy windows is at most 1.

    Evidence adds up only where that holds. Where an agent's noise has a heavier tail than its model, the mean of its
    past ratios says by how much it does not.
    """
    windows = memory["ratio_windows"][:, None] + CALIBRATION_PRIOR
    mean = (memory["ratios"] + CALIBRATION_PRIOR) / windows
    return np.log(np.maximum(mean, 1.0))


def _learn_calibration(memory: np.ndarray, tempered: np.ndarray, clean: np.ndarray) -> None:
    fading = np.where(clean, CALIBRATION_FADING, 1.0)
    ratios = np.exp(np.minimum(tempered, CALIBRATION_CAP))
    memory["ratios"] = fading[:, None] * memory["ratios"] + np.where(clean[:, None], ratios, 0.0)
    memory["ratio_windows"] = fading * memory["ratio_windows"] + clean


def _learn_seasons(
    panel: Panel,
    memory: np.ndarray,
    seasons: Mapping[str, np.ndarray],
    seen: Observation,
    judgements: Sequence[Judgement],
    outcome: Outcome,
    frozen: np.ndarray,
) -> None:
    is_open = (outcome.phase >= IS_OPEN).reshape(memory.shape) | frozen
    metrics = [detector.metric for detector in panel.detectors]
    for place, detector in enumerate(panel.detectors):
        if detector.model.seasons and metrics.index(detector.metric) == place:
            same = [other for other, metric in enumerate(metrics) if metric == detector.metric]
            learns = seen.present & ~is_open[same].any(axis=0)
            slots = seasons[detector.metric]
            detector.model.learn_season(memory[place], slots, seen, judgements[place], learns)


def _accept_new_normals(panel: Panel, memory: np.ndarray, seasons: Mapping[str, np.ndarray], outcome: Outcome) -> None:
    """Move the baselines of changes that became normal by their effect, in place; what comes now refines them soon."""
    accepted = (outcome.event == NEW_NORMAL).reshape(memory.shape)
    effect = outcome.effect.reshape(memory.shape)
    for place in np.flatnonzero(accepted.any(axis=1)):
        model, which = panel.detectors[place].model, accepted[place]
        model.accept(memory[place], seasons[panel.detectors[place].metric], which, effect[place])
        memory[place]["trusted"][which] *= REGIME_WEIGHT


def _learn(
    memory: np.ndarray,
    told: Judgement,
    tempered: np.ndarray,
    seen: Observation,
    tasks: np.ndarray,
    mature: np.ndarray,
    outcome: Outcome,
    frozen: np.ndarray,
) -> None:
    """Take the window into the baselines, in place, unless it may belong to a change.

    While a run of evidence lasts, windows wait in `recent`. They join the baseline when the run ends in nothing, or
    when it lasts for `LONGEST_RUN_DAYS` without becoming a finding; they are thrown away when it becomes one.
    """
    is_open = outcome.phase >= IS_OPEN
    suspect = mature & (memory["run"][:, 0] > 0)
    learns = told.seen & ~frozen
    memory["recent"] += np.where(learns[:, None], told.increments, 0.0)
    longest = LONGEST_RUN_DAYS * 24 * seen.windows_an_hour
    stuck = suspect & ~is_open & (seen.index - memory["began"][:, 0] >= longest)
    if stuck.any():
        forget_evidence(memory, stuck)
    merges = (learns & ~is_open & ~suspect) | stuck
    memory["trusted"] += np.where(merges[:, None], memory["recent"], 0.0)
    memory["recent"][merges | is_open] = 0.0
    clean = learns & ~is_open
    memory["windows"] += clean
    memory["tasks"] += np.where(clean, tasks, 0.0)
    newly_mature = clean & ~mature & is_mature(memory)
    if newly_mature.any():
        forget_evidence(memory, newly_mature)
    _learn_shared_luck(memory, np.clip(told.residual, -3, 3), clean)
    _learn_calibration(memory, tempered, clean)


def _learn_shared_luck(memory: np.ndarray, residual: np.ndarray, clean: np.ndarray) -> None:
    memory["block"] += np.where(clean, residual, 0.0)
    memory["block_windows"] += clean
    full = memory["block_windows"] >= BLOCK
    if full.any():
        squares = BLOCK_FADING * memory["block_squares"] + memory["block"] ** 2 / BLOCK
        memory["block_squares"] = np.where(full, squares, memory["block_squares"])
        memory["blocks"] = np.where(full, BLOCK_FADING * memory["blocks"] + 1, memory["blocks"])
        memory["block"][full] = 0.0
        memory["block_windows"][full] = 0.0
    memory["residual"] = np.where(clean, residual, memory["residual"])
