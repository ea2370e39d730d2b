"""Tasks are counted by agent and status from a journal of their states."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from perf_pipeline.tables import TASK_COUNTS, TASK_STATES
from resources.reading import SupabaseError
from resources.state_files import StateFilesResource

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)


def write_states(folder: Path, *states: tuple[str, str, str, int]) -> StateFilesResource:
    """States are (id, agent, status, minutes after START)."""
    rows = [
        {
            "id": task,
            "agent_name": agent,
            "status": status,
            "updated_at": (START + timedelta(minutes=minute)).isoformat(),
        }
        for task, agent, status, minute in states
    ]
    (folder / "agent_state.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return StateFilesResource(folder=str(folder))


def counts(source: StateFilesResource) -> dict[tuple[str, str], tuple[int, int]]:
    frame = source.read_task_counts(START, END, {}).frame
    assert TASK_COUNTS.problems(frame) == []
    assert frame["window_start"].isin([START]).all()
    return {
        (row["agent"], row["status"]): (row["tasks_in_window"], row["tasks_total"]) for row in frame.to_dict("records")
    }


def test_tasks_changed_in_the_window_are_counted_beside_all_tasks(tmp_path: Path) -> None:
    states = [
        ("1", "A", "completed", -1),
        ("2", "A", "completed", 0),
        ("3", "A", "completed", 30),
        ("4", "A", "failed", 29),
        ("5", "B", "pending", -60),
    ]
    assert counts(write_states(tmp_path, *states)) == {
        ("A", "completed"): (1, 3),
        ("A", "failed"): (1, 1),
        ("B", "pending"): (0, 1),
    }


def test_the_latest_line_of_a_task_holds(tmp_path: Path) -> None:
    source = write_states(tmp_path, ("1", "A", "in_progress", 1), ("2", "A", "failed", 2), ("1", "A", "completed", 3))
    assert counts(source) == {("A", "completed"): (1, 1), ("A", "failed"): (1, 1)}


def test_tasks_since_an_optimization_are_those_changed_at_or_after_it(tmp_path: Path) -> None:
    states = [("1", "A", "completed", -1), ("2", "A", "completed", 0), ("3", "A", "completed", 9)]
    source = write_states(tmp_path, *states, ("4", "B", "completed", -99))
    frame = source.read_task_counts(START, END, {"A": START, "C": START}).frame
    assert frame.set_index("agent")["tasks_since_optimization"].to_dict() == {"A": 2, "B": 1}


def test_states_of_a_window_are_the_tasks_that_changed_last_in_it(tmp_path: Path) -> None:
    states = [
        ("before", "A", "completed", -1),
        ("moved on", "A", "in_progress", 5),
        ("twice", "A", "in_progress", 6),
        ("twice", "A", "failed", 7),
        ("start", "B", "pending", 0),
        ("moved on", "A", "completed", 30),
    ]
    frame = write_states(tmp_path, *states).read_task_states(START, END).frame
    assert TASK_STATES.problems(frame) == []
    assert frame[["task_id", "agent", "status"]].to_numpy().tolist() == [
        ["start", "B", "pending"],
        ["twice", "A", "failed"],
    ]


def test_when_a_task_was_created_is_read_where_it_is_known(tmp_path: Path) -> None:
    state = {"agent_name": "A", "status": "failed", "updated_at": START.isoformat()}
    lines = [
        state | {"id": "1"},
        state | {"id": "2", "created_at": None},
        state | {"id": "3", "created_at": "2026-02-01"},
    ]
    (tmp_path / "agent_state.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    frame = StateFilesResource(folder=str(tmp_path)).read_task_states(START, END).frame
    assert frame["created_at"].isna().tolist() == [True, True, False]
    assert frame["created_at"][2] == datetime(2026, 2, 1, tzinfo=UTC)


def test_a_half_written_last_line_is_left_for_the_next_reading(tmp_path: Path) -> None:
    source = write_states(tmp_path, ("1", "A", "completed", 1))
    with (tmp_path / "agent_state.jsonl").open("a") as file:
        file.write('{"id": "2", "agent_name": "A"')
    assert counts(source) == {("A", "completed"): (1, 1)}


CREATED_NEVER = (
    '{"id": "1", "agent_name": "A", "status": "failed", "updated_at": "2026-03-01T10:00:00Z", "created_at": "never"}'
)


@pytest.mark.parametrize(
    "line",
    ["no JSON", '{"id": "1", "agent_name": "A", "updated_at": "2026-03-01T10:00:00Z"}', '{"id": 7}', CREATED_NEVER],
)
def test_a_malformed_line_is_named_by_file_and_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "agent_state.jsonl").write_text(line + "\n")
    with pytest.raises(SupabaseError, match=r"agent_state\.jsonl:1: .*Repair or remove the line"):
        StateFilesResource(folder=str(tmp_path)).read_task_counts(START, END, {})
    with pytest.raises(SupabaseError, match=r"agent_state\.jsonl:1: .*Repair or remove the line"):
        StateFilesResource(folder=str(tmp_path)).read_task_states(START, END)


def test_a_file_that_does_not_exist_holds_no_tasks(tmp_path: Path) -> None:
    nothing = StateFilesResource(folder=str(tmp_path / "nothing"))
    assert counts(nothing) == {}
    assert nothing.read_task_states(START, END).frame.equals(TASK_STATES.empty())


def test_the_description_says_that_it_is_the_default_and_how_to_change_it(tmp_path: Path) -> None:
    assert "embedded default; set SUPABASE_URL" in StateFilesResource(folder=str(tmp_path)).describe()
