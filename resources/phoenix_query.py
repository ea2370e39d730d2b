"""The query road: Phoenix's span query over HTTP, which names the fields that it wants and answers in Arrow.

What a request costs the server (measured on 20.26.1 over SQLite): for each query a look at every span of the project,
plus about 5 µs for each span and field of the answer, and 9 µs for an attribute that is there. So a small window is
asked for in one query; a large one in three queries of one request, of which the second and third ask only about
spans that have attributes of their group.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from resources.phoenix_connection import PhoenixConnection, QueryAnswer
from resources.phoenix_json import exception_types
from resources.phoenix_rest import RestRoad
from resources.reading import PhoenixError
from resources.sources import Arrivals
from resources.span_columns import ATTRIBUTE, EXCEPTION_TYPE, SPAN_FIELDS, needs_exception

SHORTEST_WINDOW = timedelta(microseconds=1)
FEW_SPANS = 5_000
REQUESTS_AT_ONCE = 2
"""Phoenix answers two requests a third faster than one after the other; three are slower again."""

ON_MOST_SPANS = ("agent.name", "metadata", "session")
"""Roots or names of attributes that DSPy's tracer puts on most spans: not worth a query of their own."""

Query = Mapping[str, Any]


class QueryRoad:
    """Reads one project, named by its name and id; what queries do not give comes from `rest`."""

    def __init__(
        self,
        connection: PhoenixConnection,
        project: str,
        project_id: str,
        attributes: Sequence[str],
        rest: RestRoad,
        rows_per_request: int,
    ) -> None:
        self._connection = connection
        self._project = project
        self._project_id = project_id
        self._attributes = attributes
        self._rest = rest
        self._rows_per_request = rows_per_request

    def parts(self, start: datetime, end: datetime) -> Iterator[pd.DataFrame]:
        expected = self._connection.count_spans(self._project_id, start, end) or 0
        found = 0
        for rows in self._parts(start, end, expected):
            found += len(rows)
            yield rows
        if found >= expected:
            return
        # Spans that were deleted meanwhile are no loss of ours.
        expected = self._connection.count_spans(self._project_id, start, end) or 0
        if found < expected:
            raise PhoenixError(
                f"Phoenix counts {expected} spans in the window of {start.isoformat()} and gave {found}: look for a "
                "proxy before PHOENIX_ENDPOINT that changes requests or cuts answers, or read by another road "
                "(fleet.yaml's sources.phoenix_road).",
                retryable=True,
            )

    def _parts(self, start: datetime, end: datetime, expected: int) -> Iterator[pd.DataFrame]:
        if expected < FEW_SPANS:
            rows = self._ask([whole_query(self._attributes)], start, end)
            if len(rows) < self._rows_per_request:
                yield self._with_exceptions(rows, start, end)
                return
        middle = _middle(start, end)
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            halves = [pool.submit(list, self._large(*half)) for half in ((start, middle), (middle, end))]
            for half in halves:
                yield from half.result()

    def arrivals(self, position: str | None, since: datetime, before: datetime) -> Arrivals:
        return self._rest.arrivals(position, since, before)

    def _large(self, start: datetime, end: datetime) -> Iterator[pd.DataFrame]:
        rows = self._ask(grouped_queries(self._attributes), start, end)
        if len(rows) < self._rows_per_request:
            yield self._with_exceptions(rows, start, end)
            return
        # The limit cuts without order or cursor, so a full answer may lack anything: only smaller windows help.
        if end - start <= SHORTEST_WINDOW:
            raise PhoenixError(
                f"At least {len(rows)} spans begin within the microsecond at {start.isoformat()}, as many as one "
                "request may return: raise rows_per_request of the Phoenix resource.",
                retryable=False,
            )
        middle = _middle(start, end)
        yield from self._large(start, middle)
        yield from self._large(middle, end)

    def _ask(self, queries: Sequence[Query], start: datetime, end: datetime) -> pd.DataFrame:
        answer = self._connection.query(
            params={"project_name": self._project},
            body={
                "queries": list(queries),
                "start_time": start.astimezone(UTC).isoformat(),
                "end_time": end.astimezone(UTC).isoformat(),
                "limit": self._rows_per_request,
            },
        )
        return rows_of_answer(answer, queries)

    def _with_exceptions(self, rows: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
        # Queries give no events, and most tracers write the error's type into the status message.
        if not needs_exception(rows).any():
            return rows
        found = exception_types(self._rest.spans(start, end, status_code="ERROR"))
        return rows.assign(**{EXCEPTION_TYPE: rows["span_id"].map(found)})


def whole_query(attributes: Sequence[str]) -> Query:
    """One query for all fields and attributes of every span."""
    return _query(_fields() | _selection(attributes))


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
    first = _query(_fields() | _selection(common))
    return [first, *(_query(_selection(names), _present(names)) for names in (calls, rare) if names)]


def rows_of_answer(answer: QueryAnswer, queries: Sequence[Query]) -> pd.DataFrame:
    """One row a span of the first query, with the columns of all. Raises PhoenixError for a damaged answer."""
    tables = _from_json(answer.json_tables) if answer.json_tables is not None else _from_arrow(answer.arrow)
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
    rows, *others = tables
    for other in others:
        if len(other):
            rows = rows.merge(other.drop_duplicates("span_id"), on="span_id", how="left")
    for column in ("start_time", "end_time"):
        rows[column] = pd.to_datetime(rows[column], utc=True, format="ISO8601")
    return rows


def _fields() -> dict[str, str]:
    # The identity is the answer's index, and would cost once more.
    return {field: field for field in SPAN_FIELDS if field != "span_id"}


def _query(select: Mapping[str, str], condition: str | None = None) -> Query:
    query: dict[str, Any] = {
        "select": {label: {"key": key} for label, key in select.items()},
        "index": {"key": "context.span_id"},
    }
    return query | ({"filter": {"condition": condition}} if condition else {})


def _selection(attributes: Sequence[str]) -> dict[str, str]:
    return {ATTRIBUTE + name: _path(name.split(".")) for name in attributes}


def _present(attributes: Sequence[str]) -> str:
    roots = dict.fromkeys(name.partition(".")[0] for name in attributes)
    return " or ".join(f"{_path([root])} is not None" for root in roots)


def _path(parts: Sequence[str]) -> str:
    # A span's fields and Python's keywords are reserved words there; the bracket form fits any attribute.
    return "attributes" + "".join(f"[{part!r}]" for part in parts)


def _middle(start: datetime, end: datetime) -> datetime:
    return start + (end - start) // 2


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


END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def _from_json(tables: Sequence[Mapping[str, Any]]) -> list[pd.DataFrame]:
    # Phoenix numbers the columns: "0_context.span_id", "1_trace_id", ...
    frames = []
    for table in tables:
        names = [field["name"] for field in table["schema"]["fields"]]
        rows = pd.DataFrame(table["data"], columns=pd.Index(names), dtype=object)
        frames.append(rows.rename(columns={name: name.partition("_")[2] for name in names}))
    return frames


def _broke_off(reason: str) -> PhoenixError:
    return PhoenixError(
        f"Phoenix broke off its answer to a span query ({reason}): read the log of the server that PHOENIX_ENDPOINT "
        "names.",
        retryable=True,
    )
