"""Windows summed up to longer stretches of time, and tasks to the notable ones, so that a page reads few rows.

All of them can be applied to their own result: six hours to a day gives what windows to a day give, but for the means
of baselines, which count every part alike.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

NOTABLE_TASKS = 8
"""Of an agent: so many of its slowest tasks, and of its newest failures."""

SUMMED = ("tasks", "successes", "cost_usd", "windows")
WEIGHTED = ("score", "latency_p50_ms")
WORST = ("latency_p95_ms", "latency_p99_ms")
BASELINES = ("expected", "low", "high")


def metrics_by_time(metrics: pd.DataFrame, every: timedelta) -> pd.DataFrame:
    """Columns `agent, window_start`, sums of SUMMED, means of WEIGHTED weighted by tasks, and the highest of WORST.

    `windows` is how many a row stands for: one, where `metrics` has no such column.
    """
    metrics = metrics if "windows" in metrics else metrics.assign(windows=1)
    time = metrics["window_start"].dt.floor(every)
    rows = metrics[["agent"]].assign(window_start=time)
    for name in SUMMED:
        rows[name] = metrics[name]
    for name in WEIGHTED:
        weight = metrics["tasks"].where(metrics[name].notna(), 0)
        rows[f"{name}_sum"], rows[f"{name}_weight"] = metrics[name].fillna(0) * weight, weight
    grouped = rows.groupby(["agent", "window_start"], sort=True)
    result = grouped.sum(min_count=1)
    worst = metrics[["agent", *WORST]].assign(window_start=time).groupby(["agent", "window_start"]).max()
    for name in WEIGHTED:
        result[name] = result[f"{name}_sum"] / result[f"{name}_weight"].replace(0, np.nan)
    return result[[*SUMMED, *WEIGHTED]].join(worst).reset_index()


def states_by_time(states: pd.DataFrame, every: timedelta) -> pd.DataFrame:
    """Columns `agent, metric, window_start, value, expected, low, high, tasks`.

    A value is the mean of those of the windows, weighted by tasks; that of `tasks` itself is the plain mean.
    """
    seen = states["value"].notna()
    weight = states["tasks"].clip(lower=1).where(states["metric"] != "tasks", 1).where(seen, 0)
    keys = ["agent", "metric", "window_start"]
    rows = states[["agent", "metric"]].assign(
        window_start=states["window_start"].dt.floor(every),
        value=states["value"].fillna(0) * weight,
        weight=weight,
        tasks=states["tasks"],
        **{name: states[name] for name in BASELINES},
    )
    grouped = rows.groupby(keys, sort=True, observed=True)
    sums = grouped[["value", "weight", "tasks"]].sum()
    result = grouped[list(BASELINES)].mean()
    result["value"] = sums["value"] / sums["weight"].replace(0, np.nan)
    result["tasks"] = sums["tasks"]
    return result.reset_index()


def once_a_metric(states: pd.DataFrame) -> pd.DataFrame:
    """One row an agent, metric and window: a metric may be watched for two findings."""
    return states.drop_duplicates(["window_start", "agent", "metric"])


def notable_tasks(tasks: pd.DataFrame) -> pd.DataFrame:
    """Of each agent the slowest tasks, and the newest that failed."""
    slow = tasks[tasks["latency_ms"].notna()].sort_values("latency_ms", ascending=False, kind="stable")
    failed = tasks[~tasks["ok"]].sort_values("start_time", ascending=False, kind="stable")
    kept = [rows.groupby("agent", sort=False).head(NOTABLE_TASKS) for rows in (slow, failed)]
    return pd.concat(kept).drop_duplicates(["trace_id", "task_span_id"])
