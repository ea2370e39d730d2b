"""The outbox: every message, where it goes, what became of it, and what it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from perf_pipeline.notifications.plain_text import plain_text, subject
from perf_pipeline.records import Notification, NotificationState
from perf_pipeline.service.dashboard.words import in_words, said

MAX_MESSAGES = 100

STATE_WORDS = {
    NotificationState.PENDING: "waits",
    NotificationState.CLAIMED: "being sent",
    NotificationState.SENT: "sent",
    NotificationState.WITHHELD: "kept, not sent",
    NotificationState.UNDELIVERABLE: "could not be delivered",
}


@dataclass(frozen=True)
class MessageRow:
    """`content` is plain text with its line breaks."""

    key: str
    state: NotificationState
    state_words: str
    kind: str
    target: str
    subject: str
    created_at: datetime
    sent_at: datetime | None
    note: str
    is_answer: bool
    content: str


@dataclass(frozen=True)
class OutboxPage:
    rows: tuple[MessageRow, ...]
    counts: tuple[tuple[str, int], ...]
    undeliverable: int
    rest: int


def outbox_page(messages: Sequence[Notification]) -> OutboxPage:
    """What could not be delivered comes first, then what waits, then the newest."""
    counts = Counter(message.state for message in messages)
    newest = sorted(messages, key=lambda one: one.created_at, reverse=True)
    ranked = sorted(newest, key=lambda one: _rank(one.state))
    return OutboxPage(
        rows=tuple(map(_row, ranked[:MAX_MESSAGES])),
        counts=tuple((STATE_WORDS[state], counts[state]) for state in NotificationState if counts[state]),
        undeliverable=counts[NotificationState.UNDELIVERABLE],
        rest=max(len(messages) - MAX_MESSAGES, 0),
    )


def _rank(state: NotificationState) -> int:
    first = (NotificationState.UNDELIVERABLE, NotificationState.PENDING, NotificationState.CLAIMED)
    return first.index(state) if state in first else len(first)


def _row(message: Notification) -> MessageRow:
    return MessageRow(
        key=message.key,
        state=message.state,
        state_words=STATE_WORDS[message.state],
        kind=in_words(str(message.kind)),
        target=said(message.target),
        subject=said(subject(message.message)),
        created_at=message.created_at,
        sent_at=message.sent_at,
        note=said(message.note or ""),
        is_answer=message.thread is not None,
        content=plain_text(message.message),
    )
