"""Which incidents are one trouble: people hear of them in one message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from perf_pipeline.notifications.muting import DATA
from perf_pipeline.records import AlertThread, Incident, IncidentState

GROUP_WITHIN = timedelta(hours=2)
"""Agents with few tasks show a trouble later than others."""


def groups(incidents: Iterable[Incident]) -> list[list[Incident]]:
    """The incidents, put together where they opened in one window and are of one agent, for one cause, or, where no
    cause is known, of one family. Outages of sources are never put together with what agents do."""
    found: list[tuple[set[tuple[object, ...]], list[Incident]]] = []
    for incident in incidents:
        marks = _marks(incident)
        touching = [group for group in found if group[0] & marks]
        found = [group for group in found if not group[0] & marks]
        members = [member for group in touching for member in group[1]]
        found.append((marks.union(*(group[0] for group in touching)), [*members, incident]))
    return [sorted(members, key=lambda member: (-member.severity.rank, member.agent)) for _, members in found]


def first_of_each_trouble(found: Sequence[Sequence[Incident]]) -> list[Sequence[Incident]]:
    """The groups to tell now: one that seems to be the same trouble as an earlier one joins that one's thread, once it
    was told. After a pause, several windows become known at once."""
    told: list[Sequence[Incident]] = []
    for group in sorted(found, key=lambda members: min(member.opened_at for member in members)):
        same = any(
            abs(one.opened_at - other.opened_at) <= GROUP_WITHIN and _is_one_trouble(one, other)
            for earlier in told
            for other in earlier
            for one in group
        )
        if not same:
            told.append(group)
    return told


def thread_to_join(
    incident: Incident, threads: Sequence[AlertThread], members: dict[str, list[Incident]]
) -> AlertThread | None:
    """The thread that an incident which opened later belongs to: one that is not over, about the same cause or the
    same agent, and began at most `GROUP_WITHIN` before."""
    return next(
        (
            thread
            for thread in reversed(threads)
            if abs(incident.opened_at - thread.opened_at) <= GROUP_WITHIN
            and any(member.state is not IncidentState.RESOLVED for member in members.get(thread.id, ()))
            and any(_is_one_trouble(incident, member) for member in members[thread.id])
        ),
        None,
    )


def _is_one_trouble(incident: Incident, member: Incident) -> bool:
    if DATA in (incident.family, member.family):
        return incident.family == member.family and incident.opened_at == member.opened_at
    return incident.agent == member.agent or (incident.cause != "" and incident.cause == member.cause)


def _marks(incident: Incident) -> set[tuple[object, ...]]:
    window: datetime = incident.opened_at
    if incident.family == DATA:
        return {(DATA, window)}
    why = ("cause", incident.cause, window) if incident.cause else ("family", incident.family, window)
    return {("agent", incident.agent, window), why}
