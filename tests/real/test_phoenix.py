"""What was sent to a real Phoenix over OTLP is what PhoenixResource reads."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pandas as pd
import pytest
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from perf_pipeline.tables import RAW_SPANS
from resources.phoenix import PhoenixResource
from resources.reading import PhoenixError
from tests.real import phoenix_fixtures
from tests.real.phoenix_fixtures import MANY_SPANS, BusyWindow
from tests.real.services.free_port import free_port
from tests.real.services.otlp_sender import SentSpan, send_spans, wait_until_queryable
from tests.real.services.phoenix_server import RunningPhoenix
from tests.whole_window import whole_window

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("phoenix")]
phoenix = phoenix_fixtures.phoenix
guarded_phoenix = phoenix_fixtures.guarded_phoenix
busy_window = phoenix_fixtures.busy_window

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)
AGENT_ATTRIBUTES = ["agent.name", "metadata.agent_name", "metadata.agent", "agent_name"]


def a_span(number: int, start: datetime = START, **fields: Any) -> SentSpan:
    known: dict[str, Any] = {
        "trace_id": f"{number:032x}",
        "span_id": f"{number:016x}",
        "name": "work",
        "start": start,
    }
    return SentSpan(**(known | fields))


def reader(server: RunningPhoenix, project: str, **settings: Any) -> PhoenixResource:
    known = {"endpoint": server.base_url, "project": project, "agent_attributes": AGENT_ATTRIBUTES}
    return PhoenixResource(**(known | settings))


def sent(server: RunningPhoenix, project: str, spans: list[SentSpan]) -> PhoenixResource:
    send_spans(server.base_url, project, spans, server.api_key)
    wait_until_queryable(server.base_url, project, len(spans), server.api_key)
    return reader(server, project, api_key=server.api_key)


def read(source: PhoenixResource, start: datetime = START, end: datetime = END) -> list[dict[str, Any]]:
    spans = whole_window(source.read_spans(start, end))
    assert RAW_SPANS.problems(spans) == []
    frame = spans.astype(object)
    return [
        {str(column): value for column, value in row.items()}
        for row in frame.where(frame.notna(), None).to_dict("records")
    ]


def test_every_field_is_read_back_as_it_was_sent(phoenix: RunningPhoenix) -> None:
    metadata = json.dumps({"agent_name": "StrategyAgent", "task_id": "task-7", "program_version": "v3"})
    root = a_span(
        1, kind="AGENT", duration=timedelta(microseconds=1_234_567), attributes={"agent.name": "StrategyAgent"}
    )
    call = a_span(
        2,
        START + timedelta(microseconds=1),
        trace_id=root.trace_id,
        parent_id=root.span_id,
        name="LM.__call__",
        kind="LLM",
        duration=timedelta(milliseconds=250),
        status="ERROR",
        status_message="RateLimitError: 429",
        exception_type="litellm.exceptions.RateLimitError",
        attributes={
            "metadata": metadata,
            "session.id": "session-9",
            "llm.model_name": "gpt-4o-mini",
            "llm.provider": "openai",
            "llm.token_count.prompt": 321,
            "llm.token_count.completion": 45,
            "llm.cost.total": 0.00123,
        },
    )
    tool = a_span(
        3,
        START + timedelta(seconds=2),
        trace_id=root.trace_id,
        parent_id=root.span_id,
        kind="TOOL",
        name="search.__call__",
        status="UNSET",
        attributes={"tool.name": "search_crm"},
    )
    absent = dict.fromkeys(RAW_SPANS.columns)
    assert read(sent(phoenix, "fields", [root, call, tool])) == [
        absent
        | {
            "span_id": root.span_id,
            "trace_id": root.trace_id,
            "agent": "StrategyAgent",
            "name": "work",
            "kind": "AGENT",
            "start_time": pd.Timestamp(START),
            "end_time": pd.Timestamp(START + timedelta(microseconds=1_234_567)),
            "latency_ms": pytest.approx(1234.567),
            "status": "OK",
        },
        absent
        | {
            "span_id": call.span_id,
            "trace_id": root.trace_id,
            "parent_id": root.span_id,
            "agent": "StrategyAgent",
            "name": "LM.__call__",
            "kind": "LLM",
            "start_time": pd.Timestamp(call.start),
            "end_time": pd.Timestamp(call.start + timedelta(milliseconds=250)),
            "latency_ms": pytest.approx(250),
            "status": "ERROR",
            "status_message": "RateLimitError: 429",
            "error_type": "RateLimitError",
            "model": "gpt-4o-mini",
            "provider": "openai",
            "prompt_tokens": 321,
            "completion_tokens": 45,
            "cost_usd": pytest.approx(0.00123),
            "session_id": "session-9",
            "task_id": "task-7",
            "program_version": "v3",
        },
        absent
        | {
            "span_id": tool.span_id,
            "trace_id": root.trace_id,
            "parent_id": root.span_id,
            "name": "search.__call__",
            "kind": "TOOL",
            "start_time": pd.Timestamp(tool.start),
            "end_time": pd.Timestamp(tool.start + timedelta(seconds=1)),
            "latency_ms": pytest.approx(1000),
            "status": "UNSET",
            "tool": "search_crm",
        },
    ]


def test_the_agent_is_named_by_the_first_attribute_that_is_there(phoenix: RunningPhoenix) -> None:
    attributes: list[dict[str, Any]] = [
        {"agent.name": "first", "metadata": json.dumps({"agent_name": "second"}), "agent_name": "fourth"},
        {"metadata": json.dumps({"agent_name": "second", "agent": "third"}), "agent_name": "fourth"},
        {"metadata.agent": "third", "agent_name": "fourth"},
        {"agent.name": " ", "agent_name": "fourth"},
        {"metadata": "no object"},
    ]
    spans = [a_span(100 + i, START + timedelta(seconds=i), attributes=given) for i, given in enumerate(attributes)]
    agents = [span["agent"] for span in read(sent(phoenix, "agents", spans))]
    assert agents == ["first", "second", "third", "fourth", None]


def test_metadata_is_read_both_as_json_and_as_single_attributes(phoenix: RunningPhoenix) -> None:
    spans = [
        a_span(200, attributes={"metadata": json.dumps({"task_id": "as-json"})}),
        a_span(201, START + timedelta(seconds=1), attributes={"metadata.task_id": "as-attribute"}),
    ]
    tasks = [span["task_id"] for span in read(sent(phoenix, "metadata", spans))]
    assert tasks == ["as-json", "as-attribute"]


@pytest.fixture
def retries() -> Iterator[list[RetryDetails]]:
    """The second and third attempts made during a test."""
    made: list[RetryDetails] = []

    def note(details: RetryDetails) -> None:
        made.append(details)

    set_on_retry_hooks([note])
    yield made
    set_on_retry_hooks(None)


def test_an_attribute_of_several_types_costs_no_span_of_the_window(
    phoenix: RunningPhoenix, retries: list[RetryDetails]
) -> None:
    # Phoenix cannot write such a column as Arrow: it answers with an empty body and drops the connection.
    values = ["AuditAgent", 7, 2.5, ["AuditAgent", "StrategyAgent"]]
    spans = [
        a_span(300 + i, START + timedelta(microseconds=i), attributes={"agent.name": value}, kind=None)
        for i, value in enumerate(values)
    ]
    rows = read(sent(phoenix, "mixed", spans))
    assert [row["agent"] for row in rows] == ["AuditAgent", "7", "2.5", None]
    assert [row["start_time"] for row in rows] == [pd.Timestamp(span.start) for span in spans]
    assert retries == []


def test_a_span_without_kind_end_or_tool_name_is_read(phoenix: RunningPhoenix) -> None:
    spans = [
        a_span(400, kind=None),
        a_span(401, START + timedelta(seconds=1), duration=None),
        a_span(402, START + timedelta(seconds=2), kind="tool", name="search_crm.__call__"),
    ]
    without_kind, without_end, tool = read(sent(phoenix, "sparse", spans))
    assert without_kind["kind"] == "UNKNOWN"
    assert (without_end["end_time"], without_end["latency_ms"]) == (None, None)
    assert (tool["kind"], tool["tool"]) == ("TOOL", "search_crm")


def test_a_window_holds_its_start_and_not_its_end(phoenix: RunningPhoenix) -> None:
    instant = timedelta(microseconds=1)
    starts = [START - instant, START, END - instant, END]
    source = sent(phoenix, "bounds", [a_span(500 + i, start) for i, start in enumerate(starts)])
    assert [span["start_time"] for span in read(source)] == [pd.Timestamp(START), pd.Timestamp(END - instant)]


def test_bounds_of_another_time_zone_mean_the_same_instants(phoenix: RunningPhoenix) -> None:
    source = sent(phoenix, "zones", [a_span(600), a_span(601, END)])
    local = START.astimezone(pd.Timestamp(START).tz_convert("America/Los_Angeles").tzinfo)
    assert [span["span_id"] for span in read(source, local, local + (END - START))] == [f"{600:016x}"]


def test_a_window_without_spans_is_an_empty_table(phoenix: RunningPhoenix) -> None:
    source = sent(phoenix, "quiet", [a_span(700)])
    assert read(source, END, END + timedelta(hours=1)) == []


def test_a_late_span_is_there_at_the_second_reading(phoenix: RunningPhoenix) -> None:
    source = sent(phoenix, "late", [a_span(800)])
    assert len(read(source)) == 1
    send_spans(phoenix.base_url, "late", [a_span(801, START + timedelta(minutes=1))])
    wait_until_queryable(phoenix.base_url, "late", 2)
    assert [span["span_id"] for span in read(source)] == [f"{800:016x}", f"{801:016x}"]


def test_a_project_is_found_by_any_name_and_by_its_id(phoenix: RunningPhoenix) -> None:
    name = "team a/fleet #1?"
    assert len(read(sent(phoenix, name, [a_span(900)]))) == 1
    projects = httpx.get(f"{phoenix.base_url}/v1/projects").json()["data"]
    (identity,) = (project["id"] for project in projects if project["name"] == name)
    assert len(read(reader(phoenix, identity))) == 1


@pytest.mark.timeout(600)  # Phoenix takes in 40 to 80 spans a second
@pytest.mark.parametrize("rows_per_request", [200_000, 700])
def test_five_thousand_spans_are_read_with_nothing_cut(
    guarded_phoenix: RunningPhoenix,
    busy_window: BusyWindow,
    rows_per_request: int,
) -> None:
    many = busy_window.spans
    key = guarded_phoenix.api_key
    source = reader(guarded_phoenix, busy_window.project, api_key=key, rows_per_request=rows_per_request)
    rows = read(source, busy_window.start, busy_window.end)
    assert {(row["trace_id"], row["span_id"]) for row in rows} == {(span.trace_id, span.span_id) for span in many}
    assert len(rows) == MANY_SPANS
    sent_by_id = {span.span_id: span for span in many}
    for row in rows:
        span = sent_by_id[row["span_id"]]
        assert (row["parent_id"], row["kind"], row["status"]) == (span.parent_id, span.kind, span.status)
        assert row["error_type"] == (span.exception_type.rpartition(".")[2] if span.exception_type else None)
        assert row["agent"] == json.loads(span.attributes["metadata"])["agent_name"]
        assert row["prompt_tokens"] == span.attributes.get("llm.token_count.prompt")
    assert Counter(row["error_type"] for row in rows)["RateLimitError"] > 100
    spent = sum(span.attributes.get("llm.cost.total", 0) for span in many)
    assert math.isclose(sum(row["cost_usd"] or 0 for row in rows), spent)


def test_a_project_that_does_not_exist_is_an_error_and_not_an_empty_window(phoenix: RunningPhoenix) -> None:
    sent(phoenix, "the-real-one", [a_span(1000)])
    with pytest.raises(PhoenixError, match=r"no project 'the-reel-one'.*the-real-one.*PHOENIX_PROJECT_NAME") as caught:
        list(reader(phoenix, "the-reel-one").read_spans(START, END))
    assert not caught.value.retryable


def test_the_right_key_opens_a_guarded_server(guarded_phoenix: RunningPhoenix) -> None:
    source = sent(guarded_phoenix, "guarded", [a_span(1, status="ERROR", exception_type="ValueError")])
    assert [span["error_type"] for span in read(source)] == ["ValueError"]


@pytest.mark.parametrize(("key", "says"), [("wrong-key-123", "refuses the API key"), ("", "is not set")])
def test_a_wrong_or_missing_key_names_the_variable_and_never_the_key(
    guarded_phoenix: RunningPhoenix,
    key: str,
    says: str,
) -> None:
    with pytest.raises(PhoenixError, match=f"PHOENIX_API_KEY.*{says}|{says}.*PHOENIX_API_KEY") as caught:
        list(reader(guarded_phoenix, "guarded", api_key=key).read_spans(START, END))
    assert not caught.value.retryable
    assert "wrong-key-123" not in str(caught.value)


def test_a_stopped_server_is_an_error_that_another_try_may_mend(phoenix: RunningPhoenix) -> None:
    source = reader(phoenix, "fields", endpoint=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(PhoenixError, match=r"cannot be reached.*PHOENIX_ENDPOINT") as caught:
        list(source.read_spans(START, END))
    assert caught.value.retryable


@pytest.mark.parametrize("path", ["/v1", "/projects/UHJvamVjdDox"])
def test_an_address_that_shows_a_page_is_not_the_base_url(phoenix: RunningPhoenix, path: str) -> None:
    with pytest.raises(PhoenixError, match=r"text/html.*PHOENIX_ENDPOINT.*base URL") as caught:
        list(reader(phoenix, "fields", endpoint=phoenix.base_url + path).read_spans(START, END))
    assert not caught.value.retryable


def test_a_trace_s_link_is_served_by_phoenix_and_names_the_trace(phoenix: RunningPhoenix) -> None:
    source = sent(phoenix, "links", [a_span(1100)])
    link = f"{phoenix.base_url}/redirects/traces/{1100:032x}"
    assert source.trace_url(f"{1100:032x}") == link
    page = httpx.get(link)
    assert page.status_code == 200
    (script,) = {part.partition('"')[0] for part in page.text.split('src="') if "/assets/index-" in part[:100]}
    assert "/redirects/traces/:trace_otel_id" in httpx.get(f"{phoenix.base_url}{script}").text
