"""What the routes answer and do, over a real ledger and lake."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from perf_pipeline.monitoring.windows import windows_between
from perf_pipeline.optimization.approvals import fingerprint
from perf_pipeline.records import RequestState, Scope
from perf_pipeline.service.app import create_app
from perf_pipeline.tokens import new_token
from resources.lake import Lake
from resources.ledger import Ledger
from tests.approval_builders import FLEET, NOON, asked, request_to_approve, state
from tests.incident_actions_builders import told_thread
from tests.metrics_lake import write_windows
from tests.service_fixtures import context_of

WINDOWS = windows_between(NOON - timedelta(hours=3), NOON, FLEET.window)
REQUEST = request_to_approve()


@dataclass
class Api:
    """The application, asked by ana, who may approve and has all rights."""

    book: Ledger
    lake: Lake
    client: TestClient

    def get(self, path: str, **query: Any) -> Any:
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        return self.client.post(path, json=body)


def as_person(book: Ledger, client: TestClient, person: str, *scopes: Scope) -> None:
    secret, token = new_token("test", person, scopes, person, NOON)
    book.add_token(token)
    client.headers["authorization"] = f"Bearer {secret}"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    lake = Lake(str(tmp_path / "lake"))
    write_windows(lake, FLEET.agent_names, WINDOWS)
    app = create_app(context_of(book, FLEET, lambda: NOON, str(tmp_path / "lake")))
    client = TestClient(app, "http://127.0.0.1:8080", raise_server_exceptions=False)
    as_person(book, client, "ana", Scope.ADMIN)
    yield Api(book, lake, client)
    book.close()


def test_the_agents_come_with_their_newest_figures(api: Api) -> None:
    told_thread(api.book, {"agent": "InboundAgent"})
    agents = {row["agent"]: row for row in api.get("/agents")}
    assert tuple(agents) == FLEET.agent_names
    newest = api.get("/agents/InboundAgent")["windows"][-1]
    row = agents["InboundAgent"]
    assert row["window_start"] == "2026-11-22T11:30:00+00:00"
    assert [row[name] for name in ("tasks", "score", "success_rate")] == [
        newest[name] for name in ("tasks", "score", "success_rate")
    ]
    assert (row["optimizer"], row["open_incidents"]) == ("BootstrapFewShot", 1)
    assert row["cost_usd_of_a_day"] == pytest.approx(
        sum(one["cost_usd"] for one in api.get("/agents/InboundAgent")["windows"])
    )


def test_an_agents_windows_are_those_that_are_asked_for(api: Api) -> None:
    assert len(api.get("/agents/AuditAgent")["windows"]) == len(WINDOWS)
    some = api.get("/agents/AuditAgent", since="2026-11-22T10:00:00", until="2026-11-22T13:00:00+02:00")
    assert [one["window_start"] for one in some["windows"]] == [
        "2026-11-22T10:00:00+00:00",
        "2026-11-22T10:30:00+00:00",
    ]
    assert api.client.get("/agents/Nobody").status_code == 404


@pytest.mark.parametrize(
    "query",
    [{"since": "2026-11-22T11:00:00Z", "until": "2026-11-22T10:00:00Z"}, {"since": "0001-01-01T00:00:00+14:00"}],
)
def test_times_that_make_no_sense_are_a_problem(api: Api, query: dict[str, str]) -> None:
    assert api.client.get("/agents/AuditAgent", params=query).status_code == 422


def test_a_window_that_is_written_again_shows_at_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.table_history.LOOKS_EVERY_SECONDS", 0)
    api.get("/agents/AuditAgent")
    write_windows(api.lake, FLEET.agent_names, WINDOWS[-1:], score=12.0)
    assert api.get("/agents/AuditAgent")["windows"][-1]["score"] == 12.0


def test_the_status_says_how_all_stands_also_while_dagster_is_away(api: Api) -> None:
    told_thread(api.book, {"agent": "InboundAgent"})
    asked(api.book)
    status = api.get("/agents/performance/status")
    assert (status["open_incidents"], status["waiting_approvals"]) == (1, 1)
    assert status["next_window_closes_at"] == "2026-11-22T12:30:00+00:00"
    assert status["dagster"]["reachable"] is False
    assert "DAGSTER_WEBSERVER_URL" in status["dagster"]["said"]
    assert status["spend"] == {
        "month": "November",
        "committed_usd": 30.0,
        "budget_usd": FLEET.monthly_budget_usd,
        "optimizers_in_all_usd": 0,
    }


@pytest.mark.parametrize(("method", "path"), [("POST", "/agents/performance/trigger"), ("GET", "/runs/some")])
def test_without_dagster_runs_are_a_problem_that_says_what_to_do(api: Api, method: str, path: str) -> None:
    answer = api.client.request(method, path)
    assert answer.status_code == 503
    assert "perf-pipeline dev" in answer.json()["detail"]


# Incidents


@pytest.mark.parametrize("by", ["incident", "thread"])
def test_an_incident_is_acknowledged_by_the_person_of_the_token_once(api: Api, by: str) -> None:
    thread = told_thread(api.book)
    [row] = api.get("/incidents")
    assert (row["thread"], row["acknowledged_by"]) == (thread.id, None)
    name = row["id"] if by == "incident" else thread.id
    first = api.post(f"/incidents/{name}/acknowledge")
    assert (first.status_code, first.json()) == (200, {"reply": "ana looks after it now."})
    assert api.post(f"/incidents/{name}/acknowledge").status_code == 409
    assert api.get(f"/incidents/{row['id']}")["acknowledged_by"] == "ana"
    assert any(":acknowledged:" in note.key for note in api.book.notifications())


def test_what_nobody_heard_of_cannot_be_acknowledged(api: Api) -> None:
    assert api.post("/incidents/unknown/acknowledge").status_code == 404
    assert api.client.get("/incidents/unknown").status_code == 404


def test_incidents_that_are_over_are_shown_where_they_are_asked_for(api: Api) -> None:
    told_thread(api.book, {"state": "resolved"})
    assert api.get("/incidents") == []
    assert [row["state"] for row in api.get("/incidents", since="2026-11-21T00:00:00")] == ["resolved"]


def test_a_silence_is_made_for_the_person_and_ended(api: Api) -> None:
    made = api.post("/silences", agent="Re*", hours=4, comment="Load test")
    assert made.status_code == 201
    silence = made.json()
    assert (silence["created_by"], silence["ends_at"]) == ("ana", "2026-11-22T16:00:00Z")
    assert api.get("/silences") == [silence]
    assert api.client.delete(f"/silences/{silence['id']}").status_code == 204
    assert api.get("/silences") == []
    assert api.client.delete(f"/silences/{silence['id']}").status_code == 404


@pytest.mark.parametrize(
    "body", [{"hours": 4}, {"agent": "A"}, {"agent": "A", "hours": 0}, {"agent": "A", "hours": 1, "x": 1}]
)
def test_a_silence_names_what_and_for_how_long(api: Api, body: dict[str, Any]) -> None:
    assert api.post("/silences", **body).status_code == 422
    assert api.book.silences(NOON) == []


# Optimizations


def test_an_answer_counts_for_exactly_what_was_shown(api: Api) -> None:
    asked(api.book)
    shown = api.get(f"/optimizations/{REQUEST.id}")
    assert (shown["fingerprint"], shown["approval_state"]) == (fingerprint(REQUEST), "requested")
    assert api.post(f"/optimizations/{REQUEST.id}/approve", fingerprint="another").status_code == 409
    assert state(api.book) == ("requested", "awaiting_approval")
    done = api.post(f"/optimizations/{REQUEST.id}/approve", fingerprint=shown["fingerprint"])
    assert (done.status_code, done.json()["reply"]) == (200, "You approved GEPA for StrategyAgent, for at most $30.")
    assert state(api.book) == ("approved", "ready")
    after = api.get(f"/optimizations/{REQUEST.id}")
    assert (after["answered_by"], after["answered_through"]) == ("ana", "API")
    assert api.post(f"/optimizations/{REQUEST.id}/decline", fingerprint=shown["fingerprint"]).status_code == 409


def test_a_token_answers_only_for_a_listed_approver(api: Api) -> None:
    asked(api.book)
    as_person(api.book, api.client, "mallory", Scope.ADMIN)
    refused = api.post(f"/optimizations/{REQUEST.id}/approve", fingerprint=fingerprint(REQUEST))
    assert (refused.status_code, "Only listed approvers" in refused.json()["detail"]) == (403, True)
    assert state(api.book) == ("requested", "awaiting_approval")
    [attempt] = api.book.answers(REQUEST.id)
    assert (attempt.person, attempt.accepted) == ("mallory", False)


def test_a_request_is_declined_or_cancelled(api: Api) -> None:
    other = request_to_approve("AuditAgent")
    asked(api.book, REQUEST, other)
    assert api.post(f"/optimizations/{REQUEST.id}/decline", fingerprint=fingerprint(REQUEST)).status_code == 200
    assert api.post(f"/optimizations/{other.id}/cancel").json() == {"reply": "It is cancelled."}
    assert api.post(f"/optimizations/{other.id}/cancel").status_code == 409
    states = {request.id: request.state for request in api.book.optimization_requests()}
    assert states == {REQUEST.id: RequestState.DECLINED, other.id: RequestState.CANCELLED}
    assert {row["request_id"]: row["state"] for row in api.get("/optimizations")} == states


@pytest.mark.parametrize("verb", ["approve", "decline", "cancel"])
def test_a_request_that_is_not_there_is_said_not_to_be(api: Api, verb: str) -> None:
    assert api.post(f"/optimizations/unknown/{verb}", fingerprint="0").status_code == 404


# Health and description


def test_it_is_ready_while_ledger_and_lake_can_be_reached(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert api.get("/readyz") == {"status": "ok"}
    monkeypatch.setattr(Ledger, "is_reachable", lambda _: False)
    refused = api.client.get("/readyz")
    assert (refused.status_code, "PERF_PIPELINE_LEDGER" in refused.json()["detail"]) == (503, True)


def test_the_description_covers_every_route_with_its_errors(api: Api) -> None:
    described = api.get("/openapi.json")
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    for name, operation in operations.items():
        assert operation["summary"], name
        assert operation["description"], name
        assert operation["tags"], name
        for status, answer in operation["responses"].items():
            if status >= "400":
                assert list(answer.get("content", {"application/problem+json": 1})) == ["application/problem+json"], (
                    name
                )
    assert operations["POST /agents/performance/trigger"]["responses"]["202"]["headers"]
    shown = described["components"]["schemas"]
    assert shown["TriggerAnswer"]["examples"][0]["agents_analyzed"] == 7


def test_times_are_aware(api: Api) -> None:
    thread = told_thread(api.book)
    assert thread
    [row] = api.get("/incidents")
    assert datetime.fromisoformat(row["onset"]).tzinfo is not None
