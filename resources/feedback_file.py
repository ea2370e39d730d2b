"""What was said about tasks, in a file: the embedded default in the place of Phoenix's annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perf_pipeline.records import FeedbackKind, TaskFeedback
from resources.json_lines import Line, read_objects, required_text, required_time
from resources.reading import PhoenixError
from resources.sources import TaskPlace


def feedback_in(path: Path, tasks: Sequence[TaskPlace]) -> list[TaskFeedback]:
    """The lines about the tasks, in the order of the file; none where the file does not exist.

    A line is `{"name", "kind", "at"}` with `"task_id"` or `"span_id"`, or both, and if known `"score"` (0 to 1),
    `"label"`, `"explanation"` and `"correction"`. Raises PhoenixError, naming file and line, where any line of the
    file is malformed.
    """
    span_ids = {task.span_id for task in tasks}
    task_ids = {task.task_id for task in tasks if task.task_id}
    said = [_feedback(value, line) for line, value in read_objects(path, PhoenixError)]
    return [one for one in said if one.span_id in span_ids or one.task_id in task_ids]


def _feedback(value: dict[str, Any], line: Line) -> TaskFeedback:
    span_id, task_id = (_optional_text(value, name, line) or None for name in ("span_id", "task_id"))
    if span_id is None and task_id is None:
        raise line.error(PhoenixError, "neither 'task_id' nor 'span_id' says which task is meant")
    return TaskFeedback(
        name=required_text(value, "name", line, PhoenixError),
        kind=_kind(value, line),
        at=required_time(value, "at", line, PhoenixError),
        span_id=span_id,
        task_id=task_id,
        score=_score(value.get("score"), line),
        label=_optional_text(value, "label", line),
        explanation=_optional_text(value, "explanation", line) or "",
        correction=_correction(value.get("correction"), line),
    )


def _optional_text(value: dict[str, Any], name: str, line: Line) -> str | None:
    text = value.get(name)
    if text is not None and not isinstance(text, str):
        raise line.error(PhoenixError, f"{name!r} is not a text")
    return text


def _kind(value: dict[str, Any], line: Line) -> FeedbackKind:
    kind = required_text(value, "kind", line, PhoenixError)
    if kind not in list(FeedbackKind):
        raise line.error(PhoenixError, f"'kind' is {kind[:40]!r} and not one of {', '.join(FeedbackKind)}")
    return FeedbackKind(kind)


def _score(score: object, line: Line) -> float | None:
    if score is None:
        return None
    # True is a number to Python. Anything but 0 to 1 would be taken for a very good or a very bad answer.
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise line.error(PhoenixError, "'score' is not a number from 0 (wrong) to 1 (right)")
    return float(score)


def _correction(correction: object, line: Line) -> dict[str, Any] | None:
    if correction is not None and not isinstance(correction, dict):
        raise line.error(PhoenixError, "'correction' is not an object of output fields")
    return correction
