"""Payloads and feedback from a Phoenix that is asked for single spans, and from answers that must not be believed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.records import FeedbackKind, TaskFeedback, TaskPayload
from resources.narrow_windows import narrow_windows
from resources.phoenix import PhoenixResource
from resources.phoenix_annotations import FEEDBACK_AT_ONCE
from resources.phoenix_mcp import McpRoad
from resources.phoenix_mcp_tools import BUILT_IN, SpanTools, tools_of_package
from resources.phoenix_road import PAYLOADS_AT_ONCE
from resources.phoenix_tables import annotations_query, attributes_query
from resources.reading import PhoenixError
from resources.sources import TaskPlace
from tests.wire import phoenix_mcp_stdio
from tests.wire.phoenix_mcp_stdio import SNAKE_CASE
from tests.wire.phoenix_mcp_tools import PhoenixTools, span_of
from tests.wire.scripted_server import Answer, Request, ScriptedServer, scripted_server

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
PROJECTS = {"data": [{"name": "fleet", "id": "UHJvamVjdDoy"}], "next_cursor": None}
PACKAGE = tools_of_package({tool.name: tool.input_schema for tool in phoenix_mcp_stdio.tools(SNAKE_CASE)})
WEB_ROADS = pytest.mark.parametrize("road", ["query", "rest"])

WebRoad = Literal["query", "rest"]


@pytest.fixture(autouse=True)
def no_waiting_between_attempts() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


def place(number: int, start: datetime = START) -> TaskPlace:
    return TaskPlace(f"{number:016x}", f"{number:032x}", start)


def a_span(number: int, start: datetime = START) -> dict[str, Any]:
    values = {"input.value": json.dumps({"question": number}), "output.value": json.dumps({"answer": -number})}
    return {**span_of(number, start), "attributes": values}


def payload(number: int) -> TaskPayload:
    return TaskPayload(f"{number:016x}", {"question": number}, {"answer": -number})


def annotation(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": "U3Bhbj",
        "span_id": f"{number:016x}",
        "name": "user_feedback",
        "annotator_kind": "HUMAN",
        "result": {"label": "wrong", "score": 0.0, "explanation": "It is 42."},
        "metadata": {"correction": {"answer": "42"}},
        "identifier": "",
        "created_at": "2026-11-20T10:00:00+00:00",
        "updated_at": "2026-11-20T11:00:00+00:00",
        "source": "API",
        "user_id": None,
    } | changes


def json_answer(value: Any) -> Answer:
    return Answer(body=json.dumps(value).encode())


class Phoenix:
    """Answers as Phoenix's REST interface does, from spans and annotations in memory, in pages."""

    def __init__(self, spans: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]] = ()) -> None:
        self.spans = spans
        self.annotations = annotations
        self.page = 3

    def __call__(self, request: Request) -> Answer:
        address = urlsplit(request.path)
        asked = parse_qs(address.query)
        if address.path == "/v1/projects":
            return json_answer(PROJECTS)
        if address.path == "/v1/projects/UHJvamVjdDoy/spans":
            found = [span for span in self.spans if span["context"]["span_id"] in asked["span_id"]]
            return self._page_of(found, asked)
        assert address.path == "/v1/projects/UHJvamVjdDoy/span_annotations"
        if not any(span["context"]["span_id"] in asked["span_ids"] for span in self.spans):
            return Answer(404, "text/plain", b"None of the supplied span_ids exist in this project")
        return self._page_of([said for said in self.annotations if said["span_id"] in asked["span_ids"]], asked)

    def _page_of(self, found: Sequence[Mapping[str, Any]], asked: Mapping[str, list[str]]) -> Answer:
        first = int(asked.get("cursor", ["0"])[0])
        size = min(self.page, int(asked["limit"][0]))
        rest = len(found) > first + size
        return json_answer({"data": found[first : first + size], "next_cursor": str(first + size) if rest else None})


def source(server: ScriptedServer, road: WebRoad = "query") -> PhoenixResource:
    return PhoenixResource(endpoint=server.base_url, project="fleet", agent_attributes=["agent.name"], road=road)


def payloads_of(server: ScriptedServer, road: WebRoad, *tasks: TaskPlace) -> list[TaskPayload]:
    return sorted(source(server, road).read_payloads(tasks), key=lambda found: found.span_id)


def requests_to(server: ScriptedServer, end: str) -> list[Request]:
    return [request for request in server.requests if urlsplit(request.path).path.endswith(end)]


@WEB_ROADS
def test_the_payloads_of_the_wanted_spans_come_in_pages(road: WebRoad) -> None:
    with scripted_server(Phoenix([a_span(number) for number in range(1, 20)])) as server:
        found = payloads_of(server, road, *(place(number) for number in range(1, 8)), place(7), place(99))
        assert found == [payload(number) for number in range(1, 8)]
        assert len(requests_to(server, "/spans")) == 3


@WEB_ROADS
def test_many_tasks_are_asked_for_in_few_requests(road: WebRoad) -> None:
    phoenix = Phoenix([a_span(number) for number in range(1, 201)])
    phoenix.page = 1000
    with scripted_server(phoenix) as server:
        assert len(payloads_of(server, road, *(place(number) for number in range(1, 201)))) == 200
        assert len(requests_to(server, "/spans")) == 200 / PAYLOADS_AT_ONCE


@WEB_ROADS
def test_a_phoenix_that_gives_other_spans_than_those_asked_for_is_too_old(road: WebRoad) -> None:
    everything = json_answer({"data": [a_span(1), a_span(2)], "next_cursor": None})
    with (
        scripted_server(lambda request: everything if "/spans" in request.path else json_answer(PROJECTS)) as server,
        pytest.raises(PhoenixError, match="too old") as caught,
    ):
        payloads_of(server, road, place(1))
    assert not caught.value.retryable


@WEB_ROADS
@pytest.mark.parametrize("lost", ["attributes", "context"])
def test_a_span_that_is_laid_out_otherwise_is_an_error(road: WebRoad, lost: str) -> None:
    span = {name: value for name, value in a_span(1).items() if name != lost}
    page = json_answer({"data": [span], "next_cursor": None})
    with (
        scripted_server(lambda request: page if "/spans" in request.path else json_answer(PROJECTS)) as server,
        pytest.raises(PhoenixError, match="not laid out as expected"),
    ):
        payloads_of(server, road, place(1))


def test_without_tasks_nothing_is_asked() -> None:
    with scripted_server(Phoenix([])) as server:
        assert payloads_of(server, "query") == []
        assert source(server).read_feedback([]) == []
        assert server.requests == []


def mcp_road(tools: SpanTools, spans: list[dict[str, Any]], page: int = 3) -> McpRoad:
    return McpRoad(PhoenixTools(tools, spans, page), tools, "UHJvamVjdDoy", ["agent.name"])


@pytest.mark.parametrize("tools", [BUILT_IN, PACKAGE], ids=["built in", "package"])
@settings(deadline=None, max_examples=50)
@given(
    starts=st.lists(st.integers(0, 10_000_000), min_size=1, max_size=30),
    wanted=st.sets(st.integers(1, 30)),
    page=st.integers(1, 7),
)
def test_the_tools_give_each_wanted_payload_once(
    tools: SpanTools, starts: list[int], wanted: set[int], page: int
) -> None:
    began = {number: START + timedelta(microseconds=offset) for number, offset in enumerate(starts, 1)}
    road = mcp_road(tools, [a_span(number, start) for number, start in began.items()], page)
    tasks = [place(number, began.get(number, START)) for number in wanted]
    found = sorted(road.payloads(tasks), key=lambda found: found.span_id)
    assert found == [payload(number) for number in sorted(wanted & began.keys())]


def test_tools_that_ignore_the_span_ids_are_not_believed() -> None:
    class Ignoring(PhoenixTools):
        def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
            return super().call(tool, {name: value for name, value in arguments.items() if name != "span_id"})

    road = McpRoad(Ignoring(BUILT_IN, [a_span(1), a_span(2)]), BUILT_IN, "UHJvamVjdDoy", ["agent.name"])
    with pytest.raises(PhoenixError, match="does not keep to the span_id"):
        list(road.payloads([place(1)]))


@given(st.lists(st.integers(0, 30_000_000), max_size=30))
def test_narrow_windows_hold_every_moment_and_lie_apart(offsets: list[int]) -> None:
    moments = [START + timedelta(microseconds=offset) for offset in offsets]
    windows = narrow_windows(moments)
    assert all(sum(start < moment < end for start, end in windows) == 1 for moment in moments)
    assert all(any(start < moment < end for moment in moments) for start, end in windows)
    assert len(windows) <= len(moments)
    assert all(sooner[1] < later[0] for sooner, later in pairwise(windows))


def test_tasks_within_a_second_share_a_window() -> None:
    seconds = (0, 0.9, 1.8, 5, 5.5)
    windows = narrow_windows(START + timedelta(seconds=second) for second in seconds)
    assert [round((end - start).total_seconds(), 1) for start, end in windows] == [1.8, 0.5]


@WEB_ROADS
def test_an_annotation_is_feedback_with_all_that_it_says(road: WebRoad) -> None:
    with scripted_server(Phoenix([a_span(1)], [annotation(1), annotation(2)])) as server:
        assert source(server, road).read_feedback([place(1)]) == [
            TaskFeedback(
                name="user_feedback",
                kind=FeedbackKind.HUMAN,
                at=START + timedelta(hours=1),
                span_id=f"{1:016x}",
                score=0.0,
                label="wrong",
                explanation="It is 42.",
                correction={"answer": "42"},
            )
        ]


def feedback_of(*annotations: Mapping[str, Any]) -> list[TaskFeedback]:
    with scripted_server(Phoenix([a_span(1)], annotations)) as server:
        return source(server).read_feedback([place(1)])


@pytest.mark.parametrize("written", ["2026-11-20T10:00:00Z", "2026-11-20T12:00:00+02:00", "2026-11-20T10:00:00"])
def test_feedback_is_of_the_time_of_its_last_change_in_utc(written: str) -> None:
    (said,) = feedback_of(annotation(1, updated_at=written))
    assert said.at == START
    assert said.at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("HUMAN", FeedbackKind.HUMAN), ("LLM", FeedbackKind.JUDGE), ("CODE", FeedbackKind.CODE)],
)
def test_phoenix_s_kinds_of_annotators_are_ours(kind: str, expected: FeedbackKind) -> None:
    (said,) = feedback_of(annotation(1, annotator_kind=kind))
    assert said.kind is expected


@pytest.mark.parametrize("metadata", [None, {}, {"correction": None}, {"correction": "42"}, {"correction": [1]}])
def test_a_correction_that_is_no_object_of_fields_is_none_and_the_explanation_stays(metadata: Any) -> None:
    (said,) = feedback_of(annotation(1, metadata=metadata))
    assert said.correction is None
    assert said.explanation == "It is 42."


@pytest.mark.parametrize("result", [None, {}, {"score": None, "label": None, "explanation": None}])
def test_an_annotation_without_a_result_says_nothing(result: Any) -> None:
    (said,) = feedback_of(annotation(1, result=result))
    assert (said.score, said.label, said.explanation) == (None, None, "")


def test_a_score_that_is_no_number_is_none() -> None:
    (said,) = feedback_of(annotation(1, result={"score": float("inf")}))
    assert said.score is None


@pytest.mark.parametrize("change", [{"annotator_kind": "ORACLE"}, {"updated_at": "now"}, {"metadata": [1]}])
def test_an_annotation_that_is_laid_out_otherwise_is_an_error(change: dict[str, Any]) -> None:
    with pytest.raises(PhoenixError, match="annotation that is not laid out as expected") as caught:
        feedback_of(annotation(1, **change))
    assert not caught.value.retryable


def test_all_annotations_come_in_pages_and_few_requests() -> None:
    tasks = [place(number) for number in range(1, 2 * FEEDBACK_AT_ONCE + 1)]
    spans = [a_span(number) for number in range(1, 2 * FEEDBACK_AT_ONCE + 1)]
    with scripted_server(Phoenix(spans, [annotation(1, name=str(name)) for name in range(7)])) as server:
        found = source(server).read_feedback(tasks)
        assert sorted(said.name for said in found) == [str(name) for name in range(7)]
        assert len(requests_to(server, "/span_annotations")) == 4


def test_spans_that_phoenix_does_not_have_have_no_feedback() -> None:
    with scripted_server(Phoenix([])) as server:
        assert source(server).read_feedback([place(1)]) == []


def test_a_project_that_is_not_there_is_an_error_and_no_silence() -> None:
    with scripted_server(Phoenix([])) as server:
        unknown = PhoenixResource(endpoint=server.base_url, project="flet", agent_attributes=["agent.name"])
        with pytest.raises(PhoenixError, match="PHOENIX_PROJECT_NAME"):
            unknown.read_feedback([place(1)])
        with pytest.raises(PhoenixError, match="PHOENIX_PROJECT_NAME"):
            list(unknown.read_payloads([place(1)]))


def test_an_id_cannot_break_out_of_the_question_to_the_database() -> None:
    for query in (attributes_query(1, ["a'; drop"], ["input.value"]), annotations_query(1, ["a'; drop"])):
        assert "array['a''; drop']::text[]" in query
