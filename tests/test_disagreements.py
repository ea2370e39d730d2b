"""Where spans, agent_state and logs tell different stories, that is counted; and what was not read is not guessed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.monitoring.disagreements import (
    COUNTS,
    SLACK,
    Evidence,
    count_disagreements_by_window,
    unexplained_errors,
)
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.tables import AGENT_TASKS, TASK_STATES
from tests.builders import LENGTH, START, Row, frame, log_line, logs, task, window

WINDOWS = [window(0), window(1)]
LONGEST = timedelta(hours=6)
LATER = START + timedelta(hours=3)
"""When all that could come late has come."""


def state(
    task_id: str = "t", at: float = 60, created: float | None = 0, status: str = "completed", **columns: Any
) -> Row:
    """A row of agent_state that was last changed `at` seconds after START."""
    return {
        "task_id": task_id,
        "agent": "InboundAgent",
        "status": status,
        "created_at": None if created is None else START + timedelta(seconds=created),
        "updated_at": START + timedelta(seconds=at),
    } | columns


def health(
    read_at: datetime = LATER, status: SourceStatus = SourceStatus.COMPLETE, without: tuple[str, int] | None = None
) -> list[SourceHealth]:
    """All sources in the windows from 12 before window 0 to window 1, but for a window of one of them."""
    return [
        SourceHealth(source, window(number).start, status, "", 1, 0, read_at)
        for source in ("spans", "logs", "task states")
        for number in range(-12, 2)
        if (source, number) != without
    ]


def counted(
    tasks: list[Row] | None = None,
    states: list[Row] | None = None,
    lines: list[Row] | None = None,
    traced: tuple[str, ...] = (),
    read: list[SourceHealth] | None = None,
    windows: list[Window] = WINDOWS,
) -> pd.DataFrame:
    """The counts of InboundAgent, by window."""
    metrics = pd.DataFrame(
        {
            "agent": "InboundAgent",
            "window_start": pd.DatetimeIndex([one.start for one in windows]).as_unit("us"),
        }
    )
    evidence = Evidence(
        tasks=frame(AGENT_TASKS, tasks or []),
        states=frame(TASK_STATES, states or []),
        logs=logs(*(lines or [])),
        traced=traced,
        health=health() if read is None else read,
        longest=LONGEST,
        lateness=LENGTH,
    )
    return count_disagreements_by_window(metrics, windows, evidence)[list(COUNTS)]


def first(found: pd.DataFrame, name: str) -> int | None:
    value = found[name].iloc[0]
    return None if pd.isna(value) else int(value)


def test_a_task_that_agent_state_alone_calls_failed_is_an_unnoticed_failure() -> None:
    tasks = [
        task(at=10, ok=False, span_ok=True),
        task(at=20, ok=False, span_ok=False),
        task(at=30, span_ok=True),
        task(at=1900, ok=False, span_ok=True),
        task("AuditAgent", at=40, ok=False, span_ok=True),
    ]
    assert list(counted(tasks)["unnoticed_failures"]) == [1, 1]


def test_of_tasks_written_before_spans_were_told_apart_nothing_is_said() -> None:
    assert first(counted([task(at=10, ok=False)]), "unnoticed_failures") == 0


def test_a_finished_row_whose_id_no_span_carries_is_a_missing_trace() -> None:
    states = [
        state("traced"),
        state("untraced"),
        state("failed and untraced", status="failed"),
        state("still at it", status="in_progress"),
        state("of another", agent="AuditAgent"),
    ]
    found = counted(states=states, traced=("traced",))
    assert (first(found, "finished_rows"), first(found, "missing_traces")) == (3, 2)


def test_a_row_belongs_to_the_window_in_which_it_finished() -> None:
    found = counted(states=[state("a", at=1799), state("b", at=1800)])
    assert list(found["missing_traces"]) == [1, 1]


@pytest.mark.parametrize("unread", [-3, -1, 0])
def test_a_row_whose_spans_may_lie_in_a_window_that_was_not_read_is_left_out(unread: int) -> None:
    states = [state("long", created=-3 * 1800), state("short", at=1900, created=1850)]
    found = counted(states=states, read=health(without=("spans", unread)))
    assert first(found, "missing_traces") in (0, None)
    assert found["missing_traces"].iloc[1] == 1


def test_a_row_of_unknown_beginning_may_have_taken_as_long_as_tasks_take() -> None:
    states = [state("unknown", created=None)]
    assert first(counted(states=states), "missing_traces") == 1
    assert first(counted(states=states, read=health(without=("spans", -12))), "missing_traces") == 0
    assert first(counted(states=[state("known")], read=health(without=("spans", -12))), "missing_traces") == 1


def test_spans_that_may_still_come_are_not_missing() -> None:
    """A window is judged when its spans were read once more, after the time for late ones."""
    states, lines = [state()], [log_line("broken", at=100, agent="InboundAgent")]
    at_its_close = counted(states=states, lines=lines, read=health(WINDOWS[0].end), windows=WINDOWS[:1])
    assert [first(at_its_close, name) for name in COUNTS] == [0, None, None, None]
    once_more = counted(states=states, lines=lines, read=health(WINDOWS[1].end), windows=WINDOWS[:1])
    assert [first(once_more, name) for name in COUNTS] == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("source", "silent"),
    [
        ("task states", {"unnoticed_failures", "finished_rows", "missing_traces"}),
        ("logs", {"unseen_errors"}),
        ("spans", {"finished_rows", "missing_traces", "unseen_errors"}),
    ],
)
def test_while_a_system_cannot_be_read_nothing_is_said_of_what_it_would_have_said(
    source: str, silent: set[str]
) -> None:
    found = counted(read=health(without=(source, 0)))
    assert set(found.columns[found.iloc[0].isna()]) == silent
    assert found.iloc[1].notna().all()
    for status in (SourceStatus.UNAVAILABLE, SourceStatus.PARTIAL):
        assert counted(read=health(status=status)).isna().all(axis=None)


def unexplained(line_at: float, **of_task: Any) -> int:
    lines = logs(log_line("broken", at=line_at, agent="InboundAgent"))
    return len(unexplained_errors(lines, frame(AGENT_TASKS, [task(**of_task)]), LONGEST))


SLACK_S = SLACK.total_seconds()


@pytest.mark.parametrize(
    ("line_at", "of_task", "expected"),
    [
        (105, {"at": 100, "ms": 10_000, "ok": False}, 0),
        (105, {"at": 100, "ms": 10_000, "ok": True}, 1),
        (105, {"at": 100, "ms": 10_000, "ok": True, "error_count": 1}, 0),
        (100 - SLACK_S, {"at": 100, "ms": 10_000, "ok": False}, 0),
        (99 - SLACK_S, {"at": 100, "ms": 10_000, "ok": False}, 1),
        (110 + SLACK_S, {"at": 100, "ms": 10_000, "ok": False}, 0),
        (111 + SLACK_S, {"at": 100, "ms": 10_000, "ok": False}, 1),
        (5000, {"at": 100, "ms": None, "ok": False}, 0),
        (105, {"agent": "AuditAgent", "at": 100, "ms": 10_000, "ok": False}, 1),
    ],
    ids=["fails", "is well", "recovers", "clocks", "before", "clocks after", "after", "no end", "another's"],
)
def test_a_line_of_error_is_explained_by_a_failing_task_of_its_agent_at_that_time(
    line_at: float, of_task: dict[str, Any], expected: int
) -> None:
    assert unexplained(line_at, **of_task) == expected


def test_only_lines_of_error_that_name_an_agent_are_looked_at() -> None:
    lines = logs(log_line("a", agent="InboundAgent", severity="warn"), log_line("b"))
    assert unexplained_errors(lines, frame(AGENT_TASKS, []), LONGEST).empty


times = st.integers(0, 3000)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(times, st.integers(0, 600)), max_size=8), st.lists(times, max_size=8))
def test_a_line_is_unexplained_exactly_if_no_failing_task_covers_it(
    tasks: list[tuple[int, int]], at: list[int]
) -> None:
    failing = frame(AGENT_TASKS, [task(at=begin, ms=1000.0 * length, ok=False) for begin, length in tasks])
    lines = logs(*(log_line(f"{number}", at=time, agent="InboundAgent") for number, time in enumerate(at)))
    alone = [time for time in at if not any(b - SLACK_S <= time <= b + length + SLACK_S for b, length in tasks)]
    found = unexplained_errors(lines, failing, LONGEST)
    assert sorted((found["timestamp"] - pd.Timestamp(START)).dt.total_seconds()) == sorted(alone)
