"""Planned changes: deployments, promotions, new program versions. After one, an agent may rightly behave otherwise."""

from __future__ import annotations

from datetime import timedelta

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


def new_versions(tasks: pd.DataFrame, earlier: pd.DataFrame) -> pd.DataFrame:
    """The program versions that agents began to use: agent, program_version, and the time (UTC) of the first task.

    `tasks` and `earlier` have the columns agent, program_version and start_time; `earlier` are the tasks of the time
    before. An agent's first version is not a new one.
    """
    known = set(zip(earlier["agent"], earlier["program_version"], strict=True))
    seen = tasks[tasks["program_version"].notna()].sort_values("start_time", kind="stable")
    first = seen.drop_duplicates(["agent", "program_version"])
    old = set(earlier.loc[earlier["program_version"].notna(), "agent"])
    begins = first[~first.duplicated("agent")]
    beginners = set(
        begins.loc[~begins["agent"].isin(old), ["agent", "program_version"]].itertuples(index=False, name=None)
    )
    fresh = [
        pair not in known and pair not in beginners
        for pair in zip(first["agent"], first["program_version"], strict=True)
    ]
    return first.loc[fresh, ["agent", "program_version", "start_time"]].rename(columns={"start_time": "time"})
