"""The query road: Phoenix's span query over HTTP, which names the fields that it wants and answers in Arrow.

What a request costs the server (measured on 20.26.1 over SQLite): for each query a look at every span of the project,
plus about 5 µs for each span and field of the answer, and 9 µs for an attribute that is there. So a small window is
asked for in one query; a large one in three queries of one request, of which the second and third ask only about
spans that have attributes of their group.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pandas as pd

from perf_pipeline.records import TaskPayload
from resources.phoenix_connection import PhoenixConnection
from resources.phoenix_json import exception_types
from resources.phoenix_queries import (
    Query,
    grouped_queries,
    has_inexact_numbers,
    joined,
    tables_of_answer,
    whole_query,
)
from resources.phoenix_rest import RestRoad
from resources.reading import PhoenixError
from resources.sources import Arrivals, TaskPlace
from resources.span_columns import EXCEPTION_TYPE, needs_exception

SHORTEST_WINDOW = timedelta(microseconds=1)
FEW_SPANS = 5_000
REQUESTS_AT_ONCE = 2
"""Phoenix answers two requests a third faster than one after the other; three are slower again."""

Times = tuple[datetime, datetime]


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
        expected = self._count([(start, end)])
        found = 0
        for rows in self._parts((start, end), expected):
            found += len(rows)
            yield rows
        # Spans may have been deleted meanwhile. Phoenix remembers counts by their times: halves are counted anew.
        if found < expected and found < (expected := self._count(_halves(start, end))):
            raise PhoenixError(
                f"Phoenix counts {expected} spans in the window of {start.isoformat()} and gave {found}: look for a "
                "proxy before PHOENIX_ENDPOINT that changes requests or cuts answers, or read by another road "
                "(fleet.yaml's sources.phoenix_road).",
                retryable=True,
            )

    def arrivals(self, position: str | None, since: datetime, before: datetime) -> Arrivals:
        return self._rest.arrivals(position, since, before)

    def payloads(self, tasks: Sequence[TaskPlace]) -> Iterator[TaskPayload]:
        # A query looks at every span of the project; REST finds spans by their ids.
        return self._rest.payloads(tasks)

    def _count(self, windows: Sequence[Times]) -> int:
        return sum(self._connection.count_spans(self._project_id, *window) or 0 for window in windows)

    def _parts(self, window: Times, expected: int) -> Iterator[pd.DataFrame]:
        few = expected < FEW_SPANS
        queries = [whole_query(self._attributes)] if few else grouped_queries(self._attributes)
        waiting = deque([window] if few else _halves(*window))
        asked: deque[tuple[Times, Future[Iterator[pd.DataFrame] | None]]] = deque()
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            while waiting or asked:
                while waiting and len(asked) < REQUESTS_AT_ONCE:
                    next_window = waiting.popleft()
                    asked.append((next_window, pool.submit(self._read, queries, *next_window)))
                answered, answer = asked.popleft()
                rows = answer.result()
                if rows is None:
                    waiting.extendleft(reversed(_halves(*answered)))
                else:
                    yield from rows

    def _read(self, queries: Sequence[Query], start: datetime, end: datetime) -> Iterator[pd.DataFrame] | None:
        """The rows of the window; None where there are more than one request returns."""
        body = self._connection.query(
            params={"project_name": self._project},
            body={
                "queries": list(queries),
                "start_time": start.astimezone(UTC).isoformat(),
                "end_time": end.astimezone(UTC).isoformat(),
                "limit": self._rows_per_request,
            },
        )
        if body is None:
            return self._rest.parts(start, end)
        tables = tables_of_answer(body, queries)
        # The limit cuts without order or cursor, so a full answer may lack anything: only smaller windows help.
        if max(map(len, tables)) >= self._rows_per_request:
            if end - start <= SHORTEST_WINDOW:
                raise PhoenixError(
                    f"At least {len(tables[0])} spans begin within the microsecond at {start.isoformat()}, as many as "
                    "one request may return: raise rows_per_request of the Phoenix resource.",
                    retryable=False,
                )
            return None
        rows = joined(tables)
        if has_inexact_numbers(rows):
            return self._rest.parts(start, end)
        return iter([self._with_exceptions(rows, start, end)])

    def _with_exceptions(self, rows: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
        # Queries give no events, and most tracers write the error's type into the status message.
        if not needs_exception(rows).any():
            return rows
        found = exception_types(self._rest.spans(start, end, status_code="ERROR"))
        return rows.assign(**{EXCEPTION_TYPE: rows["span_id"].map(found)})


def _halves(start: datetime, end: datetime) -> list[Times]:
    middle = start + (end - start) // 2
    return [(start, middle), (middle, end)]
