"""Rows of agent_state, from whichever system holds them, as the tables task_counts and task_states."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

import pandas as pd

from perf_pipeline.tables import TASK_COUNTS, TASK_STATES

UNKNOWN = "unknown"
"""What stands for an agent or a status that a row does not name."""

Group = tuple[str, str]


@dataclass(frozen=True)
class TaskState:
    """One row of agent_state. Times are aware; `updated_at` is missing where the row was never updated."""

    task_id: str
    agent: str
    status: str
    created_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True)
class TaskCounts:
    """Numbers of rows by agent and status: changed in a window, all, and changed since the agent's optimization."""

    in_window: Counter[Group] = field(default_factory=Counter)
    in_total: Counter[Group] = field(default_factory=Counter)
    since_optimization: Counter[Group] = field(default_factory=Counter)


def count_states(
    states: Iterable[TaskState], start: datetime, end: datetime, since: Mapping[str, datetime]
) -> TaskCounts:
    """Counts each state once. `since` says when an agent was optimized: an agent that it lacks never was.

    The window is [start, end), all times are aware. A row that was never updated counts as older than every time.
    """
    counts = TaskCounts()
    for state in states:
        group = (state.agent, state.status)
        changed, optimized = state.updated_at, since.get(state.agent)
        counts.in_total[group] += 1
        if changed and start <= changed < end:
            counts.in_window[group] += 1
        if optimized is None or (changed and changed >= optimized):
            counts.since_optimization[group] += 1
    return counts


def counts_frame(start: datetime, counts: TaskCounts) -> pd.DataFrame:
    """A frame of TASK_COUNTS with a row for each agent and status that any of the counts knows."""
    groups = sorted(set(chain(counts.in_window, counts.in_total, counts.since_optimization)))
    return TASK_COUNTS.conform(
        pd.DataFrame(
            {
                "window_start": [start] * len(groups),
                "agent": [agent for agent, _ in groups],
                "status": [status for _, status in groups],
                "tasks_in_window": [counts.in_window[group] for group in groups],
                "tasks_total": [counts.in_total[group] for group in groups],
                "tasks_since_optimization": [counts.since_optimization[group] for group in groups],
            }
        )
    )


def states_frame(states: Iterable[TaskState]) -> pd.DataFrame:
    """A frame of TASK_STATES, oldest change first. A task that is given twice keeps its latest change only."""
    changed = sorted(
        ((state.updated_at, state) for state in states if state.updated_at), key=lambda pair: (pair[0], pair[1].task_id)
    )
    latest = {state.task_id: state for _, state in changed}
    kept = [state for _, state in changed if latest[state.task_id] is state]
    return TASK_STATES.conform(
        pd.DataFrame({name: [getattr(state, name) for state in kept] for name in TASK_STATES.columns})
    )
