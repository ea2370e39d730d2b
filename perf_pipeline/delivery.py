"""How the outbox is emptied: claim a message, post it, say what became of it.

A sender may be killed at any line. Whoever takes over looks for the message's key in the channel before it
posts again, so nothing is said twice; and a message leaves the outbox only once it was posted, so none is lost.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from traceback import extract_tb

from perf_pipeline.notifications.outbox import CLAIM_LIFETIME, after_failure, thread_is_ready
from perf_pipeline.notifications.rendering import render
from perf_pipeline.records import Notification, NotificationState
from resources.ledger import Ledger
from resources.messenger import Messenger, PostedMessage
from resources.reading import MessengerError

_log = logging.getLogger(__name__)

NO_NEW_AFTER = timedelta(seconds=30)
"""Dagster gives a tick 60 s. What is not sent by then waits for the next one."""

STALE_CLAIM = CLAIM_LIFETIME / 2
"""A sender that was stopped for so long between claiming and posting may soon be taken for dead: it does not post."""


def deliver(
    ledger: Ledger, messengers: Mapping[str, Messenger], clock: Callable[[], datetime]
) -> Counter[NotificationState]:
    """Send what waits, each to the messenger of its target; how many messages ended in which state.

    An answer waits until the message that it answers, and the earlier answers to it, have been sent, and stands alone
    where that message never will be. A target that fails for now is left alone until the next call, so that one that
    hangs does not hold up the others.
    """
    claimant, began = uuid.uuid4().hex, clock()
    outcome: Counter[NotificationState] = Counter()
    failing: set[str] = set()
    answers = ledger.waiting_answers()
    for message in ledger.deliverable(began, began - CLAIM_LIFETIME):
        if clock() - began > NO_NEW_AFTER:
            break
        first_answer = next((key for key, thread in answers if thread == message.thread), message.key)
        answered = _answered(message, ledger)
        is_next = message.target not in failing and first_answer == message.key and thread_is_ready(message, answered)
        if is_next and ledger.claim(message, claimant, clock()):
            state = _send(message, answered, claimant, ledger, messengers, clock)
            outcome[state] += 1
            if state is NotificationState.PENDING:
                failing.add(message.target)
            elif message.thread is not None:
                answers.remove((message.key, message.thread))
    return outcome


def _answered(message: Notification, ledger: Ledger) -> Notification | None:
    return ledger.notifications_by_key([message.thread]).get(message.thread) if message.thread else None


def _send(
    message: Notification,
    answered: Notification | None,
    claimant: str,
    ledger: Ledger,
    messengers: Mapping[str, Messenger],
    clock: Callable[[], datetime],
) -> NotificationState:
    claimed_at = clock()
    try:
        messenger = messengers.get(message.target)
        if messenger is None:
            raise MessengerError(
                f"fleet.yaml has no target {message.target} any more: put it back under notifications.targets and run "
                "'perf-pipeline notify retry', or leave the message where it is.",
                retryable=False,
                surely_refused=True,
            )
        with _defects_as_errors(message):
            posted = _found(message, answered, messenger)
            if posted is None:
                if clock() - claimed_at > STALE_CLAIM:
                    raise MessengerError("The sender was held up: it tries again.", retryable=True, surely_refused=True)
                posted = _post(message, answered, messenger)
    except MessengerError as error:
        asked_to_wait = timedelta(seconds=error.not_for_seconds)
        if asked_to_wait:
            ledger.postpone(message.target, clock() + asked_to_wait)
        step = after_failure(message.attempts + 1, error.retryable, clock(), asked_to_wait)
        ledger.settle(
            message.key,
            claimant,
            step.state,
            not_before=step.not_before,
            note=str(error),
            maybe_posted=not error.surely_refused,
        )
        return step.state
    ledger.settle(
        message.key,
        claimant,
        NotificationState.SENT,
        sent_at=clock(),
        channel=posted.channel,
        message_ts=posted.ts,
    )
    return NotificationState.SENT


@contextmanager
def _defects_as_errors(message: Notification) -> Iterator[None]:
    """What a messenger did not foresee is an error of its own target, and holds up no other. Its text is not kept, for
    it may quote a secret; where it came from is logged."""
    try:
        yield
    except MessengerError:
        raise
    except Exception as error:  # noqa: BLE001
        frames = reversed(extract_tb(error.__traceback__))
        places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
        name = type(error).__name__
        _log.error("Sending %s failed by a defect: %s at %s.", message.key, name, places)
        reason = f"The sender failed by a defect of its own ({name}); its log says where."
        raise MessengerError(reason, retryable=True) from None


def _found(message: Notification, answered: Notification | None, messenger: Messenger) -> PostedMessage | None:
    """Where an earlier sender posted the message, if one tried and did."""
    tried_before = message.attempts > 0
    return messenger.find(message.key, message.created_at, _place_of(answered)) if tried_before else None


def _post(message: Notification, answered: Notification | None, messenger: Messenger) -> PostedMessage:
    maybe_again = (message.maybe_posted or message.state is NotificationState.CLAIMED) and not messenger.can_find
    rendered = render(message, clickable=messenger.takes_clicks, maybe_again=maybe_again)
    return messenger.post(rendered, message.key, _place_of(answered))


def _place_of(answered: Notification | None) -> PostedMessage | None:
    if answered is None or not answered.channel or not answered.message_ts:
        return None
    return PostedMessage(answered.channel, answered.message_ts)
