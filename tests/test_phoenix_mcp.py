"""The MCP road on any history of spans, and where an MCP server fails in ways that a healthy one does not."""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st

from resources import phoenix_mcp
from resources.phoenix_mcp import McpRoad, open_mcp_road
from resources.phoenix_mcp_tools import BUILT_IN, SpanTools, span_number, tools_of_package
from resources.reading import PhoenixError
from tests.wire import phoenix_mcp_stdio
from tests.wire.phoenix_mcp_stdio import CAMEL_CASE, SNAKE_CASE
from tests.wire.scripted_server import Answer, Request, ScriptedServer, scripted_server

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)
BEFORE, WITHIN, AFTER = (START + timedelta(minutes=minutes) for minutes in (-1, 1, 30))
KEY = "secret-key"
PROGRAM = [sys.executable, phoenix_mcp_stdio.__file__]


def schemas(spelling: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
    return {tool.name: tool.input_schema for tool in phoenix_mcp_stdio.tools(spelling)}


PACKAGE = tools_of_package(schemas(SNAKE_CASE))
FAMILIES = pytest.mark.parametrize("tools", [BUILT_IN, PACKAGE], ids=["built in", "package"])


@pytest.fixture(autouse=True)
def no_waiting_between_attempts() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


def a_span(number: int, start: datetime = WITHIN) -> dict[str, Any]:
    return {
        "id": base64.b64encode(f"Span:{number}".encode()).decode(),
        "name": "work",
        "context": {"trace_id": f"{number:032x}", "span_id": f"{number:016x}"},
        "span_kind": "AGENT",
        "parent_id": None,
        "start_time": start.isoformat(),
        "end_time": (start + timedelta(seconds=1)).isoformat(),
        "status_code": "OK",
        "status_message": "",
        "attributes": {"agent.name": "StrategyAgent"},
        "events": [],
    }


class PhoenixTools:
    """Tools that answer as Phoenix's do, from a list of spans in the order of their arrival.

    `page` is the most that one answer holds; before each answer `happens` is called, so that spans can arrive.
    """

    def __init__(self, tools: SpanTools, spans: list[dict[str, Any]], page: int = 3) -> None:
        self.tools = tools
        self.spans = spans
        self.page = page
        self.happens: Callable[[], None] = lambda: None

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        assert tool == self.tools.get_spans
        self.happens()
        start, end = (arguments.get(name) for name in (self.tools.start, self.tools.end))
        found = [
            span
            for span in self.spans
            if (start is None or start <= span["start_time"]) and (end is None or span["start_time"] < end)
        ]
        upwards = arguments.get("order") == "asc" and self.tools.sorts
        found = found if upwards else found[::-1]
        if "cursor" in arguments:
            first = span_number(arguments["cursor"])
            found = [span for span in found if (span_number(span["id"]) - first) * (1 if upwards else -1) >= 0]
        size = min(self.page, arguments["limit"])
        rest = found[size:]
        return {self.tools.spans: found[:size], self.tools.next_cursor: rest[0]["id"] if rest else None}


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
    with mock.patch.object(phoenix_mcp, "ARRIVALS_AT_ONCE", at_once):
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
def test_where_nothing_is_new_at_most_the_last_span_is_named_again(tools: SpanTools) -> None:
    phoenix = PhoenixTools(tools, [a_span(number) for number in range(1, 8)])
    first = road(phoenix, tools).arrivals(None, START, END)
    assert ids(first.spans) == [f"{number:016x}" for number in range(1, 8)]
    assert set(ids(road(phoenix, tools).arrivals(first.position, START, END).spans)) <= {f"{7:016x}"}


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
    with pytest.raises(PhoenixError, match="not laid out as expected"):
        BUILT_IN.spans_in(answer)


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


# The rest goes over the wire: to a web server that speaks MCP, and to a program in front of Phoenix's REST.


def projects_of(count: int) -> list[dict[str, Any]]:
    """Projects as Phoenix lists them, newest first."""
    return [
        {"name": f"project-{number}", "id": base64.b64encode(f"Project:{number}".encode()).decode()}
        for number in range(count, 0, -1)
    ]


Tool = Callable[[str, dict[str, Any]], Any]


def healthy(tool: str, arguments: dict[str, Any]) -> Any:
    """One project with one span."""
    if tool == "getProjects":
        return {"data": projects_of(1), "next_cursor": None}
    return PhoenixTools(BUILT_IN, [a_span(1)]).call(tool, arguments)


def says(text: str, *, failed: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": failed}


@contextmanager
def speaking_mcp(tool: Tool) -> Iterator[ScriptedServer]:
    """A server that speaks MCP at /mcp. The tool gives an answer, a whole result (by `says`) or an HTTP answer."""

    def respond(request: Request) -> Answer:
        if request.method != "POST" or request.path != "/mcp":
            return Answer(status=405, content_type="text/plain", body="Method Not Allowed")
        message = json.loads(request.body)
        if "id" not in message:
            return Answer(status=202)
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        if message["method"] == "initialize":
            version = message["params"]["protocolVersion"]
            server = {"name": "Phoenix", "version": "0"}
            reply["result"] = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
        elif message["method"] == "tools/call":
            answer = tool(message["params"]["name"], message["params"]["arguments"])
            if isinstance(answer, Answer):
                return answer
            whole = "isError" in answer
            reply["result"] = answer if whole else {"content": [], "structuredContent": answer}
        else:
            reply["error"] = {"code": -32601, "message": "Method not found"}
        return Answer(body=json.dumps(reply))

    with scripted_server(respond) as server:
        yield server


def read(endpoint: str, project: str = "project-1", command: Sequence[str] = (), seconds: float = 20) -> list[str]:
    with open_mcp_road(endpoint, KEY, project, ["agent.name"], command, seconds) as opened:
        return ids(list(opened.parts(START, END)))


def error_of(tool: Tool) -> PhoenixError:
    with speaking_mcp(tool) as server, pytest.raises(PhoenixError) as caught:
        read(server.base_url)
    assert KEY not in str(caught.value)
    return caught.value


def test_spans_are_read_over_the_web_with_the_key_in_the_header() -> None:
    with speaking_mcp(healthy) as server:
        assert read(f"{server.base_url}/") == [f"{1:016x}"]
        assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_that_passes_is_tried_again_and_forgotten(status: int) -> None:
    faults = [Answer(status=status), Answer(status=status)]
    with speaking_mcp(lambda tool, asked: faults.pop() if faults else healthy(tool, asked)) as server:
        assert read(server.base_url) == [f"{1:016x}"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_fault_that_stays_is_worth_another_try_later(status: int) -> None:
    error = error_of(lambda _tool, _asked: Answer(status=status))
    assert f"HTTP {status}" in str(error)
    assert error.retryable


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_not_tried_again(status: int) -> None:
    attempts: list[str] = []

    def refuse(tool: str, _asked: dict[str, Any]) -> Answer:
        attempts.append(tool)
        return Answer(status=status)

    error = error_of(refuse)
    assert "PHOENIX_API_KEY" in str(error)
    assert not error.retryable
    assert attempts == ["getProjects"]


def test_an_address_without_mcp_names_the_variable() -> None:
    with scripted_server(lambda _: Answer(content_type="text/html", body="<html>")) as server:
        with pytest.raises(PhoenixError, match=r"/mcp with HTTP 200 and text/html.*PHOENIX_ENDPOINT") as caught:
            read(server.base_url)
        assert not caught.value.retryable


def test_a_server_that_stays_silent_is_given_up_after_the_timeout() -> None:
    over = threading.Event()

    def wait(tool: str, asked: dict[str, Any]) -> Any:
        over.wait(10)
        return healthy(tool, asked)

    with speaking_mcp(wait) as server:
        with pytest.raises(PhoenixError, match=r"within 0\.5 s.*PHOENIX_ENDPOINT") as caught:
            read(server.base_url, seconds=0.5)
        over.set()
    assert caught.value.retryable


def test_an_answer_that_breaks_off_is_an_error_and_not_a_smaller_window() -> None:
    broken = Answer(body='{"jsonrpc": "2.0", "id": 3, "result": {"content": [], "structuredContent": {"data": [')
    error = error_of(lambda tool, asked: broken if tool == "getSpans" else healthy(tool, asked))
    assert "broke off" in str(error)
    assert error.retryable


def test_text_that_is_no_json_is_quoted() -> None:
    error = error_of(lambda tool, asked: says("No spans today.") if tool == "getSpans" else healthy(tool, asked))
    assert "No spans today." in str(error)


@pytest.mark.parametrize(
    ("text", "words", "retryable"),
    [
        ("Unknown tool: 'getSpans'", "PHOENIX_ENABLE_MCP_CODE_MODE", False),
        ("Error calling tool 'getSpans': HTTP error 503: Service Unavailable", "HTTP 503", True),
        ("Error calling tool 'getSpans': HTTP error 422: Unprocessable", "422: Unprocessable", False),
        (f"Something with {KEY} in it", "Something with *** in it", False),
    ],
)
def test_a_result_that_is_an_error_is_no_window(text: str, words: str, retryable: bool) -> None:
    error = error_of(lambda tool, asked: healthy(tool, asked) if tool == "getProjects" else says(text, failed=True))
    assert words in str(error)
    assert error.retryable == retryable


def test_a_connection_that_is_lost_between_two_pages_is_made_again() -> None:
    spans = [a_span(number) for number in range(1, 8)]
    lost = [True]

    def lossy(tool: str, asked: dict[str, Any]) -> Any:
        if tool == "getProjects":
            return healthy(tool, asked)
        if "cursor" in asked and lost:
            lost.pop()
            raise RuntimeError("The server closes the connection without an answer.")
        return PhoenixTools(BUILT_IN, spans).call(tool, asked)

    with speaking_mcp(lossy) as server:
        assert read(server.base_url) == [f"{number:016x}" for number in range(1, 8)]
    assert lost == []


def test_no_connection_names_the_variable() -> None:
    with speaking_mcp(healthy) as server:
        gone = server.base_url
    with pytest.raises(PhoenixError, match=r"cannot be reached.*PHOENIX_ENDPOINT") as caught:
        read(gone)
    assert caught.value.retryable


def rest(request: Request) -> Answer:
    """Phoenix's REST: 1,200 projects, the oldest of which has one span."""
    asked = urlsplit(request.path)
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return Answer(status=401, content_type="text/plain", body="Invalid token")
    if asked.path.endswith("/spans"):
        named = asked.path == "/v1/projects/UHJvamVjdDox/spans"
        return Answer(body=json.dumps({"data": [a_span(1)] if named else [], "next_cursor": None}))
    projects = projects_of(1200)
    query = parse_qs(asked.query)
    cursor = query.get("cursor", [projects[0]["id"]])[0]
    first = next(at for at, project in enumerate(projects) if project["id"] == cursor)
    page = projects[first : first + int(query["limit"][0])]
    return Answer(body=json.dumps({"data": page, "next_cursor": "kept by the tool to itself"}))


@pytest.mark.parametrize("spelling", [[], ["--camel-case"]], ids=["snake case", "camel case"])
def test_a_program_reads_the_project_that_is_meant_out_of_more_than_it_lists_at_once(spelling: list[str]) -> None:
    with scripted_server(rest) as server:
        assert read(server.base_url, command=[*PROGRAM, *spelling]) == [f"{1:016x}"]


@pytest.mark.parametrize(("status", "words"), [(401, "refuses the API key"), (503, "HTTP 503")])
def test_what_phoenix_answers_the_program_is_told(status: int, words: str) -> None:
    with (
        scripted_server(lambda _: Answer(status=status)) as server,
        pytest.raises(PhoenixError, match=words) as caught,
    ):
        read(server.base_url, command=PROGRAM)
    assert caught.value.retryable == (status == 503)


def test_a_program_that_does_not_reach_phoenix_says_so() -> None:
    with scripted_server(rest) as server:
        gone = server.base_url
    with pytest.raises(PhoenixError, match=r"cannot be reached.*PHOENIX_ENDPOINT"):
        read(gone, command=PROGRAM)


def test_a_program_that_is_not_there_names_the_setting() -> None:
    with pytest.raises(PhoenixError, match=r"'no-such-program'.*phoenix_mcp_command.*cannot be started") as caught:
        read("http://localhost:6006", command=["no-such-program"])
    assert not caught.value.retryable


def test_a_program_that_ends_is_quoted_without_the_key() -> None:
    ends = ["sh", "-c", 'echo "npm error 404, key $PHOENIX_API_KEY" >&2; exit 1']
    with pytest.raises(PhoenixError, match=r"phoenix_mcp_command.*It said: npm error 404, key \*\*\*"):
        read("http://localhost:6006", command=ends)


def test_a_program_gets_address_and_key_by_its_environment_and_nothing_else_of_ours(tmp_path: Path) -> None:
    record = tmp_path / "environment"
    writes = ["sh", "-c", 'env > "$0"', str(record)]
    with (
        mock.patch.dict(os.environ, {"SUPABASE_KEY": "not for strangers"}),
        pytest.raises(PhoenixError, match="ended or failed"),
    ):
        read("http://localhost:6006/", command=writes)
    lines = [line.partition("=") for line in record.read_text().splitlines()]
    seen = {name: value for name, _, value in lines}
    assert seen["PHOENIX_API_KEY"] == KEY
    assert seen["PHOENIX_HOST"] == seen["PHOENIX_BASE_URL"] == "http://localhost:6006"
    assert "SUPABASE_KEY" not in seen


@pytest.mark.parametrize("command", [[], PROGRAM], ids=["web", "program"])
def test_a_key_that_cannot_be_sent_is_not_quoted(command: list[str]) -> None:
    with (
        pytest.raises(PhoenixError, match="PHOENIX_API_KEY") as caught,
        open_mcp_road("http://localhost:6006", "sécret key", "fleet", [], command, 5),
    ):
        pass
    assert "sécret" not in str(caught.value)
