"""Why people are not told of an incident now: it is silenced, or something known explains it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from fnmatch import fnmatchcase

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.records import Incident, IncidentState, Silence

DATA = "data"
NOISE_OF_AN_OPTIMIZATION = ("latency", "cost", "traffic", "surge", "score")
"""An optimization adds calls and may slow its agent down. It does not make tasks fail, so failures are always told."""


def silenced_by(incident: Incident, silences: Iterable[Silence], now: datetime) -> Silence | None:
    """The silence that ends first of those that together cover all types of the incident; None where one is told."""
    of_agent = [
        silence
        for silence in silences
        if silence.starts_at <= now < silence.ends_at and fnmatchcase(incident.agent, silence.agent)
    ]
    longest = []
    for type in (incident.type, *incident.also):
        covering = [silence for silence in of_agent if fnmatchcase(type, silence.type)]
        if not covering:
            return None
        longest.append(max(covering, key=lambda silence: silence.ends_at))
    return min(longest, key=lambda silence: silence.ends_at)


def inhibited_by_outage(incident: Incident, others: Iterable[Incident], fleet: FleetConfig) -> Incident | None:
    """The outage of the spans that began no later than the incident and was still there, or just over, when it opened.

    What an agent seems to do while its spans cannot be read may come from what is missing. Logs and task counts only
    enrich, so their outages inhibit nothing; nor does one that nobody is told of, for then nobody would hear at all.
    An outage that is over inhibits what ended with it.
    """
    if incident.family == DATA:
        return None
    over = incident.state is IncidentState.RESOLVED
    return next(
        (
            outage
            for outage in others
            if outage.agent == "source:spans"
            and outage.severity.rank >= fleet.notifications.alert_from.rank
            and (over or outage.state is not IncidentState.RESOLVED)
            and outage.opened_at <= incident.opened_at <= outage.last_seen + fleet.window
        ),
        None,
    )


def inhibited_by_optimization(incident: Incident, optimizing: Collection[str]) -> bool:
    """Whether the incident is the kind of noise that the optimization of its own agent makes itself."""
    return incident.agent in optimizing and incident.family in NOISE_OF_AN_OPTIMIZATION
