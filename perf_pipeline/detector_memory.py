"""The detectors' memory as it was before a window, from the lake: the newest stored one, and what came after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.metric_history import metrics_written, read_metrics
from perf_pipeline.monitoring.detector_states import replay_states
from perf_pipeline.monitoring.detectors.fleet_memory import FleetMemory, restored
from perf_pipeline.monitoring.detectors.registry import detectors
from perf_pipeline.monitoring.snapshots import usable_snapshot
from perf_pipeline.tables import DETECTOR_STATES
from resources.lake import Lake

LOOKBACK = timedelta(days=35)
"""How far back a memory is looked for. With half-lives of a week, little is left of what is older."""

PORTION = timedelta(hours=12)
"""So much history is read at a time, which bounds the memory that a long replay needs."""


def memory_before(
    first: datetime,
    lake: Lake,
    fleet: FleetConfig,
    on_stale: Callable[[datetime, pd.DataFrame], None] | None = None,
) -> FleetMemory | None:
    """What the detectors remember of the windows before `first`; None where there are none.

    In the usual cycle that is the stored memory of the window before. Where windows were filled or read again since,
    what follows them is replayed from their metrics; `on_stale`, if any, gets the rows of `tables.DETECTOR_STATES` that
    should stand in each of these windows.
    """
    since = first - LOOKBACK
    written = metrics_written(lake, fleet, since, first)
    snapshot = usable_snapshot(written, lake.written(DETECTOR_STATES, since, first), first)
    memory = _stored_memory(snapshot, lake, fleet) if snapshot else None
    start = since if snapshot is None or memory is None else snapshot + fleet.window
    # Most cycles have nothing to replay, and an installation younger than the lookback has not had these windows.
    start = min((window for window in written if window >= start), default=first)
    while start < first:
        end = min(start + PORTION, first)
        memory = replay_states(read_metrics(lake, fleet, start, end), memory, fleet, on_stale)
        start = end
    return memory


def _stored_memory(snapshot: datetime, lake: Lake, fleet: FleetConfig) -> FleetMemory | None:
    """The memory stored in a window; None where another version of the detectors wrote it."""
    table = DETECTOR_STATES.view("agent", "finding", "layout", "memory")
    return restored(
        lake.read(table, snapshot, snapshot + fleet.window), detectors(fleet.detection, fleet.window, fleet.metrics)
    )
