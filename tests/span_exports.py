"""Exports of spans as tests write them into files: OTLP in JSON and in protobuf, in every layout of the collector."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from resources.otlp import nanoseconds

JsonObject = dict[str, Any]


def otlp_span(number: int, start: datetime, **changes: Any) -> JsonObject:
    """A span of 1.5 ms whose ids are the number."""
    begin = nanoseconds(start)
    return {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "work",
        "startTimeUnixNano": str(begin),
        "endTimeUnixNano": str(begin + 1_500_000),
        "status": {},
    } | changes


def otlp_export(*spans: Mapping[str, Any], resource: Mapping[str, Any] | None = None) -> JsonObject:
    return {"resourceSpans": [{"resource": resource or {}, "scopeSpans": [{"spans": list(spans)}]}]}


def otlp_line(*spans: Mapping[str, Any], resource: Mapping[str, Any] | None = None) -> str:
    return json.dumps(otlp_export(*spans, resource=resource)) + "\n"


def attribute(name: str, value: Any, kind: str = "stringValue") -> JsonObject:
    return {"key": name, "value": {kind: value}}


def as_json(exports: Sequence[JsonObject]) -> bytes:
    return b"".join(json.dumps(export).encode() + b"\n" for export in exports)


def as_protobuf(exports: Sequence[JsonObject]) -> bytes:
    return b"".join(sized(protobuf_message(export)) for export in exports)


def as_zstd_messages(exports: Sequence[JsonObject]) -> bytes:
    return b"".join(sized(frame(json.dumps(export).encode())) for export in exports)


def as_zstd_protobuf_messages(exports: Sequence[JsonObject]) -> bytes:
    return b"".join(sized(frame(protobuf_message(export))) for export in exports)


def as_zstd_lines(exports: Sequence[JsonObject]) -> bytes:
    """As the collector does it with rotation: a line and its end are a frame each."""
    return b"".join(frame(json.dumps(export).encode()) + frame(b"\n") for export in exports)


def as_zstd_protobuf(exports: Sequence[JsonObject]) -> bytes:
    """As the collector does it without rotation: one frame for what was written since the last flush."""
    return frame(as_protobuf(exports))


LAYOUTS = [as_json, as_protobuf, as_zstd_messages, as_zstd_protobuf_messages, as_zstd_lines, as_zstd_protobuf]


def sized(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


def frame(content: bytes) -> bytes:
    return pa.compress(content, codec="zstd", asbytes=True)


def protobuf_message(export: JsonObject) -> bytes:
    request = ExportTraceServiceRequest()
    ParseDict(_with_base64_ids(export), request)
    return request.SerializeToString()


def _with_base64_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_base64_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64encode(bytes.fromhex(item)).decode()
        if name.endswith(("spanId", "SpanId", "traceId"))
        else _with_base64_ids(item)
        for name, item in value.items()
    }
