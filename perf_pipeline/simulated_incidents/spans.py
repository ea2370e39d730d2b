"""The spans that a tracer would have written of simulated tasks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from perf_pipeline.simulated_incidents.traffic import ERRORS, ONSET, Traffic
from perf_pipeline.tables import RAW_SPANS

KINDS = {"retrieve": "RETRIEVER", "parse": "CHAIN", "LM": "LLM"}


def spans_of(traffic: Traffic, rng: np.random.Generator) -> list[dict[str, object]]:
    """Rows of `tables.RAW_SPANS`: a caller's span where there is a caller, the task's own, and one for each step. A
    failure ends the task in its step, and marks the spans above."""
    rows: list[dict[str, object]] = []
    for number, task in enumerate(traffic.tasks.to_dict("records")):
        rows += _task(traffic.agent, f"{traffic.agent}-{number}", task, rng)
    return rows


def spans_frame(rows: list[dict[str, object]]) -> pd.DataFrame:
    return RAW_SPANS.conform(pd.DataFrame(rows, columns=RAW_SPANS.columns))


def _task(agent: str, trace: str, task: Mapping[Hashable, Any], rng: np.random.Generator) -> list[dict[str, object]]:
    steps = ["LM", "retrieve", *task["tools"], "parse"]
    error, failing = None, None
    if rng.random() < task["failure"]:
        # What the cause brings, unless the task would have failed without it.
        caused = task.get("cause_error") is not None and not pd.isna(task["cause_error"]) and rng.random() < 0.9
        error = task["cause_error"] if caused else str(rng.choice(ERRORS))
        failing = task["cause_step"] if caused else str(rng.choice(steps))
    start = ONSET + timedelta(seconds=task["at"])
    clock = start
    children = []
    for step in steps:
        ends = clock + timedelta(milliseconds=task[step])
        row = _span(trace, step, "task", clock, ends, KINDS.get(step, "TOOL"), error if step == failing else None)
        if step == "LM":
            row |= {"model": task["model"], "provider": task["provider"], "cost_usd": task["cost"]}
        elif step not in KINDS:
            row["tool"] = step
        children.append(row)
        clock = ends
        if step == failing:
            break
    called = bool(task["parent_agent"])
    own = _span(trace, "task", "caller" if called else None, start, clock, "AGENT", error)
    own |= {"agent": agent, "name": f"{agent}.forward", "program_version": task["program_version"]}
    rows = [own, *children]
    if called:
        caller = _span(trace, "caller", None, start, clock, "AGENT", None)
        rows.append(caller | {"agent": task["parent_agent"], "name": f"{task['parent_agent']}.forward"})
    return rows


def _span(
    trace: str, id: str, parent: str | None, start: datetime, end: datetime, kind: str, error: str | None
) -> dict[str, object]:
    return {
        "trace_id": trace,
        "span_id": id,
        "parent_id": parent,
        "name": id,
        "kind": kind,
        "start_time": start,
        "end_time": end,
        "latency_ms": (end - start).total_seconds() * 1000,
        "status": "OK" if error is None else "ERROR",
        "error_type": error,
    }
