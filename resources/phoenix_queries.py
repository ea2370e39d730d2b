"""Phoenix's span queries: what is asked of the server in one request, and its answer as rows.

An attribute `a.b` lies in Phoenix as {"a": {"b": ...}}. Where `a` has a value of its own, it lies as {"a.b": ...}.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from resources.reading import PhoenixError
from resources.span_columns import ATTRIBUTE, SPAN_FIELDS

ON_MOST_SPANS = ("agent.name", "metadata", "session")
"""Roots or names of attributes that DSPy's tracer puts on most spans: not worth a query of their own."""

ROOTS_WITH_VALUES = ("agent", "error", "metadata")
"""Roots of attributes that tracers give values of their own, such as error=true beside error.type."""

DOTTED = "dotted."
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
EXACT = 2**53
"""From here on, floating point skips whole numbers."""

Query = Mapping[str, Any]


def whole_query(attributes: Sequence[str]) -> Query:
    """One query for all fields and attributes of every span."""
    return _query(_fields() | _selection(attributes) | _dotted(attributes))


def grouped_queries(attributes: Sequence[str]) -> list[Query]:
    """The same in three queries: all fields with the attributes that most spans have, of every span; those of language-
    model calls, of spans that have any; and those that few tracers write, of spans that have any.

    The first query comes first on purpose: a span that arrives between two queries is then in none, or in all.
    """
    common, calls, rare = [], [], []
    for name in attributes:
        root = name.partition(".")[0]
        group = common if name in ON_MOST_SPANS or root in ON_MOST_SPANS else calls if root == "llm" else rare
        group.append(name)
    dotted = _dotted(attributes)
    queries = [_query(_fields() | _selection(common))]
    if calls:
        queries.append(_query(_selection(calls), _any_present(_roots(calls))))
    if rare or dotted:
        queries.append(_query(_selection(rare) | dotted, _any_present([*_roots(rare), *dotted.values()])))
    return queries


def tables_of_answer(body: bytes, queries: Sequence[Query]) -> list[pd.DataFrame]:
    """The answer to each query, with `span_id` and the columns that it asked for. Raises PhoenixError if damaged."""
    tables = _from_arrow(body)
    if len(tables) != len(queries):
        raise _broke_off(f"{len(tables)} of {len(queries)} tables")
    tables = [table.rename(columns=lambda name: str(name).removeprefix("context.")) for table in tables]
    for table, query in zip(tables, queries, strict=True):
        if missing := sorted({"span_id", *query["select"]} - set(table.columns)):
            raise PhoenixError(
                f"Phoenix's answer to a span query lacks {', '.join(missing)}, so its version may be too new or too "
                "old: compare it with the versions that the README names.",
                retryable=False,
            )
    return tables


def joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One row for each of the first table, with the columns of all, as `span_columns.raw_spans` takes them."""
    rows, *others = tables
    for other in others:
        if len(other):
            rows = rows.merge(other.drop_duplicates("span_id"), on="span_id", how="left")
    for column in ("start_time", "end_time"):
        rows[column] = pd.to_datetime(rows[column], utc=True, format="ISO8601")
    for label in [str(label) for label in rows.columns if str(label).startswith(DOTTED)]:
        dotted = rows.pop(label)
        if dotted.notna().any():
            column = ATTRIBUTE + label.removeprefix(DOTTED)
            rows[column] = rows[column].astype(object).where(rows[column].notna(), dotted)
    return rows


def has_inexact_numbers(rows: pd.DataFrame) -> bool:
    """Whether a whole number may have lost digits: Phoenix turns those of a column with gaps into floating point."""
    numbers = rows.filter(like=ATTRIBUTE).select_dtypes("float")
    return bool((numbers.abs() >= EXACT).any(axis=None))


def _query(select: Mapping[str, str], condition: str | None = None) -> Query:
    query: dict[str, Any] = {
        "select": {label: {"key": key} for label, key in select.items()},
        "index": {"key": "context.span_id"},
    }
    return query | ({"filter": {"condition": condition}} if condition else {})


def _fields() -> dict[str, str]:
    # The identity is the answer's index, and would cost once more.
    return {field: field for field in SPAN_FIELDS if field != "span_id"}


def _selection(attributes: Sequence[str]) -> dict[str, str]:
    return {ATTRIBUTE + name: _path(name.split(".")) for name in attributes}


def _dotted(attributes: Sequence[str]) -> dict[str, str]:
    named = [name for name in attributes if "." in name and name.partition(".")[0] in ROOTS_WITH_VALUES]
    return {DOTTED + name: _path([name]) for name in named}


def _roots(attributes: Sequence[str]) -> list[str]:
    return [_path([root]) for root in dict.fromkeys(name.partition(".")[0] for name in attributes)]


def _any_present(paths: Sequence[str]) -> str:
    return " or ".join(f"{path} is not None" for path in paths)


def _path(parts: Sequence[str]) -> str:
    # A span's fields and Python's keywords are reserved words there; the bracket form fits any attribute.
    return "attributes" + "".join(f"[{part!r}]" for part in parts)


def _from_arrow(body: bytes) -> list[pd.DataFrame]:
    import pyarrow as pa

    stream = io.BytesIO(body)
    tables = []
    try:
        while stream.tell() < len(body):
            tables.append(pa.ipc.open_stream(stream).read_all().to_pandas(ignore_metadata=True))
    except (pa.ArrowInvalid, OSError) as error:
        raise _broke_off(str(error)) from error
    # Without the mark at the end of a stream, the last rows may have been cut off.
    if not body.endswith(END_OF_STREAM):
        raise _broke_off("no end mark")
    return tables


def _broke_off(reason: str) -> PhoenixError:
    return PhoenixError(
        f"Phoenix broke off its answer to a span query ({reason}): read the log of the server that PHOENIX_ENDPOINT "
        "names.",
        retryable=True,
    )
