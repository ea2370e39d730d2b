"""Spans as Phoenix's REST interface and its MCP tools give them: one JSON object each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

import pandas as pd

from perf_pipeline.records import TaskPayload
from resources.payloads import payload_of
from resources.reading import PhoenixError
from resources.span_columns import ATTRIBUTE, EXCEPTION_TYPE, SPAN_FIELDS

JsonSpan = Mapping[str, Any]
Item = TypeVar("Item")

ARRIVAL_COLUMNS = ["trace_id", "span_id", "start_time"]


def rows_of_spans(spans: Iterable[JsonSpan], attributes: Sequence[str]) -> pd.DataFrame:
    """The spans as rows of `span_columns.raw_spans`, with the named attributes. Raises PhoenixError."""
    names = [(ATTRIBUTE + name, name) for name in attributes]
    rows = []
    for span in spans:
        try:
            row = _fields(span)
            found = span["attributes"]
            row |= {column: found[name] for column, name in names if name in found}
            row[EXCEPTION_TYPE] = _last_exception(span["events"])
        except (KeyError, TypeError, AttributeError) as error:
            raise _changed(error) from error
        rows.append(row)
    columns = [*SPAN_FIELDS, EXCEPTION_TYPE, *(column for column, _ in names)]
    return _with_times(pd.DataFrame(rows, columns=pd.Index(columns), dtype=object), "start_time", "end_time")


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`; the last one may be shorter."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


def payload_of_span(span: JsonSpan) -> TaskPayload:
    """What the span says went in and came out. Raises PhoenixError."""
    try:
        return payload_of(span["context"]["span_id"], span["attributes"])
    except (KeyError, TypeError, AttributeError) as error:
        raise _changed(error) from error


def arrived(spans: Iterable[JsonSpan]) -> pd.DataFrame:
    """The spans as `sources.Arrivals` names them. Raises PhoenixError."""
    try:
        rows = [{name: value for name, value in _fields(span).items() if name in ARRIVAL_COLUMNS} for span in spans]
    except (KeyError, TypeError, AttributeError) as error:
        raise _changed(error) from error
    return _with_times(pd.DataFrame(rows, columns=pd.Index(ARRIVAL_COLUMNS)), "start_time")


def exception_types(spans: Iterable[JsonSpan]) -> dict[str, str]:
    """span_id -> type of the last exception recorded on the span. Raises PhoenixError."""
    try:
        found = {span["context"]["span_id"]: _last_exception(span["events"]) for span in spans}
    except (KeyError, TypeError, AttributeError) as error:
        raise _changed(error) from error
    return {span_id: kind for span_id, kind in found.items() if kind}


def _fields(span: JsonSpan) -> dict[str, Any]:
    context = span["context"]
    own = ("parent_id", "name", "span_kind", "start_time", "end_time", "status_code", "status_message")
    return {"span_id": context["span_id"], "trace_id": context["trace_id"]} | {name: span[name] for name in own}


def _last_exception(events: Iterable[Mapping[str, Any]]) -> str | None:
    # An exception that one span records several times ends with the one that left it.
    types = [kind for event in events if (kind := event["attributes"].get("exception.type"))]
    return str(types[-1]) if types else None


def _with_times(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    for column in columns:
        try:
            frame[column] = pd.to_datetime(frame[column], utc=True, format="ISO8601")
        except (ValueError, TypeError) as error:
            raise _changed(error) from error
    return frame


def _changed(error: Exception) -> PhoenixError:
    return PhoenixError(
        f"Phoenix gave a span that is not laid out as expected ({type(error).__name__}: {error}), so its version may "
        "be too new or too old: compare it with the versions that the README names.",
        retryable=False,
    )
