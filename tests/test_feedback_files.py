"""Feedback in a file: each line says what somebody thought of a task, and a line that does not is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perf_pipeline.records import FeedbackKind, TaskFeedback
from resources.reading import PhoenixError
from resources.sources import TaskPlace
from resources.span_files import SpanFilesResource

AT = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
TASK = TaskPlace("00000000000000a1", "0" * 31 + "1", AT, "task-1")
LINE: dict[str, Any] = {"task_id": "task-1", "name": "user_feedback", "kind": "human", "at": AT.isoformat()}


def source(folder: Path) -> SpanFilesResource:
    file = folder / "feedback.jsonl"
    return SpanFilesResource(folder=str(folder / "spans"), agent_attributes=["agent.name"], feedback_file=str(file))


def read(folder: Path, *lines: dict[str, Any], tasks: tuple[TaskPlace, ...] = (TASK,)) -> list[TaskFeedback]:
    (folder / "feedback.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return source(folder).read_feedback(tasks)


def test_a_line_is_read_with_all_that_it_says(tmp_path: Path) -> None:
    said = {"score": 0.25, "label": "wrong", "explanation": "It is 42.", "correction": {"answer": "42", "steps": [1]}}
    assert read(tmp_path, LINE | {"span_id": TASK.span_id} | said) == [
        TaskFeedback(
            name="user_feedback",
            kind=FeedbackKind.HUMAN,
            at=AT,
            span_id=TASK.span_id,
            task_id="task-1",
            score=0.25,
            label="wrong",
            explanation="It is 42.",
            correction={"answer": "42", "steps": [1]},
        )
    ]


def test_what_a_line_does_not_say_is_unknown(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("span_id", "score", "label", "explanation", "correction"))
    expected = TaskFeedback("user_feedback", FeedbackKind.HUMAN, AT, task_id="task-1")
    assert read(tmp_path, LINE, LINE | nothing) == [expected, expected]


def test_only_lines_about_the_tasks_are_given_in_the_order_of_the_file(tmp_path: Path) -> None:
    lines = [
        LINE | {"name": "first", "task_id": None, "span_id": TASK.span_id},
        LINE | {"name": "other", "task_id": "task-2"},
        LINE | {"name": "other", "task_id": None, "span_id": "00000000000000a2"},
        LINE | {"name": "second"},
        LINE | {"name": "first"},
    ]
    assert [said.name for said in read(tmp_path, *lines)] == ["first", "second", "first"]


def test_a_task_without_a_row_is_not_meant_by_a_line_without_a_span(tmp_path: Path) -> None:
    nameless = TaskPlace(TASK.span_id, TASK.trace_id, AT)
    other = LINE | {"task_id": None, "span_id": "00000000000000a2"}
    assert read(tmp_path, LINE, other, tasks=(nameless,)) == []


@pytest.mark.parametrize("kind", list(FeedbackKind))
def test_people_judges_and_programs_may_speak(tmp_path: Path, kind: FeedbackKind) -> None:
    (said,) = read(tmp_path, LINE | {"kind": kind.value})
    assert said.kind is kind


@pytest.mark.parametrize(
    ("written", "at"),
    [("2026-03-01T12:00:00+02:00", AT), ("2026-03-01T10:00:00Z", AT), ("2026-03-01T10:00:00", AT)],
)
def test_times_are_utc(tmp_path: Path, written: str, at: datetime) -> None:
    (said,) = read(tmp_path, LINE | {"at": written})
    assert said.at == at
    assert said.at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"task_id": None}, "neither 'task_id' nor 'span_id'"),
        ({"task_id": ""}, "neither 'task_id' nor 'span_id'"),
        ({"task_id": 7}, "'task_id'"),
        ({"span_id": 7}, "'span_id'"),
        ({"name": ""}, "'name'"),
        ({"kind": None}, "'kind'"),
        ({"kind": "LLM"}, "'kind' is 'LLM' and not one of human, judge, code"),
        ({"at": "yesterday"}, "'at'"),
        ({"score": "0.5"}, "'score'"),
        ({"score": True}, "'score'"),
        ({"score": 1.01}, "'score'"),
        ({"score": -1}, "'score'"),
        ({"score": float("nan")}, "'score'"),
        ({"label": 1}, "'label'"),
        ({"explanation": ["a"]}, "'explanation'"),
        ({"correction": "42"}, "'correction'"),
    ],
)
def test_a_malformed_line_is_named_whatever_task_it_is_about(
    tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(PhoenixError, match=r"feedback\.jsonl:2: .*Repair or remove the line\.") as caught:
        read(tmp_path, LINE, {**LINE, "task_id": "another", **change})
    assert named in str(caught.value)
    assert not caught.value.retryable


def test_a_line_that_is_no_object_is_named(tmp_path: Path) -> None:
    (tmp_path / "feedback.jsonl").write_text("[1]\n")
    with pytest.raises(PhoenixError, match=r"feedback\.jsonl:1: this is not a JSON object"):
        source(tmp_path).read_feedback([TASK])


def test_a_line_that_is_still_being_written_is_left(tmp_path: Path) -> None:
    (tmp_path / "feedback.jsonl").write_text(json.dumps(LINE) + "\n" + json.dumps(LINE)[:-5])
    assert len(source(tmp_path).read_feedback([TASK])) == 1


def test_without_a_file_there_is_no_feedback(tmp_path: Path) -> None:
    assert source(tmp_path).read_feedback([TASK]) == []
    unset = SpanFilesResource(folder=str(tmp_path), agent_attributes=["agent.name"])
    assert unset.read_feedback([TASK]) == []
