"""Clicks by Socket Mode: taken once they are done, sent again where they are not, over connections that come and go."""

from __future__ import annotations

import json
import logging
import time
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


NOT_SLACKS = {
    "a page in another encoding": Answer(502, "text/html", b"caf\xe9"),
    "a page in an unknown encoding": Answer(502, "text/html; charset=nonsense", b"x"),
    "a page that says it is well": Answer(200, "text/html", "<html>login</html>"),
    "a page that is not found": Answer(404, "text/html", "<html>no</html>"),
    "JSON that is a list": Answer(body="[]"),
    "JSON that is null": Answer(body="null"),
    "JSON without an error code": Answer(body='{"ok": false}'),
    "JSON with another error code": Answer(body='{"ok": false, "error": {"code": 1}}'),
    "JSON without an address": Answer(body='{"ok": true}'),
    "nothing": Answer(body=""),
    "a body that breaks off": Answer(body='{"ok": true', headers={"Connection": "close"}),
    "no HTTP": Answer(0),
}


@pytest.mark.parametrize("answer", NOT_SLACKS.values(), ids=NOT_SLACKS)
def test_an_answer_that_is_not_slacks_is_no_refusal_whenever_it_comes(slack: SocketServer, answer: Answer) -> None:
    slack.refusals = [answer, Answer(503, body="down"), answer]
    seen: Queue[dict[str, Any]] = Queue()
    with connected(slack, noting(seen)):
        send(slack.next_connection(), envelope({"n": 1}))
        assert seen.get(timeout=30) == {"n": 1}
    assert slack.opened >= 4


def test_what_another_server_says_is_not_put_into_the_log_as_slacks_word(
    slack: SocketServer, caplog: pytest.LogCaptureFixture
) -> None:
    slack.refusals = [Answer(200, "text/html", "<html>canary</html>")]
    with connected(slack, noting(Queue())):
        slack.next_connection()
    [said] = [record.getMessage() for record in caplog.records if record.name == "resources.slack_socket"]
    assert said == "Slack cannot open Socket Mode now (HTTP 200 without an error code of Slack's); trying again."


def test_a_refusal_that_comes_later_ends_the_tries_and_says_why(slack: SocketServer) -> None:
    slack.refusals = [Answer(503, body="down"), Answer(body=json.dumps({"ok": False, "error": "account_inactive"}))]
    socket = SlackSocket(APP_TOKEN, noting(Queue()), slack.base_url, retry_seconds=0.05)
    socket.open()
    assert socket.given_up is None
    for _ in range(3000):
        if socket.given_up:
            break
        time.sleep(0.01)
    socket.close()
    assert socket.given_up is not None
    assert socket.given_up.startswith("Slack refused Socket Mode: account_inactive. SLACK_APP_TOKEN must be")
    assert slack.opened == 2


@pytest.mark.parametrize("token", ["xapp-1-canary\nSLACK=1", "xapp-1-canary é", ""])
def test_a_token_that_no_header_can_hold_is_refused_before_a_library_quotes_it(
    slack: SocketServer, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SlackError, match=r"^SLACK_APP_TOKEN ") as caught:
        SlackSocket(token, noting(Queue()), slack.base_url).open()
    assert not caught.value.retryable
    assert "canary" not in str(caught.value) + caplog.text
    assert slack.opened == 0


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
