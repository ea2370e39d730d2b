"""An isolation forest over the joint vector of an agent's metrics, as a learned layer would run: causal, refit daily.

Its input is what the detectors make of a window: each metric's deviation from its baseline, in standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.detectors.lifecycle import Phase
from perf_pipeline.monitoring.detectors.registry import detectors
from perf_pipeline.monitoring.detectors.replay import Step, replay, window_time

LEFT_OUT = {"traffic_surge", "score_drop"}  # the mirror image of the drop, and what is computed from the others
LARGEST = 10.0  # standard deviations; beyond them nothing becomes more unusual
TRAINING_DAYS, FIRST_DAYS = 14, 7
LEAST_WINDOWS = 200
TREES = 50

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class JointResiduals:
    """`values`: agents x windows x metrics, 0 where a metric was not measured; `windows` is unbroken.

    `trains` leaves out windows that did not arrive, and those in which a finding was open: a detected incident never
    trains the forest either.
    """

    agents: tuple[str, ...]
    windows: pd.DatetimeIndex
    values: Floats
    arrived: NDArray[np.bool_]
    trains: NDArray[np.bool_]


def joint_residuals(metrics: pd.DataFrame, fleet: FleetConfig) -> JointResiduals:
    policy = fleet.detection
    every = [detector for detector in detectors(policy, fleet.window) if detector.finding not in LEFT_OUT]
    steps: dict[int, list[Step]] = {}
    replay(
        metrics,
        every,
        fleet.window,
        timedelta(days=policy.memory_days),
        on_step=lambda step: steps.setdefault(step.index, []).append(step),
    )
    first, last = min(steps), max(steps)
    agents = steps[first][0].agents
    shape = (len(agents), last - first + 1)
    values = np.zeros((*shape, len(every)))
    arrived, is_open = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for index, parts in steps.items():
        at = index - first
        arrived[:, at] = parts[0].present
        is_open[:, at] = np.any([step.outcome.phase >= Phase.OPEN for step in parts], axis=0)
        values[:, at] = np.stack([np.where(step.told.seen, step.told.residual, 0.0) for step in parts], axis=1)
    began = window_time(first, fleet.window)
    assert began is not None
    windows = pd.date_range(began, periods=shape[1], freq=fleet.window)
    return JointResiduals(agents, windows, np.clip(values, -LARGEST, LARGEST), arrived, arrived & ~is_open)


def unusualness(joint: JointResiduals, seed: int = 0) -> Floats:
    """How unusual each window is (agents x windows), in standard deviations of the scores of the training windows.

    NaN where nothing arrived or too little is known. Each agent's forest is refit every day on the fortnight before.
    """
    # Only this ablation needs it.
    from sklearn.ensemble import IsolationForest

    a_day = timedelta(days=1) // (joint.windows[1] - joint.windows[0])
    result = np.full(joint.arrived.shape, np.nan)
    for agent in range(len(joint.agents)):
        for start in range(FIRST_DAYS * a_day, len(joint.windows), a_day):
            past = slice(max(start - TRAINING_DAYS * a_day, 0), start)
            training = joint.values[agent, past][joint.trains[agent, past]]
            today = start + np.flatnonzero(joint.arrived[agent, start : start + a_day])
            if len(training) < LEAST_WINDOWS or not len(today):
                continue
            forest = IsolationForest(n_estimators=TREES, random_state=seed).fit(training)
            usual = forest.score_samples(training)
            scored = forest.score_samples(joint.values[agent, today])
            result[agent, today] = (usual.mean() - scored) / usual.std()
    return result
