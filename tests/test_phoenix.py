"""PhoenixResource where the server fails in ways that a healthy Phoenix does not."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pyarrow as pa
import pytest
import stamina
from hypothesis import given
from hypothesis import strategies as st

from resources.phoenix import PhoenixResource
from resources.phoenix_json import exception_types
from resources.phoenix_queries import Query, grouped_queries, has_inexact_numbers, joined, tables_of_answer, whole_query
from resources.reading import PhoenixError
from resources.span_attributes import wanted_attributes
from tests.whole_window import whole_window
from tests.wire.scripted_server import Answer, Request, ScriptedServer, scripted_server

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)
AGENT_ATTRIBUTES = ["agent.name"]
PROJECTS = Answer(body=json.dumps({"data": [{"name": "fleet", "id": "UHJvamVjdDoy"}], "next_cursor": None}).encode())


@pytest.fixture(autouse=True)
def no_waiting_between_attempts() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


def read_from(server: ScriptedServer, **settings: Any) -> pd.DataFrame:
    known = {"endpoint": server.base_url, "project": "fleet", "agent_attributes": AGENT_ATTRIBUTES}
    return whole_window(PhoenixResource(**(known | settings)).read_spans(START, END))


def arrow_of(starts: list[datetime], queries: list[Query] | None = None, status: str = "OK") -> Answer:
    """Spans that start then, as Phoenix answers the queries; a span's identity is its start. No span has attributes."""
    sink = pa.BufferOutputStream()
    for query in queries or [whole_query(wanted_attributes(AGENT_ATTRIBUTES))]:
        found = [] if "filter" in query else starts
        rows = pd.DataFrame(index=range(len(found)), columns=pd.Index(list(query["select"])))
        identity = [f"{start.timestamp():.6f}" for start in found]
        if "filter" not in query:
            rows = rows.rename(columns={"trace_id": "context.trace_id"})
            rows = rows.assign(name="work", status_code=status, start_time=found, end_time=found)
            rows["context.trace_id"] = identity
            rows = rows.astype({"start_time": "datetime64[us, UTC]", "end_time": "datetime64[us, UTC]"})
        table = pa.Table.from_pandas(rows.assign(**{"context.span_id": identity}))
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    return Answer(content_type="application/x-pandas-arrow", body=sink.getvalue().to_pybytes())


def counted(spans: int) -> Answer:
    return Answer(body=json.dumps({"data": {"node": {"recordCount": spans}}}).encode())


def phoenix_with(starts: list[datetime]) -> Callable[[Request], Answer]:
    """A server that keeps to the window and to the limit, and so cuts like the real one."""

    def answer(request: Request) -> Answer:
        if request.path.startswith("/v1/projects"):
            return PROJECTS
        asked = json.loads(request.body)
        if request.path == "/graphql":
            times = asked["variables"]["times"]
            since, until = (datetime.fromisoformat(times[name]) for name in ("start", "end"))
            return counted(sum(since <= start < until for start in starts))
        since, until = (datetime.fromisoformat(asked[name]) for name in ("start_time", "end_time"))
        return arrow_of([start for start in starts if since <= start < until][: asked["limit"]], asked["queries"])

    return answer


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_that_passes_is_tried_again_and_forgotten(status: int) -> None:
    faults = [Answer(status=status), Answer(status=status)]
    healthy = phoenix_with([START])
    with scripted_server(lambda request: faults.pop() if faults else healthy(request)) as server:
        assert len(read_from(server)) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_that_stays_is_reported_after_three_attempts_as_worth_another_try(status: int) -> None:
    with scripted_server(lambda _: Answer(status=status)) as server:
        with pytest.raises(PhoenixError, match=f"PHOENIX_ENDPOINT|HTTP {status}") as caught:
            read_from(server)
        assert caught.value.retryable
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "variable"),
    [(401, "PHOENIX_API_KEY"), (403, "PHOENIX_API_KEY"), (302, "PHOENIX_ENDPOINT"), (404, "PHOENIX_ENDPOINT")],
)
def test_a_refusal_is_not_tried_again_and_names_the_variable(status: int, variable: str) -> None:
    with scripted_server(lambda _: Answer(status=status)) as server:
        with pytest.raises(PhoenixError, match=variable) as caught:
            read_from(server, api_key="secret-key")
        assert not caught.value.retryable
        assert "secret-key" not in str(caught.value)
        assert len(server.requests) == 1


def test_a_request_that_phoenix_does_not_understand_is_quoted_with_its_reason() -> None:
    def answer(request: Request) -> Answer:
        return PROJECTS if request.method == "GET" else Answer(422, "text/plain", b"Invalid query: projection")

    with scripted_server(answer) as server, pytest.raises(PhoenixError, match="Invalid query: projection") as caught:
        read_from(server)
    assert not caught.value.retryable


@pytest.mark.parametrize("body", [b'{"models": []}', b"[]"])
def test_another_service_that_speaks_json_is_not_taken_for_phoenix(body: bytes) -> None:
    with scripted_server(lambda _: Answer(body=body)) as server, pytest.raises(PhoenixError, match="PHOENIX_ENDPOINT"):
        read_from(server)


def test_a_server_that_stays_silent_is_given_up_after_the_timeout() -> None:
    over = threading.Event()

    def answer(_: Request) -> Answer:
        over.wait(5)
        return PROJECTS

    with scripted_server(answer) as server:
        with pytest.raises(PhoenixError, match=r"within 0\.2 s.*PHOENIX_ENDPOINT") as caught:
            read_from(server, request_timeout_seconds=0.2)
        over.set()
    assert caught.value.retryable


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_an_answer_that_breaks_off_is_an_error_and_not_a_smaller_window(kept: float) -> None:
    whole = arrow_of([START + timedelta(seconds=i) for i in range(50)])
    broken = Answer(content_type=whole.content_type, body=whole.body[: int(len(whole.body) * kept)])
    with (
        scripted_server(lambda request: PROJECTS if request.method == "GET" else broken) as server,
        pytest.raises(PhoenixError, match="broke off") as caught,
    ):
        read_from(server)
    assert caught.value.retryable


def rest_span(start: datetime, **changes: Any) -> dict[str, Any]:
    """A span as the REST interface gives it; its identity is its start."""
    identity = f"{start.timestamp():.6f}"
    times = {"start_time": start.isoformat(), "end_time": start.isoformat()}
    facts = {"name": "work", "span_kind": "CHAIN", "parent_id": None, "status_code": "OK", "status_message": ""}
    context = {"trace_id": identity, "span_id": identity}
    return {"id": "U3BhbjoxNw==", "context": context, "attributes": {}, "events": [], **facts, **times, **changes}


def test_a_window_that_phoenix_cannot_write_as_arrow_is_read_by_rest() -> None:
    page = {"data": [rest_span(START, attributes={"agent.name": "AuditAgent"})], "next_cursor": None}

    def answer(request: Request) -> Answer:
        if request.path.startswith("/v1/spans"):
            return Answer(content_type="application/x-pandas-arrow", body=b"")
        if request.path.startswith("/v1/projects/"):
            return Answer(body=json.dumps(page).encode())
        return PROJECTS if request.method == "GET" else counted(1)

    with scripted_server(answer) as server:
        assert list(read_from(server)["agent"]) == ["AuditAgent"]


def test_whole_numbers_that_lost_digits_are_noticed() -> None:
    task_ids = pd.DataFrame({"attribute.metadata.task_id": [7123456789012345678.0, None]})
    assert has_inexact_numbers(task_ids)
    assert not has_inexact_numbers(task_ids // 10_000)
    assert not has_inexact_numbers(task_ids.astype(object))


def test_an_attribute_below_one_that_has_a_value_of_its_own_is_read_from_its_dotted_place() -> None:
    query = whole_query(["agent.name", "metadata.task_id"])
    fields = dict.fromkeys(query["select"]) | {"start_time": START, "end_time": END}
    spans = [
        {**fields, "span_id": "1", "attribute.metadata.task_id": "nested"},
        {**fields, "span_id": "2", "dotted.metadata.task_id": "dotted"},
        {**fields, "span_id": "3", "attribute.metadata.task_id": "nested", "dotted.metadata.task_id": "dotted"},
    ]
    rows = joined([pd.DataFrame(spans)])
    assert list(rows["attribute.metadata.task_id"]) == ["nested", "dotted", "nested"]
    assert not [column for column in rows if str(column).startswith("dotted.")]


@pytest.mark.parametrize("rows_per_request", [2, 3, 7, 100])
def test_a_window_with_more_spans_than_a_request_returns_is_read_in_parts(rows_per_request: int) -> None:
    starts = [START + timedelta(seconds=seconds) for seconds in (0, 1, 1.5, 2, 600, 601, 1799.999999)]
    with scripted_server(phoenix_with(starts)) as server:
        frame = read_from(server, rows_per_request=rows_per_request)
    assert list(frame["start_time"]) == starts


def test_a_microsecond_that_holds_more_spans_than_a_request_returns_is_an_error() -> None:
    same_instant = [START + timedelta(seconds=1)] * 3
    with (
        scripted_server(phoenix_with(same_instant)) as server,
        pytest.raises(PhoenixError, match="rows_per_request") as caught,
    ):
        read_from(server, rows_per_request=3)
    assert not caught.value.retryable


@pytest.mark.parametrize("largest", [1, 3, 50])
def test_an_answer_that_holds_fewer_spans_than_phoenix_counts_is_no_window(largest: int) -> None:
    starts = [START + timedelta(seconds=i) for i in range(60)]

    def answer(request: Request) -> Answer:
        if request.path.startswith("/v1/spans"):
            asked = json.loads(request.body)
            lowered = json.dumps(asked | {"limit": largest}).encode()
            request = Request(request.method, request.path, request.headers, lowered)
        return phoenix_with(starts)(request)

    with scripted_server(answer) as server, pytest.raises(PhoenixError, match=rf"counts 60 spans .* gave {largest}:"):
        read_from(server)


def test_spans_that_were_deleted_while_they_were_read_are_no_loss() -> None:
    counts = [counted(2), counted(1), counted(0)]
    with scripted_server(
        lambda request: counts.pop(0) if request.path == "/graphql" else phoenix_with([START])(request)
    ) as server:
        assert len(read_from(server)) == 1


def test_a_server_that_lets_no_graphql_through_is_read_without_a_count() -> None:
    html = Answer(content_type="text/html", body=b"<html></html>")
    healthy = phoenix_with([START])
    with scripted_server(lambda request: html if request.path == "/graphql" else healthy(request)) as server:
        assert len(read_from(server)) == 1


def test_a_span_that_comes_twice_counts_once() -> None:
    with scripted_server(phoenix_with([START, START, START + timedelta(seconds=1)])) as server:
        frame = read_from(server)
    assert list(frame["start_time"]) == [START, START + timedelta(seconds=1)]


def test_exceptions_are_read_to_the_last_page_and_joined_by_span() -> None:
    starts = [START + timedelta(seconds=i) for i in range(4)]
    spans = [
        {
            "context": {"span_id": f"{start.timestamp():.6f}"},
            "events": [{"attributes": {"exception.type": f"Error{i}"}}],
        }
        for i, start in enumerate(starts)
    ]
    unread = {"context": {"span_id": "came between the two readings"}, "events": spans[0]["events"]}
    pages: dict[str | None, dict[str, Any]] = {
        None: {"data": spans[:1], "next_cursor": "b"},
        "b": {"data": spans[1:3], "next_cursor": "c"},
        "c": {"data": [unread], "next_cursor": None},
    }

    def answer(request: Request) -> Answer:
        asked = urlsplit(request.path)
        if asked.path == "/graphql":
            return counted(len(starts))
        if asked.path.endswith("/spans") and request.method == "GET":
            return Answer(body=json.dumps(pages[parse_qs(asked.query).get("cursor", [None])[0]]).encode())
        return PROJECTS if request.method == "GET" else arrow_of(starts, status="ERROR")

    with scripted_server(answer) as server:
        frame = read_from(server)
    assert frame["error_type"].fillna("none").tolist() == ["Error0", "Error1", "Error2", "none"]


def test_the_exception_that_left_the_span_is_its_type() -> None:
    events = [
        {"attributes": {"exception.type": "Inner"}},
        {"attributes": {}},
        {"attributes": {"exception.type": "Outer"}},
    ]
    assert exception_types([{"context": {"span_id": "a"}, "events": events}]) == {"a": "Outer"}


@pytest.mark.parametrize("key", ["secret key", "secret\nkey", "sécret-key"])
def test_a_key_that_cannot_be_sent_is_not_quoted(key: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with scripted_server(phoenix_with([])) as server, pytest.raises(PhoenixError, match="PHOENIX_API_KEY") as caught:
        read_from(server, api_key=key)
    assert caught.value.__cause__ is None
    assert key not in str(caught.value) + caplog.text
    assert server.requests == []


def test_a_key_with_a_line_break_at_its_end_is_sent_without_it() -> None:
    with scripted_server(phoenix_with([])) as server:
        read_from(server, api_key="the-key\n")
        assert {request.headers["authorization"] for request in server.requests} == {"Bearer the-key"}


def test_without_a_key_none_is_sent() -> None:
    with scripted_server(phoenix_with([])) as server:
        read_from(server)
        assert not any("authorization" in request.headers for request in server.requests)


def test_no_secret_is_shown_to_people() -> None:
    source = PhoenixResource(
        endpoint="https://someone:hidden@phoenix.example/s/team/",
        project="fleet",
        api_key="secret-key",
        agent_attributes=AGENT_ATTRIBUTES,
    )
    assert source.describe() == "Phoenix at https://phoenix.example/s/team, project fleet, by query"
    assert source.trace_url("ab12") == "https://phoenix.example/s/team/redirects/traces/ab12"
    assert "secret-key" not in repr(source)


def test_a_trace_without_identity_has_no_link() -> None:
    source = PhoenixResource(endpoint="http://localhost:6006", project="fleet", agent_attributes=AGENT_ATTRIBUTES)
    assert source.trace_url("") is None


@pytest.mark.parametrize("endpoint", ["localhost:6006", "http://localhost:port", "http://"])
def test_an_endpoint_that_is_no_web_address_names_the_variable(endpoint: str) -> None:
    source = PhoenixResource(endpoint=endpoint, project="fleet", agent_attributes=AGENT_ATTRIBUTES)
    with pytest.raises(PhoenixError, match="PHOENIX_ENDPOINT") as caught:
        list(source.read_spans(START, END))
    assert not caught.value.retryable


def test_bounds_without_a_time_zone_are_refused() -> None:
    source = PhoenixResource(endpoint="http://localhost:6006", project="fleet", agent_attributes=AGENT_ATTRIBUTES)
    with pytest.raises(ValueError, match="time zone"):
        list(source.read_spans(START.replace(tzinfo=None), END))


def test_any_attribute_name_can_be_asked_for() -> None:
    asked = whole_query(["agent.name", "class.it's", "name"])["select"]
    assert asked["attribute.agent.name"] == {"key": "attributes['agent']['name']"}
    assert asked["attribute.class.it's"] == {"key": "attributes['class'][\"it's\"]"}
    assert (asked["attribute.name"], asked["name"]) == ({"key": "attributes['name']"}, {"key": "name"})


@given(st.lists(st.sampled_from(wanted_attributes(["agent.name", "crew", "crew.lead", "x.y"])), unique=True))
def test_several_queries_ask_for_the_same_attributes_as_one(attributes: list[str]) -> None:
    first, *others = grouped_queries(attributes)
    asked = [label for query in (first, *others) for label in query["select"]]
    assert sorted(asked) == sorted(whole_query(attributes)["select"])
    assert "filter" not in first
    assert all("filter" in query for query in others)


def test_a_span_of_a_large_window_gets_the_attributes_of_all_queries() -> None:
    attributes = ["agent.name", "llm.model_name", "llm.provider", "tool.name"]
    first, llm, rare = grouped_queries(attributes)
    fields = dict.fromkeys(first["select"], "x") | {"start_time": START, "end_time": END}
    tables = [
        pd.DataFrame([{**fields, "context.span_id": number, "attribute.agent.name": f"A{number}"} for number in "123"]),
        pd.DataFrame([{"context.span_id": "2", "attribute.llm.model_name": "m", "attribute.llm.provider": "p"}]),
        pd.DataFrame(
            [
                {"context.span_id": "3", "attribute.tool.name": "search", "dotted.agent.name": None},
                {"context.span_id": "new"},
            ]
        ),
    ]
    rows = joined(tables_of_answer(_streams(tables), [first, llm, rare])).set_index("span_id")
    assert list(rows.index) == ["1", "2", "3"]
    assert list(rows["attribute.agent.name"]) == ["A1", "A2", "A3"]
    assert rows.loc["2", "attribute.llm.model_name"] == "m"
    assert rows["attribute.tool.name"].fillna("none").tolist() == ["none", "none", "search"]


def test_an_answer_that_lacks_a_table_or_its_end_mark_is_broken_off() -> None:
    queries = grouped_queries(["agent.name", "llm.model_name", "llm.provider"])
    whole, first = arrow_of([START], queries).body, arrow_of([START], queries[:1]).body
    assert isinstance(whole, bytes)
    assert isinstance(first, bytes)
    for body in (first, whole[: len(first) + 100], whole[:-8]):
        with pytest.raises(PhoenixError, match="broke off"):
            tables_of_answer(body, queries)


def test_a_renamed_field_of_an_answer_is_named() -> None:
    query = whole_query(["agent.name"])
    table = pd.DataFrame([dict.fromkeys(query["select"], "x") | {"context.span_id": "1"}])
    body = _streams([table.rename(columns={"status_code": "status"})])
    with pytest.raises(PhoenixError, match="status_code") as caught:
        tables_of_answer(body, [query])
    assert not caught.value.retryable


def _streams(tables: list[pd.DataFrame]) -> bytes:
    sink = pa.BufferOutputStream()
    for table in tables:
        rows = pa.Table.from_pandas(table)
        with pa.ipc.new_stream(sink, rows.schema) as stream:
            stream.write_table(rows)
    return sink.getvalue().to_pybytes()
