"""What each agent was expected to do in a window, as its own past and the other agents' say."""

from __future__ import annotations

import numpy as np
import pandas as pd

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.detector_states import expected_by, replay_windows
from perf_pipeline.monitoring.detectors.fleet_memory import FleetMemory
from perf_pipeline.monitoring.detectors.replay import Step, window_numbers

COLUMNS = {
    "success_rate": "baseline_success_rate",
    "errors_per_task": "baseline_errors_per_task",
    "latency": "baseline_log_mean",
}
"""The detectors' metrics whose expectation is a column of `tables.AGENT_METRICS`."""

BASELINES = ["baseline_tasks", *COLUMNS.values()]


def add_expectations(observed: pd.DataFrame, memory: FleetMemory | None, fleet: FleetConfig) -> pd.DataFrame:
    """`observed` with the columns `baseline_*` of `tables.AGENT_METRICS`, each as it was known before its window.

    `observed` has the observed columns of the windows that follow what `memory` holds (None for nothing). Windows
    that are not complete have expectations, and leave none.
    """
    steps: list[Step] = []
    found: list[pd.DataFrame] = []

    def note(index: int, before: FleetMemory, _after: FleetMemory) -> None:
        expected: dict[str, np.ndarray] = {}
        for step, record in zip(steps, before.records, strict=True):
            if step.detector.metric in COLUMNS:
                expected[COLUMNS[step.detector.metric]] = expected_by(step, record)
            if step.detector.metric == "success_rate":
                expected["baseline_tasks"] = record["tasks"].astype("int64")
        found.append(pd.DataFrame(expected).assign(agent=list(before.agents), number=index))
        steps.clear()

    replay_windows(observed, memory, fleet, steps.append, note)
    keyed = observed.assign(number=window_numbers(observed["window_start"], fleet.window))
    if not found:
        return observed.reindex(columns=[*observed.columns, *BASELINES])
    every = pd.concat(found, ignore_index=True).astype({"agent": observed["agent"].dtype})
    every = every[["agent", "number", *BASELINES]]
    joined = keyed.merge(every, on=["agent", "number"], how="left", validate="one_to_one").drop(columns="number")
    joined["baseline_log_mean"] = np.log(joined["baseline_log_mean"])
    return joined
