"""What went into tasks, what came out and what was said about them is the same by every road to a real Phoenix."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dspy
import httpx
import psycopg
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from dspy_modules.tracing import AgentTracer, Task
from perf_pipeline.records import FeedbackKind, TaskFeedback, TaskPayload
from resources.phoenix import PhoenixResource
from resources.reading import PhoenixError
from resources.sources import TaskPlace
from tests.real import phoenix_fixtures
from tests.real.phoenix_fixtures import PhoenixOnPostgres
from tests.real.postgres_road import START, a_span, send, source
from tests.real.services.otlp_sender import SentSpan, wait_until_queryable
from tests.wire import phoenix_mcp_stdio

# The server over PostgreSQL serves all roads, and it is the worker of this group that starts it.
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]
phoenix_on_postgres = phoenix_fixtures.phoenix_on_postgres

ROADS: dict[str, dict[str, Any]] = {
    "query": {"road": "query"},
    "rest": {"road": "rest"},
    "mcp": {"road": "mcp"},
    "mcp program": {"road": "mcp", "mcp_command": [sys.executable, phoenix_mcp_stdio.__file__]},
    "postgres": {"road": "postgres"},
}
EVERY_ROAD = pytest.mark.parametrize("road", ROADS)
ODD_PAYLOADS: list[Any] = [
    '{"text": "ä€😀\\n\\"quoted\\" \\\\ \'it\\u0027s\'", "none": null, "flag": true}',
    '{"deep": {"a": [1, 2.5, {"b": []}]}, "big": 9007199254740993, "a.b": {"c.d": 1}}',
    '{"args": [], "kwargs": {"question": "?"}}',
    '{"score": NaN}',
    "{}",
    "plain text",
    '["a", "list"]',
    '{"cut": "of',
    "42",
    7,
    True,
    2.5,
]
EXPECTED: list[Any] = [
    {"text": "ä€😀\n\"quoted\" \\ 'it's'", "none": None, "flag": True},
    {"deep": {"a": [1, 2.5, {"b": []}]}, "big": 9007199254740993, "a.b": {"c.d": 1}},
    {"args": [], "kwargs": {"question": "?"}},
    {"score": "NaN"},
    {},
    *[None] * 7,
]
MANY = 230
"""More than one request asks for, of spans and of annotations."""


class Doubling(dspy.Module):
    def forward(self, number: int, unit: str = "") -> dspy.Prediction:
        if number < 0:
            raise ValueError("negative")
        return dspy.Prediction(double=2 * number, unit=unit)


@dataclass(frozen=True)
class Told:
    """A Phoenix with tasks of each sort in a project each, and what was said about those of `many`."""

    phoenix: PhoenixOnPostgres
    odd: list[SentSpan]
    many: list[SentSpan]
    since: datetime

    def source(self, road: str, project: str, **settings: Any) -> PhoenixResource:
        return source(self.phoenix, project, **(ROADS[road] | settings))

    def annotate(self, *annotations: dict[str, Any]) -> None:
        url = f"{self.phoenix.server.base_url}/v1/span_annotations?sync=true"
        httpx.post(url, json={"data": annotations}, timeout=60).raise_for_status()


def places(spans: Sequence[SentSpan]) -> list[TaskPlace]:
    return [TaskPlace(span.span_id, span.trace_id, span.start) for span in spans]


def by_span(payloads: Sequence[TaskPayload]) -> list[TaskPayload]:
    return sorted(payloads, key=lambda payload: payload.span_id)


def task_span(number: int) -> SentSpan:
    values = {"input.value": json.dumps({"question": number}), "output.value": json.dumps({"answer": [number]})}
    return a_span(START + timedelta(seconds=7.001 * number), attributes=values, kind="AGENT")


@pytest.fixture(scope="module")
def told(phoenix_on_postgres: PhoenixOnPostgres) -> Told:
    server = phoenix_on_postgres.server
    exporter = OTLPSpanExporter(endpoint=f"{server.base_url}/v1/traces")
    with AgentTracer(exporter, project="real-tasks") as tracer:
        for number in (21, -1):
            task = Task("Doubling", f"task-{number}", "session", "v1")
            try:
                tracer.run(Doubling(), {"number": number, "unit": "€"}, task, dspy.LM("none/none"))
            except ValueError:
                continue
    odd = [a_span(attributes={"input.value": value, "output.value": value}) for value in [*ODD_PAYLOADS, None]]
    odd[-1] = a_span()
    many = [task_span(number) for number in range(MANY)]
    send(phoenix_on_postgres, "odd-payloads", odd)
    send(phoenix_on_postgres, "many-payloads", many)
    wait_until_queryable(server.base_url, "real-tasks", 4)
    told = Told(phoenix_on_postgres, odd, many, datetime.now(UTC) - timedelta(seconds=2))
    told.annotate(*({"span_id": span.span_id, "name": "checked", "annotator_kind": "CODE"} for span in many))
    return told


@EVERY_ROAD
def test_real_dspy_tasks_are_read_as_they_were_asked_and_answered(told: Told, road: str) -> None:
    tasks = told.source(road, "real-tasks")
    now = datetime.now(UTC)
    (spans,) = tasks.read_spans(now - timedelta(hours=1), now + timedelta(minutes=1))
    agents = spans[spans["kind"] == "AGENT"].sort_values("start_time")
    wanted = [TaskPlace(row["span_id"], row["trace_id"], row["start_time"]) for _, row in agents.iterrows()]
    done, failed = (next(tasks.read_payloads([task])) for task in wanted)
    assert done == TaskPayload(wanted[0].span_id, {"number": 21, "unit": "€"}, {"double": 42, "unit": "€"})
    assert failed == TaskPayload(wanted[1].span_id, {"number": -1, "unit": "€"}, None)


@EVERY_ROAD
def test_odd_payloads_are_the_same_by_every_road(told: Told, road: str) -> None:
    found = by_span(list(told.source(road, "odd-payloads").read_payloads(places(told.odd))))
    assert [payload.outputs for payload in found] == [*EXPECTED, None]
    assert [payload.inputs for payload in found] == [
        {"question": "?"} if value == EXPECTED[2] else value for value in [*EXPECTED, None]
    ]


@EVERY_ROAD
def test_hundreds_of_tasks_are_read_each_once(told: Told, road: str) -> None:
    found = by_span(list(told.source(road, "many-payloads").read_payloads(places([*told.many, told.many[3]]))))
    expected = [
        TaskPayload(span.span_id, {"question": number}, {"answer": [number]}) for number, span in enumerate(told.many)
    ]
    assert found == by_span(expected)


@EVERY_ROAD
def test_tasks_of_another_project_have_neither_payloads_nor_feedback(told: Told, road: str) -> None:
    other = told.source(road, "odd-payloads")
    tasks = [*places(told.many[:3]), TaskPlace("ffffffffffffffff", "f" * 32, START)]
    assert list(other.read_payloads(tasks)) == []
    assert other.read_feedback(tasks) == []


@EVERY_ROAD
def test_feedback_of_hundreds_of_tasks_is_read_each_once(told: Told, road: str) -> None:
    said = told.source(road, "many-payloads").read_feedback(places(told.many))
    checked = sorted(str(one.span_id) for one in said if one.name == "checked")
    assert checked == sorted(span.span_id for span in told.many)


@EVERY_ROAD
def test_what_people_judges_and_programs_said_is_read_by_every_road(told: Told, road: str) -> None:
    span = told.many[-1].span_id
    result = {"score": 0.25, "label": "wrong", "explanation": 'It is 42, "it\'s" ä.'}
    correction = {"answer": "42", "steps": [1, {"a": None}]}
    told.annotate(
        {"span_id": span, "name": "correction", "annotator_kind": "HUMAN", "metadata": {"correction": correction}},
        {"span_id": span, "name": "user_feedback", "annotator_kind": "HUMAN", "result": result, "identifier": "ann"},
        {"span_id": span, "name": "user_feedback", "annotator_kind": "HUMAN", "result": {"score": 1}},
        {
            "span_id": span,
            "name": "quality",
            "annotator_kind": "LLM",
            "result": {"label": "good"},
            "metadata": {"a": 1},
        },
    )
    said = told.source(road, "many-payloads").read_feedback(places(told.many[-1:]))
    assert all(told.since <= one.at <= datetime.now(UTC) + timedelta(seconds=2) for one in said)
    at = said[0].at
    assert at.utcoffset() == timedelta(0)
    undated = {(one.name, one.score): replace(one, at=at) for one in said}
    assert undated == {
        ("checked", None): TaskFeedback("checked", FeedbackKind.CODE, at, span),
        ("correction", None): TaskFeedback("correction", FeedbackKind.HUMAN, at, span, correction=correction),
        ("user_feedback", 0.25): TaskFeedback("user_feedback", FeedbackKind.HUMAN, at, span, **result),
        ("user_feedback", 1.0): TaskFeedback("user_feedback", FeedbackKind.HUMAN, at, span, score=1.0),
        ("quality", None): TaskFeedback("quality", FeedbackKind.JUDGE, at, span, label="good"),
    }


def test_an_annotation_that_was_changed_is_what_it_is_now_and_of_now(told: Told) -> None:
    changed = {"span_id": told.many[0].span_id, "name": "changed", "annotator_kind": "HUMAN"}
    times = []
    for score in (0.0, 1.0):
        told.annotate({**changed, "result": {"score": score}})
        said = told.source("rest", "many-payloads").read_feedback(places(told.many[:1]))
        (now,) = [one for one in said if one.name == "changed"]
        assert now.score == score
        times.append(now.at)
    assert times[0] < times[1]


def test_a_role_that_may_read_spans_reads_payloads_and_needs_the_grant_that_the_error_names(told: Told) -> None:
    with psycopg.connect(told.phoenix.database_url, autocommit=True) as admin:
        admin.execute("create role optimizer login")
        admin.execute("grant select on projects, traces, spans to optimizer")
        url = told.phoenix.database_url.replace("://postgres@", "://optimizer@")
        tasks = told.source("postgres", "many-payloads", database_url=url)
        wanted = places(told.many[:1])
        assert len(list(tasks.read_payloads(wanted))) == 1
        with pytest.raises(PhoenixError, match="GRANT SELECT ON span_annotations TO optimizer;") as caught:
            tasks.read_feedback(wanted)
        assert not caught.value.retryable
        admin.execute("grant select on span_annotations to optimizer")
        assert {one.name for one in tasks.read_feedback(wanted)} >= {"checked"}
        admin.execute("drop owned by optimizer")
        admin.execute("drop role optimizer")
