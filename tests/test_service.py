"""The HTTP service: what it answers, what it refuses and how it says so."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

import perf_pipeline.service.slack_requests as slack_requests
from perf_pipeline.notifications.muting import silenced_by
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.records import IncidentState
from perf_pipeline.service.app import create_app
from perf_pipeline.service.slack_requests import MAX_BODY, NOT_RECORDED
from resources.ledger import Ledger
from tests.approval_builders import FLEET, NOON, asked, form, payload, signed, state
from tests.incident_actions_builders import told_thread
from tests.service_fixtures import Service, context_of, service


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


@pytest.fixture
def slack(book: Ledger) -> Iterator[Service]:
    with service(book, FLEET) as running:
        yield running


def click(slack: Service, action: str, value: str, **changes: str) -> httpx.Response:
    body = form(payload(action, value, response_url=f"{slack.replies_to}r", **changes))
    return slack.post(body, signed(body, slack.now))


def texts(book: Ledger, part: str) -> list[str]:
    return [f"{note.message.title}\n{plain_text(note.message)}" for note in book.notifications() if part in note.key]


def test_the_service_says_that_it_runs(slack: Service) -> None:
    answer = httpx.get(f"{slack.url}/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_the_service_is_not_well_once_socket_mode_has_given_up(book: Ledger) -> None:
    context = context_of(book, FLEET, lambda: NOON)
    app = create_app(context, given_up=lambda: "Slack refused Socket Mode: invalid_auth.")

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
            return await client.get("/healthz")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["detail"]) == (503, "Slack refused Socket Mode: invalid_auth.")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("GET", "/slack/interactions", 405)])
def test_what_is_not_served_is_a_problem_and_no_page(slack: Service, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, slack.url + path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status


def test_without_a_signing_secret_no_request_is_taken(book: Ledger) -> None:
    asked(book)
    with service(book, FLEET, secret=None) as slack:
        body = form(payload())
        answer = slack.post(body, signed(body))
    assert answer.status_code == 503
    assert "SLACK_SIGNING_SECRET" in answer.json()["detail"]
    assert state(book) == ("requested", "awaiting_approval")


def test_a_body_that_is_too_large_is_not_read_to_its_end(slack: Service) -> None:
    body = b"payload=" + b"x" * MAX_BODY
    answer = slack.post(body, signed(body))
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def begun(slack: Service) -> socket.socket:
    """A connection on which a request has begun, whose body does not come to its end."""
    opened = socket.create_connection(("127.0.0.1", httpx.URL(slack.url).port or 0), timeout=30)
    opened.sendall(b"POST /slack/interactions HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\npayload=")
    return opened


def test_a_body_that_does_not_come_to_its_end_is_not_waited_for(
    slack: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_requests, "BODY_WITHIN_SECONDS", 0.1)
    with begun(slack) as opened:
        got = b"".join(iter(lambda: opened.recv(4096), b""))
    assert got.startswith(b"HTTP/1.1 408 ")
    assert b"application/problem+json" in got


def test_who_is_refused_cannot_hold_the_connection_by_going_on_to_send(book: Ledger) -> None:
    with service(book, FLEET, secret=None) as slack, begun(slack) as opened:
        got = b"".join(iter(lambda: opened.recv(4096), b"")).lower()
    assert got.startswith(b"http/1.1 503 ")
    # Else each byte that still comes would begin a new time of waiting.
    assert b"\r\nconnection: close\r\n" in got


def test_a_sender_that_goes_away_is_no_failure_of_the_service(slack: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = threading.Event()
    whole = slack_requests.Problem

    def problem(status: int, detail: str) -> Exception:
        refused.set()
        return whole(status, detail)

    monkeypatch.setattr(slack_requests, "Problem", problem)
    begun(slack).close()
    assert refused.wait(30)
    assert httpx.get(f"{slack.url}/healthz").status_code == 200


@pytest.mark.parametrize("content", [{"type": "shortcut"}, {}, [], payload("launch_rockets")], ids=str)
def test_a_signed_request_that_is_no_click_of_ours_is_a_problem(slack: Service, content: object) -> None:
    body = form(content)
    answer = slack.post(body, signed(body))
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("place", ["request", "fingerprint"])
def test_half_a_letter_in_what_a_button_is_about_is_a_problem_and_no_failure(slack: Service, place: str) -> None:
    value = json.dumps({"request": "request-StrategyAgent", "fingerprint": "0"} | {place: "\ud800"})
    body = form(payload(value=value))
    assert slack.post(body, signed(body)).status_code == 400


def test_a_ledger_that_fails_is_a_problem_without_a_trace(
    slack: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> bool:
        raise RuntimeError("password=canary")

    monkeypatch.setattr(Ledger, "see_slack_request", fail)
    answer = click(slack, "acknowledge", "alert:1")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert slack.reply() == NOT_RECORDED
    assert "could not be recorded (RuntimeError)" in caplog.text
    assert "canary" not in answer.text + caplog.text
    assert "Traceback" not in answer.text + caplog.text


def test_whose_click_is_lost_after_slack_had_its_answer_is_asked_to_click_again(
    slack: Service, book: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked(book)
    monkeypatch.setattr(slack_requests, "ANSWER_WITHIN_SECONDS", 0.05)
    see, may_fail = Ledger.see_slack_request, threading.Event()

    def fail(*_: object) -> bool:
        may_fail.wait(30)
        raise RuntimeError("password=canary")

    monkeypatch.setattr(Ledger, "see_slack_request", fail)
    assert click(slack, "approve", "").status_code == 200
    may_fail.set()
    assert slack.reply() == NOT_RECORDED
    assert state(book) == ("requested", "awaiting_approval")
    gc.collect()
    assert "never retrieved" not in caplog.text
    assert "canary" not in caplog.text

    monkeypatch.setattr(Ledger, "see_slack_request", see)
    click(slack, "approve", "", at="1795348900.000100")
    assert slack.reply(2).startswith("You approved")
    assert state(book) == ("approved", "ready")


def test_what_is_refused_after_slack_had_its_answer_leaves_no_trace_in_the_log(
    book: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(slack_requests, "ANSWER_WITHIN_SECONDS", 0.05)
    see, may_go_on = Ledger.see_slack_request, threading.Event()
    monkeypatch.setattr(Ledger, "see_slack_request", lambda *arguments: may_go_on.wait(30) and see(*arguments))
    with service(book, FLEET) as slack:
        assert click(slack, "approve", "no JSON").status_code == 200
        may_go_on.set()
    gc.collect()
    assert [record.getMessage() for record in caplog.records] == [
        "An interaction in Slack was left alone. The button's value does not say what it is about."
    ]


def test_a_slow_ledger_keeps_nobody_waiting_and_the_answer_still_counts(
    slack: Service, book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(book)
    monkeypatch.setattr(slack_requests, "ANSWER_WITHIN_SECONDS", 0.05)
    may_go_on = threading.Event()
    see = Ledger.see_slack_request
    monkeypatch.setattr(Ledger, "see_slack_request", lambda *arguments: may_go_on.wait(30) and see(*arguments))
    body = form(payload(response_url=f"{slack.replies_to}r"))
    assert slack.post(body, signed(body)).status_code == 200
    assert state(book) == ("requested", "awaiting_approval")
    may_go_on.set()
    assert slack.reply().startswith("You approved")
    assert state(book) == ("approved", "ready")


def test_what_was_begun_is_finished_before_the_service_stops(book: Ledger) -> None:
    asked(book)
    with service(book, FLEET) as slack:
        body = form(payload(response_url=f"{slack.replies_to}r"))
        slack.post(body, signed(body))
    assert [reply["text"] for reply in slack.replies] == ["You approved GEPA for StrategyAgent, for at most $30."]


# Buttons of alerts


def test_the_first_to_acknowledge_looks_after_it_and_the_thread_is_told(slack: Service, book: Ledger) -> None:
    thread = told_thread(book)
    assert click(slack, "acknowledge", thread.id, name="<!channel> ana").status_code == 200
    assert slack.reply() == "&lt;!channel&gt; ana looks after it now."
    click(slack, "acknowledge", thread.id, name="ben", member="U0BEN")
    assert "ana looks after it already since 2026-11-22 12:00 UTC." in slack.reply(2)
    [told] = texts(book, ":acknowledged:")
    assert "ana looks after it." in told
    assert "<!channel>" not in told
    [kept] = book.alert_threads([thread.id])
    assert (kept.acknowledged_by, kept.acknowledged_at) == ("<!channel> ana", NOON)


def test_silencing_a_thread_silences_its_agents_and_types_for_four_hours(slack: Service, book: Ledger) -> None:
    thread = told_thread(
        book,
        {"id": "1", "agent": "InboundAgent", "type": "success_drop"},
        {"id": "2", "agent": "AuditAgent", "type": "success_drop"},
        {"id": "3", "agent": "Odd[1]*Agent", "type": "success_drop", "also": ("error_spike",)},
        {"id": "4", "agent": "ResearchAgent", "type": "success_drop", "state": IncidentState.RESOLVED},
    )
    assert click(slack, "silence", thread.id).status_code == 200
    assert slack.reply() == "Silenced until 2026-11-22 16:00 UTC."
    made = [(one.agent, one.type, one.created_by, one.ends_at) for one in book.silences(NOON)]
    end = NOON + timedelta(hours=4)
    assert sorted(made) == [
        ("AuditAgent", "success_drop", "ana.k", end),
        ("InboundAgent", "success_drop", "ana.k", end),
        ("Odd[[]1][*]Agent", "error_spike", "ana.k", end),
        ("Odd[[]1][*]Agent", "success_drop", "ana.k", end),
    ]
    told_of = [one for one in book.incidents(NOON) if one.state is IncidentState.OPEN]
    assert [silenced_by(one, book.silences(NOON), NOON) is not None for one in told_of] == [True] * 3
    [told] = texts(book, ":silenced:")
    assert "ana.k silenced this until 2026-11-22 16:00 UTC" in told


@pytest.mark.parametrize("action", ["acknowledge", "silence"])
def test_a_thread_that_does_not_exist_is_said_not_to(slack: Service, action: str) -> None:
    assert click(slack, action, "alert:forged").status_code == 200
    assert "no alert with this ID" in slack.reply()


def test_where_all_is_over_nothing_is_silenced(slack: Service, book: Ledger) -> None:
    thread = told_thread(book, {"state": IncidentState.RESOLVED})
    click(slack, "silence", thread.id)
    assert "is over" in slack.reply()
    assert book.silences(NOON) == []
