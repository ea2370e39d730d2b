"""OTLP, OpenTelemetry's layout of exported spans, in JSON, as rows of `span_columns.raw_spans`.

What does not belong here: where exports come from (files, a server) and which attribute fills which column.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from perf_pipeline.tables import TEXT
from resources.lenient_json import parsed_json
from resources.span_attributes import KIND_ATTRIBUTE, wanted_attributes
from resources.span_columns import ATTRIBUTE, EXCEPTION_TYPE

METADATA = "metadata"
STATUS = {1: "OK", 2: "ERROR", "STATUS_CODE_OK": "OK", "STATUS_CODE_ERROR": "ERROR"}
EXCEPTION = frozenset({"exception.type"})
LATEST = 1 << 63
"""Nanoseconds since 1970 that no clock shows before the year 2262."""

NOT_OTLP = (KeyError, TypeError, AttributeError, ValueError, RecursionError)
"""What the readers raise where a message is not laid out as OTLP."""

Attributes = dict[str, Any]


class Row(NamedTuple):
    """A span. Times are microseconds since 1970 UTC, 0 for a missing end; `attributes` are the wanted ones."""

    span_id: str
    trace_id: str
    parent_id: str | None
    name: str | None
    start_time: int
    end_time: int
    status_code: str
    status_message: str | None
    exception_type: str | None
    attributes: Attributes


TEXT_FIELDS = ("span_id", "trace_id", "parent_id", "name", "status_code", "status_message", EXCEPTION_TYPE)
TIME_FIELDS = ("start_time", "end_time")


def nanoseconds(time: datetime) -> int:
    """Nanoseconds since 1970 UTC of an aware time."""
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def wanted_of_spans(agent_attributes: Sequence[str]) -> frozenset[str]:
    """The attributes to look for in an export."""
    return frozenset({KIND_ATTRIBUTE, METADATA, *wanted_attributes(agent_attributes)})


def rows_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Rows as `span_columns.raw_spans` asks for them. An attribute that no row has is left out."""
    fields = dict(zip(Row._fields, zip(*rows, strict=True) if rows else [()] * len(Row._fields), strict=True))
    columns = {name: _text_column(fields[name]) for name in TEXT_FIELDS}
    for name in TIME_FIELDS:
        times = np.array(fields[name], dtype="int64").view("datetime64[us]")
        columns[name] = pd.Series(pd.DatetimeIndex(times).tz_localize("UTC"))
    attributes: Sequence[Attributes] = fields["attributes"]
    for name in sorted(set().union(*attributes)):
        columns[ATTRIBUTE + name] = _text_column([found.get(name) for found in attributes])
    columns["span_kind"] = columns.pop(ATTRIBUTE + KIND_ATTRIBUTE, pd.Series(None, index=range(len(rows)), dtype=TEXT))
    return pd.DataFrame(columns)


def json_rows(content: bytes, wanted: frozenset[str], start_ns: int, end_ns: int) -> Iterator[Row]:
    """The spans of an ExportTraceServiceRequest in JSON that started in [start_ns, end_ns). Raises one of NOT_OTLP.

    A span that names no start belongs to no window, as Phoenix would put it into 1970.
    """
    export = parsed_json(content)
    if export == {}:
        return
    for resource_spans in export["resourceSpans"] or ():
        shared = _json_attributes((resource_spans.get("resource") or {}).get("attributes"), wanted)
        for scope_spans in resource_spans.get("scopeSpans") or ():
            for span in scope_spans.get("spans") or ():
                start = int(span.get("startTimeUnixNano") or 0)
                if start_ns <= start < end_ns:
                    yield _json_row(span, start, shared, wanted)


def _json_row(span: Mapping[str, Any], start: int, shared: Attributes, wanted: frozenset[str]) -> Row:
    status = span.get("status") or {}
    code = STATUS.get(status.get("code"), "UNSET")
    parent = span.get("parentSpanId")
    own = _json_attributes(span.get("attributes"), wanted)
    return Row(
        _hex_id(span["spanId"], 8),
        _hex_id(span["traceId"], 16),
        _hex_id(parent, 8) if parent and parent.strip("0") else None,
        span.get("name"),
        start // 1000,
        microseconds(int(span.get("endTimeUnixNano") or 0)),
        code,
        status.get("message"),
        _last_exception(span.get("events") or ()) if code == "ERROR" else None,
        shared | own if shared else own,
    )


def _json_attributes(pairs: Iterable[Mapping[str, Any]] | None, wanted: frozenset[str]) -> Attributes:
    found: Attributes = {}
    for pair in pairs or ():
        name = pair["key"]
        if name in wanted:
            value = pair.get("value")
            # Nearly all values are texts, and a function call for each costs as much as all of this.
            text = value.get("stringValue") if isinstance(value, dict) else None
            found[name] = text if isinstance(text, str) else _json_value(value)
    return with_metadata(found, wanted) if METADATA in found else found


def _json_value(value: Any) -> str | int | float | dict[str, Any] | None:
    """None for what fills no column: lists, bytes, and what is not laid out as a value."""
    if not isinstance(value, dict):
        return None
    if isinstance(text := value.get("stringValue"), str):
        return text
    if isinstance(flag := value.get("boolValue"), bool):
        return flag
    number = value.get("intValue")
    try:
        if "kvlistValue" in value:
            return {pair["key"]: _json_value(pair.get("value")) for pair in value["kvlistValue"].get("values") or ()}
        if number is not None:
            return int(number)
        return finite(float(value["doubleValue"]))
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        return None


def _last_exception(events: Iterable[Mapping[str, Any]]) -> str | None:
    kinds = [_json_attributes(event.get("attributes"), EXCEPTION).get("exception.type") for event in events]
    return next((str(kind) for kind in reversed(kinds) if kind), None)


def with_metadata(found: Attributes, wanted: frozenset[str]) -> Attributes:
    """`metadata.x` is an attribute of that name or a field of `metadata`: OpenInference's JSON, or a map."""
    metadata = found.pop(METADATA)
    if isinstance(metadata, str):
        return _attributes_in_json(metadata, wanted) | found
    return _metadata_attributes(metadata, wanted) | found


# The spans of a task repeat the same metadata.
@lru_cache(maxsize=256)
def _attributes_in_json(text: str, wanted: frozenset[str]) -> Attributes:
    try:
        return _metadata_attributes(parsed_json(text.encode()), wanted)
    except NOT_OTLP:
        return {}


def _metadata_attributes(metadata: Any, wanted: frozenset[str]) -> Attributes:
    found: Attributes = {}
    for name, path in _metadata_paths(wanted):
        value = metadata
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            found[name] = value
    return found


@lru_cache(maxsize=8)
def _metadata_paths(wanted: frozenset[str]) -> list[tuple[str, list[str]]]:
    return [(name, name.split(".")[1:]) for name in wanted if name.startswith(f"{METADATA}.")]


def _text_column(values: Sequence[Any]) -> pd.Series:
    import pyarrow as pa

    try:
        texts = pa.array(values, pa.large_string())
        return pd.Series(pd.arrays.ArrowStringArray(texts, dtype=TEXT))  # pyright: ignore[reportCallIssue]
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return pd.Series(values, dtype=object)


def _hex_id(value: str, size: int) -> str:
    if len(value) == size * 2:
        return id_of_bytes(bytes.fromhex(value), size).hex()
    # Protobuf's own JSON writes bytes in base64, which OTLP does not allow and some exporters do.
    digits = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        decoded = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except binascii.Error:
        decoded = b""
    return id_of_bytes(decoded, size, value).hex()


def id_of_bytes(value: bytes, size: int, written: object = None) -> bytes:
    if len(value) != size:
        raise ValueError(f"the id {str(written or value.hex())[:40]!r} does not have {size * 2} hex digits")
    return value


def microseconds(time_ns: int) -> int:
    return time_ns // 1000 if 0 < time_ns < LATEST else 0


def finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
