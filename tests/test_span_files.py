"""Spans written as OTLP/JSON lines come back as the table raw_spans, once each, in their own window."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import use_span

from perf_pipeline.tables import RAW_SPANS
from resources.otlp import attribute_columns, nanoseconds
from resources.reading import PhoenixError
from resources.span_file_exporter import SpanFileExporter
from resources.span_files import SpanFilesResource

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)
AGENT_ATTRIBUTES = ("agent.name", "metadata.agent_name", "agent_name")


def source(folder: Path) -> SpanFilesResource:
    return SpanFilesResource(folder=str(folder), agent_attributes=list(AGENT_ATTRIBUTES))


def otlp_span(number: int, start: datetime, **changes: Any) -> dict[str, Any]:
    begin = nanoseconds(start)
    return {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "work",
        "startTimeUnixNano": str(begin),
        "endTimeUnixNano": str(begin + 1_500_000),
        "status": {},
    } | changes


def otlp_line(*spans: Mapping[str, Any], resource: Mapping[str, Any] | None = None) -> str:
    return json.dumps({"resourceSpans": [{"resource": resource or {}, "scopeSpans": [{"spans": spans}]}]}) + "\n"


def text_attribute(name: str, value: str) -> dict[str, Any]:
    return {"key": name, "value": {"stringValue": value}}


@pytest.mark.parametrize(
    ("offset", "belongs"),
    [
        (timedelta(microseconds=-1), False),
        (timedelta(0), True),
        (timedelta(minutes=30, microseconds=-1), True),
        (timedelta(minutes=30), False),
    ],
)
def test_a_window_holds_the_spans_from_its_start_up_to_but_not_at_its_end(
    tmp_path: Path, offset: timedelta, belongs: bool
) -> None:
    (tmp_path / "spans.jsonl").write_text(otlp_line(otlp_span(1, START + offset)))
    assert len(source(tmp_path).read_spans(START, END).frame) == int(belongs)


def test_a_late_span_is_read_in_the_window_of_its_own_start(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(otlp_line(otlp_span(1, END + timedelta(minutes=1))))
    (tmp_path / "b.jsonl").write_text(otlp_line(otlp_span(3, END), otlp_span(2, START)))
    assert list(source(tmp_path).read_spans(START, END).frame["span_id"]) == [f"{2:016x}"]


def test_a_span_exported_twice_is_there_once(tmp_path: Path) -> None:
    line = otlp_line(otlp_span(1, START), otlp_span(2, START))
    (tmp_path / "a.jsonl").write_text(line * 2)
    (tmp_path / "b.jsonl").write_text(line)
    frame = source(tmp_path).read_spans(START, END).frame
    assert len(frame) == 2
    assert RAW_SPANS.problems(frame) == []


def test_a_half_written_last_line_is_left_for_the_next_reading(tmp_path: Path) -> None:
    first, second = otlp_line(otlp_span(1, START)), otlp_line(otlp_span(2, START))
    file = tmp_path / "spans.jsonl"
    file.write_text(first + second[:-30])
    assert len(source(tmp_path).read_spans(START, END).frame) == 1
    file.write_text(first + second)
    assert len(source(tmp_path).read_spans(START, END).frame) == 2


@pytest.mark.parametrize(
    "malformed",
    [
        "not JSON",
        '{"a": 1}',
        "[1]",
        otlp_line(otlp_span(1, START))[:-40],
        otlp_line(otlp_span(1, START, traceId="fP/z4q4V8hZ0gX1p2b3c4Q==")),
        otlp_line({"startTimeUnixNano": str(nanoseconds(START))}),
    ],
    ids=["text", "other object", "list", "cut off", "base64 ids", "no ids"],
)
def test_a_line_that_is_not_otlp_is_named_by_file_and_line(tmp_path: Path, malformed: str) -> None:
    (tmp_path / "bad.jsonl").write_text(otlp_line(otlp_span(1, START)) + malformed.strip() + "\n")
    with pytest.raises(PhoenixError, match=r"bad\.jsonl:2: .*Repair or remove the line") as caught:
        source(tmp_path).read_spans(START, END)
    assert not caught.value.retryable


def test_a_folder_that_does_not_exist_holds_no_spans(tmp_path: Path) -> None:
    frame = source(tmp_path / "nothing").read_spans(START, END).frame
    assert frame.empty
    assert list(frame.columns) == RAW_SPANS.columns


def test_times_status_and_parent_are_read_as_the_collector_writes_them(tmp_path: Path) -> None:
    failed = {"code": 2, "message": "no luck"}
    events = [
        {"name": "exception", "attributes": [text_attribute("exception.type", kind)]} for kind in ("First", "Last")
    ]
    child = otlp_span(2, START, parentSpanId=f"{1:016x}", status=failed, events=events)
    running = otlp_span(3, START, endTimeUnixNano="0", status={"code": "STATUS_CODE_OK"}, parentSpanId="")
    (tmp_path / "spans.jsonl").write_text(otlp_line(child, running))
    first, second = source(tmp_path).read_spans(START, END).frame.to_dict("records")
    assert (first["parent_id"], first["status"], first["status_message"]) == (f"{1:016x}", "ERROR", "no luck")
    assert (first["error_type"], first["latency_ms"], first["start_time"]) == ("Last", 1.5, START)
    assert second["status"] == "OK"
    assert [second[name] != second[name] for name in ("parent_id", "latency_ms", "error_type")] == [True] * 3


def test_an_attribute_of_the_resource_serves_where_the_span_has_none(tmp_path: Path) -> None:
    resource = {"attributes": [text_attribute("program.version", "v3")]}
    own = otlp_span(1, START, attributes=[text_attribute("program.version", "v4")])
    (tmp_path / "spans.jsonl").write_text(otlp_line(own, otlp_span(2, START), resource=resource))
    assert list(source(tmp_path).read_spans(START, END).frame["program_version"]) == ["v4", "v3"]


@pytest.mark.parametrize(
    ("attributes", "column", "expected"),
    [
        ({"agent.name": "A", "agent_name": "B"}, "agent", "A"),
        ({"agent_name": "B", "agent.name": "A"}, "agent", "A"),
        ({"agent.name": " ", "agent_name": "B"}, "agent", "B"),
        ({"metadata": '{"agent_name": "M"}', "agent_name": "B"}, "agent", "M"),
        ({"metadata": '{"agent_name": "M"}', "metadata.agent_name": "literal"}, "agent", "literal"),
        ({"metadata": "no JSON"}, "agent", None),
        ({"metadata": '["a"]'}, "agent", None),
        ({"metadata": '{"task_id": 17}'}, "task_id", "17"),
        ({"llm.token_count.prompt": 12, "gen_ai.usage.input_tokens": 3}, "prompt_tokens", 12),
        ({"gen_ai.usage.input_tokens": "3"}, "prompt_tokens", 3),
        ({"llm.token_count.prompt": "many"}, "prompt_tokens", None),
        ({"llm.cost.total": 0.25}, "cost_usd", 0.25),
        ({"openinference.span.kind": "llm"}, "kind", "LLM"),
        ({}, "kind", "UNKNOWN"),
        ({"openinference.span.kind": "TOOL"}, "tool", "look_up"),
        ({"openinference.span.kind": "TOOL", "tool.name": "search"}, "tool", "search"),
        ({"openinference.span.kind": "CHAIN"}, "tool", None),
    ],
)
def test_a_column_takes_the_first_attribute_that_holds_a_value(
    attributes: dict[str, Any], column: str, expected: object
) -> None:
    assert attribute_columns("look_up.__call__", attributes, AGENT_ATTRIBUTES)[column] == expected


def test_what_the_exporter_writes_is_what_the_resource_reads(tmp_path: Path) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(SpanFileExporter(tmp_path, clock=lambda: START)))
    tracer = provider.get_tracer("test")
    outer = tracer.start_span("outer", attributes={"agent.name": "Ünal 🙂", "llm.token_count.prompt": 7})
    with use_span(outer, end_on_exit=True), pytest.raises(ZeroDivisionError), tracer.start_as_current_span("inner"):
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["spans-2026-03-01.jsonl"]

    now = datetime.now(UTC)
    frame = source(tmp_path).read_spans(now - timedelta(minutes=5), now + timedelta(minutes=5)).frame
    rows = {row["name"]: row for row in frame.to_dict("records")}
    context = outer.get_span_context()
    assert (rows["outer"]["span_id"], rows["outer"]["trace_id"]) == (
        f"{context.span_id:016x}",
        f"{context.trace_id:032x}",
    )
    assert rows["inner"]["parent_id"] == rows["outer"]["span_id"]
    assert (rows["outer"]["agent"], rows["outer"]["prompt_tokens"]) == ("Ünal 🙂", 7)
    assert (rows["inner"]["error_type"], rows["inner"]["status"]) == ("ZeroDivisionError", "ERROR")


def test_the_description_says_that_it_is_the_default_and_how_to_change_it(tmp_path: Path) -> None:
    described = source(tmp_path).describe()
    assert str(tmp_path) in described
    assert "embedded default; set PHOENIX_ENDPOINT" in described
