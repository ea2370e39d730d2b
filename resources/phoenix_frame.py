"""Phoenix's answers as `raw_spans`: which fields are asked for, and how they become columns."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from perf_pipeline.tables import RAW_SPANS, TEXT, TIME
from resources.phoenix_connection import QueryAnswer
from resources.reading import PhoenixError
from resources.span_attributes import COLUMN_ATTRIBUTES

SPAN_FIELDS = (
    "trace_id",
    "parent_id",
    "name",
    "span_kind",
    "start_time",
    "end_time",
    "status_code",
    "status_message",
)
TOKEN_COLUMNS = ("prompt_tokens", "completion_tokens")
NUMERIC_COLUMNS = (*TOKEN_COLUMNS, "cost_usd")
TOOL_CALL_SUFFIX = ".__call__"


def select_expressions(agent_attributes: Sequence[str]) -> dict[str, str]:
    """For each field that a query asks for, its expression in Phoenix's query language."""
    attributes = [name for names in _column_attributes(agent_attributes).values() for name in names]
    # A span's fields and Python's keywords are reserved words there; the bracket form fits any attribute.
    brackets = {name: "attributes" + "".join(f"[{part!r}]" for part in name.split(".")) for name in attributes}
    return {field: field for field in SPAN_FIELDS} | {f"attribute.{name}": path for name, path in brackets.items()}


def frame_from_answer(answer: QueryAnswer) -> pd.DataFrame:
    """One row a span, one column a field as asked for, and `span_id`. Raises PhoenixError for a damaged answer."""
    rows = _from_json(answer.json_table) if answer.json_table is not None else _from_arrow(answer.arrow)
    for column in ("start_time", "end_time"):
        rows[column] = pd.to_datetime(rows[column], utc=True, format="ISO8601").astype(TIME)
    return rows.rename(columns={"context.span_id": "span_id", "context.trace_id": "trace_id"})


def exception_types(spans: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """span_id -> type of the last exception recorded on it, from spans as the REST API gives them."""
    found: dict[str, str] = {}
    for span in spans:
        for event in span["events"]:
            # An exception that one span records several times ends with the one that left it.
            if kind := event["attributes"].get("exception.type"):
                found[span["context"]["span_id"]] = str(kind)
    return found


def raw_spans(rows: pd.DataFrame, agent_attributes: Sequence[str], errors: Mapping[str, str]) -> pd.DataFrame:
    """The rows of `frame_from_answer` as the table `raw_spans`, each span once, in order of start.

    `errors` gives exception types by span_id.
    """
    rows = rows.drop_duplicates(["trace_id", "span_id"], ignore_index=True)
    # A span that was sent without an end is given back as if it had ended in 1970.
    end = rows["end_time"].where(rows["end_time"] >= rows["start_time"])
    columns: dict[str, pd.Series] = {
        "span_id": rows["span_id"],
        "trace_id": rows["trace_id"],
        "parent_id": _text(rows["parent_id"]),
        "name": rows["name"],
        "kind": _text(rows["span_kind"]).str.upper().fillna("UNKNOWN"),
        "start_time": rows["start_time"],
        "end_time": end,
        "latency_ms": (end - rows["start_time"]).dt.total_seconds() * 1000,
        "status": rows["status_code"],
        "status_message": _text(rows["status_message"]),
        "error_type": rows["span_id"].map(dict(errors)),
    }
    for column, attributes in _column_attributes(agent_attributes).items():
        read = _number if column in NUMERIC_COLUMNS else _text
        columns[column] = _first_present([read(rows[f"attribute.{name}"]) for name in attributes])
    for column in TOKEN_COLUMNS:
        columns[column] = columns[column].round()
    tool_of_name = _text(rows["name"]).str.removesuffix(TOOL_CALL_SUFFIX).where(columns["kind"] == "TOOL")
    columns["tool"] = _first_present([columns["tool"], tool_of_name])
    return RAW_SPANS.conform(pd.DataFrame(columns).sort_values(["start_time", "trace_id", "span_id"]))


def _column_attributes(agent_attributes: Sequence[str]) -> dict[str, Sequence[str]]:
    return {"agent": agent_attributes, **COLUMN_ATTRIBUTES}


def _from_arrow(stream: bytes) -> pd.DataFrame:
    import pyarrow as pa

    try:
        table = pa.ipc.open_stream(io.BytesIO(stream)).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise PhoenixError(f"Phoenix broke off its answer to a span query ({error}).", retryable=True) from error
    return table.to_pandas(ignore_metadata=True)


def _from_json(table: Mapping[str, Any]) -> pd.DataFrame:
    # Phoenix numbers the columns: "0_context.span_id", "1_trace_id", ...
    names = [field["name"] for field in table["schema"]["fields"]]
    rows = pd.DataFrame(table["data"], columns=pd.Index(names), dtype=object)
    return rows.rename(columns={name: name.partition("_")[2] for name in names})


def _text(values: pd.Series) -> pd.Series:
    """Texts and numbers as text; blanks, lists and objects as missing."""
    texts = (values if isinstance(values.dtype, pd.StringDtype) else values.map(_one_text)).astype(TEXT)
    return texts.mask(texts.str.strip() == "")


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
