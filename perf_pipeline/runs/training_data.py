"""The examples of an optimization: read from production or a file, labelled, and divided once for the whole run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from perf_pipeline.fleet_targets import FileExamples, TargetConfig, TraceExamples
from perf_pipeline.optimization.labels import LabelledTasks, LabelRules, label_tasks
from perf_pipeline.optimization.near_duplicates import deduplicated, grouped
from perf_pipeline.optimization.splits import NotEnough, Split, SplitPolicy, split_examples
from perf_pipeline.records import LabelledExample, LabelOrigin, TaskRecord
from perf_pipeline.tables import AGENT_TASKS
from resources.lake import Lake
from resources.sources import SpanSource, TaskPlace

Redact = Callable[[dict[str, Any]], Mapping[str, Any]]
JudgeTasks = Callable[[Sequence[TaskRecord]], list[bool]]
"""Which of the tasks' answers a judge calls right."""

MOST_JUDGED = 200


class TrainingDataError(ValueError):
    """The examples cannot be read. The message says what to mend."""


@dataclass(frozen=True)
class TrainingData:
    """`story` says in words where the examples come from."""

    split: Split
    story: tuple[str, ...]

    def as_json(self) -> str:
        parts = {
            name: [_plain(example) for example in getattr(self.split, name)]
            for name in ("train", "validation", "holdout")
        }
        return json.dumps({**parts, "story": list(self.story)})

    @classmethod
    def from_json(cls, text: str) -> TrainingData:
        content = json.loads(text)
        parts = {name: tuple(_example(row) for row in content[name]) for name in ("train", "validation", "holdout")}
        return cls(Split(**parts), tuple(content["story"]))


@dataclass(frozen=True)
class ExampleReader:
    """Reads the labelled examples of one agent. `judge` is None where no judge is configured."""

    agent: str
    target: TargetConfig
    input_fields: tuple[str, ...]
    lake: Lake
    spans: SpanSource
    redact: Redact | None
    judge: JudgeTasks | None

    def read(self, now: datetime) -> tuple[list[LabelledExample], list[str]]:
        """The labelled examples, and in words where they come from. Raises TrainingDataError and PhoenixError."""
        source = self.target.examples
        if isinstance(source, FileExamples):
            examples = _from_file(Path(source.path), self.input_fields, self.target.output_fields)
            return [self._redacted(example) for example in examples], [f"{len(examples)} examples of {source.path}"]
        labelled = self._from_traces(source, now)
        judged = self._judged(labelled)
        return [*labelled.examples, *judged], _story(labelled, len(judged))

    def _from_traces(self, source: TraceExamples, now: datetime) -> LabelledTasks:
        rows = self.lake.read(AGENT_TASKS, now - timedelta(days=source.days), now)
        rows = rows[(rows["agent"] == self.agent) & rows["end_time"].notna()]
        rows = rows.sort_values("start_time").tail(source.max_tasks).astype(object)
        tasks = rows.where(rows.notna(), None).to_dict("records")
        places = [
            TaskPlace(task["task_span_id"], task["trace_id"], task["start_time"].to_pydatetime(), task["task_id"])
            for task in tasks
        ]
        payloads = {payload.span_id: payload for payload in self.spans.read_payloads(places)}
        feedback = self.spans.read_feedback(places)
        records = [
            TaskRecord(
                span_id=task["task_span_id"],
                trace_id=task["trace_id"],
                agent=task["agent"],
                start_time=task["start_time"].to_pydatetime(),
                ok=bool(task["ok"]),
                inputs=self._clean(payload.inputs),
                outputs=None if payload.outputs is None else self._clean(payload.outputs),
                task_id=task["task_id"],
                session_id=task["session_id"],
                task_status=task["task_status"],
                error_type=task["error_type"],
                program_version=task["program_version"],
            )
            for task in tasks
            if (payload := payloads.get(task["task_span_id"])) is not None and payload.inputs is not None
        ]
        rules = LabelRules(
            input_fields=self.input_fields,
            output_fields=self.target.output_fields,
            correction_names=source.corrections,
            approval_names=source.approvals,
            approve_from=source.approve_from,
            trust_outcomes=source.trust_outcomes,
        )
        labelled = label_tasks(records, feedback, rules)
        return replace(labelled, examples=tuple(self._with_redacted_correction(one) for one in labelled.examples))

    def _with_redacted_correction(self, example: LabelledExample) -> LabelledExample:
        """A correction may have been given as fields, as a label or as an explanation, and is redacted once it is read;
        inputs and answers are by then."""
        if example.origin is not LabelOrigin.CORRECTION:
            return example
        expected = self._clean(example.expected)
        answered = example.answered or {}
        failed = any(answered.get(name) != value for name, value in expected.items())
        return replace(example, expected=expected, failed=failed)

    def _judged(self, labelled: LabelledTasks) -> list[LabelledExample]:
        """The tasks that nobody labelled, and whose answer the judge calls right."""
        if self.judge is None:
            return []
        asked = [task for task in labelled.unlabelled if task.ok and _has(task.outputs, self.target.output_fields)]
        asked = asked[-MOST_JUDGED:]
        return [
            LabelledExample(
                id=task.span_id,
                inputs={name: task.inputs[name] for name in self.input_fields},
                expected={name: (task.outputs or {})[name] for name in self.target.output_fields},
                origin=LabelOrigin.JUDGE,
                answered=task.outputs,
                session_id=task.session_id,
                start_time=task.start_time,
            )
            for task, is_right in zip(asked, self.judge(asked) if asked else [], strict=True)
            if is_right
        ]

    def _redacted(self, example: LabelledExample) -> LabelledExample:
        return replace(example, inputs=self._clean(example.inputs), expected=self._clean(example.expected))

    def _clean(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        cleaned = self.redact(dict(fields)) if self.redact else fields
        return {name: _whole(value) for name, value in cleaned.items()}


def _whole(value: Any) -> Any:
    """The value without halves of character pairs, which broken inputs hold, and which no model can be sent."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {key: _whole(held) for key, held in value.items()}
    return [_whole(held) for held in value] if isinstance(value, list) else value


def divided(
    examples: Sequence[LabelledExample], story: Sequence[str], seen: set[str], salt: str, target: TargetConfig
) -> TrainingData | NotEnough:
    """The examples in three parts. `seen` are the digests that a training or a gate of the agent has seen."""
    once = deduplicated(examples)
    policy = SplitPolicy(min_holdout=target.min_holdout, min_training=target.min_training)
    split = split_examples(grouped(once.examples), seen, salt, policy)
    if isinstance(split, NotEnough):
        return split
    told = list(story)
    if repeated := len(examples) - len(once.examples):
        told.append(f"{repeated} repeated inputs left out")
    if once.conflicts:
        told.append(f"{once.conflicts} inputs had two right answers; the newest counts")
    return TrainingData(split, tuple(told))


def _story(labelled: LabelledTasks, judged: int) -> list[str]:
    origins = Counter(labelled.by_origin) + Counter({LabelOrigin.JUDGE: judged})
    told = [f"{count} labelled by {str(origin).replace('_', ' ')}" for origin, count in sorted(origins.items())]
    failures = sum(example.failed for example in labelled.examples)
    told.append(f"{failures} of them are answers that were corrected")
    if labelled.uncorrected_failures:
        told.append(f"{labelled.uncorrected_failures} failures that nobody corrected are not used")
    if labelled.unusable:
        told.append(f"{labelled.unusable} tasks lack an input of the program")
    return told


def _from_file(path: Path, input_fields: Sequence[str], output_fields: Sequence[str]) -> list[LabelledExample]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingDataError(f"The examples in {path} cannot be read ({error}): correct examples.path.") from error
    examples = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            inputs = {name: row["inputs"][name] for name in input_fields}
            expected = {name: row["expected"][name] for name in output_fields}
            session = row.get("session")
            if not isinstance(session, str | None):
                raise TypeError("session must be a text")
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingDataError(
                f'{path}:{number}: a line must be {{"inputs": {{…}}, "expected": {{…}}}} with the fields '
                f"{', '.join([*input_fields, *output_fields])} ({error!r}): repair or remove it."
            ) from error
        examples.append(
            LabelledExample(f"{path.name}:{number}", inputs, expected, LabelOrigin.FILE, session_id=session)
        )
    return examples


def _has(outputs: Mapping[str, Any] | None, fields: Sequence[str]) -> bool:
    return outputs is not None and all(outputs.get(name) is not None for name in fields)


def _plain(example: LabelledExample) -> dict[str, Any]:
    time = example.start_time.isoformat() if example.start_time else None
    return asdict(example) | {"origin": str(example.origin), "start_time": time}


def _example(row: dict[str, Any]) -> LabelledExample:
    time = datetime.fromisoformat(row["start_time"]) if row["start_time"] else None
    return LabelledExample(**{**row, "origin": LabelOrigin(row["origin"]), "start_time": time})
