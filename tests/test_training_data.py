"""Examples come from production or a file, cleaned and labelled, and what was seen is never held out again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.fleet_targets import TraceExamples
from perf_pipeline.optimization.splits import NotEnough, Split, content_digest
from perf_pipeline.records import FeedbackKind, LabelledExample, LabelOrigin, TaskFeedback, TaskPayload, TaskRecord
from perf_pipeline.runs.training_data import (
    MOST_JUDGED,
    ExampleReader,
    JudgeTasks,
    Redact,
    TrainingData,
    TrainingDataError,
    divided,
)
from perf_pipeline.tables import AGENT_TASKS
from resources.lake import Lake
from resources.ledger import Ledger
from resources.reading import PhoenixError
from tests.builders import START, Row, frame, task
from tests.cycle_fixtures import RecordedSpans
from tests.optimization_fixtures import target

NOW = START + timedelta(days=1)


class Production:
    """A lake with tasks of InboundAgent, and the payloads and feedback of their spans."""

    def __init__(self, folder: Path) -> None:
        self.lake = Lake(str(folder))
        self.spans = RecordedSpans()
        self.rows: list[Row] = []

    def add(self, message: str, intent: str | None = "not_now", agent: str = "InboundAgent", **columns: Any) -> str:
        number = len(self.rows)
        span_id = f"span{number}"
        start = columns.pop("start_time", START + timedelta(seconds=number))
        row = task(agent, at=number, task_span_id=span_id, trace_id=f"trace{number}", **columns)
        self.rows.append(row | {"start_time": start} | ({} if row["end_time"] is None else {"end_time": start}))
        outputs = None if intent is None else {"intent": intent, "reasoning": "long"}
        self.spans.payloads[span_id] = TaskPayload(span_id, {"message": message}, outputs)
        return span_id

    def said(self, about: str, name: str = "user_feedback", **changes: Any) -> None:
        facts = {"kind": FeedbackKind.HUMAN, "at": NOW, "span_id": about}
        self.spans.feedback.append(TaskFeedback(name, **(facts | changes)))

    def read(
        self, *, redact: Redact | None = None, judge: JudgeTasks | None = None, now: datetime = NOW, **examples: Any
    ) -> tuple[list[LabelledExample], list[str]]:
        self.lake.write(AGENT_TASKS, START, frame(AGENT_TASKS, self.rows))
        source = TraceExamples.model_validate(examples)
        config = target("InboundAgent", Path("unused")).model_copy(update={"examples": source})
        reader = ExampleReader("InboundAgent", config, ("message",), self.lake, self.spans, redact, judge)
        return reader.read(now)

    def labelled(self, **given: Any) -> list[tuple[str, Any, str]]:
        """Of each example its message, its right intent and where that comes from."""
        examples, _ = self.read(**given)
        return [(one.inputs["message"], one.expected["intent"], str(one.origin)) for one in examples]


@pytest.fixture
def production(tmp_path: Path) -> Production:
    return Production(tmp_path / "lake")


def test_a_correction_says_what_would_have_been_right(production: Production) -> None:
    production.said(production.add("Stop."), "correction", correction={"intent": "unsubscribe"})
    [example], _ = production.read()
    assert (example.expected, example.answered) == ({"intent": "unsubscribe"}, {"intent": "not_now"})
    assert (example.origin, example.failed, example.id) == (LabelOrigin.CORRECTION, True, "span0")
    assert (example.start_time, example.inputs) == (START, {"message": "Stop."})


def test_an_approved_answer_is_right_and_a_disapproved_one_makes_no_example(production: Production) -> None:
    production.said(production.add("Call me.", "meeting_request"), score=1.0)
    production.said(production.add("No."), score=0.0)
    production.add("Nobody spoke of it.")
    assert production.labelled() == [("Call me.", "meeting_request", "annotation")]


def test_the_names_and_the_score_that_approve_are_those_of_the_target(production: Production) -> None:
    production.said(production.add("One."), "stars", score=0.6)
    production.said(production.add("Two."), "stars", score=0.8)
    assert production.labelled() == []
    assert production.labelled(approvals=["stars"], approve_from=0.7) == [("Two.", "not_now", "annotation")]


def test_outcomes_are_trusted_only_where_the_target_says_so(production: Production) -> None:
    production.add("Done.", task_status="completed")
    production.add("Pending.", task_status="pending")
    assert production.labelled() == []
    assert production.labelled(trust_outcomes=True) == [("Done.", "not_now", "outcome")]


def test_only_the_agents_own_tasks_that_are_over_and_whose_inputs_are_known_are_used(production: Production) -> None:
    production.add("Mine.")
    production.add("Another's.", agent="AuditAgent")
    production.add("Not over.", ms=None)
    for number in range(5):
        production.said(f"span{number}" if number < 3 else production.add("Nobody knows."), score=1.0)
    del production.spans.payloads["span3"]
    production.spans.payloads["span4"] = TaskPayload("span4", None, {"intent": "not_now"})
    assert production.labelled() == [("Mine.", "not_now", "annotation")]


def test_of_more_tasks_than_are_wanted_the_newest_count_in_their_order(production: Production) -> None:
    for hour in (3, 1, 2, 0):
        production.said(production.add(f"At {hour}.", start_time=START + timedelta(hours=hour)), score=1.0)
    assert [message for message, *_ in production.labelled(max_tasks=2)] == ["At 2.", "At 3."]
    assert len(production.labelled()) == 4


def test_tasks_older_than_the_days_of_the_target_are_left(production: Production) -> None:
    production.said(production.add("Old."), score=1.0)
    assert production.labelled(days=2) == [("Old.", "not_now", "annotation")]
    assert production.labelled(days=2, now=START + timedelta(days=3)) == []


def test_the_story_says_where_the_examples_come_from_and_what_is_not_used(production: Production) -> None:
    production.said(production.add("One."), score=1.0)
    production.said(production.add("Two."), "correction", correction={"intent": "unsubscribe"})
    production.said(production.add("Three."), score=0.0)
    production.spans.payloads[production.add("Four.")] = TaskPayload("span3", {"other": 1}, None)
    _, story = production.read()
    assert story == [
        "1 labelled by annotation",
        "1 labelled by correction",
        "1 of them are answers that were corrected",
        "1 failures that nobody corrected are not used",
        "1 tasks lack an input of the program",
    ]


def masked(fields: dict[str, Any]) -> Mapping[str, Any]:
    return {name: str(value).replace("ana@example.com", "<mail>") for name, value in fields.items()}


def test_redaction_reaches_inputs_answers_and_corrections_and_what_the_judge_sees(production: Production) -> None:
    secret = "ana@example.com"
    production.said(production.add(secret, secret), score=1.0)
    production.said(production.add(secret), "correction", correction={"intent": secret})
    production.add(secret, secret)
    seen: list[TaskRecord] = []

    def judge(tasks: Sequence[TaskRecord]) -> list[bool]:
        seen.extend(tasks)
        return [True] * len(tasks)

    examples, _ = production.read(redact=masked, judge=judge)
    assert (len(examples), len(seen)) == (3, 1)
    assert secret not in repr(examples) + repr(seen)
    assert repr(examples).count("<mail>") >= 6


@pytest.mark.parametrize("given", [{"label": "ana@example.com"}, {"explanation": '{"intent": "ana@example.com"}'}])
def test_redaction_reaches_a_correction_however_it_was_given(production: Production, given: dict[str, str]) -> None:
    production.said(production.add("Hello."), "correction", **given)
    [example], _ = production.read(redact=masked)
    assert "ana@example.com" not in repr(example)


def test_a_judge_labels_what_nobody_did_and_only_what_it_calls_right(production: Production) -> None:
    production.said(production.add("Known."), score=1.0)
    production.add("Right.", session_id="s1")
    production.add("Wrong.")
    production.add("Failed.", ok=False)
    production.add("Unanswered.", None)

    def judge(tasks: Sequence[TaskRecord]) -> list[bool]:
        assert [task.inputs["message"] for task in tasks] == ["Right.", "Wrong."]
        return [True, False]

    examples, story = production.read(judge=judge)
    [_, judged] = examples
    assert (judged.origin, judged.expected, judged.session_id) == (LabelOrigin.JUDGE, {"intent": "not_now"}, "s1")
    assert "1 labelled by judge" in story


def test_a_judge_is_asked_about_no_more_than_the_newest(production: Production) -> None:
    for number in range(MOST_JUDGED + 5):
        production.add(f"Number {number}.")
    examples, _ = production.read(judge=lambda tasks: [True] * len(tasks))
    assert [one.inputs["message"] for one in examples] == [f"Number {n + 5}." for n in range(MOST_JUDGED)]


def test_a_source_that_fails_is_no_lack_of_examples(production: Production) -> None:
    production.said(production.add("One."), score=1.0)
    production.spans.failure = PhoenixError("Phoenix does not answer.", retryable=True)
    with pytest.raises(PhoenixError):
        production.read()


def from_file(path: Path, redact: Redact | None = None) -> tuple[list[LabelledExample], list[str]]:
    config = target("InboundAgent", path)
    lake = Lake(str(path.parent))
    return ExampleReader("InboundAgent", config, ("message",), lake, RecordedSpans(), redact, None).read(NOW)


def write(folder: Path, *lines: Any) -> Path:
    file = folder / "examples.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    file.write_text("\n".join(texts), encoding="utf-8")
    return file


def example_line(message: str, intent: str = "not_now", **more: Any) -> dict[str, Any]:
    return {"inputs": {"message": message, "extra": 1}, "expected": {"intent": intent, "extra": 2}, **more}


def test_examples_of_a_file_have_the_fields_of_the_target_and_their_session(tmp_path: Path) -> None:
    path = write(tmp_path, example_line("One."), "", "  ", example_line("Zwei ñ.", session="s1"))
    examples, story = from_file(path, lambda fields: {name: f"{value}!" for name, value in fields.items()})
    assert [(one.id, one.inputs, one.expected, one.session_id) for one in examples] == [
        ("examples.jsonl:1", {"message": "One.!"}, {"intent": "not_now!"}, None),
        ("examples.jsonl:4", {"message": "Zwei ñ.!"}, {"intent": "not_now!"}, "s1"),
    ]
    assert {one.origin for one in examples} == {LabelOrigin.FILE}
    assert story == [f"2 examples of {path}"]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "7",
        '"text"',
        "null",
        "{}",
        '{"inputs": {"message": "x"}}',
        '{"inputs": 1, "expected": {"intent": 1}}',
    ],
)
def test_a_malformed_line_is_named_with_its_number_and_what_it_must_hold(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, example_line("One."), line)
    with pytest.raises(TrainingDataError) as refused:
        from_file(path)
    assert str(refused.value).startswith(f'{path}:2: a line must be {{"inputs": {{…}}, "expected": {{…}}}}')
    assert "with the fields message, intent" in str(refused.value)
    assert str(refused.value).endswith("repair or remove it.")


def test_a_file_that_cannot_be_read_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "latin.jsonl").write_bytes(b"\xff")
    for path in (tmp_path / "missing.jsonl", tmp_path / "latin.jsonl", tmp_path):
        with pytest.raises(TrainingDataError, match=r"cannot be read \(.*correct examples\.path"):
            from_file(path)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_a_text_with_a_line_separator_in_it_is_one_example(tmp_path: Path, separator: str) -> None:
    [example], _ = from_file(write(tmp_path, example_line(separator)))
    assert example.inputs == {"message": separator}


def test_a_session_that_is_no_text_is_a_malformed_line(tmp_path: Path) -> None:
    path = write(tmp_path, *(example_line(f"Number {number}", session=["s"]) for number in range(60)))
    with pytest.raises(TrainingDataError, match=":1: "):
        divided(from_file(path)[0], [], set(), "salt", target("InboundAgent", path))


TARGET = target("InboundAgent", Path("unused"))


def labelled_example(number: int, intent: str = "not_now", **changes: Any) -> LabelledExample:
    # Words of their own: near-duplicates would be one group.
    message = " ".join(f"word{number}x{place}" for place in range(6))
    facts: dict[str, Any] = {"id": f"s{number}", "inputs": {"message": message}, "expected": {"intent": intent}}
    return LabelledExample(**({**facts, "origin": LabelOrigin.FILE, **changes}))


def split(examples: Sequence[LabelledExample], seen: set[str], salt: str = "salt") -> TrainingData:
    found = divided(examples, ["told"], seen, salt, TARGET)
    assert isinstance(found, TrainingData)
    return found


def test_repeated_inputs_count_once_and_two_right_answers_are_told_of() -> None:
    examples = [labelled_example(number) for number in range(60)]
    other = labelled_example(0, "unsubscribe", id="newer", start_time=NOW)
    data = split([*examples, replace(examples[1], id="again"), other], set())
    assert data.story == ("told", "2 repeated inputs left out", "1 inputs had two right answers; the newest counts")
    assert len(data.split.all) == 60


@settings(max_examples=25, deadline=None)
@given(fresh=st.integers(0, 40), old=st.integers(0, 60), salt=st.text(max_size=4))
def test_what_was_seen_is_never_held_out_again(fresh: int, old: int, salt: str) -> None:
    examples = [labelled_example(number) for number in range(fresh + old)]
    seen = {content_digest(one) for one in examples[:old]}
    found = divided(examples, [], seen, salt, TARGET)
    if isinstance(found, NotEnough):
        assert fresh < 20 or fresh + old < 30
    else:
        assert not {content_digest(one) for one in found.split.holdout} & seen
        assert len(found.split.holdout) >= 20


def test_run_after_run_each_is_gated_on_tasks_that_none_before_has_seen(tmp_path: Path) -> None:
    book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    held_out: list[str] = []
    for number in range(3):
        examples = [labelled_example(item) for item in range(60 * (number + 1))]
        parts = split(examples, book.seen_examples("InboundAgent"), f"salt{number}").split
        held_out += [content_digest(one) for one in parts.holdout]
        digests = [(content_digest(one), "any") for one in parts.all]
        book.record_seen_examples("InboundAgent", f"r{number}", digests, NOW)
        book.record_seen_examples("InboundAgent", "seen before", digests, NOW)
    assert len(set(held_out)) == len(held_out) >= 60
    assert len(book.examples_seen_by_run("InboundAgent", "r1")) == 60
    assert book.seen_examples("AuditAgent") == book.examples_seen_by_run("InboundAgent", "seen before") == set()
    book.close()


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)
fields = st.dictionaries(st.text(max_size=5), scalars | st.lists(scalars, max_size=2), max_size=3)
texts = st.text(max_size=4)
any_example = st.builds(
    LabelledExample, texts, fields, fields, st.sampled_from(LabelOrigin), st.none() | fields, st.booleans(), texts,
    st.none() | texts, st.none() | st.datetimes(timezones=st.just(UTC)),
)  # fmt: skip
part = st.lists(any_example, max_size=3).map(tuple)


@settings(deadline=None)
@given(st.builds(TrainingData, st.builds(Split, part, part, part), st.lists(st.text(), max_size=3).map(tuple)))
def test_a_runs_data_survives_json_with_its_fingerprint(data: TrainingData) -> None:
    again = TrainingData.from_json(data.as_json())
    assert again == data
    assert again.split.fingerprint == data.split.fingerprint
