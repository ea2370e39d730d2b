"""Tasks summed up to metrics per agent and window, as one Ibis expression that runs on any engine."""

# Ibis gives every column of a table one type, so a checker knows no operation on numbers, texts or times.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import ibis
import ibis.expr.types as ir
import pandas as pd

from perf_pipeline.monitoring.windows import Window


def metrics_from_tasks(tasks: ir.Table, window_length: timedelta) -> ir.Table:
    """What was observed, one row per agent and window with at least one task.

    Columns: agent, window_start, and those of `tables.AGENT_METRICS` from `tasks` to `cost_usd`, without
    `log_errors`. Percentiles are exact, with linear interpolation between the two nearest tasks.
    """
    seconds = int(window_length.total_seconds())
    started = tasks.start_time.epoch_seconds()
    window_start = (started - started % seconds).as_timestamp("s")
    latency = tasks.latency_ms
    # Some engines' greatest() skips what is missing: an unknown latency must not become a short one.
    log_latency = ibis.cases((latency.notnull(), ibis.greatest(latency, 0.001).ln()))
    observed = tasks.mutate(window_start=window_start, log_latency=log_latency)
    return (
        observed.group_by("agent", "window_start")
        .aggregate(
            tasks=observed.count(),
            successes=observed.count(where=observed.ok),
            error_count=observed.error_count.sum(),
            latency_mean_ms=observed.latency_ms.mean(),
            latency_p50_ms=observed.latency_ms.quantile(0.50),
            latency_p95_ms=observed.latency_ms.quantile(0.95),
            latency_p99_ms=observed.latency_ms.quantile(0.99),
            latency_log_mean=observed.log_latency.mean(),
            latency_log_sd=observed.log_latency.std(how="sample"),
            total_tokens=(observed.prompt_tokens.fill_null(0) + observed.completion_tokens.fill_null(0)).sum(
                where=observed.prompt_tokens.notnull() | observed.completion_tokens.notnull()
            ),
            cost_usd=observed.cost_usd.sum(),
        )
        .mutate(success_rate=100.0 * ibis._.successes / ibis._.tasks)
    )


def fill_windows(
    observed: pd.DataFrame,
    logs: pd.DataFrame,
    agents: Sequence[str],
    windows: Sequence[Window],
    incomplete: set[Window],
) -> pd.DataFrame:
    """A row for each agent and window, also where an agent did nothing.

    `observed` has the columns of `metrics_from_tasks`; `logs` those of `tables.RAW_LOGS`. Agents that appear in
    `observed` but not in `agents` keep the rows that they have. `windows` are in order of time; what lies outside
    them is left out. Adds `log_errors` and `complete`; the result has the observed columns of
    `tables.AGENT_METRICS`, those of the baselines and the score still missing.
    """
    names = list(dict.fromkeys([*agents, *observed["agent"]]))
    grid = pd.MultiIndex.from_product([[window.start for window in windows], names], names=["window_start", "agent"])
    observed = observed.assign(window_start=pd.to_datetime(observed["window_start"], utc=True).dt.as_unit("us"))
    index = pd.MultiIndex.from_arrays(
        [pd.DatetimeIndex(grid.get_level_values(0)).as_unit("us"), grid.get_level_values(1)], names=grid.names
    )
    table = observed.set_index(["window_start", "agent"]).reindex(index).reset_index()
    counts = ["tasks", "successes", "error_count"]
    table[counts] = table[counts].fillna(0).astype("int64")
    table = table[table["agent"].isin(agents) | (table["tasks"] > 0)]

    errors = logs[(logs["severity"] == "error") & logs["agent"].notna()]
    starts = pd.DatetimeIndex([window.start for window in windows]).as_unit("us")
    ends = pd.DatetimeIndex([window.end for window in windows]).as_unit("us")
    written = pd.DatetimeIndex(errors["timestamp"])
    position = starts.searchsorted(written, side="right") - 1
    inside = (position >= 0) & (written < ends[position])
    log_errors = errors[inside].assign(window_start=starts[position[inside]]).groupby(["window_start", "agent"]).size()
    keys = pd.MultiIndex.from_frame(table[["window_start", "agent"]])
    table["log_errors"] = log_errors.reindex(keys).fillna(0).astype("int64").to_numpy()
    partial = {window.start for window in incomplete}
    table["complete"] = [start.to_pydatetime() not in partial for start in table["window_start"]]
    return table.reset_index(drop=True)
