"""Clicks on Slack's buttons: whether a request is Slack's own, what was clicked, and the reply to who clicked."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import parse_qs

REPLIES_TO = "https://hooks.slack.com/"
"""Where replies may go. The address comes with the click, so no other is trusted."""

REPLY_TIMEOUT_SECONDS = 10
MAX_TEXT = 3000
MAX_NAME = 80
ACTIONS = ("acknowledge", "silence", "approve", "decline")

_log = logging.getLogger(__name__)


class ForgedRequest(Exception):
    """The request is not shown to come from Slack, now. The message says why, without any secret."""


class UnknownInteraction(Exception):
    """Slack sent something that is none of our buttons."""


@dataclass(frozen=True)
class Click:
    """A button that somebody pressed. `id` is the same when Slack tells of the same click again."""

    id: str
    action: str
    value: str
    member_id: str
    member_name: str
    response_url: str


class SlackSignature:
    """Tells Slack's requests from forged ones by the app's signing secret."""

    def __init__(self, signing_secret: str) -> None:
        self._secret = signing_secret

    def check(self, body: bytes, headers: Mapping[str, str], now: datetime) -> str:
        """The signature of a request that Slack signed within the last five minutes. Raises ForgedRequest."""
        from slack_sdk.signature import Clock, SignatureVerifier

        class Now(Clock):
            def now(self) -> float:
                return now.timestamp()

        lower = {name.lower(): value for name, value in headers.items()}
        timestamp, signature = lower.get("x-slack-request-timestamp", ""), lower.get("x-slack-signature", "")
        # The verifier takes neither another number format nor letters that no signature holds.
        if not re.fullmatch(r"[0-9]{1,12}", timestamp) or not re.fullmatch(r"v0=[0-9a-f]{64}", signature):
            raise ForgedRequest("The request carries no signature of Slack.")
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise ForgedRequest("The request is not text, so Slack did not sign it.") from error
        if abs(now.timestamp() - int(timestamp)) > 300:
            raise ForgedRequest(
                "The request was signed more than five minutes ago, or ahead: it is old, or a clock is wrong."
            )
        if not SignatureVerifier(self._secret, Now()).is_valid(text, timestamp, signature):
            raise ForgedRequest("The signature does not fit: check SLACK_SIGNING_SECRET.")
        return signature


def clicks_of_form(body: bytes) -> list[Click]:
    """The clicks of a request to the interactivity address: a form with JSON in it. Raises UnknownInteraction."""
    try:
        [text] = parse_qs(body.decode(), strict_parsing=True, max_num_fields=5)["payload"]
        payload = json.loads(text)
    except (ValueError, KeyError, RecursionError) as error:
        raise UnknownInteraction("The request holds no payload of Slack's interactivity.") from error
    return clicks_of(payload)


def clicks_of(payload: Any) -> list[Click]:
    """The clicks of a `block_actions` payload, all of them on buttons of ours. Raises UnknownInteraction."""
    if not isinstance(payload, dict) or payload.get("type") != "block_actions":
        raise UnknownInteraction("The payload is none of a button.")
    actions, user = payload.get("actions"), payload.get("user")
    if not isinstance(actions, list) or not actions or not isinstance(user, dict):
        raise UnknownInteraction("The payload names no action or nobody who took it.")
    return [_click(action, user, payload) for action in actions]


def _click(action: Any, user: dict[str, Any], payload: dict[str, Any]) -> Click:
    if not isinstance(action, dict) or action.get("action_id") not in ACTIONS:
        raise UnknownInteraction("The button is none of ours.")
    member, value, at = user.get("id"), action.get("value"), action.get("action_ts")
    if not isinstance(member, str) or not re.fullmatch(r"[UW][A-Z0-9]{2,20}", member):
        raise UnknownInteraction("The payload does not name a member of Slack.")
    # What cannot be printed, half of a surrogate pair for one, the ledger cannot keep.
    if not isinstance(value, str) or not 0 < len(value) <= 2000 or not value.isprintable():
        raise UnknownInteraction("The button carries no value.")
    if not isinstance(at, str) or not re.fullmatch(r"[0-9.]{1,40}", at):
        raise UnknownInteraction("The payload does not say when the button was pressed.")
    name = user.get("name") or user.get("username")
    response_url = payload.get("response_url")
    return Click(
        id=f"{at}:{member}",
        action=action["action_id"],
        value=value,
        member_id=member,
        member_name=(_one_line(name)[:MAX_NAME] if isinstance(name, str) else "") or member,
        response_url=response_url if isinstance(response_url, str) else "",
    )


class ClickReplies:
    """Replies that only the person who clicked sees. The message with the buttons stays as it is."""

    def __init__(self, replies_to: str = REPLIES_TO) -> None:
        self._replies_to = replies_to

    def send(self, response_url: str, text: str) -> bool:
        """Whether Slack took the reply. One that is lost changes nothing: the thread tells what came of the click."""
        from slack_sdk.webhook import WebhookClient

        if not response_url.startswith(self._replies_to):
            _log.warning("A click came with an address for replies that is not Slack's, so it got no reply.")
            return False
        client = WebhookClient(response_url, timeout=REPLY_TIMEOUT_SECONDS, retry_handlers=[])
        shown = text[:MAX_TEXT]
        # Text of a rich-text element is no markup: a name in it can mention nobody.
        element = {"type": "rich_text_section", "elements": [{"type": "text", "text": shown}]}
        try:
            answer = client.send(
                text=shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
                blocks=[{"type": "rich_text", "elements": [element]}],
                response_type="ephemeral",
                replace_original=False,
            )
        except (OSError, HTTPException, ValueError, LookupError) as error:
            # The error's own text may hold the address, with which anybody could reply.
            _log.warning("Slack could not be reached with the reply to a click (%s).", type(error).__name__)
            return False
        if answer.status_code != 200:
            _log.warning("Slack refused the reply to a click: HTTP %s.", answer.status_code)
        return answer.status_code == 200


def _one_line(text: str) -> str:
    return " ".join("".join(character for character in text if character.isprintable() or character.isspace()).split())
