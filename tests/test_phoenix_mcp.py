"""The MCP road on any history of spans, and on answers that must not be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources import phoenix_mcp, phoenix_positions
from resources.phoenix_mcp import McpRoad
from resources.phoenix_mcp_tools import BUILT_IN, SpanTools, tools_of_package
from resources.phoenix_positions import span_number
from resources.reading import PhoenixError
from tests.wire import phoenix_mcp_stdio
from tests.wire.phoenix_mcp_stdio import CAMEL_CASE, SNAKE_CASE
from tests.wire.phoenix_mcp_tools import PhoenixTools, span_of

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)
BEFORE, WITHIN, AFTER = (START + timedelta(minutes=minutes) for minutes in (-1, 1, 30))


def schemas(spelling: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    return {tool.name: tool.input_schema for tool in phoenix_mcp_stdio.tools(spelling)}


PACKAGE = tools_of_package(schemas(SNAKE_CASE))
FAMILIES = pytest.mark.parametrize("tools", [BUILT_IN, PACKAGE], ids=["built in", "package"])


def a_span(number: int, start: datetime = WITHIN) -> dict[str, Any]:
    return span_of(number, start)


def road(connection: Any, tools: SpanTools) -> McpRoad:
    return McpRoad(connection, tools, "UHJvamVjdDoy", ["agent.name"])


def ids(frames: pd.DataFrame | Sequence[pd.DataFrame]) -> list[str]:
    frames = [frames] if isinstance(frames, pd.DataFrame) else frames
    return [span_id for frame in frames for span_id in frame["span_id"]]


moments = st.sampled_from([BEFORE, START, WITHIN, END - timedelta(microseconds=1), END, AFTER])


@FAMILIES
@settings(deadline=None, max_examples=50)
@given(starts=st.lists(moments, max_size=20), page=st.integers(1, 7), part=st.integers(1, 7))
def test_a_window_is_read_to_its_end_and_each_span_once(
    tools: SpanTools, starts: list[datetime], page: int, part: int
) -> None:
    spans = [a_span(number, start) for number, start in enumerate(starts, 1)]
    with mock.patch.object(phoenix_mcp, "SPANS_PER_PART", part):
        parts = list(road(PhoenixTools(tools, spans, page), tools).parts(START, END))
    wanted = [f"{number:016x}" for number, start in enumerate(starts, 1) if START <= start < END]
    assert sorted(ids(parts)) == wanted
    assert all(0 < len(frame) <= part for frame in parts)


@FAMILIES
@settings(deadline=None, max_examples=50)
@given(
    arriving=st.lists(st.lists(moments, max_size=6), max_size=12),
    meanwhile=st.lists(moments, max_size=8),
    page=st.integers(1, 4),
    at_once=st.integers(2, 5),
)
def test_whatever_arrives_is_named_sooner_or_later(
    tools: SpanTools, arriving: list[list[datetime]], meanwhile: list[datetime], page: int, at_once: int
) -> None:
    phoenix = PhoenixTools(tools, [], page)

    def arrive(starts: Sequence[datetime]) -> None:
        for start in starts:
            phoenix.spans.append(a_span(len(phoenix.spans) + 1, start))

    to_come = list(meanwhile)
    phoenix.happens = lambda: arrive([to_come.pop()] if to_come else [])
    named: set[str] = set()

    def ask(position: str | None) -> str:
        answer = road(phoenix, tools).arrivals(position, START, END)
        assert len(answer.spans) <= at_once
        named.update(ids(answer.spans))
        return answer.position

    position: str | None = None
    looked_back = mock.patch.object(phoenix_positions, "IDS_LOOKED_BACK", max(at_once - 2, 0))
    with mock.patch.object(phoenix_mcp, "ARRIVALS_AT_ONCE", at_once), looked_back:
        for starts in [*arriving, *([] for _ in meanwhile)]:
            arrive(starts)
            position = ask(position)
        while (moved := ask(position)) != position:
            position = moved
    wanted = {span["context"]["span_id"] for span in phoenix.spans if START <= span_start(span) < END}
    assert named == wanted


def span_start(span: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(span["start_time"])


@FAMILIES
def test_where_nothing_is_new_only_the_last_spans_are_named_again(tools: SpanTools) -> None:
    phoenix = PhoenixTools(tools, [a_span(number) for number in range(1, 8)])
    first = road(phoenix, tools).arrivals(None, START, END)
    assert ids(first.spans) == [f"{number:016x}" for number in range(1, 8)]
    with mock.patch.object(phoenix_positions, "IDS_LOOKED_BACK", 2):
        again = road(phoenix, tools).arrivals(first.position, START, END)
    assert (again.position, ids(again.spans)) == (first.position, [f"{number:016x}" for number in (5, 6, 7)])


@FAMILIES
def test_a_project_without_spans_keeps_its_position(tools: SpanTools) -> None:
    empty = road(PhoenixTools(tools, []), tools)
    assert [empty.arrivals(position, START, END).position for position in (None, "U3Bhbjox")] == ["", "U3Bhbjox"]
    assert empty.arrivals("", START, END).spans.empty


class Answering:
    """A tool that gives the same spans and cursor whatever it is asked."""

    def __init__(self, spans: list[dict[str, Any]], cursor: str | None = None) -> None:
        self.answer = {"data": spans, "next_cursor": cursor}

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ARG002
        return self.answer


@pytest.mark.parametrize("start", [BEFORE, AFTER])
def test_a_server_that_ignores_the_time_range_is_not_believed(start: datetime) -> None:
    stubborn = road(Answering([a_span(1, start)]), BUILT_IN)
    with pytest.raises(PhoenixError, match="time range"):
        list(stubborn.parts(START, END))
    with pytest.raises(PhoenixError, match="time range"):
        stubborn.arrivals(None, START, END)


def test_a_server_that_ignores_the_order_is_not_believed() -> None:
    with pytest.raises(PhoenixError, match="order"):
        road(Answering([a_span(2), a_span(1)]), BUILT_IN).arrivals(None, START, END)


def test_a_server_that_ignores_the_cursor_is_not_asked_for_ever() -> None:
    with pytest.raises(PhoenixError, match="cursor"):
        list(road(Answering([a_span(1)], cursor="U3Bhbjoy"), BUILT_IN).parts(START, END))


@pytest.mark.parametrize("answer", [[], {"data": [a_span(1)]}, {"spans": [], "next_cursor": None}, "no spans"])
def test_an_answer_that_does_not_say_whether_it_is_the_last_is_an_error(answer: Any) -> None:
    with pytest.raises(PhoenixError, match="getSpans gave an answer that is not laid out as expected"):
        BUILT_IN.spans_in(answer)


@pytest.mark.parametrize("answer", [None, "no projects", {"projects": []}, ["fleet"], [{"name": "fleet"}]])
def test_a_list_of_something_else_is_not_taken_for_projects(answer: Any) -> None:
    with pytest.raises(PhoenixError, match="list-projects gave an answer that is not laid out as expected"):
        PACKAGE.projects_in(answer)


@pytest.mark.parametrize("identity", ["17", "UHJvamVjdDoy", "", "U3Bhbjo=", "Späne"])
def test_an_id_of_something_else_is_no_position(identity: str) -> None:
    with pytest.raises(PhoenixError, match="not an id of Phoenix's spans"):
        span_number(identity)


@pytest.mark.parametrize("spelling", [SNAKE_CASE, CAMEL_CASE])
def test_arguments_are_spelled_as_the_tool_spells_them(spelling: Mapping[str, str]) -> None:
    tools = tools_of_package(schemas(spelling))
    _, arguments = tools.spans_page("project", START, END, "cursor")
    assert arguments.keys() == {*spelling.values(), "cursor", "limit"}
    assert tools.projects_per_page == 500


def test_a_version_that_would_lose_windows_silently_is_refused() -> None:
    old = schemas(SNAKE_CASE) | {"get-spans": {"properties": {"projectName": {}, "startTime": {}, "endTime": {}}}}
    with pytest.raises(PhoenixError, match=r"too old.*phoenix-mcp"):
        tools_of_package(old)


def test_a_server_without_the_tool_is_told_from_one_that_fails() -> None:
    with pytest.raises(PhoenixError, match=r"phoenix_mcp_command.*no tool list-projects; it has: read_file"):
        tools_of_package({"read_file": {}})
