"""Spans in files come back as the table raw_spans, in the window of their own start, whatever layout the files have."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import use_span

import resources.span_files
from perf_pipeline.tables import RAW_SPANS
from resources.otlp import nanoseconds
from resources.reading import PhoenixError
from resources.span_file_exporter import SpanFileExporter
from resources.span_files import SpanFilesResource
from tests.other_devices import each_file_on_its_own_device
from tests.span_exports import (
    LAYOUTS,
    JsonObject,
    as_json,
    as_protobuf,
    as_zstd_lines,
    attribute,
    frame,
    otlp_export,
    otlp_line,
    otlp_span,
    protobuf_message,
    sized,
)

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)
AGENT_ATTRIBUTES = ("agent.name", "metadata.agent_name", "agent_name")

Layout = Callable[[Sequence[JsonObject]], bytes]

LINE_END: dict[Layout, bytes] = {as_json: b"\n", as_zstd_lines: frame(b"\n")}


def source(folder: Path) -> SpanFilesResource:
    return SpanFilesResource(folder=str(folder), agent_attributes=list(AGENT_ATTRIBUTES))


def read(folder: Path, start: datetime = START, end: datetime = END) -> pd.DataFrame:
    return pd.concat([RAW_SPANS.empty(), *source(folder).read_spans(start, end)], ignore_index=True)


def numbers(frame: pd.DataFrame) -> list[int]:
    return [int(span_id, 16) for span_id in frame["span_id"]]


def only_row(folder: Path, span: JsonObject, layout: Layout = as_json) -> dict[str, Any]:
    (folder / "only.jsonl").write_bytes(layout([otlp_export(span)]))
    frame = read(folder)
    assert RAW_SPANS.problems(frame) == []
    (row,) = frame.to_dict("records")
    return {str(name): None if pd.isna(value) else value for name, value in row.items()}


@pytest.mark.parametrize(
    ("offset", "belongs"),
    [
        (timedelta(microseconds=-1), False),
        (timedelta(0), True),
        (timedelta(minutes=30, microseconds=-1), True),
        (timedelta(minutes=30), False),
    ],
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_window_holds_the_spans_from_its_start_up_to_but_not_at_its_end(
    tmp_path: Path, layout: Layout, offset: timedelta, belongs: bool
) -> None:
    (tmp_path / "spans.jsonl").write_bytes(layout([otlp_export(otlp_span(1, START + offset))]))
    assert len(read(tmp_path)) == int(belongs)


def test_a_late_span_is_read_in_the_window_of_its_own_start(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(otlp_line(otlp_span(1, END + timedelta(minutes=1))))
    (tmp_path / "b.jsonl").write_text(otlp_line(otlp_span(3, END), otlp_span(2, START)))
    assert numbers(read(tmp_path)) == [2]


def test_a_window_comes_in_parts_that_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources.span_files, "SPANS_PER_PART", 3)
    exports = [otlp_export(*(otlp_span(10 * export + span, START) for span in range(1, 5))) for export in range(2)]
    (tmp_path / "spans.jsonl").write_bytes(as_json(exports))
    assert [len(part) for part in source(tmp_path).read_spans(START, END)] == [3, 3, 2]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_incomplete_end_is_left_for_the_next_reading(tmp_path: Path, layout: Layout) -> None:
    file = tmp_path / "spans.jsonl"
    first, second = layout([otlp_export(otlp_span(1, START))]), layout([otlp_export(otlp_span(2, START))])
    # Without its line break alone, a line is whole.
    without_end = len(layout([otlp_export(otlp_span(2, START))]).removesuffix(LINE_END.get(layout, b"")))
    for cut in {1, 3, 4, 5, len(second) // 2, without_end - 1}:
        file.write_bytes(first + second[:cut])
        assert numbers(read(tmp_path)) == [1], cut
    file.write_bytes(first + second)
    assert numbers(read(tmp_path)) == [1, 2]


@pytest.mark.parametrize("after", ["", " ", "\r"])
def test_a_last_line_that_is_whole_json_is_read_without_a_line_break(tmp_path: Path, after: str) -> None:
    first, last = otlp_line(otlp_span(1, START)), otlp_line(otlp_span(2, START)).strip()
    (tmp_path / "a.json").write_text(last + after, newline="")
    (tmp_path / "b.json").write_text(first + last.replace('"work"', "NaN") + after, newline="")
    assert numbers(read(tmp_path)) == [2, 1, 2]


def test_a_last_line_without_a_line_break_that_is_whole_and_no_trace_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"resourceLogs": []}')
    with pytest.raises(PhoenixError, match=r"bad\.json:1: "):
        read(tmp_path)


def test_files_of_one_inode_on_two_devices_are_two_files(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.jsonl").write_text(otlp_line(otlp_span(number, START)))
    with each_file_on_its_own_device():
        assert numbers(read(tmp_path)) == [1, 2]


def test_two_names_of_one_file_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(otlp_line(otlp_span(1, START)))
    (tmp_path / "b.jsonl").hardlink_to(tmp_path / "a.jsonl")
    (tmp_path / "c.jsonl").symlink_to(tmp_path / "a.jsonl")
    assert numbers(read(tmp_path)) == [1]


@pytest.mark.parametrize("parent", ["0" * 16, "AAAAAAAAAAA="])
def test_a_parent_of_zeros_is_no_parent(tmp_path: Path, parent: str) -> None:
    assert only_row(tmp_path, otlp_span(1, START, parentSpanId=parent))["parent_id"] is None


@pytest.mark.parametrize(
    "malformed",
    [
        "not JSON",
        '{"a": 1}',
        "[1]",
        otlp_line(otlp_span(1, START))[:-40],
        otlp_line(otlp_span(1, START, traceId="7c8f")),
        otlp_line(otlp_span(1, START, traceId="x" * 32)),
        otlp_line(otlp_span(1, START, spanId=" " * 16)),
        otlp_line({"startTimeUnixNano": str(nanoseconds(START))}),
        otlp_line(otlp_span(1, START, startTimeUnixNano="yesterday")),
        '{"resourceLogs": []}',
    ],
    ids=["text", "other object", "list", "cut off", "short id", "no hex", "blank id", "no ids", "no time", "logs"],
)
def test_a_line_that_is_not_otlp_is_named_by_file_and_line(tmp_path: Path, malformed: str) -> None:
    (tmp_path / "bad.jsonl").write_text(otlp_line(otlp_span(1, START)) + malformed.strip() + "\n")
    with pytest.raises(PhoenixError, match=r"bad\.jsonl:2: .*Repair or remove the line") as caught:
        read(tmp_path)
    assert not caught.value.retryable


METRICS = b"\x0a\x0c\x12\x0a\x12\x08\x0a\x06memory"


@pytest.mark.parametrize(
    "malformed",
    [sized(b"\xff\xff"), sized(protobuf_message(otlp_export(otlp_span(1, START, traceId="7c8f")))), sized(METRICS)],
    ids=["not protobuf", "short id", "metrics"],
)
def test_a_message_that_is_not_otlp_is_named_by_file_and_place(tmp_path: Path, malformed: bytes) -> None:
    good = as_protobuf([otlp_export(otlp_span(1, START))])
    (tmp_path / "bad.pb").write_bytes(good + malformed)
    with pytest.raises(PhoenixError, match=rf"bad\.pb, the message at byte {len(good)}: .*Move the file out"):
        read(tmp_path)


def test_a_length_that_no_message_has_is_an_error_and_not_an_incomplete_end(tmp_path: Path) -> None:
    (tmp_path / "bad.pb").write_bytes(as_protobuf([otlp_export(otlp_span(1, START))]) + b"\xff\xff\xff\xff")
    with pytest.raises(PhoenixError, match=r"bad\.pb, .*4294967295 bytes"):
        read(tmp_path)


def test_damaged_compression_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    good = as_zstd_lines([otlp_export(otlp_span(1, START))])
    (tmp_path / "bad.zst").write_bytes(good + b"damaged" + good)
    with pytest.raises(PhoenixError, match=r"bad\.zst cannot be read"):
        read(tmp_path)


def test_a_folder_that_does_not_exist_holds_no_spans(tmp_path: Path) -> None:
    assert read(tmp_path / "nothing").empty
    assert source(tmp_path / "nothing").arrivals(None, START, END).spans.empty


def test_files_of_other_names_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not spans")
    (tmp_path / "folder.jsonl").mkdir()
    assert read(tmp_path).empty


def test_a_file_that_nobody_changed_since_the_day_before_the_window_is_not_opened(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    file.write_text("damaged\n")
    changed = (START - timedelta(days=1, seconds=1)).timestamp()
    os.utime(file, (changed, changed))
    assert read(tmp_path).empty
    os.utime(file, (changed + 2, changed + 2))
    with pytest.raises(PhoenixError):
        read(tmp_path)


def test_a_window_without_a_time_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="time zone"):
        read(tmp_path, START.replace(tzinfo=None), END)


def test_a_file_renamed_while_its_folder_is_read_is_read_once_with_the_one_in_its_place(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    (tmp_path / "a.jsonl").write_text(otlp_line(otlp_span(1, START)))
    file.write_text(otlp_line(otlp_span(2, START)))
    parts = source(tmp_path)._rows(START, END)
    first = next(parts)
    file.rename(tmp_path / "spans-2026-03-01T10-05-00.000.jsonl")
    file.write_text(otlp_line(otlp_span(3, START)))
    assert sorted(int(row.span_id, 16) for row in [first, *parts]) == [1, 2, 3]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_times_status_and_parent_are_read_as_the_collector_writes_them(tmp_path: Path, layout: Layout) -> None:
    failed = {"code": 2, "message": "no luck"}
    events = [{"name": "exception", "attributes": [attribute("exception.type", kind)]} for kind in ("First", "Last")]
    child = otlp_span(2, START, parentSpanId=f"{1:016x}", status=failed, events=events)
    running = otlp_span(3, START, endTimeUnixNano="0", status={"code": "STATUS_CODE_OK"}, parentSpanId="")
    (tmp_path / "spans.jsonl").write_bytes(layout([otlp_export(child, running)]))
    first, second = read(tmp_path).to_dict("records")
    assert (first["parent_id"], first["status"], first["status_message"]) == (f"{1:016x}", "ERROR", "no luck")
    assert (first["error_type"], first["latency_ms"], first["start_time"]) == ("Last", 1.5, START)
    assert second["status"] == "OK"
    assert [second[name] != second[name] for name in ("parent_id", "latency_ms", "error_type")] == [True] * 3


def test_an_attribute_of_the_resource_serves_where_the_span_has_none(tmp_path: Path) -> None:
    resource = {"attributes": [attribute("program.version", "v3")]}
    own = otlp_span(1, START, attributes=[attribute("program.version", "v4")])
    (tmp_path / "spans.jsonl").write_text(otlp_line(own, otlp_span(2, START), resource=resource))
    assert list(read(tmp_path)["program_version"]) == ["v4", "v3"]


@pytest.mark.parametrize(
    ("attributes", "column", "expected"),
    [
        ([attribute("metadata", '{"agent_name": "M"}'), attribute("agent_name", "B")], "agent", "M"),
        ([attribute("metadata", '{"agent_name": "M"}'), attribute("metadata.agent_name", "own")], "agent", "own"),
        ([attribute("metadata", '{"agent_name": ["M"]}'), attribute("agent_name", "B")], "agent", "B"),
        ([attribute("metadata", "no JSON")], "agent", None),
        ([attribute("metadata", '["a"]')], "agent", None),
        ([attribute("metadata", {"values": [attribute("agent_name", "M")]}, "kvlistValue")], "agent", "M"),
        ([attribute("metadata", {"values": [attribute("task_id", "17", "intValue")]}, "kvlistValue")], "task_id", "17"),
        ([attribute("metadata", {"values": [{"key": "task_id", "value": {}}]}, "kvlistValue")], "task_id", None),
        ([attribute("task.id", {"values": [attribute("a", "b")]}, "kvlistValue")], "task_id", None),
        ([attribute("metadata", '{"task_id": 17}')], "task_id", "17"),
        ([attribute("openinference.span.kind", "llm")], "kind", "LLM"),
        ([attribute("llm.token_count.prompt", "12", "intValue")], "prompt_tokens", 12),
        ([attribute("llm.token_count.prompt", 12, "intValue")], "prompt_tokens", 12),
        ([attribute("llm.cost.total", 0.25, "doubleValue")], "cost_usd", 0.25),
        ([attribute("llm.cost.total", "NaN", "doubleValue")], "cost_usd", None),
        ([attribute("task.id", True, "boolValue")], "task_id", "True"),
        ([attribute("task.id", {"values": [{"stringValue": "a"}]}, "arrayValue")], "task_id", None),
        ([attribute("task.id", {"values": []}, "kvlistValue")], "task_id", None),
        ([attribute("task.id", "AAEC", "bytesValue")], "task_id", None),
        ([{"key": "task.id", "value": {}}], "task_id", None),
    ],
)
@pytest.mark.parametrize("layout", [as_json, as_protobuf])
def test_an_attribute_fills_its_column(
    tmp_path: Path, layout: Layout, attributes: list[JsonObject], column: str, expected: object
) -> None:
    assert only_row(tmp_path, otlp_span(1, START, attributes=attributes), layout)[column] == expected


@pytest.mark.parametrize(
    "value",
    [
        {"intValue": "9" * 40},
        {"intValue": "1" * 5000},
        {"intValue": None},
        {"intValue": "many"},
        {"doubleValue": float("nan")},
        {"doubleValue": "Infinity"},
        {"stringValue": "half a character: \ud83d"},
        {"stringValue": 5},
        {"kvlistValue": {"values": ["no pair"]}},
        {"kvlistValue": "no list"},
        {"stringValue": None},
        "text",
        None,
    ],
)
def test_an_odd_value_spoils_nothing_but_its_own_column(tmp_path: Path, value: Any) -> None:
    odd = [
        {"key": name, "value": value} for name in ("task.id", "llm.token_count.prompt", "llm.cost.total", "metadata")
    ]
    row = only_row(tmp_path, otlp_span(1, START, attributes=[*odd, attribute("session.id", "s")]))
    assert (row["session_id"], row["prompt_tokens"]) == ("s", None)


def test_a_number_that_is_too_large_for_json_readers_spoils_nothing(tmp_path: Path) -> None:
    span = otlp_span(1, START, attributes=[attribute("llm.cost.total", 7.5, "doubleValue")])
    (tmp_path / "spans.jsonl").write_text(otlp_line(span).replace("7.5", "1e999"))
    assert read(tmp_path)["cost_usd"].isna().tolist() == [True]


@pytest.mark.parametrize(
    "ids",
    [
        {"traceId": "0AF7651916CD43DD8448EB211C80319C", "spanId": "B7AD6B7169203331"},
        {"traceId": "CvdlGRbNQ92ESOshHIAxnA==", "spanId": "t61rcWkgMzE="},
        {"traceId": "CvdlGRbNQ92ESOshHIAxnA", "spanId": "t61rcWkgMzE"},
    ],
    ids=["upper case", "base64", "base64 without padding"],
)
def test_ids_are_hexadecimal_however_they_were_written(tmp_path: Path, ids: JsonObject) -> None:
    row = only_row(tmp_path, otlp_span(1, START, **ids))
    assert (row["trace_id"], row["span_id"]) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")


@pytest.mark.parametrize(
    ("end", "latency"),
    [
        (nanoseconds(START) - 1_000_000, None),
        (nanoseconds(START) + 2_000_000, 2),
        (10**30, None),
        (-5, None),
        (None, None),
    ],
)
def test_clock_trouble_at_the_end_of_a_span_costs_only_its_latency(
    tmp_path: Path, end: int | None, latency: float | None
) -> None:
    assert only_row(tmp_path, otlp_span(1, START, endTimeUnixNano=end))["latency_ms"] == latency


@pytest.mark.parametrize("start", [nanoseconds(START), str(nanoseconds(START))])
def test_nanoseconds_are_numbers_or_texts(tmp_path: Path, start: int | str) -> None:
    assert only_row(tmp_path, otlp_span(1, START, startTimeUnixNano=start))["start_time"] == START


@pytest.mark.parametrize("start", ["0", None, "18446744073709551615", "-1"])
def test_a_span_whose_start_no_clock_shows_belongs_to_no_window(tmp_path: Path, start: str | None) -> None:
    strange = otlp_span(1, START, startTimeUnixNano=start)
    (tmp_path / "spans.jsonl").write_bytes(as_json([otlp_export(strange, otlp_span(2, START))]))
    assert numbers(read(tmp_path)) == [2]


@pytest.mark.parametrize("empty", ["{}", '{"resourceSpans": []}', '{"resourceSpans": [{"scopeSpans": [{}]}]}', ""])
def test_an_export_without_spans_is_no_error(tmp_path: Path, empty: str) -> None:
    (tmp_path / "spans.jsonl").write_text(empty + "\n" + otlp_line(otlp_span(1, START)))
    (tmp_path / "spans.pb").write_bytes(sized(b"") + as_protobuf([otlp_export(otlp_span(2, START))]))
    assert numbers(read(tmp_path)) == [1, 2]


def test_what_the_exporter_writes_is_what_the_resource_reads(tmp_path: Path) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(SpanFileExporter(tmp_path, clock=lambda: START)))
    tracer = provider.get_tracer("test")
    outer = tracer.start_span("outer", attributes={"agent.name": "Ünal 🙂", "llm.token_count.prompt": 7})
    with use_span(outer, end_on_exit=True), pytest.raises(ZeroDivisionError), tracer.start_as_current_span("inner"):
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ["spans-2026-03-01.jsonl"]

    now = datetime.now(UTC)
    frame = read(tmp_path, now - timedelta(minutes=5), now + timedelta(minutes=5))
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
