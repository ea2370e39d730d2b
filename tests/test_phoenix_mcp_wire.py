"""The MCP road over the wire: to a web server that speaks MCP, and to a program in front of Phoenix's REST."""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import pytest
import stamina

from resources.phoenix_mcp import open_mcp_road
from resources.phoenix_mcp_connection import McpServer
from resources.phoenix_mcp_servers import CommandServer, WebServer
from resources.phoenix_mcp_tools import BUILT_IN
from resources.reading import PhoenixError
from tests.wire import phoenix_mcp_stdio
from tests.wire.phoenix_mcp_tools import PhoenixTools, span_of
from tests.wire.scripted_server import Answer, Request, ScriptedServer, scripted_server

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)
KEY = "secret-key"
PROGRAM = [sys.executable, phoenix_mcp_stdio.__file__]


@pytest.fixture(autouse=True)
def no_waiting_between_attempts() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


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
    return PhoenixTools(BUILT_IN, [span_of(1, START)]).call(tool, arguments)


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
        return [span_id for part in opened.parts(START, END) for span_id in part["span_id"]]


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


def test_text_that_is_no_json_is_an_error_that_does_not_quote_it() -> None:
    error = error_of(lambda tool, asked: says("No spans today.") if tool == "getSpans" else healthy(tool, asked))
    assert "is no JSON" in str(error)
    assert "No spans today." not in str(error)


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
    spans = [span_of(number, START) for number in range(1, 8)]
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
        return Answer(body=json.dumps({"data": [span_of(1, START)] if named else [], "next_cursor": None}))
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


@pytest.mark.parametrize("said", ["$PHOENIX_HOST/v1/projects", "password s3cr%5Eet", "bob:s3cr^et", "s3cr%5eet"])
def test_a_program_that_ends_is_quoted_without_the_user_of_the_address(said: str) -> None:
    ends = ["sh", "-c", f'echo "a URL that includes credentials: {said}" >&2; exit 1']
    with pytest.raises(PhoenixError, match=r"It said: a URL that includes credentials: .*\*\*\*") as caught:
        read("http://bob:s3cr%5eet@localhost:6006", command=ends)
    assert "s3cr" not in str(caught.value)


def test_a_secret_that_stands_where_a_quotation_is_cut_is_not_shown_by_half() -> None:
    ends = ["sh", "-c", f'echo "$PHOENIX_HOST{"." * 293}" >&2; exit 1']
    with pytest.raises(PhoenixError, match=r"It said: ") as caught:
        read("http://bob:a-secret@h", command=ends)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("server", [WebServer, partial(CommandServer, ["program"])], ids=["web", "program"])
def test_errors_and_refusals_are_quoted_without_the_user_of_the_address(server: Callable[..., McpServer]) -> None:
    reached = server("http://bob:s3cret@host:6006", KEY, 20)
    quoted = [
        reached.refusal("getSpans", "cannot fetch http://bob:s3cret@host:6006/v1/spans"),
        reached.fault([RuntimeError("cannot fetch http://bob:s3cret@host:6006/v1/spans")]),
    ]
    for error in quoted:
        assert "cannot fetch http://***@host:6006/v1/spans" in str(error)
        assert "s3cret" not in str(error)


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
