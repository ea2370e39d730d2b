"""When incidents were there, and for how long."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import Incident, IncidentState


def incidents_in(span: Window, incidents: Iterable[Incident]) -> list[Incident]:
    """Those that opened, ended or went on in the span; the worst first, and of these the oldest."""
    there = [
        incident
        for incident in incidents
        if incident.opened_at < span.end and (incident.resolved_at is None or incident.resolved_at >= span.start)
    ]
    return sorted(there, key=lambda incident: (-incident.severity.rank, incident.onset, incident.agent))


def time_of(incident: Incident, window: timedelta, now: datetime) -> Window:
    """From its onset to its end, or to `now` where it is not over; a window at least, for nothing is seen shorter."""
    end = incident.resolved_at if incident.state is IncidentState.RESOLVED and incident.resolved_at else now
    return Window(incident.onset, max(end, incident.onset + window))


def time_in_incident(incidents: Iterable[Incident], span: Window, window: timedelta, now: datetime) -> timedelta:
    """How much of the span lay within at least one of the incidents."""
    times = sorted(time_of(incident, window, now) for incident in incidents)
    total, reached = timedelta(0), span.start
    for time in times:
        start, end = max(time.start, reached), min(time.end, span.end)
        total += max(end - start, timedelta(0))
        reached = max(reached, end)
    return total
