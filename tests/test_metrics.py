"""Metrics are what a plain calculation over the tasks gives, with a row for every agent and window."""

from __future__ import annotations

import math
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.monitoring.metrics import fill_windows, metrics_from_tasks
from perf_pipeline.tables import AGENT_TASKS, TIME
from tests.builders import LENGTH, Row, frame, log_line, logs, task, window

AGENTS = ("A", "B")
WINDOWS = [window(0), window(1), window(2)]

random_tasks = st.lists(
    st.builds(
        task,
        agent=st.sampled_from(AGENTS),
        at=st.integers(0, 5399),
        ms=st.none() | st.floats(0, 1e6),
        ok=st.booleans(),
        error_count=st.integers(0, 5),
        prompt_tokens=st.none() | st.integers(0, 10_000),
        completion_tokens=st.none() | st.integers(0, 10_000),
        cost_usd=st.none() | st.floats(0, 10),
    ),
    max_size=40,
)


def observed(rows: list[Row]) -> pd.DataFrame:
    tasks = ibis.duckdb.connect().create_table("agent_tasks", frame(AGENT_TASKS, rows))
    return metrics_from_tasks(tasks, LENGTH).to_pandas()


def filled(
    rows: list[Row], log_rows: list[Row] | None = None, agents: tuple[str, ...] = AGENTS, incomplete: Any = ()
) -> pd.DataFrame:
    return fill_windows(observed(rows), logs(*(log_rows or [])), agents, WINDOWS, set(incomplete))


def plain(rows: list[Row]) -> dict[str, float]:
    """The metrics of some tasks of one agent and window, with numpy."""
    latency = np.array([row["latency_ms"] for row in rows if row["latency_ms"] is not None], dtype=float)
    logarithms = np.log(np.maximum(latency, 0.001))
    tokens = [row[name] for row in rows for name in ("prompt_tokens", "completion_tokens") if row[name] is not None]
    costs = [row["cost_usd"] for row in rows if row["cost_usd"] is not None]
    p50, p95, p99 = np.percentile(latency, [50, 95, 99], method="linear") if len(latency) else [math.nan] * 3
    return {
        "tasks": len(rows),
        "successes": sum(row["ok"] for row in rows),
        "success_rate": 100 * sum(row["ok"] for row in rows) / len(rows),
        "error_count": sum(row["error_count"] for row in rows),
        "latency_mean_ms": latency.mean() if len(latency) else math.nan,
        "latency_p50_ms": p50,
        "latency_p95_ms": p95,
        "latency_p99_ms": p99,
        "latency_log_mean": logarithms.mean() if len(latency) else math.nan,
        "latency_log_sd": logarithms.std(ddof=1) if len(latency) > 1 else math.nan,
        "total_tokens": sum(tokens) if tokens else math.nan,
        "cost_usd": sum(costs) if costs else math.nan,
    }


@settings(max_examples=25, deadline=None)
@given(random_tasks)
def test_metrics_equal_a_plain_calculation_over_the_tasks(rows: list[Row]) -> None:
    groups: dict[tuple[str, pd.Timestamp], list[Row]] = {}
    for row in rows:
        start = pd.Timestamp(row["start_time"]).floor("30min")
        groups.setdefault((row["agent"], start), []).append(row)
    found = observed(rows)
    found["window_start"] = pd.to_datetime(found["window_start"], utc=True)
    assert set(zip(found["agent"], found["window_start"], strict=True)) == set(groups)
    for _, values in found.iterrows():
        expected = plain(groups[values["agent"], values["window_start"]])
        np.testing.assert_allclose(
            values[list(expected)].astype(float), list(expected.values()), rtol=1e-9, atol=1e-9, err_msg=str(values)
        )


def test_a_task_without_a_known_end_does_not_count_as_a_fast_one() -> None:
    row = observed([task(ms=1000), task(ms=None, at=1)]).iloc[0]
    assert row["tasks"] == 2
    assert row["latency_mean_ms"] == pytest.approx(1000)
    assert math.exp(row["latency_log_mean"]) == pytest.approx(1000)


def test_percentiles_lie_between_the_two_nearest_tasks() -> None:
    row = observed([task(ms=ms, at=ms) for ms in (100, 200, 300, 400)]).iloc[0]
    assert row["latency_p50_ms"] == pytest.approx(250)
    assert row["latency_p95_ms"] == pytest.approx(385)


def test_a_task_at_the_edge_counts_in_the_window_that_it_begins() -> None:
    rows = filled([task("A", at=1799.999), task("A", at=1800)]).query("agent == 'A'")
    assert list(rows["tasks"]) == [1, 1, 0]


def test_every_agent_of_the_fleet_has_a_row_in_every_window() -> None:
    found = filled([task("A", at=1800)])
    assert list(zip(found["window_start"], found["agent"], strict=True)) == [
        (pd.Timestamp(one.start), agent) for one in WINDOWS for agent in AGENTS
    ]
    assert list(found["tasks"]) == [0, 0, 1, 0, 0, 0]
    assert found["success_rate"].isna().sum() == 5


def test_a_fleet_that_did_nothing_has_all_its_rows() -> None:
    found = filled([])
    assert len(found) == 6
    assert found[["tasks", "successes", "error_count", "log_errors"]].to_numpy().sum() == 0


def test_an_unknown_agent_keeps_the_rows_that_it_has() -> None:
    found = filled([task("Stranger", at=1800)])
    assert len(found) == 7
    assert list(found[found["agent"] == "Stranger"]["window_start"]) == [window(1).start]


def test_tasks_outside_the_windows_are_left_out() -> None:
    assert filled([task("A", at=-1), task("A", at=3 * 1800)])["tasks"].sum() == 0


def test_windows_that_were_not_read_in_full_are_not_complete() -> None:
    found = filled([], incomplete=[window(1)])
    assert list(found["complete"]) == [True, True, False, False, True, True]
    assert found["complete"].dtype == bool
    assert found["window_start"].dtype == TIME


def test_only_error_lines_that_name_an_agent_count_in_the_window_they_were_written_in() -> None:
    lines = [
        log_line("at the start", 0, agent="A"),
        log_line("at the edge", 1800, agent="A"),
        log_line("again", 1801, agent="A"),
        log_line("only a warning", 1802, severity="warn", agent="A"),
        log_line("about nobody", 1803),
        log_line("about a stranger", 1804, agent="Stranger"),
    ]
    found = filled([], lines)
    assert list(found[found["agent"] == "A"]["log_errors"]) == [1, 2, 0]
    assert found["log_errors"].sum() == 3


def test_lines_outside_the_windows_are_not_counted_in_the_nearest() -> None:
    lines = [log_line("before", -0.001, agent="A"), log_line("after", 3 * 1800, agent="A")]
    assert filled([], lines)["log_errors"].sum() == 0
