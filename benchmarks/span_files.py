"""OTLP/JSON files of any size, laid out as the OpenTelemetry collector's file exporter writes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from tests.real.services.otlp_sender import SentSpan, dspy_traces

SPANS_PER_LINE = 250
SPANS_PER_FILE = 100_000
STATUS = {"UNSET": 0, "OK": 1, "ERROR": 2}
NANOSECONDS = 1_000_000_000


def write_span_files(folder: Path, agents: list[str], start: datetime, end: datetime, count: int) -> None:
    """`count` spans of a DSPy fleet that start in [start, end) (aware), in files of 100,000."""
    folder.mkdir(parents=True)
    for number, first in enumerate(range(0, count, SPANS_PER_FILE)):
        spans = iter(dspy_traces(agents, start, end, min(SPANS_PER_FILE, count - first), seed=number))
        with (folder / f"spans-{number:03}.jsonl").open("wb") as file:
            file.writelines(_lines(spans))


def _lines(spans: Iterator[SentSpan]) -> Iterator[bytes]:
    while batch := list(islice(spans, SPANS_PER_LINE)):
        export = {"resourceSpans": [{"scopeSpans": [{"spans": [_otlp(span) for span in batch]}]}]}
        yield orjson.dumps(export, option=orjson.OPT_APPEND_NEWLINE)


def _otlp(span: SentSpan) -> dict[str, Any]:
    began = int(span.start.timestamp() * 1_000_000) * 1000
    lasted = int(span.duration.total_seconds() * NANOSECONDS) if span.duration else 0
    attributes = {"openinference.span.kind": span.kind, **span.attributes}
    events = [_exception(span.exception_type)] if span.exception_type else []
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_id or "",
        "name": span.name,
        "startTimeUnixNano": str(began),
        "endTimeUnixNano": str(began + lasted),
        "attributes": [{"key": key, "value": _value(value)} for key, value in attributes.items()],
        "events": events,
        "status": {"code": STATUS[span.status], "message": span.status_message},
    }


def _exception(kind: str) -> dict[str, Any]:
    return {"name": "exception", "attributes": [{"key": "exception.type", "value": {"stringValue": kind}}]}


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
