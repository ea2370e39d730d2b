"""The MCP road: spans through the tools that Phoenix offers to language models.

It is for installations that let nothing but MCP through. It gives the same rows as the REST road, and is no faster.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import islice, takewhile
from typing import Any, Protocol

import pandas as pd

from perf_pipeline.records import TaskPayload
from resources.narrow_windows import narrow_windows
from resources.phoenix_connection import public_address
from resources.phoenix_json import JsonSpan, arrived, batches, payload_of_span, rows_of_spans
from resources.phoenix_mcp_connection import McpConnection
from resources.phoenix_mcp_servers import CommandServer, WebServer
from resources.phoenix_mcp_tools import BUILT_IN, Call, SpanTools, tools_of_package
from resources.phoenix_positions import first_number_to_look_at, span_cursor, span_number
from resources.phoenix_project import find_project
from resources.phoenix_road import ARRIVALS_AT_ONCE, PAYLOADS_AT_ONCE, span_ids
from resources.reading import PhoenixError
from resources.sources import Arrivals, TaskPlace

SPANS_PER_PART = 5000


@contextmanager
def open_mcp_road(
    endpoint: str,
    api_key: str,
    project: str,
    attributes: Sequence[str],
    command: Sequence[str],
    timeout_seconds: float,
) -> Iterator[McpRoad]:
    """A road to one project, named by its name or id, that is open within the block. Raises PhoenixError.

    Without a command it leads to the Phoenix server's own `/mcp`. A command (a program and its arguments) starts an
    MCP server, which lives as long as the block and is told address and key of Phoenix in its environment.
    """
    server = (
        CommandServer(command, endpoint, api_key, timeout_seconds)
        if command
        else WebServer(endpoint, api_key, timeout_seconds)
    )
    with McpConnection(server) as connection:
        # Phoenix lists these tools only where code mode is off, and answers them in either case.
        tools = tools_of_package(connection.input_schemas()) if command else BUILT_IN
        found = find_project(_projects(connection, tools), project, f"Phoenix at {public_address(endpoint)}")
        yield McpRoad(connection, tools, str(found["id"]), attributes)


class CallsTools(Protocol):
    def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        """The tool's answer, parsed from JSON. Raises PhoenixError."""
        ...


class McpRoad:
    """Reads one project, named by its id."""

    def __init__(self, connection: CallsTools, tools: SpanTools, project_id: str, attributes: Sequence[str]) -> None:
        self._connection = connection
        self._tools = tools
        self._project_id = project_id
        self._attributes = attributes

    def parts(self, start: datetime, end: datetime) -> Iterator[pd.DataFrame]:
        for spans in batches(self._spans(start, end), SPANS_PER_PART):
            yield _all_within(rows_of_spans(spans, self._attributes), start, end)

    def arrivals(self, position: str | None, since: datetime, before: datetime) -> Arrivals:
        newest, _ = self._page(self._tools.newest_span(self._project_id))
        if not newest:
            return Arrivals(position or "", arrived(()))
        first = first_number_to_look_at(position, newest[0]["id"])
        found = self._oldest_from(first, since, before)
        reached = found[-1]["id"] if len(found) == ARRIVALS_AT_ONCE else newest[0]["id"]
        return Arrivals(str(reached), _all_within(arrived(found), since, before))

    def payloads(self, tasks: Sequence[TaskPlace]) -> Iterator[TaskPayload]:
        wanted = span_ids(tasks)
        left = set(wanted)
        for span in self._spans_by_id(wanted) if self._tools.span_ids else self._spans_around(tasks):
            found = payload_of_span(span)
            if self._tools.span_ids and found.span_id not in wanted:
                raise _ignored("span_id")
            if found.span_id in left:
                left.remove(found.span_id)
                yield found

    def _spans_by_id(self, wanted: Sequence[str]) -> Iterator[JsonSpan]:
        for asked in batches(wanted, PAYLOADS_AT_ONCE):
            yield from self._pages(partial(self._tools.spans_by_id, self._project_id, asked))

    def _spans_around(self, tasks: Sequence[TaskPlace]) -> Iterator[JsonSpan]:
        for window in narrow_windows(task.start_time for task in tasks):
            yield from self._spans(*window)

    def _oldest_from(self, first: int, since: datetime, before: datetime) -> list[JsonSpan]:
        """The first ARRIVALS_AT_ONCE spans from that number on, in the order of arrival."""
        if self._tools.sorts:
            upwards = _in_order(self._spans(since, before, span_cursor(first)), ascending=True)
            return [_bare(span) for span in islice(upwards, ARRIVALS_AT_ONCE)]
        downwards = _in_order(self._spans(since, before), ascending=False)
        newer = takewhile(lambda span: span_number(span["id"]) >= first, downwards)
        return list(reversed(deque(map(_bare, newer), maxlen=ARRIVALS_AT_ONCE)))

    def _spans(self, start: datetime, end: datetime, cursor: str | None = None) -> Iterator[JsonSpan]:
        return self._pages(partial(self._tools.spans_page, self._project_id, start, end), cursor)

    def _pages(self, page_at: Callable[[str | None], Call], cursor: str | None = None) -> Iterator[JsonSpan]:
        while True:
            spans, next_cursor = self._page(page_at(cursor))
            yield from spans
            if not next_cursor:
                return
            if next_cursor == cursor:
                raise _ignored("cursor")
            cursor = next_cursor

    def _page(self, call: Call) -> tuple[list[JsonSpan], str | None]:
        return self._tools.spans_in(self._connection.call(*call))


def _projects(connection: CallsTools, tools: SpanTools) -> Iterator[Mapping[str, Any]]:
    known: set[str] = set()
    cursor: str | None = None
    while True:
        page = tools.projects_in(connection.call(*tools.projects_page(cursor)))
        new = [project for project in page if project["id"] not in known]
        yield from new
        if not new or len(page) < tools.projects_per_page:
            return
        # The package keeps the next cursor to itself. Phoenix's cursors are ids, and the page begins with that id.
        known.update(project["id"] for project in new)
        cursor = page[-1]["id"]


def _in_order(spans: Iterator[JsonSpan], *, ascending: bool) -> Iterator[JsonSpan]:
    """The spans as they are. Raises PhoenixError where they do not come in the order of arrival, or its reverse."""
    last: int | None = None
    for span in spans:
        number = span_number(span["id"])
        if last is not None and (number <= last if ascending else number >= last):
            raise _ignored("order")
        last = number
        yield span


def _bare(span: JsonSpan) -> JsonSpan:
    # Thousands are held at once; what an agent was asked and answered may be megabytes each.
    return {**span, "attributes": {}, "events": []}


def _all_within(spans: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
    if not spans["start_time"].between(pd.Timestamp(start), pd.Timestamp(end), inclusive="left").all():
        raise _ignored("time range")
    return spans


def _ignored(what: str) -> PhoenixError:
    return PhoenixError(
        f"The MCP server does not keep to the {what} that it is asked for, so its answers cannot be trusted: take the "
        "versions that the README names, or another road (fleet.yaml's sources.phoenix_road).",
        retryable=False,
    )
