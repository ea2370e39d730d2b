"""The incidents as Prometheus Alertmanager is to see them now: a state that is shown again and again, not messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.notifications.muting import DATA, inhibited_by_optimization, inhibited_by_outage, silenced_by
from perf_pipeline.notifications.routing import routed_names
from perf_pipeline.notifications.safe_text import calling_nobody, one_line, shorten
from perf_pipeline.notifications.telling import Situation
from perf_pipeline.records import Incident, IncidentState

SHOWN_EVERY = timedelta(minutes=1)
FIRES_FOR = 5 * SHOWN_EVERY
"""An alert that is not shown again ends after this: it outlives a few missed ticks, and not a whole night."""

ENDED_WITHIN = timedelta(hours=1)
"""How long an end is shown. One that became known later has ended in Alertmanager by itself."""

MAX_TEXT = 1000


@dataclass(frozen=True)
class AlertmanagerAlert:
    """An alert of Alertmanager's API v2. It is the same alert as long as its labels are; annotations may change."""

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime
    generator_url: str | None = None

    def payload(self) -> dict[str, Any]:
        """The alert in the form of the API's `postableAlert`."""
        known = {
            "labels": self.labels,
            "annotations": self.annotations,
            "startsAt": self.starts_at.isoformat(),
            "endsAt": self.ends_at.isoformat(),
        }
        return known | ({"generatorURL": self.generator_url} if self.generator_url else {})


def alertmanager_alerts(
    situation: Situation, fleet: FleetConfig, target: str, now: datetime, trace_url: Callable[[str], str | None]
) -> list[AlertmanagerAlert]:
    """What is open, or has just ended, of the incidents from `alert_from` on whose route names the target.

    Incidents that are muted are left out, and so end in Alertmanager by themselves. One that was not seen for longer
    than `act_within` is shown only where people were told of it: its end is not known yet. All others of that age are
    history, such as a backfill finds.
    """
    return [
        _alert(incident, fleet, target, now, trace_url)
        for incident in situation.incidents
        if incident.severity.rank >= fleet.notifications.alert_from.rank
        and target in routed_names(fleet.notifications, NotificationKind.ALERT, [incident.agent], incident.severity)
        and _is_current(incident, situation, fleet, now)
        and not _is_muted(incident, situation, fleet, now)
    ]


def _is_current(incident: Incident, situation: Situation, fleet: FleetConfig, now: datetime) -> bool:
    if incident.state is IncidentState.RESOLVED:
        return _end(incident, fleet) + ENDED_WITHIN >= now
    told = situation.told.get(incident.id)
    was_told = told is not None and not told.withheld
    return was_told or incident.last_seen + fleet.window + fleet.act_within >= now


def _is_muted(incident: Incident, situation: Situation, fleet: FleetConfig, now: datetime) -> bool:
    return (
        silenced_by(incident, situation.silences, now) is not None
        or inhibited_by_outage(incident, situation.incidents, fleet) is not None
        or inhibited_by_optimization(incident, situation.optimizing)
    )


def _alert(
    incident: Incident, fleet: FleetConfig, target: str, now: datetime, trace_url: Callable[[str], str | None]
) -> AlertmanagerAlert:
    urls = (trace_url(trace) for trace in incident.example_traces)
    annotations = {
        "summary": f"{incident.agent}: {incident.details}",
        "severity": str(incident.severity),
        "type": ", ".join((incident.type, *incident.also)),
        "root_cause": incident.root_cause,
        "recommended_action": incident.recommended_action,
    }
    return AlertmanagerAlert(
        # Only what never changes about an incident: with a severity among them, one that grows worse would be a new
        # alert beside the old one. Routes of fleet.yaml that ask for severities tell them apart by `target`.
        labels={
            "alertname": "TelemetryGap" if incident.family == DATA else f"Agent{incident.family.capitalize()}",
            "agent": _safe(incident.agent),
            "family": incident.family,
            "incident": incident.id,
            "target": target,
        },
        # Alertmanager passes texts on to chats as they are.
        annotations={name: _safe(text) for name, text in annotations.items()},
        starts_at=incident.onset,
        ends_at=_end(incident, fleet) if incident.state is IncidentState.RESOLVED else now + FIRES_FOR,
        generator_url=next((url for url in urls if url), None),
    )


def _safe(text: str) -> str:
    return calling_nobody(one_line(shorten(text, MAX_TEXT)))


def _end(incident: Incident, fleet: FleetConfig) -> datetime:
    """The close of the window in which the incident ended; Alertmanager refuses an end that is not after the start."""
    return (incident.resolved_at or incident.last_seen) + fleet.window
