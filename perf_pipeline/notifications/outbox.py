"""The rules of the outbox: which targets a message goes to, under which keys, and what happens after a failure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.message import Message
from perf_pipeline.records import Notification, NotificationState

MAX_ATTEMPTS = 20
FIRST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(minutes=30)
CLAIM_LIFETIME = timedelta(minutes=5)
"""A sender that has been silent for this long has died: posting one message, with all its waits, takes less."""


def key_at(key: str, target: str) -> str:
    """What a message is known by at one of the targets that it goes to."""
    return f"{key}@{target}"


def to_targets(
    key: str,
    kind: NotificationKind,
    message: Message,
    targets: Iterable[str],
    now: datetime,
    *,
    thread: str | None = None,
    picture: bytes | None = None,
    withheld: str | None = None,
) -> tuple[Notification, ...]:
    """The message once for each target. `thread` is the key, without a target, of the message that it answers;
    `withheld` says why it is only kept, and not sent."""
    return tuple(
        Notification(
            key=key_at(key, target),
            kind=kind,
            message=message,
            created_at=now,
            target=target,
            thread=key_at(thread, target) if thread else None,
            picture=picture,
            state=NotificationState.WITHHELD if withheld else NotificationState.PENDING,
            note=withheld,
        )
        for target in targets
    )


def thread_is_ready(message: Notification, answered: Notification | None) -> bool:
    """Whether a message may be sent now: an answer waits for what it answers, unless that will never be sent."""
    if message.thread is None or answered is None:
        return True
    return answered.state not in (NotificationState.PENDING, NotificationState.CLAIMED)


@dataclass(frozen=True)
class NextStep:
    """What becomes of a message that could not be sent."""

    state: NotificationState
    not_before: datetime | None


def after_failure(attempts: int, retryable: bool, now: datetime, asked_to_wait: timedelta = timedelta(0)) -> NextStep:
    """Wait twice as long after each attempt, and no less than the channel asked for; give up, and keep the message to
    be seen, where that is hopeless."""
    if not retryable or attempts >= MAX_ATTEMPTS:
        return NextStep(NotificationState.UNDELIVERABLE, None)
    wait = min(FIRST_WAIT * 2 ** max(attempts - 1, 0), LONGEST_WAIT)
    return NextStep(NotificationState.PENDING, now + max(wait, asked_to_wait))
