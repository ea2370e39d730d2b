"""Who would approve what they may not, over the real service: nothing but a fresh click of an approver counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from resources.ledger import Ledger, schema
from tests.approval_builders import ANA, FLEET, NOON, STRANGER, asked, form, payload, signed, state
from tests.service_fixtures import Service, service

UNANSWERED = ("requested", "awaiting_approval")


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    asked(opened)
    yield opened
    opened.close()


@pytest.fixture
def slack(book: Ledger) -> Iterator[Service]:
    with service(book, FLEET) as running:
        yield running


def click(slack: Service, **changes: Any) -> int:
    """The status that a genuine click gets."""
    body = form(payload(response_url=f"{slack.replies_to}r", **changes))
    return slack.post(body, signed(body, slack.now)).status_code


def value(request: str = "request-StrategyAgent", fingerprint: str = "0" * 16) -> str:
    return json.dumps({"request": request, "fingerprint": fingerprint})


def test_a_genuine_click_approves_and_the_person_is_told(slack: Service, book: Ledger) -> None:
    assert click(slack) == 200
    assert state(book) == ("approved", "ready")
    assert slack.reply() == "You approved GEPA for StrategyAgent, for at most $30."
    assert slack.replies[0]["response_type"] == "ephemeral"
    assert slack.replies[0]["replace_original"] is False


TIME, SIGNATURE = "X-Slack-Request-Timestamp", "X-Slack-Signature"
NEXT_SECOND = str(int(NOON.timestamp()) + 1)
Forge = Callable[[bytes, dict[str, str]], tuple[bytes, dict[str, str]]]
FORGERIES: dict[str, Forge] = {
    "no headers": lambda body, _: (body, {"Content-Type": "application/x-www-form-urlencoded"}),
    "another secret": lambda body, _: (body, signed(body, secret="f" * 32)),
    "another body": lambda body, headers: (body.replace(b"U0ANA", b"U0BEN"), headers),
    "one byte more": lambda body, headers: (body + b"&", headers),
    "another time": lambda body, headers: (body, headers | {TIME: NEXT_SECOND}),
    "no time": lambda body, headers: (body, headers | {TIME: ""}),
    "a time in words": lambda body, headers: (body, headers | {TIME: "now"}),
    "a time that is endless": lambda body, headers: (body, headers | {TIME: "9" * 400}),
    "a time below zero": lambda body, headers: (body, headers | {TIME: "-1"}),
    "an empty signature": lambda body, headers: (body, headers | {SIGNATURE: ""}),
    "half a signature": lambda body, headers: (body, headers | {SIGNATURE: headers[SIGNATURE][:30]}),
    "another version": lambda body, headers: (
        body,
        headers | {SIGNATURE: "v1" + headers[SIGNATURE][2:]},
    ),
    "not text": lambda _, headers: (b"payload=\xff\xfe", headers),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_request_that_slack_did_not_sign_is_refused(slack: Service, book: Ledger, forge: Forge) -> None:
    genuine = form(payload(response_url=f"{slack.replies_to}r"))
    answer = slack.post(*forge(genuine, signed(genuine)))
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]
    assert state(book) == UNANSWERED
    assert slack.replies == []


@pytest.mark.parametrize("skew", [timedelta(seconds=301), timedelta(days=400), timedelta(seconds=-301)], ids=str)
def test_an_old_request_and_one_from_the_future_are_refused(slack: Service, book: Ledger, skew: timedelta) -> None:
    body = form(payload())
    answer = slack.post(body, signed(body, NOON - skew))
    assert (answer.status_code, state(book)) == (401, UNANSWERED)
    assert "five minutes" in answer.json()["detail"]


@pytest.mark.parametrize("skew", [timedelta(seconds=299), timedelta(seconds=-299)], ids=str)
def test_clocks_that_differ_by_less_than_five_minutes_do_no_harm(slack: Service, book: Ledger, skew: timedelta) -> None:
    body = form(payload())
    assert slack.post(body, signed(body, NOON - skew)).status_code == 200
    assert state(book) == ("approved", "ready")


def test_a_request_that_is_sent_again_is_refused(slack: Service, book: Ledger) -> None:
    body = form(payload(member=STRANGER, response_url=f"{slack.replies_to}r"))
    headers = signed(body)
    assert slack.post(body, headers).status_code == 200
    slack.now = NOON + timedelta(seconds=200)
    again = slack.post(body, headers)
    assert (again.status_code, again.headers["content-type"]) == (409, "application/problem+json")
    slack.reply()
    assert len(slack.replies) == len(book.answers("request-StrategyAgent")) == 1


def test_of_many_copies_sent_at_once_one_is_taken(slack: Service) -> None:
    body = form(payload(member=STRANGER))
    with ThreadPoolExecutor(8) as pool:
        statuses = [answer.status_code for answer in pool.map(lambda _: slack.post(body, signed(body)), range(8))]
    assert sorted(statuses) == [200] + [409] * 7


def test_a_strangers_click_is_answered_and_does_not_count(slack: Service, book: Ledger) -> None:
    assert click(slack, member=STRANGER, name="ana") == 200
    assert "Only listed approvers can answer" in slack.reply()
    assert state(book) == UNANSWERED
    [kept] = book.answers("request-StrategyAgent")
    assert (kept.person, kept.accepted) == (f"ana ({STRANGER})", False)


def test_an_amount_that_was_changed_after_the_message_is_not_approved(slack: Service, book: Ledger) -> None:
    with book._engine.begin() as connection:
        connection.execute(sa.update(schema.optimization_requests).values(max_cost_usd=30_000.0))
    assert click(slack) == 200
    assert "no longer what you were shown" in slack.reply()
    assert state(book) == UNANSWERED


@pytest.mark.parametrize(
    ("forged", "reply"),
    [
        (value(), "no longer what you were shown"),
        (value("request-AuditAgent"), "no optimization request with this ID"),
        (value("' OR 1=1 --"), "no optimization request with this ID"),
    ],
)
def test_a_button_with_a_forged_value_approves_nothing(slack: Service, book: Ledger, forged: str, reply: str) -> None:
    assert click(slack, value=forged) == 200
    assert reply in slack.reply()
    assert state(book) == UNANSWERED


@pytest.mark.parametrize(
    "forged", ["{}", "[]", "1", "null", "not JSON", '{"request": 1, "fingerprint": null}', "[" * 1000]
)
def test_a_button_whose_value_is_none_of_ours_is_refused(slack: Service, book: Ledger, forged: str) -> None:
    assert click(slack, value=forged) == 400
    assert state(book) == UNANSWERED


def test_a_click_after_the_time_is_over_is_told_so(slack: Service, book: Ledger) -> None:
    slack.now = NOON + timedelta(hours=48)
    assert click(slack) == 200
    assert "too late" in slack.reply()
    assert state(book) == UNANSWERED


def test_two_people_who_click_at_once_are_told_who_was_first(slack: Service, book: Ledger) -> None:
    def click_as(person: tuple[str, str, str]) -> int:
        member, action, at = person
        return click(slack, member=member, action=action, at=at)

    people = [("U0ANA", "approve", "1795348800.000001"), ("U0BEN", "decline", "1795348800.000002")]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(click_as, people)) == [200, 200]
    slack.reply(2)
    told = sorted(reply["text"].split(":")[0] for reply in slack.replies)
    assert told[0] == "It is answered already"
    winner = "ana" if told[1].startswith("You approved") else "ben"
    assert state(book) == (("approved", "ready") if winner == "ana" else ("declined", "declined"))
    assert any(f"{winner} {state(book)[0]} it at" in reply["text"] for reply in slack.replies)
    assert [one.accepted for one in book.answers("request-StrategyAgent")].count(True) == 1


def test_an_approver_of_the_same_name_as_a_stranger_is_known_by_the_member_id_alone(
    slack: Service, book: Ledger
) -> None:
    assert click(slack, member="U0ANA", name="somebody else") == 200
    slack.reply()
    approval, _ = book.approval_and_request("request-StrategyAgent")
    assert approval is not None
    assert approval.answered_by == ANA.name
