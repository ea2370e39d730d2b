"""From tasks and what was said about them to examples with their right answers.

In this order: a person's correction; a score that people or code gave to the agent's own answer; that the task was
completed, where that is trusted; a judge's score. Agreement with a bad answer teaches the mistake, so a bad score
without a correction makes no example.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from perf_pipeline.records import FeedbackKind, LabelledExample, LabelOrigin, TaskFeedback, TaskRecord

COMPLETED = "completed"
BY_TRUST = (FeedbackKind.HUMAN, FeedbackKind.CODE, FeedbackKind.JUDGE)


@dataclass(frozen=True)
class LabelRules:
    """Which feedback says what. Feedback named in `correction_names` says what would have been right; a score from
    `approve_from`, of 0 to 1, under one of `approval_names` says that the answer was. `trust_outcomes` takes a task
    that went well, and that agent_state calls completed, as right."""

    input_fields: tuple[str, ...]
    output_fields: tuple[str, ...]
    correction_names: tuple[str, ...] = ("correction",)
    approval_names: tuple[str, ...] = ("user_feedback",)
    approve_from: float = 0.5
    trust_outcomes: bool = False


@dataclass(frozen=True)
class LabelledTasks:
    """The examples, in the order of the tasks, and what became of the other tasks.

    A judge may still be asked about the `unlabelled`. `uncorrected_failures` are known to be wrong, but not what is
    right; the `unusable` lack an input field.
    """

    examples: tuple[LabelledExample, ...]
    unlabelled: tuple[TaskRecord, ...]
    uncorrected_failures: int
    unusable: int
    by_origin: dict[LabelOrigin, int]


class _NoLabel(StrEnum):
    """Why a task has no right answer: nothing is known about its own, or it is known to be wrong and no more."""

    UNKNOWN = "unknown"
    WRONG = "wrong"


@dataclass(frozen=True)
class _Label:
    expected: Mapping[str, Any]
    origin: LabelOrigin


def label_tasks(tasks: Sequence[TaskRecord], feedback: Sequence[TaskFeedback], rules: LabelRules) -> LabelledTasks:
    said_of = _by_task(tasks, feedback)
    examples: list[LabelledExample] = []
    unlabelled: list[TaskRecord] = []
    failures = unusable = 0
    for task in tasks:
        if any(name not in task.inputs for name in rules.input_fields):
            unusable += 1
            continue
        label = _label(task, _newest(said_of[task.span_id]), rules)
        if label is _NoLabel.UNKNOWN:
            unlabelled.append(task)
        elif label is _NoLabel.WRONG:
            failures += 1
        else:
            examples.append(_example(task, label, rules))
    by_origin = dict(Counter(example.origin for example in examples))
    return LabelledTasks(tuple(examples), tuple(unlabelled), failures, unusable, by_origin)


def _by_task(tasks: Sequence[TaskRecord], feedback: Sequence[TaskFeedback]) -> dict[str, list[TaskFeedback]]:
    """By the task's span_id. What is about none of the spans is about all tasks with its task_id."""
    said_of: dict[str, list[TaskFeedback]] = {task.span_id: [] for task in tasks}
    spans_of: dict[str, list[str]] = defaultdict(list)
    for task in tasks:
        if task.task_id is not None:
            spans_of[task.task_id].append(task.span_id)
    for said in feedback:
        if said.span_id in said_of:
            said_of[said.span_id].append(said)
        elif said.task_id is not None:
            for span_id in spans_of.get(said.task_id, ()):
                said_of[span_id].append(said)
    return said_of


def _newest(feedback: Sequence[TaskFeedback]) -> list[TaskFeedback]:
    """Of each name and kind, what was said last; newest first. A judge does not speak over a person."""
    newest: dict[tuple[str, FeedbackKind], TaskFeedback] = {}
    for said in sorted(feedback, key=lambda one: one.at):
        newest[said.name, said.kind] = said
    return sorted(newest.values(), key=lambda one: one.at, reverse=True)


def _label(task: TaskRecord, newest: Sequence[TaskFeedback], rules: LabelRules) -> _Label | _NoLabel:
    corrections = [said for said in newest if said.name in rules.correction_names and said.kind is FeedbackKind.HUMAN]
    for said in corrections:
        if expected := _correction(said, rules.output_fields):
            return _Label(expected, LabelOrigin.CORRECTION)
    # A correction that cannot be read still says that the answer was wrong.
    if corrections or not task.ok:
        return _NoLabel.WRONG
    kind, approves = _strongest_score(newest, rules)
    if approves is False:
        return _NoLabel.WRONG
    own = _complete(task.outputs, rules.output_fields)
    if own is None:
        return _NoLabel.UNKNOWN
    if kind in (FeedbackKind.HUMAN, FeedbackKind.CODE):
        return _Label(own, LabelOrigin.ANNOTATION)
    if rules.trust_outcomes and task.task_status == COMPLETED:
        return _Label(own, LabelOrigin.OUTCOME)
    return _Label(own, LabelOrigin.JUDGE) if kind is FeedbackKind.JUDGE else _NoLabel.UNKNOWN


def _correction(said: TaskFeedback, fields: Sequence[str]) -> dict[str, Any] | None:
    """The right output fields, all of them: what a person left out is not taken from an answer that was wrong."""
    label = {fields[0]: said.label or None} if len(fields) == 1 else None
    for content in (said.correction, _json_object(said.explanation), label):
        if expected := _complete(content, fields):
            return expected
    return None


def _json_object(text: str) -> Mapping[str, Any] | None:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _strongest_score(newest: Sequence[TaskFeedback], rules: LabelRules) -> tuple[FeedbackKind | None, bool | None]:
    """The most trusted kind that gave a score, and whether it approves. Where names disagree, the bad score counts."""
    for kind in BY_TRUST:
        scores = [
            said.score
            for said in newest
            if said.kind is kind and said.name in rules.approval_names and said.score is not None
        ]
        if scores:
            return kind, all(score >= rules.approve_from for score in scores)
    return None, None


def _complete(content: Mapping[str, Any] | None, fields: Sequence[str]) -> dict[str, Any] | None:
    """The fields, and only these; None where one is missing or None."""
    if content is None or any(content.get(name) is None for name in fields):
        return None
    return {name: content[name] for name in fields}


def _example(task: TaskRecord, label: _Label, rules: LabelRules) -> LabelledExample:
    answered = None
    if task.ok and task.outputs is not None:
        answered = {name: task.outputs[name] for name in rules.output_fields if name in task.outputs}
    return LabelledExample(
        id=task.span_id,
        inputs={name: task.inputs[name] for name in rules.input_fields},
        expected=label.expected,
        origin=label.origin,
        answered=answered,
        failed=answered != label.expected,
        session_id=task.session_id,
        start_time=task.start_time,
    )
