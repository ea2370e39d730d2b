"""What a click on one of our buttons in Slack does, by whichever way Slack tells of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

from perf_pipeline.approvals import Attempt, take_answer
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.incident_actions import acknowledge_thread, silence_thread
from perf_pipeline.records import Answer
from resources.ledger import Ledger
from resources.slack_interactions import Click, ClickReplies, UnknownInteraction, clicks_of

Replies = list[tuple[str, str]]
"""The addresses of those who clicked, and what to tell them."""

_log = logging.getLogger(__name__)


def do_clicks(book: Ledger, fleet: FleetConfig, clicks: list[Click], now: datetime) -> Replies:
    """Do what was clicked, and give back what to reply. Raises UnknownInteraction, see `do_click`."""
    return [(click.response_url, do_click(book, fleet, click, now)) for click in clicks]


def send_replies(sender: ClickReplies, replies: Replies) -> None:
    for response_url, text in replies:
        sender.send(response_url, text)


def take_payload(
    book: Ledger, fleet: FleetConfig, sender: ClickReplies, payload: dict[str, Any], now: datetime
) -> Callable[[], None]:
    """Do what an interaction of Socket Mode tells of; what comes back sends the replies. One that is none of our
    buttons is left alone, for Slack would only send it again."""
    try:
        replies = do_clicks(book, fleet, clicks_of(payload), now)
    except UnknownInteraction as error:
        _log.warning("An interaction in Slack was left alone. %s", error)
        replies = []
    return partial(send_replies, sender, replies)


def do_click(book: Ledger, fleet: FleetConfig, click: Click, now: datetime) -> str:
    """Do what was clicked; the reply to the person. Doing the same click again changes nothing.

    Raises UnknownInteraction where the button carries a value that is none of ours.
    """
    if click.action in ("approve", "decline"):
        return take_answer(book, fleet, _attempt(click, fleet), now).reply
    if click.action == "acknowledge":
        return acknowledge_thread(book, fleet, click.value, click.member_name, now).reply
    return silence_thread(book, fleet, click.value, click.member_name, click.id, now).reply


def _attempt(click: Click, fleet: FleetConfig) -> Attempt:
    request_id, fingerprint = _value(click)
    approver = fleet.approvals.by_slack(click.member_id)
    return Attempt(
        id=f"button:{click.id}:{request_id}",
        request_id=request_id,
        answer=Answer(click.action),
        fingerprint=fingerprint,
        person=approver.name if approver else f"{click.member_name} ({click.member_id})",
        approver=approver,
        through="button",
    )


def _value(click: Click) -> tuple[str, str]:
    try:
        value = json.loads(click.value)
        request_id, fingerprint = value["request"], value["fingerprint"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnknownInteraction("The button's value does not say what it is about.") from error
    if not _is_printable(request_id) or not _is_printable(fingerprint):
        raise UnknownInteraction("The button's value does not say what it is about.")
    return request_id, fingerprint


def _is_printable(text: object) -> bool:
    """JSON's escapes can make text of printable letters that is none itself, and that the ledger cannot keep."""
    return isinstance(text, str) and text.isprintable()
