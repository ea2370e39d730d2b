"""The detectors' verdicts and memories of each window, as rows of `tables.DETECTOR_STATES`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_detection import ChangePolicy, RatioPolicy, Rule
from perf_pipeline.fleet_model import Severity
from perf_pipeline.monitoring.detectors.fleet_memory import FleetMemory, no_memory, stored
from perf_pipeline.monitoring.detectors.levels import LevelModel
from perf_pipeline.monitoring.detectors.lifecycle import Event, Phase
from perf_pipeline.monitoring.detectors.registry import detectors
from perf_pipeline.monitoring.detectors.replay import Step, replay, window_numbers, window_time
from perf_pipeline.tables import DETECTOR_STATES

PHASES, EVENTS, SEVERITIES = (
    np.array([name.lower() for name in names], dtype=object)
    for names in (Phase.__members__, Event.__members__, Severity.__members__)
)
EPOCH = np.datetime64("1970-01-01T00:00:00", "us")


def detector_states(
    metrics: pd.DataFrame, memory: FleetMemory | None, fleet: FleetConfig, first: datetime
) -> pd.DataFrame:
    """The rows of `tables.DETECTOR_STATES` of the windows from `first` on.

    `metrics` are rows of `tables.AGENT_METRICS` that follow what `memory` holds (None for nothing).
    """
    frames: list[pd.DataFrame] = []
    earlier = metrics["window_start"] < first
    memory = replay_states(metrics[earlier], memory, fleet)
    replay_states(metrics[~earlier], memory, fleet, lambda _start, rows: frames.append(rows))
    return pd.concat(frames, ignore_index=True) if frames else DETECTOR_STATES.empty()


def replay_states(
    metrics: pd.DataFrame,
    memory: FleetMemory | None,
    fleet: FleetConfig,
    on_window: Callable[[datetime, pd.DataFrame], None] | None = None,
) -> FleetMemory:
    """Pass metrics through the detectors; `on_window`, if any, gets the rows of each window, oldest first.

    A window has rows of every agent that was seen up to it, also where the agent has no metrics; of a metric of
    fleet.yaml only those of the agents that it is computed of.
    """
    if on_window is None:
        return replay_windows(metrics, memory, fleet, lambda _step: None, lambda _index, _before, _after: None)
    steps: list[Step] = []
    begins = _first_windows(metrics, memory, fleet.window)

    def finish(index: int, before: FleetMemory, after: FleetMemory) -> None:
        start = window_time(index, fleet.window)
        assert start is not None
        known = np.array([begins[agent] <= index for agent in after.agents], dtype=bool)
        on_window(start, _window_rows(start, steps, before, after, known, fleet))
        steps.clear()

    return replay_windows(metrics, memory, fleet, steps.append, finish)


def replay_windows(
    metrics: pd.DataFrame,
    memory: FleetMemory | None,
    fleet: FleetConfig,
    on_step: Callable[[Step], None],
    on_window: Callable[[int, FleetMemory, FleetMemory], None],
) -> FleetMemory:
    """`replay` with the fleet's detectors. `on_window` gets the window's number, and the memory before and after it."""
    policy = fleet.detection
    every = detectors(policy, fleet.window, fleet.metrics)
    before = (memory or no_memory(every)).with_agents(sorted(metrics["agent"].unique()), every)

    def pass_on(index: int, after: FleetMemory) -> None:
        nonlocal before
        on_window(index, before, after)
        before = after

    half_life = timedelta(days=policy.memory_days)
    return replay(metrics, every, fleet.window, half_life, memory, on_step=on_step, on_window=pass_on)


def expected_by(step: Step, memory: np.ndarray) -> np.ndarray:
    """What was expected of each agent before the window; NaN where nothing could be. `memory` is that before it."""
    # A level has no prior: before the first window that it was measured in, its number means nothing.
    unknown = isinstance(step.detector.model, LevelModel) & (memory["windows"] == 0)
    return np.where(unknown, np.nan, step.told.expected)


def _first_windows(metrics: pd.DataFrame, memory: FleetMemory | None, window: timedelta) -> dict[str, float]:
    """The number of the first window that each agent has rows in; -inf for those that the memory knows."""
    numbers = pd.Series(window_numbers(metrics["window_start"], window), index=metrics.index)
    first = {str(agent): float(number) for agent, number in numbers.groupby(metrics["agent"]).min().items()}
    return first | dict.fromkeys(memory.agents if memory else (), -np.inf)


def _window_rows(
    start: datetime,
    steps: list[Step],
    before: FleetMemory,
    after: FleetMemory,
    known: np.ndarray,
    fleet: FleetConfig,
) -> pd.DataFrame:
    every = [step.detector for step in steps]
    parts = [
        _verdicts(step, old, new, fleet) for step, old, new in zip(steps, before.records, after.records, strict=True)
    ]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    memories = stored(after, every)
    rows = memories.assign(
        **columns,
        window_start=pd.Timestamp(start).as_unit("us"),
        metric=np.repeat(np.array([detector.metric for detector in every], dtype=object), len(after.agents)),
    )
    watched = np.array([[detector.watches(agent) for agent in after.agents] for detector in every], dtype=bool)
    rows = rows[(watched & known).reshape(-1)]
    return DETECTOR_STATES.conform(rows.sort_values("agent", kind="stable"))


def _verdicts(step: Step, before: np.ndarray, after: np.ndarray, fleet: FleetConfig) -> dict[str, np.ndarray]:
    told, outcome, window = step.told, step.outcome, fleet.window
    expected = expected_by(step, before)
    unknown = np.isnan(expected)
    active = outcome.phase != Phase.QUIET
    # A finding that ended at this window is quiet after it, and was open until then.
    ended = (outcome.event == Event.RESOLVED) | (outcome.event == Event.NEW_NORMAL)
    opened = (outcome.phase >= Phase.OPEN) | ended
    effect, low, high = _effect(step, fleet.rule(step.detector.finding))
    return {
        "value": np.where(told.seen, told.value, np.nan),
        "expected": expected,
        "low": np.where(unknown, np.nan, told.low),
        "high": np.where(unknown, np.nan, told.high),
        "evidence_nats": np.maximum(outcome.statistic, 0.0),
        "phase": PHASES[outcome.phase],
        "event": EVENTS[outcome.event],
        "onset": _times(np.where(active | ended, outcome.onset, -1), window),
        "opened": _times(np.where(opened, after["opened"], -1), window),
        "effect": np.where(active, effect, np.nan),
        "effect_low": np.where(active, low, np.nan),
        "effect_high": np.where(active, high, np.nan),
        "severity": np.where(active | ended, SEVERITIES[outcome.severity], np.nan),
        "tasks": step.tasks.astype("int64"),
    }


def _effect(step: Step, rule: Rule) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The effect and its 95 % interval: of a difference around it, of a ratio on the scale of its logarithm."""
    effect, error = step.outcome.effect, step.outcome.effect_error
    if isinstance(rule, RatioPolicy):
        spread = np.exp(np.minimum(1.96 * error / np.maximum(effect, 1e-9), 20.0))
        return effect, effect / spread, effect * spread
    most = np.inf if isinstance(rule, ChangePolicy) else 100
    return effect, np.clip(effect - 1.96 * error, 0, most), np.clip(effect + 1.96 * error, 0, most)


def _times(numbers: np.ndarray, window: timedelta) -> np.ndarray:
    """Starts of the windows with these numbers (UTC); NaT for a negative number."""
    length = np.timedelta64(int(window.total_seconds()), "s")
    starts = EPOCH + np.maximum(numbers, 0).astype("int64") * length
    return np.where(numbers >= 0, starts, np.datetime64("NaT"))
