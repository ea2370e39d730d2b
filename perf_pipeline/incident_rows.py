"""Incidents with what people know of them, as rows for the command line and the HTTP service."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.records import AlertThread, Incident, IncidentState, ToldIncident
from perf_pipeline.situation import situation_now
from resources.ledger import Ledger


def incident_rows(book: Ledger, fleet: FleetConfig, now: datetime) -> list[dict[str, Any]]:
    """The incidents that are not over, the worst first; see `_rows`."""
    situation = situation_now(book, fleet, now)
    ongoing = [one for one in situation.incidents if one.state is not IncidentState.RESOLVED]
    return _rows(sorted(ongoing, key=_worst_first), situation.told.values(), situation.threads.values())


def past_incident_rows(book: Ledger, since: datetime) -> list[dict[str, Any]]:
    """The incidents that were there at or after `since`, those that are over included, the newest first."""
    found = sorted(book.incidents(since), key=lambda one: (one.onset, one.id), reverse=True)
    return _of_incidents(book, found)


def incident_row(book: Ledger, incident_id: str) -> dict[str, Any] | None:
    incident = book.incident(incident_id)
    return _of_incidents(book, [incident])[0] if incident else None


def thread_of(book: Ledger, incident_or_thread: str) -> str | None:
    """The ID of the thread in which people heard of an incident; that of a thread stands for itself."""
    told = book.told_incidents([incident_or_thread])
    if told:
        return None if told[0].withheld else told[0].thread
    return incident_or_thread if book.alert_threads([incident_or_thread]) else None


def _of_incidents(book: Ledger, incidents: list[Incident]) -> list[dict[str, Any]]:
    told = book.told_incidents(incident.id for incident in incidents)
    return _rows(incidents, told, book.alert_threads({one.thread for one in told}))


def _rows(
    incidents: Iterable[Incident], told: Iterable[ToldIncident], threads: Iterable[AlertThread]
) -> list[dict[str, Any]]:
    """With the thread that people heard of each incident in; times in ISO 8601."""
    heard_in = {one.incident_id: one.thread for one in told if not one.withheld}
    by_id = {thread.id: thread for thread in threads}
    rows = []
    for incident in incidents:
        thread = by_id.get(heard_in.get(incident.id, ""))
        rows.append(
            {
                "id": incident.id,
                "agent": incident.agent,
                "type": incident.type,
                "also": list(incident.also),
                "severity": str(incident.severity),
                "state": str(incident.state),
                "onset": incident.onset.isoformat(),
                "opened_at": incident.opened_at.isoformat(),
                "last_seen": incident.last_seen.isoformat(),
                "resolved_at": incident.resolved_at.isoformat() if incident.resolved_at else None,
                "reopened": incident.reopened,
                "root_cause": incident.root_cause,
                "recommended_action": incident.recommended_action,
                "details": incident.details,
                "example_traces": list(incident.example_traces),
                "thread": thread.id if thread else None,
                "acknowledged_by": thread.acknowledged_by if thread else None,
            }
        )
    return rows


def _worst_first(incident: Incident) -> tuple[int, datetime]:
    return -incident.severity.rank, incident.onset
