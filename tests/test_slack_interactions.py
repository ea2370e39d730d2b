"""What Slack sends when somebody clicks, what of it is let in, and the reply that only that person sees."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.slack_interactions import (
    ClickReplies,
    ForgedRequest,
    SlackSignature,
    UnknownInteraction,
    clicks_of,
    clicks_of_form,
)
from tests.approval_builders import NOON, SECRET, form, payload, signed
from tests.wire.http_server import Answer, Handler, http_server


def test_a_click_says_who_did_what_to_what_and_where_to_reply() -> None:
    [click] = clicks_of_form(form(payload("silence", "alert:1")))
    assert (click.action, click.value, click.member_id, click.member_name) == ("silence", "alert:1", "U0ANA", "ana.k")
    assert click.response_url.startswith("https://hooks.slack.com/")


def test_the_same_click_has_the_same_id_and_another_one_another() -> None:
    ids = [clicks_of(payload(at=at, member=member))[0].id for at in ("1.0", "2.0") for member in ("U0ANA", "U0BEN")]
    assert len(set(ids)) == 4
    assert clicks_of(payload()) == clicks_of(payload())


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\u202eb\nc\x00", "ab c"), ("x" * 500, "x" * 80), ("", "U0ANA"), (None, "U0ANA"), (7, "U0ANA")],
)
def test_a_name_is_one_short_line_of_visible_text(name: Any, shown: str) -> None:
    content = payload()
    content["user"] |= {"name": name, "username": name}
    assert clicks_of(content)[0].member_name == shown


Change = Callable[[dict[str, Any]], object]
OTHERS: dict[str, Change] = {
    "another kind": lambda content: content.update(type="view_submission"),
    "no kind": lambda content: content.pop("type"),
    "no actions": lambda content: content.update(actions=[]),
    "actions that are none": lambda content: content.update(actions={"0": 1}),
    "an action that is none": lambda content: content.update(actions=["approve"]),
    "an unknown button": lambda content: content["actions"][0].update(action_id="drop_tables"),
    "a known and an unknown button": lambda content: content["actions"].append({"action_id": "other"}),
    "no user": lambda content: content.pop("user"),
    "a user that is none": lambda content: content.update(user="U0ANA"),
    "no member": lambda content: content["user"].pop("id"),
    "a member that is none": lambda content: content["user"].update(id="<!channel>"),
    "no value": lambda content: content["actions"][0].pop("value"),
    "a value that is too long": lambda content: content["actions"][0].update(value="x" * 2001),
    "a value that is no text": lambda content: content["actions"][0].update(value=1),
    "a value that cannot be printed": lambda content: content["actions"][0].update(value="alert:\x00"),
    "a value with half a letter": lambda content: content["actions"][0].update(value="alert:\ud800"),
    "a time with half a letter": lambda content: content["actions"][0].update(action_ts="\ud800"),
    "a time that is none": lambda content: content["actions"][0].update(action_ts="1.0:U0BEN"),
    "a time that is too long": lambda content: content["actions"][0].update(action_ts="1" * 41),
    "a time that is no text": lambda content: content["actions"][0].update(action_ts=1.0),
    "no time": lambda content: content["actions"][0].pop("action_ts"),
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_what_is_no_click_on_a_button_of_ours_is_unknown(change: Change) -> None:
    content = payload()
    change(content)
    with pytest.raises(UnknownInteraction):
        clicks_of_form(form(content))


@pytest.mark.parametrize(
    "body",
    [b"", b"payload=", b"payload=%7B", b"payload={}&payload={}", b"other=1", b"\xff", b"payload=" + b"%5B" * 5000]
    + [urlencode({"payload": text}).encode() for text in ("null", "1", "[]", '"x"')],
)
def test_a_form_without_a_payload_is_unknown(body: bytes) -> None:
    with pytest.raises(UnknownInteraction):
        clicks_of_form(body)


text = st.text(st.characters(exclude_categories=()), max_size=10)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.data())
def test_whatever_stands_in_a_payload_it_is_a_click_or_unknown(data: st.DataObject) -> None:
    content = payload()
    for place in data.draw(st.lists(st.sampled_from(["type", "user", "actions", "response_url"]), max_size=3)):
        content[place] = data.draw(anything)
    if isinstance(content["actions"], list) and content["actions"] and isinstance(content["actions"][0], dict):
        content["actions"][0] |= data.draw(st.dictionaries(st.sampled_from(["value", "action_ts"]), anything))
    try:
        clicks = clicks_of(content)
    except UnknownInteraction:
        return
    assert all(isinstance(click.response_url, str) for click in clicks)
    for click in clicks:
        # What the ledger keeps of a click is text that any database takes.
        f"{click.id} {click.value} {click.member_id} {click.member_name}".encode()


def test_a_signature_of_slacks_own_documentation_is_genuine() -> None:
    """The example on Slack's page 'Verifying requests from Slack'."""
    from datetime import UTC, datetime

    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name="
        b"foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2F"
        b"hooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id="
        b"398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    headers = {
        "x-slack-request-timestamp": "1531420618",
        "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    }
    signature = SlackSignature("8f742231b10e8888abcd99yyyzzz85a5")
    assert signature.check(body, headers, datetime.fromtimestamp(1531420618, UTC)) == headers["x-slack-signature"]
    with pytest.raises(ForgedRequest):
        signature.check(body, headers, NOON)


def test_why_a_request_was_refused_does_not_show_the_secret() -> None:
    body = form(payload())
    with pytest.raises(ForgedRequest) as caught:
        SlackSignature(SECRET).check(body, signed(body, secret="another"), NOON)
    assert SECRET not in str(caught.value)


def reply_to(text: str, *answers: Answer) -> tuple[bool, list[dict[str, Any]]]:
    """Whether the reply was taken, and what the server in Slack's place got."""
    got: list[dict[str, Any]] = []
    waiting = list(answers)

    class Slack(Handler):
        def do_POST(self) -> None:
            got.append(json.loads(self.read_request().body))
            self.send(waiting.pop(0) if waiting else Answer(body="ok"))

    with http_server(Slack) as url:
        return ClickReplies(f"{url}/").send(f"{url}/actions/1", text), got


def test_a_reply_is_seen_by_the_person_alone_and_leaves_the_message_as_it_is() -> None:
    taken, [sent] = reply_to("You approved it.")
    assert taken
    assert (sent["response_type"], sent["replace_original"], sent["text"]) == ("ephemeral", False, "You approved it.")


def test_text_in_a_reply_can_ping_nobody() -> None:
    _, [sent] = reply_to("<!channel> & <@U1> looks after it")
    assert sent["text"] == "&lt;!channel&gt; &amp; &lt;@U1&gt; looks after it"
    [element] = sent["blocks"][0]["elements"][0]["elements"]
    assert element == {"type": "text", "text": "<!channel> & <@U1> looks after it"}


def test_an_answer_to_a_reply_that_nobody_can_read_is_a_reply_that_was_not_taken() -> None:
    taken, got = reply_to("hello", Answer(200, "text/html; charset=nonsense", b"x"))
    assert (taken, len(got)) == (False, 1)


@pytest.mark.parametrize("status", [404, 429, 500])
def test_a_reply_that_slack_does_not_take_is_not_sent_again(status: int) -> None:
    taken, got = reply_to("hello", Answer(status, body="no"))
    assert (taken, len(got)) == (False, 1)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http://hooks.slack.com/actions/1",
        "https://hooks.slack.com.evil.example/1",
        "https://evil.example/https://hooks.slack.com/",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
    ],
)
def test_replies_go_to_slack_and_nowhere_else(address: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert not ClickReplies().send(address, "hello")
    assert "not Slack's" in caplog.text
    assert not address or address not in caplog.text


def test_slack_that_cannot_be_reached_is_logged_without_the_address(caplog: pytest.LogCaptureFixture) -> None:
    assert not ClickReplies("http://127.0.0.1:9/").send("http://127.0.0.1:9/actions/secret", "hello")
    assert "could not be reached" in caplog.text
    assert "secret" not in caplog.text
