"""A lake with rows of agent_metrics and agent_tasks, made in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.tables import AGENT_METRICS, AGENT_TASKS
from resources.lake import Lake

OPTIONAL_COUNTS = ("total_tokens",)


def metrics_frame(agents: Sequence[str], start: datetime, seed: int = 0, **columns: Any) -> pd.DataFrame:
    """A complete window of healthy agents; `columns` stand above what is drawn."""
    rng, size = np.random.default_rng(seed), len(agents)
    tasks = rng.integers(5, 60, size)
    successes = rng.binomial(tasks, 0.92)
    latency = rng.lognormal(8, 0.3, size)
    drawn = {
        "agent": list(agents),
        "window_start": [start] * size,
        "tasks": tasks,
        "successes": successes,
        "success_rate": 100 * successes / tasks,
        "error_count": tasks - successes,
        "log_errors": rng.integers(0, 3, size),
        "latency_mean_ms": latency * 1.1,
        "latency_p50_ms": latency,
        "latency_p95_ms": latency * 2,
        "latency_p99_ms": latency * 3,
        "latency_log_mean": np.log(latency),
        "latency_log_sd": [0.4] * size,
        "total_tokens": tasks * 1500,
        "cost_usd": tasks * 0.002,
        "baseline_tasks": [500] * size,
        "baseline_success_rate": [92.0] * size,
        "baseline_errors_per_task": [0.08] * size,
        "baseline_log_mean": [8.0] * size,
        "score": rng.uniform(70, 99, size),
        "trend": ["stable"] * size,
        "complete": [True] * size,
    }
    return AGENT_METRICS.conform(pd.DataFrame(drawn | columns).reindex(columns=AGENT_METRICS.columns))


def tasks_frame(agents: Sequence[str], start: datetime, latencies_ms: Sequence[float]) -> pd.DataFrame:
    """A task of each agent for each latency; traces are named `<agent>-<number>`."""
    rows = [
        dict.fromkeys(AGENT_TASKS.columns)
        | {
            "task_span_id": f"{agent}-{number}",
            "trace_id": f"{agent}-{number}",
            "agent": agent,
            "start_time": start + timedelta(seconds=number),
            "ok": True,
            "latency_ms": latency,
            "llm_ms": 0.0,
            "tool_ms": 0.0,
            "llm_calls": 0,
            "tool_calls": 0,
            "error_count": 0,
            "spans": 1,
        }
        for agent in agents
        for number, latency in enumerate(latencies_ms)
    ]
    return AGENT_TASKS.conform(pd.DataFrame(rows))


def write_windows(lake: Lake, agents: Sequence[str], windows: Sequence[Window], **columns: Any) -> None:
    for number, window in enumerate(windows):
        lake.write(AGENT_METRICS, window.start, metrics_frame(agents, window.start, number, **columns))
