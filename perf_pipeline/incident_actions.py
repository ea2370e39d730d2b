"""What people do about the incidents of a thread, whichever way they say it: look after them, or silence them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.notifications.outbox import to_targets
from perf_pipeline.notifications.silence_messages import silenced_message
from perf_pipeline.notifications.team_clock import moment
from perf_pipeline.notifications.telling import acknowledgement
from perf_pipeline.records import AlertThread, Incident, IncidentState, Silence
from perf_pipeline.situation import situation_now
from resources.ledger import Ledger

SILENCE_FOR = timedelta(hours=4)
"""What the button of an alert does; its text says so."""

NO_THREAD = "There is no alert with this ID that is still of interest: see 'perf-pipeline incidents'."


@dataclass(frozen=True)
class Outcome:
    done: bool
    reply: str


def acknowledge_thread(book: Ledger, fleet: FleetConfig, thread_id: str, person: str, now: datetime) -> Outcome:
    """Note that a person looks after the incidents of a thread, and tell the thread. The first one counts."""
    thread = _thread(book, thread_id)
    if thread is None:
        return Outcome(False, NO_THREAD)
    if book.acknowledge(thread_id, person, now, acknowledgement(thread, person, now)):
        return Outcome(True, f"{person} looks after it now.")
    thread = _thread(book, thread_id)
    since = f" since {moment(thread.acknowledged_at, fleet.timezone)}" if thread and thread.acknowledged_at else ""
    who = thread.acknowledged_by if thread and thread.acknowledged_by else "Somebody"
    return Outcome(False, f"{who} looks after it already{since}.")


def silence_thread(
    book: Ledger, fleet: FleetConfig, thread_id: str, person: str, action_id: str, now: datetime
) -> Outcome:
    """Silence what the open incidents of a thread are about for `SILENCE_FOR`, and tell the thread.

    `action_id` is that of the click, so that the same one silences once.
    """
    situation = situation_now(book, fleet, now)
    thread = situation.threads.get(thread_id)
    if thread is None:
        return Outcome(False, NO_THREAD)
    members = [
        incident
        for incident in situation.incidents
        if (told := situation.told.get(incident.id)) and told.thread == thread_id
    ]
    still_open = [incident for incident in members if incident.state is not IncidentState.RESOLVED]
    if not still_open:
        return Outcome(False, "Everything in this thread is over, so there is nothing to silence.")
    silences = _silences(still_open, person, f"{thread_id}|{action_id}", now)
    for silence in silences:
        book.add_silence(silence)
    message = silenced_message(silences, fleet.timezone)
    key = f"{thread_id}:silenced:{_digest(action_id)}"
    for note in to_targets(key, NotificationKind.ALERT, message, thread.targets, now, thread=thread_id):
        book.enqueue(note)
    return Outcome(True, f"Silenced until {moment(now + SILENCE_FOR, fleet.timezone)}.")


def _silences(incidents: list[Incident], person: str, source: str, now: datetime) -> list[Silence]:
    """One for each agent and type."""
    types: dict[str, set[str]] = defaultdict(set)
    for incident in incidents:
        types[incident.agent].update((incident.type, *incident.also))
    return [
        Silence(
            id=_digest(f"{source}|{agent}|{type}"),
            agent=_literally(agent),
            type=type,
            starts_at=now,
            ends_at=now + SILENCE_FOR,
            created_by=person,
        )
        for agent, found in sorted(types.items())
        for type in sorted(found)
    ]


def _literally(name: str) -> str:
    """A pattern that matches this name alone."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def _thread(book: Ledger, thread_id: str) -> AlertThread | None:
    return next(iter(book.alert_threads([thread_id])), None)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
