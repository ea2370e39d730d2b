"""How the outbox is emptied: claim a message, post it, say what became of it.

A sender may be killed at any line. Whoever takes over looks for the message's key in the channel before it
posts again, so nothing is said twice; and a message leaves the outbox only once it was posted, so none is lost.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from perf_pipeline.notifications.outbox import CLAIM_LIFETIME, after_failure
from perf_pipeline.records import Notification, NotificationState
from resources.ledger import Ledger
from resources.reading import SlackError
from resources.sources import Messenger


def deliver(ledger: Ledger, messenger: Messenger, clock: Callable[[], datetime]) -> Counter[NotificationState]:
    """Send what waits; how many messages ended in which state."""
    claimant = uuid.uuid4().hex
    outcome: Counter[NotificationState] = Counter()
    for message in ledger.deliverable(clock(), clock() - CLAIM_LIFETIME):
        if ledger.claim(message, claimant, clock()):
            outcome[_send(message, claimant, ledger, messenger, clock)] += 1
    return outcome


def _send(
    message: Notification, claimant: str, ledger: Ledger, messenger: Messenger, clock: Callable[[], datetime]
) -> NotificationState:
    tried_before = message.attempts > 0
    try:
        posted = messenger.find(message.key, message.created_at) if tried_before else None
        if posted is None:
            posted = messenger.post(message.text, message.blocks, message.key)
    except SlackError as error:
        step = after_failure(message.attempts + 1, error.retryable, clock())
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
