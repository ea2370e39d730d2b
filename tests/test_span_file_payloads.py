"""What went into tasks and came out is found in span files, and nothing else of them is read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import dspy
import pandas as pd
import pytest

import resources.span_files
from dspy_modules.tracing import AgentTracer, Task
from perf_pipeline.records import TaskPayload
from resources.reading import PhoenixError
from resources.sources import TaskPlace
from resources.span_file_exporter import SpanFileExporter
from resources.span_files import SpanFilesResource
from tests.span_exports import LAYOUTS, JsonObject, as_json, attribute, otlp_export, otlp_span

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)

Layout = Callable[[Sequence[JsonObject]], bytes]


def task_span(number: int, start: datetime = START) -> JsonObject:
    values = {"input.value": json.dumps({"question": number}), "output.value": json.dumps({"answer": -number})}
    return otlp_span(number, start, attributes=[attribute(*pair) for pair in values.items()])


def place(number: int, start: datetime = START, trace: int | None = None) -> TaskPlace:
    return TaskPlace(f"{number:016x}", f"{trace or number:032x}", start)


def payload(number: int) -> TaskPayload:
    return TaskPayload(f"{number:016x}", {"question": number}, {"answer": -number})


def source(folder: Path) -> SpanFilesResource:
    return SpanFilesResource(folder=str(folder), agent_attributes=["agent.name"])


def read(folder: Path, *tasks: TaskPlace) -> list[TaskPayload]:
    return sorted(source(folder).read_payloads(tasks), key=lambda found: found.span_id)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_payloads_of_the_tasks_are_found_in_every_layout(tmp_path: Path, layout: Layout) -> None:
    exports = [otlp_export(*(task_span(10 * export + span) for span in range(1, 5))) for export in range(3)]
    (tmp_path / "spans.jsonl").write_bytes(layout(exports))
    assert read(tmp_path, place(2), place(24), place(99)) == [payload(2), payload(24)]


def test_tasks_of_many_times_are_found_in_many_files(tmp_path: Path) -> None:
    starts = {number: START + timedelta(hours=number, microseconds=number * 999) for number in range(1, 9)}
    for number, start in starts.items():
        (tmp_path / f"{number}.jsonl").write_bytes(as_json([otlp_export(task_span(number, start))]))
    wanted = [place(number, starts[number]) for number in (8, 1, 5)]
    assert read(tmp_path, *wanted) == [payload(1), payload(5), payload(8)]


def test_a_start_as_the_lake_keeps_it_finds_its_span(tmp_path: Path) -> None:
    exact = task_span(1) | {"startTimeUnixNano": task_span(1)["startTimeUnixNano"][:-3] + "789"}
    (tmp_path / "spans.jsonl").write_bytes(as_json([otlp_export(exact)]))
    (spans,) = source(tmp_path).read_spans(START, START + timedelta(seconds=1))
    start = spans["start_time"].iloc[0]
    assert isinstance(start, pd.Timestamp)
    assert read(tmp_path, place(1, start)) == [payload(1)]


def test_a_span_that_was_exported_twice_is_given_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(as_json([otlp_export(task_span(1), task_span(1)), otlp_export(task_span(1))]))
    (tmp_path / "b.jsonl").write_bytes(as_json([otlp_export(task_span(1), task_span(2))]))
    assert read(tmp_path, place(1), place(2), place(1)) == [payload(1), payload(2)]


def test_the_same_span_id_in_another_trace_is_another_span(tmp_path: Path) -> None:
    (tmp_path / "spans.jsonl").write_bytes(as_json([otlp_export(task_span(1))]))
    assert read(tmp_path, place(1, trace=7)) == []


def test_a_span_without_payload_says_so(tmp_path: Path) -> None:
    (tmp_path / "spans.jsonl").write_bytes(as_json([otlp_export(otlp_span(1, START))]))
    assert read(tmp_path, place(1)) == [TaskPayload(f"{1:016x}", None, None)]


def test_messages_of_other_times_are_not_parsed(tmp_path: Path) -> None:
    other = task_span(2, START + timedelta(seconds=1)) | {"attributes": "no list of attributes"}
    (tmp_path / "spans.jsonl").write_bytes(as_json([otlp_export(other), otlp_export(task_span(1))]))
    assert read(tmp_path, place(1), place(3, START + timedelta(minutes=1))) == [payload(1)]


def test_files_that_were_last_changed_long_before_the_tasks_are_not_read(tmp_path: Path) -> None:
    for name, days in (("old", 2), ("recent", 0)):
        file = tmp_path / f"{name}.jsonl"
        file.write_bytes(as_json([otlp_export(task_span(1 if name == "old" else 2))]))
        changed = (START - timedelta(days=days)).timestamp()
        os.utime(file, times=(changed, changed))
    assert read(tmp_path, place(1), place(2)) == [payload(2)]


def test_the_reading_ends_with_the_last_task_that_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(as_json([otlp_export(task_span(1))]))
    (tmp_path / "b.jsonl").write_text("this is no span\n")
    assert read(tmp_path, place(1)) == [payload(1)]
    with pytest.raises(PhoenixError, match=r"b\.jsonl:1: this is not an OTLP trace export"):
        read(tmp_path, place(1), place(2))


def test_without_tasks_nothing_is_read(tmp_path: Path) -> None:
    with mock.patch.object(resources.span_files, "span_files", side_effect=AssertionError):
        assert read(tmp_path) == []


def test_a_folder_that_does_not_exist_holds_no_payloads(tmp_path: Path) -> None:
    assert read(tmp_path / "none", place(1)) == []


def test_a_start_without_a_time_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="time zone"):
        read(tmp_path, place(1, START.replace(tzinfo=None)))


class Doubling(dspy.Module):
    def forward(self, number: int, **others: Any) -> dspy.Prediction:
        return dspy.Prediction(double=2 * number, others=others)


def test_a_real_agent_s_task_is_read_as_it_was_asked_and_answered(tmp_path: Path) -> None:
    with AgentTracer(SpanFileExporter(tmp_path)) as tracer:
        tracer.run(Doubling(), {"number": 21, "unit": "€"}, Task("A", "t1", "s1", "v1"), dspy.LM("none/none"))
    (spans,) = source(tmp_path).read_spans(
        datetime(2020, 1, 1, tzinfo=UTC), datetime.max.replace(year=2200, tzinfo=UTC)
    )
    places = {row["kind"]: TaskPlace(row["span_id"], row["trace_id"], row["start_time"]) for _, row in spans.iterrows()}
    agent, program = (next(source(tmp_path).read_payloads([places[kind]])) for kind in ("AGENT", "CHAIN"))
    assert agent.inputs == {"number": 21, "unit": "€"}
    assert agent.outputs == program.outputs == {"double": 42, "others": {"unit": "€"}}
    assert program.inputs == {"number": 21, "others": {"unit": "€"}}
