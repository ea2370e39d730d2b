"""Spans as `raw_spans`, the same from every road: how fields and attributes of a span become columns.

What does not belong here: how a road asks for spans and how its answer is laid out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pandas as pd

from perf_pipeline.tables import RAW_SPANS, TEXT, TIME
from resources.span_attributes import (
    COLUMN_ATTRIBUTES,
    ERROR_ATTRIBUTE,
    FIELD_OF_COLUMN,
    KIND_OF_VALUE,
    KINDS,
    NO_ERROR_TYPE,
    QUOTED,
)

SPAN_FIELDS = (
    "span_id",
    "trace_id",
    "parent_id",
    "name",
    "span_kind",
    "start_time",
    "end_time",
    "status_code",
    "status_message",
)
EXCEPTION_TYPE = "exception_type"
ATTRIBUTE = "attribute."

TOKEN_COLUMNS = ("prompt_tokens", "completion_tokens")
NUMERIC_COLUMNS = (*TOKEN_COLUMNS, "cost_usd")
TOOL_CALL_SUFFIX = r"\.(?:__call__|acall)$"
ERROR_TYPE = r"^(?:\w+\.)*([A-Za-z_]\w*(?:Error|Exception|Timeout|Warning|Interrupt|Exit))\b"
EPOCH = pd.Timestamp(0, tz="UTC")
EXACT = 2**53
"""Above it, floating point skips whole numbers."""


def raw_spans(rows: pd.DataFrame, agent_attributes: Sequence[str]) -> pd.DataFrame:
    """The rows as the table `raw_spans`, in the same order.

    `rows` has one row a span: the SPAN_FIELDS (times aware), `exception_type` (of the last exception recorded on the
    span) and `attribute.<name>` for attributes; the last two may be left out where no span has them.

    A span that was sent without an end has none; one that ends before it starts keeps its end and has no latency.
    The error's type is the class that the status message begins with, else that of the attribute `error.type`, else
    that of the recorded exception. Token counts too large to be exact are missing.
    """
    end = _times(rows["end_time"])
    start = _times(rows["start_time"])
    # Phoenix gives back a span that was sent without an end as if it had ended in 1970.
    end = end.where(end > EPOCH)
    columns: dict[str, pd.Series] = {
        "span_id": rows["span_id"],
        "trace_id": rows["trace_id"],
        "parent_id": _parent_id(rows),
        "name": _text(rows["name"]).fillna(""),
        "kind": _kind(rows),
        "start_time": start,
        "end_time": end,
        "latency_ms": (end - start).dt.total_seconds().mul(1000).where(end >= start),
        "status": rows["status_code"],
        "status_message": _text(rows["status_message"]),
    }
    columns["error_type"] = _error_type(rows, columns["status"], columns["status_message"])
    for column, attributes in {"agent": tuple(agent_attributes), **COLUMN_ATTRIBUTES}.items():
        read = _number if column in NUMERIC_COLUMNS else _text
        present = [_attribute(rows, name, column) for name in attributes if ATTRIBUTE + name in rows.columns]
        columns[column] = _first_present([*map(read, present), *([] if present else [read(_missing(rows))])])
    for column in TOKEN_COLUMNS:
        columns[column] = columns[column].round().where(columns[column] <= EXACT)
    is_tool = columns["kind"] == "TOOL"
    # DSPy's TOOL spans do not say which tool they call; their name does.
    tool_of_name = columns["name"].str.replace(TOOL_CALL_SUFFIX, "", regex=True).where(is_tool)
    columns["tool"] = _first_present([columns["tool"], tool_of_name])
    return RAW_SPANS.conform(pd.DataFrame(columns))


def needs_exception(rows: pd.DataFrame) -> pd.Series:
    """Which rows failed with a status message that does not say the error's type."""
    known = _first_present([_type_in(_text(rows["status_message"])), _noted_error_type(rows)])
    return (rows["status_code"] == "ERROR") & known.isna()


def _parent_id(rows: pd.DataFrame) -> pd.Series:
    # OpenTelemetry's invalid id, which some tracers write where there is no parent.
    parent = _text(rows["parent_id"])
    return parent.mask(parent.str.strip("0") == "")


def _kind(rows: pd.DataFrame) -> pd.Series:
    recorded = _text(rows["span_kind"]).str.upper()
    others = [
        _text(_attribute(rows, name)).map(kind_of_value).astype(TEXT)
        for name, kind_of_value in KIND_OF_VALUE.items()
        if ATTRIBUTE + name in rows.columns
    ]
    return _first_present([recorded.where(recorded.isin(KINDS)), *others]).fillna("UNKNOWN")


def _error_type(rows: pd.DataFrame, status: pd.Series, message: pd.Series) -> pd.Series:
    recorded = _class_name(_text(_column(rows, EXCEPTION_TYPE)))
    return _first_present([_type_in(message), _noted_error_type(rows), recorded]).where(status == "ERROR")


def _noted_error_type(rows: pd.DataFrame) -> pd.Series:
    noted = _text(_column(rows, ATTRIBUTE + ERROR_ATTRIBUTE))
    return _class_name(noted.mask(noted == NO_ERROR_TYPE))


def _class_name(qualified: pd.Series) -> pd.Series:
    return qualified.str.replace(r"(?s)^.*\.", "", regex=True)


def _type_in(message: pd.Series) -> pd.Series:
    return message.str.extract(ERROR_TYPE, expand=False).astype(TEXT)


def _attribute(rows: pd.DataFrame, name: str, column: str = "") -> pd.Series:
    """An attribute's values; where it holds an object, those of the object's field for the column."""
    values = rows[ATTRIBUTE + name]
    if not name.startswith(QUOTED):
        return values
    field = FIELD_OF_COLUMN.get(name, {}).get(column)
    return values.astype(object).map(lambda value: _unpacked(value, field), na_action="ignore")


def _unpacked(value: object, field: str | None) -> object:
    if isinstance(value, str) and value.startswith(("{", '"')):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value.get(field) if isinstance(value, dict) else (None if field else value)


def _column(rows: pd.DataFrame, name: str) -> pd.Series:
    return rows[name] if name in rows.columns else _missing(rows)


def _missing(rows: pd.DataFrame) -> pd.Series:
    return pd.Series(None, index=rows.index, dtype=TEXT)


def _times(values: pd.Series) -> pd.Series:
    return values if values.dtype == TIME else pd.to_datetime(values, utc=True, format="ISO8601").astype(TIME)


def _text(values: pd.Series) -> pd.Series:
    """Texts and numbers as text; blanks, lists and objects as missing."""
    if not isinstance(values.dtype, pd.StringDtype):
        if values.isna().all():
            return pd.Series(None, index=values.index, dtype=TEXT)
        values = values.map(_one_text).astype(TEXT)
    elif values.dtype != TEXT:
        values = values.astype(TEXT)
    return values.mask(values.str.strip() == "")


def _one_text(value: object) -> str | None:
    if isinstance(value, float):
        # A column of whole numbers with gaps arrives as floating point.
        return str(int(value)) if value.is_integer() else (None if math.isnan(value) else str(value))
    return str(value) if isinstance(value, str | int) else None


def _number(values: pd.Series) -> pd.Series:
    """Finite numbers from 0; anything else as missing."""
    numbers = pd.Series(pd.to_numeric(values, errors="coerce"), dtype="float64")
    return numbers.where((numbers >= 0) & (numbers < math.inf))


def _first_present(candidates: Sequence[pd.Series]) -> pd.Series:
    first, *others = candidates
    for other in others:
        first = first.where(first.notna(), other)
    return first
