"""OTLP in protobuf as the same rows as OTLP in JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from resources.otlp import (
    EXCEPTION,
    METADATA,
    STATUS,
    Attributes,
    Row,
    finite,
    id_of_bytes,
    microseconds,
    with_metadata,
)


def protobuf_rows(content: bytes, wanted: frozenset[str], start_ns: int, end_ns: int) -> Iterator[Row]:
    """The same as `otlp.json_rows` of a request in protobuf."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    try:
        export = ExportTraceServiceRequest.FromString(content)
    except DecodeError as error:
        raise ValueError(error) from error
    for resource_spans in export.resource_spans:
        shared = _protobuf_attributes(resource_spans.resource.attributes, wanted)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                start = span.start_time_unix_nano
                # Metrics and logs are laid out alike, and would pass for spans without a start.
                if start_ns <= start < end_ns or not start:
                    row = _protobuf_row(span, start, shared, wanted)
                    if start:
                        yield row


def _protobuf_row(span: Any, start: int, shared: Attributes, wanted: frozenset[str]) -> Row:
    code = STATUS.get(span.status.code, "UNSET")
    parent = span.parent_span_id
    own = _protobuf_attributes(span.attributes, wanted)
    return Row(
        id_of_bytes(span.span_id, 8).hex(),
        id_of_bytes(span.trace_id, 16).hex(),
        id_of_bytes(parent, 8).hex() if parent.strip(b"\0") else None,
        span.name,
        start // 1000,
        microseconds(span.end_time_unix_nano),
        code,
        span.status.message,
        _last_protobuf_exception(span.events) if code == "ERROR" else None,
        shared | own if shared else own,
    )


def _protobuf_attributes(pairs: Iterable[Any], wanted: frozenset[str]) -> Attributes:
    found = {pair.key: _protobuf_value(pair.value) for pair in pairs if pair.key in wanted}
    return with_metadata(found, wanted) if METADATA in found else found


def _protobuf_value(value: Any) -> str | int | float | dict[str, Any] | None:
    kind = value.WhichOneof("value")
    if kind == "double_value":
        return finite(value.double_value)
    if kind == "kvlist_value":
        return {pair.key: _protobuf_value(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind in {"string_value", "int_value", "bool_value"} else None


def _last_protobuf_exception(events: Sequence[Any]) -> str | None:
    kinds = [_protobuf_attributes(event.attributes, EXCEPTION).get("exception.type") for event in events]
    return next((str(kind) for kind in reversed(kinds) if kind), None)
