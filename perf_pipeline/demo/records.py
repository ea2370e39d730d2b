"""What the demo leaves beside the spans: task states, log lines and deployments, as the embedded sources read them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class FinishedTask:
    """A task that ended; `error_type` is None where it completed. Times are UTC.

    `repaired` says that the model's first answer could not be parsed, and the second one could.
    """

    task_id: str
    agent: str
    start: datetime
    end: datetime
    error_type: str | None
    repaired: bool


@dataclass(frozen=True)
class Deployment:
    """A change at a time (UTC); `kind` is one of the kinds of `change_events`."""

    time: datetime
    kind: str
    agent: str
    from_version: str
    to_version: str
    description: str


@dataclass(frozen=True)
class Review:
    """What a simulated reviewer said about a task, at a time (UTC). `right_answer` is by output field."""

    task_id: str
    at: datetime
    is_right: bool
    right_answer: Mapping[str, Any]


def append_tasks(inbox: Path, tasks: Sequence[FinishedTask]) -> None:
    """Appends the tasks' states to `agent_state.jsonl`, and log lines about them to `logs/fleet.jsonl`."""
    by_end = sorted(tasks, key=lambda task: task.end)
    _append(inbox / "agent_state.jsonl", (_state(task) for task in by_end))
    _append(inbox / "logs" / "fleet.jsonl", (_log_line(task) for task in by_end))


def append_deployments(inbox: Path, deployments: Iterable[Deployment]) -> None:
    """Appends to `deployments.jsonl`."""
    _append(inbox / "deployments.jsonl", (vars(item) | {"time": item.time.isoformat()} for item in deployments))


def append_reviews(inbox: Path, reviews: Iterable[Review]) -> None:
    """Appends to `feedback.jsonl`: a score for each answer, and a correction for each that was wrong."""
    _append(inbox / "feedback.jsonl", (line for review in reviews for line in _feedback(review)))


def _feedback(review: Review) -> list[dict[str, Any]]:
    said = {"task_id": review.task_id, "kind": "human", "at": review.at.isoformat()}
    score = said | {"name": "user_feedback", "score": float(review.is_right)}
    correction = said | {"name": "correction", "correction": dict(review.right_answer)}
    return [score] if review.is_right else [score, correction]


def _state(task: FinishedTask) -> dict[str, Any]:
    return {
        "id": task.task_id,
        "agent_name": task.agent,
        "status": "completed" if task.error_type is None else "failed",
        "created_at": task.start.isoformat(),
        "updated_at": task.end.isoformat(),
    }


def _log_line(task: FinishedTask) -> dict[str, Any]:
    seconds = (task.end - task.start).total_seconds()
    severity, message = "info", f"Task finished after {seconds:.1f} s."
    if task.repaired:
        severity, message = "warn", "The answer was not in the layout asked for; the second attempt was."
    if task.error_type is not None:
        severity, message = "error", f"Task failed after {seconds:.1f} s: {task.error_type.rpartition('.')[2]}."
    return {
        "timestamp": task.end.isoformat(),
        "severity": severity,
        "message": message,
        "attributes": {"agent": task.agent, "task_id": task.task_id},
    }


def _append(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
