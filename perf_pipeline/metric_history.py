"""An installation's metrics as detectors read them: agent_metrics, beside them the metrics of fleet.yaml."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.custom_metrics import with_custom_metrics
from perf_pipeline.tables import AGENT_METRICS, CUSTOM_METRICS
from resources.lake import Lake


def read_metrics(lake: Lake, fleet: FleetConfig, start: datetime, end: datetime) -> pd.DataFrame:
    """`tables.AGENT_METRICS` of the windows that begin in `[start, end)`, with the columns of `with_custom_metrics`."""
    metrics = lake.read(AGENT_METRICS, start, end)
    return with_custom_metrics(metrics, custom_values(lake, fleet, start, end), fleet.metrics)


def custom_values(lake: Lake, fleet: FleetConfig, start: datetime, end: datetime) -> pd.DataFrame:
    """Rows of `tables.CUSTOM_METRICS`; none, and nothing is read, where fleet.yaml has no metrics."""
    return lake.read(CUSTOM_METRICS, start, end) if fleet.metrics else CUSTOM_METRICS.empty()


def metrics_written(lake: Lake, fleet: FleetConfig, start: datetime, end: datetime) -> dict[datetime, datetime]:
    """When the windows of `read_metrics` were last written (UTC), by their start."""
    written = lake.written(AGENT_METRICS, start, end)
    custom = lake.written(CUSTOM_METRICS, start, end) if fleet.metrics else {}
    return {window: max(time, custom.get(window, time)) for window, time in written.items()}
