"""What the MCP road reads from a real Phoenix, by its own MCP server and by a program, is what REST gives."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd
import pytest

from resources.phoenix import PhoenixResource
from resources.reading import PhoenixError
from tests.real import phoenix_fixtures
from tests.real.phoenix_fixtures import MANY_SPANS, BusyWindow
from tests.real.services import phoenix_server
from tests.real.services.free_port import free_port
from tests.real.services.otlp_sender import SentSpan, send_spans, wait_until_queryable
from tests.real.services.phoenix_server import RunningPhoenix, start_phoenix
from tests.wire import phoenix_mcp_stdio

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("phoenix")]
guarded_phoenix = phoenix_fixtures.guarded_phoenix
busy_window = phoenix_fixtures.busy_window

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)
PROGRAM = [sys.executable, phoenix_mcp_stdio.__file__]
BOTH_WAYS = pytest.mark.parametrize("command", [[], PROGRAM], ids=["web", "program"])


def reader(server: RunningPhoenix, project: str, **settings: Any) -> PhoenixResource:
    known: dict[str, Any] = {
        "endpoint": server.base_url,
        "project": project,
        "api_key": server.api_key,
        "agent_attributes": ["agent.name", "metadata.agent_name"],
        "road": "mcp",
    }
    return PhoenixResource(**(known | settings))


def read(source: PhoenixResource, start: datetime = START, end: datetime = END) -> pd.DataFrame:
    frame = pd.concat(list(source.read_spans(start, end)), ignore_index=True)
    return frame.sort_values("span_id", ignore_index=True)


def span_id(number: int) -> str:
    """Phoenix takes a span_id once, whatever its project; the other suites count from 1."""
    return f"d{number:015x}"


def a_span(number: int, start: datetime = START, **fields: Any) -> SentSpan:
    known: dict[str, Any] = {"trace_id": f"3c{number:030x}", "span_id": span_id(number), "name": "work", "start": start}
    return SentSpan(**(known | fields))


def send(server: RunningPhoenix, project: str, spans: list[SentSpan], held_before: int = 0) -> None:
    send_spans(server.base_url, project, spans, server.api_key)
    wait_until_queryable(server.base_url, project, held_before + len(spans), server.api_key)


@pytest.fixture(scope="module")
def odd_spans(guarded_phoenix: RunningPhoenix) -> str:
    """A project, with a name that no URL takes as it is, of spans that tracers send and nobody expects."""
    project = "odd spans / #1?"
    metadata = json.dumps({"agent_name": "StrategyAgent", "task_id": "task-7"})
    failed: dict[str, Any] = {"status": "ERROR", "status_message": "gave up", "exception_type": "my.module.GaveUpError"}
    spans = [
        a_span(1, kind="AGENT", attributes={"agent.name": "StrategyAgent", "session.id": "session-9"}),
        a_span(2, START + timedelta(microseconds=1), parent_id=span_id(1), **failed),
        a_span(3, START + timedelta(seconds=1), kind=None, duration=None),
        a_span(4, START + timedelta(seconds=2), kind="TOOL", name="search.__call__", attributes={"metadata": metadata}),
        a_span(5, START + timedelta(seconds=3), attributes={"agent.name": ["a", "list"], "llm.token_count.prompt": 7}),
        a_span(6, START + timedelta(seconds=4), attributes={"agent.name": "Zoë\u2028", "llm.cost.total": 0.001}),
        a_span(7, START - timedelta(microseconds=1)),
        a_span(8, END - timedelta(microseconds=1)),
        a_span(9, END),
    ]
    send(guarded_phoenix, project, spans)
    return project


@BOTH_WAYS
def test_every_column_is_what_rest_gives(guarded_phoenix: RunningPhoenix, odd_spans: str, command: list[str]) -> None:
    frame = read(reader(guarded_phoenix, odd_spans, mcp_command=command))
    assert list(frame["span_id"]) == [span_id(number) for number in (1, 2, 3, 4, 5, 6, 8)]
    pd.testing.assert_frame_equal(frame, read(reader(guarded_phoenix, odd_spans, road="rest")))


@pytest.mark.timeout(600)  # Phoenix takes in 40 to 80 spans a second
@BOTH_WAYS
def test_five_thousand_spans_are_read_with_nothing_cut(
    guarded_phoenix: RunningPhoenix, busy_window: BusyWindow, command: list[str]
) -> None:
    window = (busy_window.start, busy_window.end)
    frame = read(reader(guarded_phoenix, busy_window.project, mcp_command=command), *window)
    assert len(frame) == MANY_SPANS
    pd.testing.assert_frame_equal(frame, read(reader(guarded_phoenix, busy_window.project, road="rest"), *window))


@BOTH_WAYS
def test_what_arrives_late_is_named_and_the_position_holds_on_every_road(
    guarded_phoenix: RunningPhoenix, command: list[str]
) -> None:
    base = 100 + 100 * len(command)
    project = f"late-{base}"
    mcp = reader(guarded_phoenix, project, mcp_command=command)
    rest = reader(guarded_phoenix, project, road="rest")
    send(guarded_phoenix, project, [a_span(base + number, START + timedelta(minutes=number)) for number in range(5)])
    first = mcp.arrivals(None, START, END)
    assert sorted(first.spans["span_id"]) == [span_id(base + number) for number in range(5)]
    assert first.position == rest.arrivals(None, START, END).position
    late = [a_span(base + 5, START), a_span(base + 6, START - timedelta(days=9))]
    send(guarded_phoenix, project, late, held_before=5)
    second = mcp.arrivals(first.position, START, END)
    new = set(second.spans["span_id"]) - set(first.spans["span_id"])
    assert new == {span_id(base + 5)}
    assert second.position == rest.arrivals(first.position, START, END).position != first.position


@BOTH_WAYS
def test_a_window_without_spans_has_no_rows(
    guarded_phoenix: RunningPhoenix, odd_spans: str, command: list[str]
) -> None:
    source = reader(guarded_phoenix, odd_spans, mcp_command=command)
    assert list(source.read_spans(END + timedelta(hours=1), END + timedelta(hours=2))) == []


@BOTH_WAYS
def test_a_project_that_does_not_exist_is_an_error_and_not_an_empty_window(
    guarded_phoenix: RunningPhoenix, command: list[str]
) -> None:
    with pytest.raises(PhoenixError, match=r"no project 'defalt'.*default.*PHOENIX_PROJECT_NAME") as caught:
        read(reader(guarded_phoenix, "defalt", mcp_command=command))
    assert not caught.value.retryable


@BOTH_WAYS
@pytest.mark.parametrize(("key", "says"), [("wrong-key-123", "refuses the API key"), ("", "is not set")])
def test_a_wrong_or_missing_key_names_the_variable_and_never_the_key(
    guarded_phoenix: RunningPhoenix, command: list[str], key: str, says: str
) -> None:
    with pytest.raises(PhoenixError, match=f"PHOENIX_API_KEY.*{says}|{says}.*PHOENIX_API_KEY") as caught:
        read(reader(guarded_phoenix, "default", mcp_command=command, api_key=key))
    assert not caught.value.retryable
    assert "wrong-key-123" not in str(caught.value)


@BOTH_WAYS
def test_a_stopped_server_is_an_error_that_another_try_may_mend(
    guarded_phoenix: RunningPhoenix, command: list[str]
) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(PhoenixError, match=r"cannot be reached.*PHOENIX_ENDPOINT") as caught:
        read(reader(guarded_phoenix, "default", mcp_command=command, endpoint=gone))
    assert caught.value.retryable


@pytest.fixture
def phoenix_without_code_mode(tmp_path: Path) -> Iterator[RunningPhoenix]:
    """By default Phoenix shows its MCP clients a few tools for writing programs; here it shows all 121."""
    program = tmp_path / "phoenix"
    program.write_text(
        f'#!/bin/sh\nPHOENIX_ENABLE_MCP_CODE_MODE=false exec {phoenix_server.ENVIRONMENT}/bin/phoenix "$@"\n'
    )
    program.chmod(0o755)
    with mock.patch.object(phoenix_server, "_installed", return_value=program):
        server = start_phoenix(tmp_path / "data", free_port(), free_port())
    yield server
    server.stop()


def test_code_mode_makes_no_difference(phoenix_without_code_mode: RunningPhoenix) -> None:
    send(phoenix_without_code_mode, "fleet", [a_span(1)])
    assert list(read(reader(phoenix_without_code_mode, "fleet"))["span_id"]) == [span_id(1)]
