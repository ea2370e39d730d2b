"""Planned changes: deployments, promotions, new program versions. After one, an agent may rightly behave otherwise."""

from __future__ import annotations

from datetime import timedelta

import ibis.expr.types as ir
import pandas as pd

from perf_pipeline.monitoring.windows import floor_to_window


def count_planned_changes(
    grid: pd.DataFrame, changes: pd.DataFrame, versions: pd.DataFrame, window: timedelta
) -> pd.Series:
    """How many changes each row of `grid` (agent, window_start) saw: of its agent, or of the whole fleet.

    `changes` has the columns agent (missing for the fleet) and time (UTC); `versions` those of `new_versions`.
    """
    events = pd.concat([changes[["agent", "time"]], versions[["agent", "time"]]], ignore_index=True)
    starts = pd.Series([floor_to_window(time, window) for time in events["time"]], index=events.index, dtype=object)
    everyone = starts[events["agent"].isna()].value_counts()
    own = pd.Series(list(zip(events["agent"], starts, strict=True)), index=events.index)[events["agent"].notna()]
    counts = own.value_counts()
    return pd.Series(
        [
            int(everyone.get(start, 0)) + int(counts.get((agent, start), 0))
            for agent, start in zip(grid["agent"], grid["window_start"], strict=True)
        ],
        index=grid.index,
        dtype="int64",
    )


def first_uses(tasks: ir.Table) -> ir.Table:
    """Each program version that an agent used: agent, program_version, and the time (UTC) of the first task with it.

    `tasks` has the columns agent, program_version and start_time; tasks that name no version are left out.
    """
    named = tasks.filter(tasks["program_version"].notnull())
    return named.group_by("agent", "program_version").aggregate(time=named["start_time"].min())


def new_versions(used: pd.DataFrame, used_before: pd.DataFrame) -> pd.DataFrame:
    """The rows of `used` at which an agent changed to a version that is not in `used_before`, oldest first.

    Both have the columns of `first_uses`. An agent's first version is not a new one.
    """
    used = used.sort_values(["time", "program_version"], ignore_index=True)
    version = ["agent", "program_version"]
    known = pd.MultiIndex.from_frame(used[version]).isin(pd.MultiIndex.from_frame(used_before[version]))
    begins = ~used["agent"].duplicated() & ~used["agent"].isin(used_before["agent"])
    return used[~known & ~begins]
