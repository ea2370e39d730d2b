"""The REST road: pages of whole spans. Ten times slower than the query road, and the plainest interface of Phoenix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pandas as pd

from perf_pipeline.records import TaskPayload
from resources.phoenix_connection import PhoenixConnection
from resources.phoenix_json import JsonSpan, arrived, batches, payload_of_span, rows_of_spans
from resources.phoenix_positions import first_number_to_look_at, span_cursor
from resources.phoenix_road import ARRIVALS_AT_ONCE, PAYLOADS_AT_ONCE, span_ids
from resources.reading import PhoenixError
from resources.sources import Arrivals, TaskPlace

SPANS_PER_PAGE = 1000
SPANS_PER_PART = 5000


class RestRoad:
    """Reads one project, named by its id, by `GET /v1/projects/{id}/spans`."""

    def __init__(self, connection: PhoenixConnection, project_id: str, attributes: Sequence[str]) -> None:
        self._connection = connection
        self._path = f"v1/projects/{quote(project_id, safe='')}/spans"
        self._attributes = attributes

    def parts(self, start: datetime, end: datetime) -> Iterator[pd.DataFrame]:
        for spans in batches(self.spans(start, end), SPANS_PER_PART):
            yield rows_of_spans(spans, self._attributes)

    def spans(self, start: datetime, end: datetime, **conditions: Any) -> Iterator[JsonSpan]:
        """The spans of the window that meet the conditions, such as status_code="ERROR"."""
        # In the order of their arrival: a span that arrives meanwhile comes after the others, not between them.
        order = {"sort": "id", "order": "asc", "limit": SPANS_PER_PAGE}
        return self._connection.pages(self._path, {**order, **_within(start, end), **conditions})

    def arrivals(self, position: str | None, since: datetime, before: datetime) -> Arrivals:
        newest = [span["id"] for span in self._connection.first_page(self._path, {"limit": 1})]
        if not newest:
            return Arrivals(position or "", arrived(()))
        cursor = span_cursor(first_number_to_look_at(position, newest[0]))
        asked = {"sort": "id", "order": "asc", "limit": SPANS_PER_PAGE, "cursor": cursor}
        spans = self._connection.pages(self._path, {**asked, **_within(since, before)})
        found = next(batches(spans, ARRIVALS_AT_ONCE), [])
        reached = found[-1]["id"] if len(found) == ARRIVALS_AT_ONCE else newest[0]
        return Arrivals(str(reached), arrived(found))

    def payloads(self, tasks: Sequence[TaskPlace]) -> Iterator[TaskPayload]:
        for asked in batches(span_ids(tasks), PAYLOADS_AT_ONCE):
            for span in self._connection.pages(self._path, {"limit": SPANS_PER_PAGE, "span_id": asked}):
                found = payload_of_span(span)
                # A Phoenix that does not know the parameter would give all spans of the project.
                if found.span_id not in asked:
                    raise PhoenixError(
                        "Phoenix gives other spans than those it is asked for by their span_id, so its version is too "
                        "old to read what went into tasks and came out: compare it with the versions that the README "
                        "names.",
                        retryable=False,
                    )
                yield found


def _within(start: datetime, end: datetime) -> dict[str, str]:
    return {"start_time": start.astimezone(UTC).isoformat(), "end_time": end.astimezone(UTC).isoformat()}
