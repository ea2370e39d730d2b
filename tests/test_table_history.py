"""Rows that are kept in memory are those of the lake, whatever is written, in whatever order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import resources.table_history as table_history
from perf_pipeline.monitoring.windows import Window, windows_between
from perf_pipeline.standing_now import SHOWN_METRICS
from resources.lake import Lake
from resources.table_history import TableHistory
from tests.metrics_lake import metrics_frame, write_windows

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
WINDOWS = windows_between(NOON - timedelta(hours=6), NOON, HALF_HOUR)
AGENTS = ("B", "A", "C")
REACH = timedelta(days=90)


@pytest.fixture(autouse=True)
def look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_history, "LOOKS_EVERY_SECONDS", 0)


def held(history: TableHistory, now: datetime = NOON) -> pd.DataFrame:
    rows = history.rows(now)
    own = [rows.of(agent) for agent in rows.bounds]
    assert sum(len(frame) for frame in own) == len(rows.arrays["agent"])
    for agent, frame in zip(rows.bounds, own, strict=True):
        assert set(frame["agent"]) == {agent}
        assert frame["window_start"].is_monotonic_increasing
    return pd.concat(own, ignore_index=True) if own else SHOWN_METRICS.empty()


def in_the_lake(lake: Lake, windows: list[Window]) -> pd.DataFrame:
    frame = lake.read(SHOWN_METRICS, windows[0].start, windows[-1].end)
    return frame.sort_values(["agent", "window_start"], ignore_index=True)


@settings(max_examples=20, deadline=None)
@given(writes=st.lists(st.tuples(st.integers(0, 11), st.sets(st.sampled_from(AGENTS)), st.integers(0, 99)), max_size=8))
def test_what_is_held_is_what_the_lake_holds_after_every_write(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[int, set[str], int]]
) -> None:
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    history = TableHistory(lake, SHOWN_METRICS, REACH)
    assert held(history).empty
    for number, agents, seed in writes:
        start = WINDOWS[number].start
        lake.write(SHOWN_METRICS, start, SHOWN_METRICS.conform(metrics_frame(sorted(agents), start, seed)))
        pd.testing.assert_frame_equal(held(history), in_the_lake(lake, WINDOWS))


def test_the_version_changes_with_the_rows_and_not_otherwise(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    write_windows(lake, AGENTS, WINDOWS[:2])
    history = TableHistory(lake, SHOWN_METRICS, REACH)
    first = history.rows(NOON)
    assert history.rows(NOON).version == first.version
    write_windows(lake, AGENTS, WINDOWS[2:3])
    second = history.rows(NOON)
    assert second.version != first.version
    assert (len(first.arrays["agent"]), len(second.arrays["agent"])) == (6, 9)


def test_rows_beyond_the_reach_are_forgotten(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    write_windows(lake, AGENTS, WINDOWS[:2])
    history = TableHistory(lake, SHOWN_METRICS, timedelta(hours=6))
    assert len(held(history)) == 6
    assert len(held(history, NOON + HALF_HOUR)) == 3


def test_an_agent_that_is_not_known_has_no_rows(tmp_path: Path) -> None:
    assert TableHistory(Lake(str(tmp_path)), SHOWN_METRICS, REACH).rows(NOON).of("Nobody").empty
