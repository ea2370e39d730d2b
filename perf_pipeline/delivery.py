"""How the outbox is emptied: claim a message, post it, say what became of it.

A sender may be killed at any line. Whoever takes over looks for the message's key in the channel before it
posts again, so nothing is said twice; and a message leaves the outbox only once it was posted, so none is lost.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from perf_pipeline.notifications.outbox import CLAIM_LIFETIME, after_failure, thread_is_ready
from perf_pipeline.notifications.rendering import render
from perf_pipeline.records import Notification, NotificationState
from resources.ledger import Ledger
from resources.messenger import Messenger, PostedMessage
from resources.reading import MessengerError


def deliver(
    ledger: Ledger, messengers: Mapping[str, Messenger], clock: Callable[[], datetime]
) -> Counter[NotificationState]:
    """Send what waits, each to the messenger of its target; how many messages ended in which state.

    An answer waits until the message that it answers has been sent, and stands alone where that never will be.
    """
    claimant = uuid.uuid4().hex
    outcome: Counter[NotificationState] = Counter()
    for message in ledger.deliverable(clock(), clock() - CLAIM_LIFETIME):
        answered = _answered(message, ledger)
        if thread_is_ready(message, answered) and ledger.claim(message, claimant, clock()):
            outcome[_send(message, answered, claimant, ledger, messengers, clock)] += 1
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
    tried_before = message.attempts > 0
    reply_to = (
        PostedMessage(answered.channel, answered.message_ts)
        if answered and answered.channel and answered.message_ts
        else None
    )
    try:
        messenger = messengers.get(message.target)
        if messenger is None:
            raise MessengerError(
                f"fleet.yaml has no target {message.target} any more: put it back under notifications.targets and run "
                "'perf-pipeline notify retry', or leave the message where it is.",
                retryable=False,
                surely_refused=True,
            )
        posted = messenger.find(message.key, message.created_at, reply_to) if tried_before else None
        if posted is None:
            # One that failed went back to waiting; one that is still claimed is that of a sender who died.
            again = message.state is NotificationState.CLAIMED and not messenger.can_find
            posted = messenger.post(render(message, maybe_again=again), message.key, reply_to)
    except MessengerError as error:
        asked_to_wait = timedelta(seconds=error.not_for_seconds)
        step = after_failure(message.attempts + 1, error.retryable, clock(), asked_to_wait)
        ledger.settle(message.key, claimant, step.state, not_before=step.not_before, note=str(error))
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
