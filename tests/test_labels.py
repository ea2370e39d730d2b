"""What people, code and judges said about a task says what would have been right, in this order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perf_pipeline.optimization.labels import LabelledTasks, LabelRules, label_tasks
from perf_pipeline.records import FeedbackKind, LabelledExample, LabelOrigin, TaskFeedback, TaskRecord
from tests.builders import START

RULES = LabelRules(input_fields=("text",), output_fields=("intent",))
TWO = LabelRules(input_fields=("text",), output_fields=("intent", "team"))
HUMAN, CODE, JUDGE = FeedbackKind.HUMAN, FeedbackKind.CODE, FeedbackKind.JUDGE

TASK = TaskRecord(
    span_id="s1",
    trace_id="t1",
    agent="InboundAgent",
    start_time=START,
    ok=True,
    inputs={"text": "My card was charged twice", "locale": "en"},
    outputs={"intent": "refund", "team": "billing", "reasoning": "charged twice"},
    task_id="task-1",
    session_id="session-1",
    task_status="completed",
)


def said(name: str = "user_feedback", kind: FeedbackKind = HUMAN, minute: int = 0, **content: Any) -> TaskFeedback:
    place: dict[str, Any] = {} if "task_id" in content else {"span_id": "s1"}
    return TaskFeedback(name, kind, START + timedelta(minutes=minute), **(place | content))


def correction(minute: int = 0, **content: Any) -> TaskFeedback:
    return said("correction", minute=minute, **content)


def labelled(feedback: Sequence[TaskFeedback], rules: LabelRules = RULES, **changes: Any) -> LabelledTasks:
    return label_tasks([replace(TASK, **changes)], feedback, rules)


def example(feedback: Sequence[TaskFeedback], rules: LabelRules = RULES, **changes: Any) -> LabelledExample:
    (found,) = labelled(feedback, rules, **changes).examples
    return found


def is_uncorrected_failure(found: LabelledTasks) -> bool:
    return (found.examples, found.unlabelled, found.uncorrected_failures) == ((), (), 1)


def test_an_approved_answer_is_right_and_only_the_listed_fields_are_kept() -> None:
    assert example([said(score=1.0)]) == LabelledExample(
        id="s1",
        inputs={"text": "My card was charged twice"},
        expected={"intent": "refund"},
        origin=LabelOrigin.ANNOTATION,
        answered={"intent": "refund"},
        failed=False,
        session_id="session-1",
        start_time=START,
    )


@pytest.mark.parametrize(
    "content",
    [
        {"correction": {"intent": "card_charge", "note": "not kept"}},
        {"explanation": json.dumps({"intent": "card_charge", "note": "not kept"})},
        {"label": "card_charge"},
        {"correction": {"intent": None}, "label": "card_charge"},
        {"explanation": "the customer asks about the charge", "label": "card_charge"},
    ],
    ids=["fields", "JSON", "label", "empty fields and label", "prose and label"],
)
def test_a_person_corrects_by_fields_by_json_or_by_label(content: dict[str, Any]) -> None:
    found = example([correction(**content)])
    assert (found.expected, found.origin) == ({"intent": "card_charge"}, LabelOrigin.CORRECTION)
    assert (found.answered, found.failed) == ({"intent": "refund"}, True)


def test_a_correction_is_kept_of_a_task_that_gave_no_answer() -> None:
    failures: list[dict[str, Any]] = [{"ok": False}, {"outputs": None}]
    for failure in failures:
        found = example([correction(label="card_charge")], **failure)
        assert (found.answered, found.failed) == (None, True)


def test_a_correction_that_says_what_the_agent_said_is_no_failure() -> None:
    found = example([correction(label="refund")])
    assert (found.origin, found.failed) == (LabelOrigin.CORRECTION, False)


def test_a_label_corrects_only_where_there_is_one_output_field() -> None:
    assert is_uncorrected_failure(labelled([correction(label="refund")], TWO))


@pytest.mark.parametrize(
    "content",
    [
        {"explanation": "it should have been something else"},
        {"explanation": '["card_charge"]'},
        {"explanation": "[" * 100_000},
        {"correction": {"team": "billing"}},
        {"label": ""},
    ],
    ids=["prose", "no object", "too deep", "other fields", "empty"],
)
def test_a_correction_that_cannot_be_read_is_a_failure_that_nobody_corrected(content: dict[str, Any]) -> None:
    assert is_uncorrected_failure(labelled([correction(**content), said(score=1.0)]))


def test_what_a_correction_leaves_out_is_not_taken_from_the_wrong_answer() -> None:
    assert is_uncorrected_failure(labelled([correction(correction={"intent": "card_charge"})], TWO))


def test_only_people_correct() -> None:
    for kind in (CODE, JUDGE):
        assert labelled([said("correction", kind, label="card_charge")]).unlabelled


def test_a_bad_score_without_a_correction_is_counted_and_makes_no_example() -> None:
    for kind in (HUMAN, CODE, JUDGE):
        assert is_uncorrected_failure(labelled([said(kind=kind, score=0.4)]))


def test_a_correction_outweighs_every_score() -> None:
    found = example([correction(label="card_charge"), said(score=1.0, minute=5)])
    assert found.expected == {"intent": "card_charge"}


def test_a_person_outweighs_code_and_code_a_judge() -> None:
    trust = (HUMAN, CODE, JUDGE)
    for stronger, weaker in pairwise(trust):
        bad, good = said(kind=stronger, score=0.0), said(kind=weaker, score=1.0, minute=5)
        assert is_uncorrected_failure(labelled([bad, good]))
        assert example([replace(bad, score=1.0), replace(good, score=0.0)])


def test_the_newest_feedback_of_a_name_wins() -> None:
    assert example([said(score=1.0, minute=2), said(score=0.0, minute=1)])
    assert is_uncorrected_failure(labelled([said(score=0.0, minute=2), said(score=1.0, minute=1)]))
    found = example([correction(2, label="newest"), correction(1, label="older")])
    assert found.expected == {"intent": "newest"}


def test_of_corrections_under_two_names_the_newest_counts() -> None:
    rules = replace(RULES, correction_names=("correction", "audit"))
    for names in (("correction", "audit"), ("audit", "correction")):
        found = [said(name, minute=minute, label=f"at {minute}") for minute, name in enumerate(names)]
        assert example(found, rules).expected == {"intent": "at 1"}


def test_where_people_disagree_the_bad_score_counts() -> None:
    rules = replace(RULES, approval_names=("user_feedback", "audit"))
    assert is_uncorrected_failure(labelled([said(score=1.0, minute=9), said("audit", score=0.0)], rules))


def test_feedback_under_other_names_says_nothing() -> None:
    found = labelled([said("tone", score=1.0), said("hallucination", JUDGE, score=0.0), said(label="good")])
    assert [task.span_id for task in found.unlabelled] == ["s1"]


def test_a_judges_approval_is_the_weakest_label() -> None:
    trusting = replace(RULES, trust_outcomes=True)
    approval = said(kind=JUDGE, score=1.0)
    assert example([approval]).origin is LabelOrigin.JUDGE
    assert example([approval], trusting).origin is LabelOrigin.OUTCOME
    assert example([approval], trusting, task_status="failed").origin is LabelOrigin.JUDGE


def test_an_outcome_is_a_label_only_where_it_is_trusted() -> None:
    trusting = replace(RULES, trust_outcomes=True)
    assert labelled([]).unlabelled
    assert example([], trusting).origin is LabelOrigin.OUTCOME
    assert labelled([], trusting, task_status="running").unlabelled
    assert is_uncorrected_failure(labelled([], trusting, ok=False))


def test_an_answer_that_lacks_an_output_field_is_never_the_right_one() -> None:
    for outputs in (None, {}, {"intent": None}):
        assert labelled([said(score=1.0)], outputs=outputs).unlabelled


def test_a_task_that_lacks_an_input_is_unusable() -> None:
    found = labelled([correction(label="refund")], inputs={"locale": "en"})
    assert (found.unusable, found.examples, found.unlabelled, found.uncorrected_failures) == (1, (), (), 0)


def test_feedback_about_a_task_id_is_about_its_task() -> None:
    assert example([said(score=1.0, task_id="task-1")])
    assert example([said(score=1.0, task_id="task-1", span_id="a span within the task")])
    assert labelled([said(score=1.0, task_id="task-2"), said(score=1.0, span_id="s2")]).unlabelled
    assert labelled([said(score=1.0, task_id="task-1")], task_id=None).unlabelled


def test_feedback_about_one_attempt_at_a_task_says_nothing_about_another() -> None:
    attempts = [TASK, replace(TASK, span_id="s2")]
    found = label_tasks(attempts, [said(score=1.0, task_id="task-1", span_id="s2")], RULES)
    assert [one.id for one in found.examples] == ["s2"]


feedback = st.builds(
    said,
    name=st.sampled_from(["correction", "user_feedback", "tone"]),
    kind=st.sampled_from(list(FeedbackKind)),
    minute=st.integers(0, 9),
    score=st.none() | st.sampled_from([0.0, 0.5, 1.0]),
    label=st.none() | st.sampled_from(["", "refund", "card_charge"]),
    span_id=st.sampled_from(["s0", "s1", "s2"]),
)
tasks = st.lists(
    st.builds(
        lambda number, ok, outputs, inputs: replace(TASK, span_id=f"s{number}", ok=ok, outputs=outputs, inputs=inputs),
        st.integers(0, 3),
        st.booleans(),
        st.sampled_from([None, {}, {"intent": "refund"}, {"intent": None}]),
        st.sampled_from([{}, {"text": "hello"}]),
    ),
    max_size=4,
    unique_by=lambda task: task.span_id,
)


@given(tasks, st.lists(feedback, max_size=8), st.booleans())
def test_every_task_is_counted_once_and_every_example_is_complete(
    records: list[TaskRecord], given_feedback: list[TaskFeedback], trust: bool
) -> None:
    found = label_tasks(records, given_feedback, replace(RULES, trust_outcomes=trust))
    parts = len(found.examples) + len(found.unlabelled) + found.uncorrected_failures + found.unusable
    assert parts == len(records)
    assert sum(found.by_origin.values()) == len(found.examples)
    for one in found.examples:
        assert set(one.inputs) == {"text"}
        assert set(one.expected) == {"intent"}
        assert one.expected["intent"]
        assert one.failed is (one.answered != one.expected)
        assert not one.failed or one.origin is LabelOrigin.CORRECTION
