"""Tables of metrics through the detectors, window by window: what was expected, how strong the evidence is, and when.

The same function serves a cycle (two windows from a stored memory) and a backtest (months from none).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from perf_pipeline.monitoring.detectors.engine import Detector, Panel, step
from perf_pipeline.monitoring.detectors.fleet_memory import FleetMemory, no_memory
from perf_pipeline.monitoring.detectors.judgement import CUSTOM, CUSTOM_TASKS, Judgement, Observation
from perf_pipeline.monitoring.detectors.lifecycle import Outcome

COLUMNS = {
    "tasks": "tasks",
    "successes": "successes",
    "error_count": "errors",
    "log_errors": "log_errors",
    "latency_log_mean": "latency_log_mean",
    "latency_log_sd": "latency_log_sd",
    "total_tokens": "tokens",
    "cost_usd": "cost",
    "score": "score",
    "planned_changes": "changed",
    "unnoticed_failures": "unnoticed_failures",
    "finished_rows": "finished_rows",
    "missing_traces": "missing_traces",
    "unseen_errors": "unseen_errors",
}
"""Columns of `tables.AGENT_METRICS`, and what `Observation` calls them."""


@dataclass(frozen=True)
class Step:
    """What one detector made of one window. `told` and `outcome` have one entry per agent, in the order of `agents`."""

    index: int
    agents: tuple[str, ...]
    present: np.ndarray
    detector: Detector
    told: Judgement
    outcome: Outcome
    tasks: np.ndarray


def replay(
    metrics: pd.DataFrame,
    detectors: Sequence[Detector],
    window: timedelta,
    half_life: timedelta,
    memory: FleetMemory | None = None,
    on_step: Callable[[Step], None] = lambda _step: None,
    on_window: Callable[[int, FleetMemory], None] = lambda _index, _memory: None,
) -> FleetMemory:
    """Pass rows of `tables.AGENT_METRICS` through the detectors, oldest window first; the memory after the last.

    Rows that are not there, or not `complete`, are no data: they neither train nor alarm, but have an expectation.
    Columns of `COLUMNS` that the frame lacks count as not measured; it may have those of `with_custom_metrics`.
    `on_step` is called for each window and detector, `on_window` after each window.
    """
    memory = memory or no_memory(detectors)
    memory = memory.with_agents(sorted(metrics["agent"].unique()), detectors)
    panel = Panel(tuple(detectors), len(memory.agents))
    for seen in observations(metrics, memory.agents, window):
        records, seasons, judgements, outcome = step(panel, memory.records, memory.seasons, seen, half_life / window)
        memory = FleetMemory(memory.agents, records, seasons)
        for detector, told, part in zip(detectors, judgements, _by_detector(outcome, len(detectors)), strict=True):
            on_step(Step(seen.index, memory.agents, seen.present, detector, told, part, seen.tasks))
        on_window(seen.index, memory)
    return memory


def _by_detector(outcome: Outcome, detectors: int) -> list[Outcome]:
    parts = {field.name: getattr(outcome, field.name).reshape(detectors, -1) for field in fields(Outcome)}
    return [Outcome(**{name: values[place] for name, values in parts.items()}) for place in range(detectors)]


def observations(metrics: pd.DataFrame, agents: Sequence[str], window: timedelta) -> Iterator[Observation]:
    """The windows that the frame has rows of, oldest first; rows that are not `complete` count as not present."""
    if metrics.empty:
        return
    complete = metrics["complete"].to_numpy(dtype=bool) if "complete" in metrics else np.ones(len(metrics), dtype=bool)
    place = metrics["agent"].map({name: position for position, name in enumerate(agents)}).to_numpy()
    index = window_numbers(metrics["window_start"], window)
    custom = [str(column) for column in metrics if str(column).startswith((CUSTOM, CUSTOM_TASKS))]
    names = [*COLUMNS.values(), *custom]
    values = np.full((len(names), len(metrics)), np.nan)
    for row, column in enumerate([*COLUMNS, *custom]):
        if column in metrics:
            values[row] = metrics[column].to_numpy(dtype=float, na_value=np.nan)
    order = np.argsort(index, kind="stable")
    numbers, starts = np.unique(index[order], return_index=True)
    for number, rows in zip(numbers, np.split(order, starts[1:]), strict=True):
        table = np.full((len(names), len(agents)), np.nan)
        table[:, place[rows]] = values[:, rows]
        present = np.zeros(len(agents), dtype=bool)
        present[place[rows]] = complete[rows]
        measured = dict(zip(names, table, strict=True))
        own = {name: measured.pop(name) for name in custom}
        measured["tasks"] = np.nan_to_num(measured["tasks"])
        measured["successes"] = np.nan_to_num(measured["successes"])
        measured["changed"] = np.nan_to_num(measured["changed"]) > 0
        yield Observation(int(number), int(timedelta(hours=1) / window), present, **measured, custom=own)


def window_numbers(starts: pd.Series, window: timedelta) -> np.ndarray:
    """How many windows began before each, since 1970 (UTC)."""
    seconds = starts.astype("datetime64[s, UTC]").astype("int64").to_numpy()
    return seconds // int(window.total_seconds())


def window_time(number: float, window: timedelta) -> datetime | None:
    """The start (UTC) of the window with this number; None for what has not happened."""
    if number < 0:
        return None
    return pd.Timestamp(int(number) * window.total_seconds(), unit="s", tz="UTC").to_pydatetime()
