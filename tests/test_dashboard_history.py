"""History as the dashboard reads it: summed up without losing a task, and kept until its files change."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.service.dashboard.fleet_history import FleetHistory
from perf_pipeline.service.dashboard.lake_days import LOOK_AFTER_CHANGING, LakeDays, days_touched
from perf_pipeline.service.dashboard.reductions import metrics_by_time, notable_tasks, once_a_metric, states_by_time
from perf_pipeline.service.dashboard.time_range import RANGES, RangeName
from perf_pipeline.tables import AGENT_METRICS, AGENT_TASKS, Table
from resources.lake import Lake
from tests.builders import LENGTH, frame, metrics_row, task
from tests.dashboard_fixtures import LAST, NOW, installation, starts

SIX_HOURS, DAY = timedelta(hours=6), timedelta(days=1)

WINDOWS = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(0, 199), st.integers(0, 30), st.floats(0, 100)),
    min_size=1,
    max_size=60,
    unique_by=lambda row: row[:2],
)


def metrics_of(rows: list[tuple[str, int, int, float]]) -> pd.DataFrame:
    grid = starts(200)
    return frame(
        AGENT_METRICS,
        [
            metrics_row(agent, 0, tasks)
            | {"window_start": grid[place], "score": score if tasks else np.nan, "cost_usd": 0.5 * tasks}
            for agent, place, tasks, score in rows
        ],
    )


def states_of(rows: list[tuple[str, int, int, float]], metric: str = "latency") -> pd.DataFrame:
    grid = starts(200)
    return pd.DataFrame(
        {
            "window_start": [grid[place] for _, place, _, _ in rows],
            "agent": [agent for agent, *_ in rows],
            "metric": metric,
            "value": [value if tasks else np.nan for _, _, tasks, value in rows],
            "expected": 50.0,
            "low": 40.0,
            "high": 60.0,
            "tasks": [tasks for _, _, tasks, _ in rows],
        }
    )


@settings(deadline=None, max_examples=40)
@given(WINDOWS)
def test_a_day_made_of_parts_is_the_day_made_of_windows(rows: list[tuple[str, int, int, float]]) -> None:
    for table, reduce in ((metrics_of(rows), metrics_by_time), (states_of(rows), states_by_time)):
        at_once, in_steps = reduce(table, DAY), reduce(reduce(table, SIX_HOURS), DAY)
        pd.testing.assert_frame_equal(at_once, in_steps, check_dtype=False)


@settings(deadline=None, max_examples=40)
@given(WINDOWS)
def test_no_task_is_lost_and_means_lie_between_what_they_are_means_of(rows: list[tuple[str, int, int, float]]) -> None:
    table = metrics_of(rows)
    summed = metrics_by_time(table, SIX_HOURS)
    assert summed["tasks"].sum() == table["tasks"].sum()
    assert summed["windows"].sum() == len(table)
    for agent, own in summed.groupby("agent"):
        seen = table[(table["agent"] == agent) & (table["tasks"] > 0)]["score"]
        known = own["score"].dropna()
        assert known.empty or (known.min() >= seen.min() - 1e-9 and known.max() <= seen.max() + 1e-9)


def test_a_mean_counts_tasks_but_traffic_counts_windows() -> None:
    rows = [("A", 190, 10, 100.0), ("A", 191, 30, 200.0)]
    assert states_by_time(states_of(rows), DAY)["value"].tolist() == [175.0]
    assert states_by_time(states_of(rows, "tasks"), DAY)["value"].tolist() == [150.0]


def test_a_metric_that_is_watched_twice_is_one_row() -> None:
    twice = pd.concat([states_of([("A", 1, 10, 5.0)], "tasks")] * 2)
    assert len(once_a_metric(twice)) == 1


def test_of_each_agent_the_slowest_tasks_and_the_newest_failures_are_kept() -> None:
    slow = [task("A", at=place, ms=100.0 + place, task_span_id=f"s{place}") for place in range(30)]
    failed = [task("A", at=100 + place, ms=1.0, ok=False, task_span_id=f"f{place}") for place in range(30)]
    kept = notable_tasks(frame(AGENT_TASKS, [*slow, *failed, task("B", ms=1.0)]))
    assert set(kept["task_span_id"]) == {f"s{n}" for n in range(22, 30)} | {f"f{n}" for n in range(22, 30)} | {"top"}
    assert set(notable_tasks(kept)["task_span_id"]) == set(kept["task_span_id"])


class CountingLake(Lake):
    reads = 0

    def read(self, table: Table, start: datetime, end: datetime) -> pd.DataFrame:
        self.reads += 1
        return super().read(table, start, end)


def test_a_day_is_read_once_and_again_when_a_window_was_written(tmp_path: Path) -> None:
    lake = CountingLake(str(tmp_path))
    days = LakeDays(lake, AGENT_METRICS, lambda rows: rows, kept=3)
    start = LAST - LENGTH

    def write(tasks: int) -> None:
        lake.write(
            AGENT_METRICS, start, frame(AGENT_METRICS, [metrics_row("A", 0, tasks, tasks) | {"window_start": start}])
        )

    write(10)
    for _ in range(3):
        assert days.of_agent("A", start, LAST, NOW)["tasks"].tolist() == [10]
    assert lake.reads == 1
    write(11)
    later = NOW + LOOK_AFTER_CHANGING
    assert days.of_agent("A", start, LAST, later)["tasks"].tolist() == [11]
    assert days.of_agent("A", start, LAST, later + LOOK_AFTER_CHANGING)["tasks"].tolist() == [11]
    assert lake.reads == 2


def test_a_window_of_a_backfill_is_seen_although_its_day_was_empty(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    days = LakeDays(lake, AGENT_METRICS, lambda rows: rows, kept=3)
    assert days.of_all(LAST - DAY, LAST, NOW).empty
    lake.write(AGENT_METRICS, LAST - LENGTH, frame(AGENT_METRICS, [metrics_row() | {"window_start": LAST - LENGTH}]))
    assert len(days.of_all(LAST - DAY, LAST, NOW + LOOK_AFTER_CHANGING)) == 1


def test_no_more_days_are_kept_than_asked_for(tmp_path: Path) -> None:
    days = LakeDays(Lake(str(tmp_path)), AGENT_METRICS, lambda rows: rows, kept=2)
    days.of_all(LAST - 5 * DAY, LAST, NOW)
    assert len(days._days) == 2


def test_days_are_those_that_the_time_touches() -> None:
    midnight = LAST.replace(hour=0)
    assert days_touched(midnight - LENGTH, midnight) == [midnight - DAY]
    assert days_touched(midnight - LENGTH, midnight + LENGTH) == [midnight - DAY, midnight]


@pytest.mark.parametrize("name", [RangeName.WEEK, RangeName.MONTH])
def test_history_is_that_of_one_agent_at_the_times_of_the_range(tmp_path: Path, name: RangeName) -> None:
    with installation(tmp_path, ("A", "B"), days=2) as (lake, _):
        history, chosen = FleetHistory(lake), RANGES[name]
        span = chosen.span(NOW, LENGTH)
        metrics, states = (read("A", span, chosen, NOW) for read in (history.metrics, history.states))
        every = chosen.every or LENGTH
        assert set(metrics["agent"]) == {"A"}
        assert (metrics["window_start"] == metrics["window_start"].dt.floor(every)).all()
        assert not states.duplicated(["metric", "window_start"]).any()
        assert states["window_start"].max() == pd.Timestamp(LAST - LENGTH).floor(every)
        tasks = history.notable_tasks("A", span, NOW)
        assert set(tasks["agent"]) == {"A"}


def test_warming_reads_what_the_longest_range_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perf_pipeline.service.dashboard.fleet_history.PAUSE_SECONDS", 0)
    with installation(tmp_path, ("A",), days=2) as (written, _):
        lake = CountingLake(str(written.root))
        history, chosen = FleetHistory(lake), RANGES[RangeName.QUARTER]
        history.warm(NOW)
        read = lake.reads
        span = chosen.span(NOW, LENGTH)
        history.metrics("A", Window(NOW - DAY, NOW), chosen, NOW)
        history.states("A", span, chosen, NOW)
        history.changes("A", span, NOW)
        assert lake.reads == read


def test_a_lake_that_cannot_be_read_ahead_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Lake, "written", Mock(side_effect=OSError("s3://user:secret@host is away")))
    FleetHistory(Lake(str(tmp_path))).warm_in_background(lambda: NOW).join()
    assert "Check PERF_PIPELINE_LAKE." in caplog.text
    assert "secret" not in caplog.text
