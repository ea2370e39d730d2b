"""InboundAgent as the success detector knows it, and windows that come after what it knows."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from perf_pipeline.monitoring.detectors.fleet_memory import FleetMemory
from tests.builders import Row, metrics_row
from tests.metric_tables import DAY, memory_after, metrics, watch

SUCCESS = {"success_drop"}


@cache
def known_agent(tasks: int = 10, days: int = 4) -> FleetMemory:
    """Its memory: nine of ten tasks succeeded, with the luck that independent tasks have."""
    rng = np.random.default_rng(61)
    rows = [row(number, tasks, int(rng.binomial(tasks, 0.9))) for number in range(-days * DAY, 0)]
    return memory_after(metrics(*rows), SUCCESS)


def row(number: int, tasks: int = 10, successes: int = 9, **columns: Any) -> Row:
    return metrics_row(number=number, tasks=tasks, successes=successes, errors=tasks - successes, **columns)


def go_on(*successes: int | None, tasks: int = 10, memory: FleetMemory | None = None) -> pd.DataFrame:
    """What is said of windows from 0 on, with so many successes each; None for a window without tasks."""
    rows = [row(number, 0, 0) if count is None else row(number, tasks, count) for number, count in enumerate(successes)]
    return watch(metrics(*rows), SUCCESS, memory or known_agent(tasks))
