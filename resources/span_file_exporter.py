"""Writes spans into the files that `span_files` reads. Never imported when definitions load.

The layout is that of OpenTelemetry's file exporters: one OTLP/JSON ExportTraceServiceRequest a line.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

IDS = ("traceId", "spanId", "parentSpanId")


def utc_now() -> datetime:
    return datetime.now(UTC)


class SpanFileExporter(SpanExporter):
    """Appends each export as one line to `spans-<day of the export, UTC>.jsonl` in the folder, and flushes it."""

    def __init__(self, folder: Path, clock: Callable[[], datetime] = utc_now) -> None:
        self._folder = folder
        self._clock = clock
        self._writing = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        line = otlp_json(spans) + "\n"
        with self._writing:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / f"spans-{self._clock():%Y-%m-%d}.jsonl").open("a", encoding="utf-8") as file:
                file.write(line)
        return SpanExportResult.SUCCESS


def otlp_json(spans: Sequence[ReadableSpan]) -> str:
    """The spans as one line of OTLP/JSON: ids in hex as that format asks for, where protobuf's JSON has base64."""
    export = MessageToDict(encode_spans(spans), use_integers_for_enums=True)
    for resource_spans in export.get("resourceSpans", ()):
        for scope_spans in resource_spans.get("scopeSpans", ()):
            for span in scope_spans.get("spans", ()):
                _ids_to_hex(span)
                for link in span.get("links", ()):
                    _ids_to_hex(link)
    return json.dumps(export, ensure_ascii=False, separators=(",", ":"))


def _ids_to_hex(holder: dict[str, Any]) -> None:
    for name in IDS:
        if name in holder:
            holder[name] = base64.b64decode(holder[name]).hex()
