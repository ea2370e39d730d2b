"""OpenTelemetry spans as rows of `raw_spans`: which attributes fill which column, and OTLP's JSON layout.

What does not belong here: where spans come from (files, a server) and what they mean for an agent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import pandas as pd

from perf_pipeline.tables import RAW_SPANS
from resources.span_attributes import COLUMN_ATTRIBUTES, KIND_ATTRIBUTE

METADATA = "metadata"
STATUS = {0: "UNSET", 1: "OK", 2: "ERROR"}
COUNTS = ("prompt_tokens", "completion_tokens")
AMOUNTS = ("cost_usd",)
ATTRIBUTE_COLUMNS = ("agent", "kind", *COLUMN_ATTRIBUTES)

Row = dict[str, Any]
"""A row of `raw_spans`, except that `start_time` and `end_time` are still integers: nanoseconds since 1970 UTC."""


@lru_cache(maxsize=64)
def attribute_targets(agent_attributes: tuple[str, ...]) -> Mapping[str, tuple[str, int]]:
    """For each attribute that counts, the column that it may fill and its place in the order of preference."""
    columns = {**COLUMN_ATTRIBUTES, "agent": agent_attributes, "kind": (KIND_ATTRIBUTE,)}
    return {name: (column, place) for column, names in columns.items() for place, name in enumerate(names)}


def attribute_columns(name: str, attributes: dict[str, Any], agent_attributes: tuple[str, ...]) -> Row:
    """The columns of `raw_spans` that a span's attributes fill; None where no attribute holds a value.

    `metadata.x` is looked for as an attribute of that name, then in the JSON object that OpenInference keeps in the
    attribute `metadata`. DSPy's TOOL spans do not say which tool they call, so there the span's name does.
    """
    targets = attribute_targets(agent_attributes)
    columns: Row = dict.fromkeys(ATTRIBUTE_COLUMNS)
    places: dict[str, int] = {}
    for attribute, value in (_metadata(attributes.get(METADATA)) | attributes).items():
        column, place = targets.get(attribute, (None, 0))
        if column is not None and place < places.get(column, len(targets)) and str(value).strip() and value is not None:
            columns[column], places[column] = str(value), place
    for column in COUNTS + AMOUNTS:
        columns[column] = _number(columns[column])
    columns["kind"] = (columns["kind"] or "UNKNOWN").upper()
    if columns["kind"] == "TOOL" and columns["tool"] is None:
        columns["tool"] = name.removesuffix(".__call__").removesuffix(".acall")
    return columns


def span_rows(
    export: Mapping[str, Any], agent_attributes: tuple[str, ...], start_ns: int, end_ns: int
) -> Iterable[Row]:
    """Rows of the spans in an OTLP/JSON ExportTraceServiceRequest that started in [start_ns, end_ns).

    Raises KeyError, TypeError, AttributeError or ValueError where the object is not laid out as OTLP/JSON.
    """
    wanted = frozenset({METADATA, *attribute_targets(agent_attributes)})
    for resource_spans in export["resourceSpans"]:
        shared = _attributes(resource_spans.get("resource", {}).get("attributes", ()), wanted)
        for scope_spans in resource_spans.get("scopeSpans", ()):
            for span in scope_spans.get("spans", ()):
                if start_ns <= int(span["startTimeUnixNano"]) < end_ns:
                    yield _span_row(span, shared, wanted, agent_attributes)


def spans_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Rows as a frame of `raw_spans`, in order of start; a span that was exported twice is there once."""
    unique: dict[tuple[str, str], Row] = {}
    for row in rows:
        unique.setdefault((row["trace_id"], row["span_id"]), row)
    if not unique:
        return RAW_SPANS.empty()
    ordered = sorted(unique.values(), key=lambda row: (row["start_time"], row["trace_id"], row["span_id"]))
    frame = pd.DataFrame({column: [row[column] for row in ordered] for column in RAW_SPANS.columns}, dtype=object)
    for column in ("start_time", "end_time"):
        frame[column] = pd.to_datetime(frame[column].astype("Int64"), unit="ns", utc=True)
    return RAW_SPANS.conform(frame)


def nanoseconds(time: datetime) -> int:
    """Nanoseconds since 1970 UTC of an aware time."""
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def _span_row(
    span: Mapping[str, Any], shared: dict[str, Any], wanted: frozenset[str], agent_attributes: tuple[str, ...]
) -> Row:
    start = int(span["startTimeUnixNano"])
    end: int | None = int(span.get("endTimeUnixNano") or 0)
    if end < start:
        end = None
    status = span.get("status", {})
    return {
        "span_id": _hex_id(span["spanId"], 16),
        "trace_id": _hex_id(span["traceId"], 32),
        "parent_id": _hex_id(span["parentSpanId"], 16) if span.get("parentSpanId", "").strip("0") else None,
        "name": str(span["name"]),
        "start_time": start,
        "end_time": end,
        "latency_ms": None if end is None else (end - start) / 1e6,
        "status": _status(status.get("code", 0)),
        "status_message": status.get("message") or None,
        "error_type": _exception_type(span.get("events", ())),
    } | attribute_columns(span["name"], shared | _attributes(span.get("attributes", ()), wanted), agent_attributes)


def _status(code: int | str) -> str:
    # OTLP/JSON writes enumerations as numbers; protobuf's own JSON writes their names.
    return STATUS[code] if isinstance(code, int) else code.removeprefix("STATUS_CODE_")


def _hex_id(value: str, digits: int) -> str:
    if len(value) != digits:
        raise ValueError(f"the id {value[:40]!r} does not have {digits} hex digits")
    return value.lower()


def _exception_type(events: Iterable[Mapping[str, Any]]) -> str | None:
    types = [
        _attributes(event.get("attributes", ()), frozenset({"exception.type"})).get("exception.type")
        for event in events
        if event.get("name") == "exception"
    ]
    return types[-1] if types else None


def _attributes(pairs: Iterable[Mapping[str, Any]], wanted: frozenset[str]) -> dict[str, Any]:
    return {pair["key"]: _value(pair["value"]) for pair in pairs if pair["key"] in wanted}


def _value(value: Mapping[str, Any]) -> Any:
    kind, content = next(iter(value.items()), ("", None))
    return int(content) if kind == "intValue" and content is not None else content


def _metadata(value: Any) -> dict[str, Any]:
    return _metadata_attributes(value) if isinstance(value, str) else {}


# The spans of a task repeat the same metadata.
@lru_cache(maxsize=4096)
def _metadata_attributes(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return {f"{METADATA}.{name}": item for name, item in value.items()} if isinstance(value, dict) else {}


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
