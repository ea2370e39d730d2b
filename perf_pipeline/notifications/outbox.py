"""The rules of the outbox: what is said, under which key, and what happens after a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from perf_pipeline.fleet import Severity
from perf_pipeline.notifications.messages import alert_text, as_blocks
from perf_pipeline.records import Incident, IncidentState, Notification, NotificationState

ALERTED = (Severity.HIGH, Severity.CRITICAL)
MAX_ATTEMPTS = 20
FIRST_WAIT = timedelta(seconds=15)
LONGEST_WAIT = timedelta(minutes=30)
CLAIM_LIFETIME = timedelta(minutes=5)
"""A sender that has been silent for this long has died: posting one message, with all its waits, takes less."""


def alert_key(incident: Incident) -> str:
    return f"alert:{incident.id}"


def summary_key(day: str, *, over: bool) -> str:
    """A day that is not over yet has a key of its own, or its summary so far would take the place of the whole."""
    return f"daily-summary:{day}" if over else f"daily-summary:{day}:so-far"


def alerts(
    incidents: Iterable[Incident],
    now: datetime,
    act_within: timedelta,
    window: timedelta,
    timezone: str,
    trace_url: Callable[[str], str | None],
) -> list[Notification]:
    """An alert for each incident of high or critical severity; its key makes sure that it is said once.

    An incident last seen in a window that closed more than `act_within` ago is history once it is resolved: its
    alert is recorded as withheld. Until then, the windows that are still to be read decide.
    """
    messages = []
    for incident in incidents:
        if incident.severity not in ALERTED:
            continue
        old = incident.last_seen + window + act_within < now
        if old and incident.state is not IncidentState.RESOLVED:
            continue
        text = alert_text(incident, timezone, [(trace, trace_url(trace)) for trace in incident.example_traces])
        messages.append(
            Notification(
                key=alert_key(incident),
                kind="alert",
                text=text,
                blocks=as_blocks(text),
                created_at=now,
                state=NotificationState.WITHHELD if old else NotificationState.PENDING,
                note="The incident was over before it became known." if old else None,
            )
        )
    return messages


@dataclass(frozen=True)
class NextStep:
    """What becomes of a message that could not be sent."""

    state: NotificationState
    not_before: datetime | None


def after_failure(attempts: int, retryable: bool, now: datetime) -> NextStep:
    """Wait twice as long after each attempt; give up, and keep the message to be seen, where that is hopeless."""
    if not retryable or attempts >= MAX_ATTEMPTS:
        return NextStep(NotificationState.UNDELIVERABLE, None)
    return NextStep(NotificationState.PENDING, now + min(FIRST_WAIT * 2 ** max(attempts - 1, 0), LONGEST_WAIT))
