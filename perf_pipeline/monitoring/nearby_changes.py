"""The changes near the onset of a trouble, the likeliest first."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.monitoring.cause_evidence import NearbyChange
from perf_pipeline.monitoring.windows import Window

CHANGE_LOOKBACK = timedelta(hours=2)
SHOWN = 5
FIRST_USE = "first use"
VERSIONED = {"model": "model", "program_version": "version"}
ENOUGH_BEFORE = 10
"""With fewer tasks before it, a model or version may only not have had its turn."""

IN_USE = 0.1
"""A model or version counts as changed to where at least this share of the tasks since the onset use it."""


def of_agent(agent: str, changes: pd.DataFrame) -> pd.DataFrame:
    """Those of the agent and of the whole fleet, in order of time."""
    return changes[changes["agent"].isna() | (changes["agent"] == agent)].sort_values("time", kind="stable")


def time_and_words(time: datetime, description: str) -> str:
    """What a deployment is called as the value of a task's attribute."""
    return f"{time:%Y-%m-%d %H:%M} UTC: {description}"


def nearest_change(agent: str, changes: pd.DataFrame, affected: Window, began_by: datetime) -> pd.Series | None:
    """The change, of the agent or of the whole fleet, that the trouble most likely came with.

    That is the last one before `began_by`, at most two hours before the affected time. A first bad window may be
    chance, so where there is none it is the first one after that; later ones are rather attempts to mend it.
    """
    near = _near(of_agent(agent, changes), affected)
    earlier = near[near["time"] < began_by]
    if len(earlier):
        return earlier.iloc[-1]
    return near.iloc[0] if len(near) else None


def nearby_changes(
    changes: pd.DataFrame, tasks: pd.DataFrame, affected: Window, began_by: datetime, explaining: Collection[str] = ()
) -> tuple[NearbyChange, ...]:
    """`changes` (`tables.CHANGE_EVENTS`) are those `of_agent`, `tasks` (`tables.AGENT_TASKS`) those of the agent.

    First those to a model or version that is among the `explaining` values; then those before `began_by`, the latest
    first; then the later ones. The first use of a model or version by a task counts as a change too: after the
    announced ones, for it is rather what follows from one.
    """
    announced = [
        NearbyChange(
            time=row["time"].to_pydatetime(),
            kind=str(row["kind"]),
            agent=_text(row["agent"]),
            description=str(row["description"]),
            from_version=_text(row["from_version"]),
            to_version=_text(row["to_version"]),
            minutes_before_onset=_minutes(affected.start, row["time"]),
        )
        for _, row in _near(changes, affected).iterrows()
    ]
    seen = [
        change
        for change in _first_uses(tasks, affected)
        if not any(_leads_to(other, change.to_version) for other in announced)
    ]

    def rank(change: NearbyChange) -> tuple[bool, bool, bool, float]:
        explains = any(_leads_to(change, value) for value in explaining)
        minutes = (change.time - began_by).total_seconds() / 60
        return not explains, change.time >= began_by, change.kind == FIRST_USE, abs(minutes)

    return tuple(sorted([*announced, *seen], key=rank)[:SHOWN])


def _near(changes: pd.DataFrame, affected: Window) -> pd.DataFrame:
    time = changes["time"]
    return changes[(time >= affected.start - CHANGE_LOOKBACK) & (time < affected.end)]


def _first_uses(tasks: pd.DataFrame, affected: Window) -> list[NearbyChange]:
    found = []
    ordered = tasks.sort_values("start_time", kind="stable")
    now = ordered[(ordered["start_time"] >= affected.start) & (ordered["start_time"] < affected.end)]
    for column, noun in VERSIONED.items():
        named = ordered.dropna(subset=column)
        for value, time in named.groupby(column)["start_time"].min().items():
            before = named.loc[named["start_time"] < time, column]
            used = (now[column] == value).sum() >= max(IN_USE * len(now), 1)
            if time < affected.start - CHANGE_LOOKBACK or len(before) < ENOUGH_BEFORE or not used:
                continue
            found.append(
                NearbyChange(
                    time=time.to_pydatetime(),
                    kind=FIRST_USE,
                    agent=str(tasks["agent"].iloc[0]),
                    description=f"First task with {noun} {value}",
                    from_version=str(before.iloc[-1]),
                    to_version=str(value),
                    minutes_before_onset=_minutes(affected.start, time),
                )
            )
    return found


def _leads_to(change: NearbyChange, value: str | None) -> bool:
    """Whether it is this deployment, or a change to this model or version.

    A model may be told with its provider before it ('openai/m').
    """
    to = change.to_version
    if value is None or value == time_and_words(change.time, change.description):
        return value is not None
    return to is not None and (to == value or to.endswith(f"/{value}"))


def _minutes(onset: datetime, time: pd.Timestamp) -> float:
    return round((onset - time).total_seconds() / 60, 1)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
