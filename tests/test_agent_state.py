"""Rows of agent_state are counted once each, and stand in a frame once a task."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.tables import TASK_COUNTS, TASK_STATES
from resources.agent_state import TaskCounts, TaskState, count_states, counts_frame, states_frame
from tests.builders import START, window

END = window().end
MOMENT = timedelta(microseconds=1)
FAILED = ("lead", "failed")


def state(updated_at: datetime | None, task_id: str = "1", agent: str = "lead", status: str = "failed") -> TaskState:
    return TaskState(task_id, agent, status, None, updated_at)


def count(*moments: datetime | None, since: dict[str, datetime] | None = None) -> tuple[int, int, int]:
    """Failed tasks of one agent in the window, in all, and since its optimization."""
    counts = count_states([state(moment) for moment in moments], START, END, since or {})
    return counts.in_window[FAILED], counts.in_total[FAILED], counts.since_optimization[FAILED]


def test_the_window_includes_its_start_and_excludes_its_end() -> None:
    assert count(START - MOMENT, START, END - MOMENT, END)[:2] == (2, 4)


def test_an_agent_that_was_never_optimized_has_all_its_tasks_since_then() -> None:
    assert count(START - timedelta(days=900), None, END, since={"mail": END}) == (0, 3, 3)


def test_a_change_at_the_very_time_of_the_request_comes_after_it() -> None:
    assert count(START - MOMENT, START, START + MOMENT, since={"lead": START})[2] == 2


def test_a_row_that_was_never_updated_counts_in_the_total_and_as_older_than_any_request() -> None:
    assert count(None, since={"lead": START}) == (0, 1, 0)


def test_a_group_that_only_one_of_the_counts_knows_keeps_its_row() -> None:
    counts = TaskCounts(Counter({("a", "pending"): 1}), Counter({("b", "failed"): 4}), Counter({("c", "failed"): 2}))
    frame = counts_frame(START, counts)
    assert TASK_COUNTS.problems(frame) == []
    assert frame["tasks_in_window"].tolist() == [1, 0, 0]
    assert frame["tasks_total"].tolist() == [0, 4, 0]
    assert frame["tasks_since_optimization"].tolist() == [0, 0, 2]


def test_no_rows_give_empty_tables() -> None:
    assert counts_frame(START, TaskCounts()).equals(TASK_COUNTS.empty())
    assert states_frame([]).equals(TASK_STATES.empty())


def test_a_task_that_is_given_twice_keeps_its_latest_change() -> None:
    given_twice = [state(START, status="pending"), state(END, status="completed"), state(START + MOMENT)]
    frame = states_frame(given_twice)
    assert frame["status"].tolist() == ["completed"]
    assert frame["updated_at"].tolist() == [END]


def test_times_of_any_zone_become_utc() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    frame = states_frame([TaskState("1", "lead", "failed", START.astimezone(east), END.astimezone(east))])
    assert TASK_STATES.problems(frame) == []
    assert (frame["created_at"][0], frame["updated_at"][0]) == (START, END)


moments = st.none() | st.integers(-3, 40).map(lambda minutes: START + timedelta(minutes=minutes))
states = st.lists(
    st.builds(
        state,
        moments,
        st.integers(0, 5).map(str),
        st.sampled_from(["lead", "mail"]),
        st.sampled_from(["failed", "completed"]),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(states, moments)
def test_the_counts_of_any_rows_keep_their_bounds(rows: list[TaskState], optimized: datetime | None) -> None:
    since = {"lead": optimized} if optimized else {}
    frame = counts_frame(START, count_states(rows, START, END, since))
    assert TASK_COUNTS.problems(frame) == []
    assert frame["tasks_total"].sum() == len(rows)
    assert (frame["tasks_in_window"] <= frame["tasks_total"]).all()
    assert (frame["tasks_since_optimization"] <= frame["tasks_total"]).all()
    never = frame[~frame["agent"].isin(since.keys())]
    assert (never["tasks_since_optimization"] == never["tasks_total"]).all()


@settings(deadline=None)
@given(states)
def test_a_frame_of_states_holds_each_task_that_ever_changed_once(rows: list[TaskState]) -> None:
    frame = states_frame(rows)
    assert TASK_STATES.problems(frame) == []
    latest = {}
    for row in rows:
        if row.updated_at:
            latest[row.task_id] = max(row.updated_at, latest.get(row.task_id, row.updated_at))
    assert dict(zip(frame["task_id"], frame["updated_at"], strict=True)) == latest
    assert len(frame) == len(latest)
