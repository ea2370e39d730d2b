"""Clicks by Socket Mode: taken once they are done, sent again where they are not, over connections that come and go."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from perf_pipeline.service.slack_clicks import take_payload
from resources.ledger import Ledger
from resources.reading import SlackError
from resources.slack_interactions import ClickReplies
from resources.slack_socket import SlackSocket
from tests.approval_builders import FLEET, NOON, asked, payload, state
from tests.wire.http_server import Answer
from tests.wire.slack_socket_server import APP_TOKEN, SocketServer, envelope, send, slack_socket_server

Take = Callable[[dict[str, Any]], Callable[[], None]]


@pytest.fixture
def slack() -> Iterator[SocketServer]:
    with slack_socket_server() as server:
        yield server


@contextmanager
def connected(slack: SocketServer, take: Take) -> Iterator[None]:
    socket = SlackSocket(APP_TOKEN, take, slack.base_url, retry_seconds=0.2)
    socket.open()
    try:
        yield
    finally:
        socket.close()


def noting(seen: Queue[dict[str, Any]]) -> Take:
    def take(content: dict[str, Any]) -> Callable[[], None]:
        seen.put(content)
        return lambda: None

    return take


def test_a_click_approves_and_one_that_is_sent_again_changes_nothing(slack: SocketServer, tmp_path: Path) -> None:
    book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    asked(book)
    told: Queue[str] = Queue()

    class Replies(ClickReplies):
        def send(self, response_url: str, text: str) -> bool:  # noqa: ARG002
            told.put(text)
            return True

    with connected(slack, lambda content: take_payload(book, FLEET, Replies(), content, NOON)):
        connection = slack.next_connection()
        click = envelope(payload())
        send(connection, click)
        assert slack.next_ack() == {"envelope_id": click["envelope_id"]}
        assert told.get(timeout=30) == "You approved GEPA for StrategyAgent, for at most $30."
        assert state(book) == ("approved", "ready")
        send(connection, click)
        slack.next_ack()
        assert told.get(timeout=30) == "You approved it already, at 2026-11-22 12:00 UTC."
    assert [one.accepted for one in book.answers("request-StrategyAgent")] == [True]
    book.close()


def test_what_failed_is_not_taken_so_that_slack_sends_it_again(
    slack: SocketServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    seen: Queue[dict[str, Any]] = Queue()

    def take(content: dict[str, Any]) -> Callable[[], None]:
        seen.put(content)
        if content == {"n": 1}:
            raise RuntimeError("the ledger is away")
        return lambda: None

    with connected(slack, take):
        connection = slack.next_connection()
        first, second = envelope({"n": 1}), envelope({"n": 2})
        send(connection, first)
        assert seen.get(timeout=30) == {"n": 1}
        send(connection, second)
        assert slack.next_ack() == {"envelope_id": second["envelope_id"]}
        with pytest.raises(Empty):
            slack.acks.get_nowait()


def test_what_is_none_of_our_buttons_is_taken_and_left_alone(slack: SocketServer, tmp_path: Path) -> None:
    book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    asked(book)
    others = [envelope({"type": "view_submission"}), envelope(payload("open_ticket")), envelope({}, "events_api")]
    with connected(slack, lambda content: take_payload(book, FLEET, ClickReplies(), content, NOON)):
        connection = slack.next_connection()
        for other in others:
            send(connection, other)
        acks = [slack.next_ack()["envelope_id"] for _ in others]
    assert sorted(acks) == sorted(other["envelope_id"] for other in others)
    assert state(book) == ("requested", "awaiting_approval")
    book.close()


@pytest.mark.parametrize("how", ["as Slack announces it", "without a word"])
def test_a_connection_that_ends_is_made_anew(slack: SocketServer, how: str) -> None:
    seen: Queue[dict[str, Any]] = Queue()
    with connected(slack, noting(seen)):
        first = slack.next_connection()
        if how == "as Slack announces it":
            send(first, {"type": "disconnect", "reason": "refresh_requested", "debug_info": {}})
        else:
            first.close()
        send(slack.next_connection(), envelope({"n": 1}))
        assert seen.get(timeout=30) == {"n": 1}
        slack.next_ack()
    assert slack.opened >= 2


def test_slack_that_cannot_be_reached_at_first_is_tried_again(slack: SocketServer) -> None:
    slack.refusals = [Answer(503, body="down"), Answer(body=json.dumps({"ok": False, "error": "internal_error"}))]
    seen: Queue[dict[str, Any]] = Queue()
    with connected(slack, noting(seen)):
        send(slack.next_connection(), envelope({"n": 1}))
        assert seen.get(timeout=30) == {"n": 1}


def test_a_server_that_is_not_there_is_tried_until_the_end() -> None:
    socket = SlackSocket(APP_TOKEN, noting(Queue()), "http://127.0.0.1:9/api/", retry_seconds=0.05)
    socket.open()
    socket.close()


@pytest.mark.parametrize("error", ["invalid_auth", "not_allowed_token_type", "missing_scope"])
def test_a_token_that_slack_refuses_is_said_at_once_and_not_shown(
    slack: SocketServer, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    slack.refusals = [Answer(body=json.dumps({"ok": False, "error": error}))]
    with pytest.raises(SlackError, match=rf"{error}\. SLACK_APP_TOKEN must be .* connections:write") as caught:
        SlackSocket(APP_TOKEN, noting(Queue()), slack.base_url).open()
    assert not caught.value.retryable
    assert APP_TOKEN not in str(caught.value) + caplog.text
