"""What the detectors say and remember is a table, and a memory that was stored goes on as if nothing had happened."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.detector_memory import memory_before
from perf_pipeline.monitoring.detector_states import detector_states, replay_states
from perf_pipeline.monitoring.detectors.fleet_memory import FleetMemory
from perf_pipeline.monitoring.expectations import add_expectations
from perf_pipeline.tables import AGENT_METRICS, DETECTOR_STATES
from resources.lake import Lake
from tests.builders import START, Row, frame, metrics_row, shipped_fleet, window

FLEET = shipped_fleet()
WINDOWS = 12


def metrics(*rows: Row) -> pd.DataFrame:
    return frame(AGENT_METRICS, rows)


def a_long_past(windows: int = 120, agent: str = "InboundAgent", tasks: int = 10) -> list[Row]:
    """Windows that end with window -1, all alike: 9 of 10 tasks succeed."""
    return [
        metrics_row(agent, number, tasks, successes=round(0.9 * tasks), errors=tasks - round(0.9 * tasks))
        for number in range(-windows, 0)
    ]


def states(*rows: Row, first: datetime = START) -> pd.DataFrame:
    found = detector_states(metrics(*rows), None, FLEET, first)
    assert DETECTOR_STATES.problems(found) == []
    return found


def of(found: pd.DataFrame, finding: str, number: int = 0, agent: str = "InboundAgent") -> dict[str, Any]:
    keys = (found["finding"] == finding) & (found["agent"] == agent) & (found["window_start"] == window(number).start)
    (row,) = found[keys].to_dict("records")
    return {str(name): value for name, value in row.items()}


def test_a_fall_to_zero_opens_at_once_with_its_figures() -> None:
    row = of(states(*a_long_past(), metrics_row(number=0, tasks=10, successes=0, errors=10)), "success_drop")
    assert (row["phase"], row["event"], row["severity"]) == ("open", "opened", "critical")
    assert row["opened"] == row["onset"] == pd.Timestamp(START)
    assert row["value"] == 0
    assert row["expected"] == pytest.approx(90, abs=1)
    assert row["low"] < row["expected"] < row["high"]
    assert 50 < row["effect_low"] < row["effect"] < row["effect_high"] <= 100
    assert (row["metric"], row["tasks"]) == ("success_rate", 10)


def test_a_quiet_agent_has_a_baseline_and_nothing_to_say() -> None:
    found = states(*a_long_past(), metrics_row(number=0, tasks=10, successes=9, errors=1))
    assert set(found["phase"]) == {"quiet"}
    assert set(found["event"]) == {"nothing"}
    for column in ("onset", "opened", "effect", "severity"):
        assert found[column].isna().all()
    assert (found["evidence_nats"] >= 0).all()


def test_what_was_never_measured_has_no_baseline_and_success_has_an_assumed_one() -> None:
    found = states(metrics_row(number=0, tasks=3, total_tokens=pd.NA))
    assert of(found, "success_drop")["expected"] == pytest.approx(FLEET.detection.assumed_success_rate)
    for finding in ("latency_increase", "cost_spike", "token_spike", "traffic_drop"):
        row = of(found, finding)
        assert all(np.isnan(row[name]) for name in ("expected", "low", "high"))


def test_a_window_without_data_keeps_what_is_open_and_shows_no_value() -> None:
    bad = metrics_row(number=0, tasks=10, successes=0, errors=10)
    unread = metrics_row(number=1, tasks=10, successes=10, complete=False)
    row = of(states(*a_long_past(), bad, unread), "success_drop", 1)
    assert (row["phase"], row["event"], row["opened"]) == ("open", "nothing", pd.Timestamp(START))
    assert np.isnan(row["value"])


def test_a_finding_that_ends_says_so_once() -> None:
    good = [metrics_row(number=number, tasks=10, successes=9, errors=1) for number in range(1, 8)]
    found = states(*a_long_past(), metrics_row(number=0, tasks=10, successes=0, errors=10), *good)
    own = found[found["finding"] == "success_drop"]
    (ended,) = own[own["event"] == "resolved"].to_dict("records")
    assert (ended["phase"], ended["severity"], ended["opened"]) == ("quiet", "critical", pd.Timestamp(START))
    after = own[own["window_start"] > ended["window_start"]]
    assert after["opened"].isna().all()


def test_an_agent_has_rows_from_its_first_window_on_also_where_it_has_no_metrics() -> None:
    found = states(
        metrics_row("A", 0), metrics_row("A", 2), metrics_row("B", 1), metrics_row("A", 1), metrics_row("A", 3)
    )
    seen = found.drop_duplicates(["window_start", "agent"]).groupby("agent")["window_start"].agg(["min", "count"])
    assert seen.to_dict() == {
        "min": {"A": pd.Timestamp(window(0).start), "B": pd.Timestamp(window(1).start)},
        "count": {"A": 4, "B": 3},
    }


def test_memories_come_back_from_the_lake_byte_for_byte(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    found = states(metrics_row("A", 0), metrics_row("B", 0))
    lake.write(DETECTOR_STATES, START, found)
    back = lake.read(DETECTOR_STATES, START, window(1).start)
    pd.testing.assert_frame_equal(back, found)
    assert {type(value) for value in back["memory"]} == {bytes}
    scanned = lake.scan(lake.connect(), DETECTOR_STATES, START, window(1).start).to_pandas()
    pd.testing.assert_frame_equal(DETECTOR_STATES.conform(scanned), found)


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Windows of two agents in which anything may happen, after a past that the detectors have learned from."""
    rows = [*a_long_past(30), *a_long_past(30, "AuditAgent", 4)]
    for number in range(WINDOWS):
        for agent in ("InboundAgent", "AuditAgent", "Newcomer"):
            if not draw(st.integers(0, 5)):
                continue
            tasks = draw(st.sampled_from([0, 1, 6, 12]))
            failed = round(tasks * draw(st.sampled_from([0, 0.1, 1])))
            latency = 1000 * draw(st.sampled_from([1.0, 1.1, 4.0]))
            complete = bool(draw(st.integers(0, 4)))
            rows.append(metrics_row(agent, number, tasks, tasks - failed, failed, latency, complete=complete))
    return [*rows, metrics_row("LastOne", WINDOWS - 1)]


def assert_same_memory(one: FleetMemory | None, other: FleetMemory | None) -> None:
    assert one is not None
    assert other is not None
    orders = [np.argsort(memory.agents) for memory in (one, other)]
    assert sorted(one.agents) == sorted(other.agents)
    for mine, others in zip(one.records, other.records, strict=True):
        assert mine[orders[0]].tobytes() == others[orders[1]].tobytes()


@settings(max_examples=8, deadline=None)
@given(histories(), st.integers(1, WINDOWS - 1))
def test_a_stored_memory_and_a_replay_of_the_rest_equal_a_replay_from_the_beginning(rows: list[Row], cut: int) -> None:
    every = metrics(*rows)
    early = every["window_start"] < window(cut).start
    whole = detector_states(every, None, FLEET, window(cut).start)
    memory = replay_states(every[early], None, FLEET)
    rest = detector_states(every[~early], memory, FLEET, window(cut).start)
    pd.testing.assert_frame_equal(rest, whole)


@settings(max_examples=8, deadline=None)
@given(histories(), st.integers(1, WINDOWS - 1))
def test_what_was_expected_is_the_same_in_one_run_and_in_two(rows: list[Row], cut: int) -> None:
    every = metrics(*rows).drop(columns=[name for name in AGENT_METRICS.columns if name.startswith("baseline")])
    every = every.drop(columns=["score", "trend"])
    early = every["window_start"] < window(cut).start
    whole = add_expectations(every, None, FLEET)
    memory = replay_states(every[early], None, FLEET)
    rest = add_expectations(every[~early], memory, FLEET)
    pd.testing.assert_frame_equal(whole[~early].reset_index(drop=True), rest)


class Clock:
    """Writes partitions a second apart, so that it is clear which was written first."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.now = lake, START.timestamp()

    def write(self, table: Any, start: datetime, rows: pd.DataFrame) -> None:
        self.lake.write(table, start, rows)
        self.now += 1
        os.utime(str(self.lake.path(table, start)), (self.now, self.now))


@settings(max_examples=5, deadline=None)
@given(histories(), st.integers(0, WINDOWS - 2), st.booleans())
def test_a_window_that_was_read_again_reaches_the_memory_of_all_that_follow(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], again: int, late: bool
) -> None:
    clock = Clock(Lake(str(tmp_path_factory.mktemp("lake"))))
    first, end = window(-3).start, window(WINDOWS).start
    every = metrics(*(row for row in rows if row["window_start"] >= pd.Timestamp(first)))
    starts = [start.to_pydatetime() for start in every["window_start"].drop_duplicates().sort_values()]
    by_window: dict[datetime, pd.DataFrame] = {start: every[every["window_start"] == start] for start in starts}
    filled_later = window(again).start if late else None
    for start, own in by_window.items():
        if start != filled_later:
            clock.write(AGENT_METRICS, start, own)
    memory_before(end, clock.lake, FLEET, lambda start, own: clock.write(DETECTOR_STATES, start, own))

    changed = metrics(metrics_row(number=again, tasks=12, successes=3, errors=9))
    clock.write(AGENT_METRICS, window(again).start, changed)
    by_window[window(again).start] = changed
    rewritten: list[datetime] = []

    def rewrite(start: datetime, own: pd.DataFrame) -> None:
        rewritten.append(start)
        clock.write(DETECTOR_STATES, start, own)

    found = memory_before(end, clock.lake, FLEET, rewrite)
    together = pd.concat([by_window[start] for start in sorted(by_window)])
    assert_same_memory(found, replay_states(together, None, FLEET))
    assert rewritten == [start for start in sorted(by_window) if start >= window(again).start]
    stored = clock.lake.read(DETECTOR_STATES, first, end)
    pd.testing.assert_frame_equal(stored, detector_states(together, None, FLEET, first))
    assert_same_memory(
        memory_before(end, clock.lake, FLEET, lambda start, _own: pytest.fail(f"{start} is replayed")), found
    )


def test_a_memory_of_another_layout_is_not_read_but_made_again(tmp_path: Path) -> None:
    clock = Clock(Lake(str(tmp_path)))
    for number in (0, 1):
        clock.write(AGENT_METRICS, window(number).start, metrics(metrics_row(number=number)))
    good = memory_before(
        window(2).start, clock.lake, FLEET, lambda start, own: clock.write(DETECTOR_STATES, start, own)
    )
    for number in (0, 1):
        stored = clock.lake.read(DETECTOR_STATES, window(number).start, window(number + 1).start)
        clock.write(DETECTOR_STATES, window(number).start, stored.assign(layout="another"))
    rewritten: list[datetime] = []
    found = memory_before(window(2).start, clock.lake, FLEET, lambda start, _own: rewritten.append(start))
    assert_same_memory(found, good)
    assert rewritten == [window(0).start, window(1).start]


def test_what_is_older_than_five_weeks_is_forgotten(tmp_path: Path) -> None:
    clock = Clock(Lake(str(tmp_path)))
    clock.write(AGENT_METRICS, START, metrics(metrics_row(number=0)))
    assert memory_before(START + timedelta(days=35), clock.lake, FLEET) is not None
    assert memory_before(START + timedelta(days=35, minutes=30), clock.lake, FLEET) is None
