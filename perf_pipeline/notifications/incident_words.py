"""Incidents in words for a message: who, how grave, since when, why. Every text is bounded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from perf_pipeline.message import Line, line
from perf_pipeline.notifications.muting import DATA
from perf_pipeline.notifications.safe_text import one_line, shorten
from perf_pipeline.notifications.team_clock import on_the_teams_clock
from perf_pipeline.records import Incident

SHOWN = 10
NAMED = 3
_CHANGE = re.compile(r"[a-z]+ of \d{4}-\d\d-\d\d ")
MAX_NAME, MAX_SENTENCE, MAX_EXPLANATION = 80, 160, 500


def is_outage(incident: Incident) -> bool:
    """Of a source: what it says is said of no agent."""
    return incident.family == DATA


def name(incident: Incident) -> str:
    """The agent; of an outage, the source."""
    return shorten(
        one_line(incident.agent.removeprefix("source:") if is_outage(incident) else incident.agent), MAX_NAME
    )


def names(incidents: Iterable[Incident], noun: str = "agents") -> str:
    """'A', 'A and B', 'A, B and C'; '7 agents' where there are more."""
    known = list(dict.fromkeys(map(name, incidents)))
    if len(known) > NAMED:
        return f"{len(known)} {noun}"
    return " and ".join(part for part in (", ".join(known[:-1]), known[-1]) if part)


def worst_first(incidents: Iterable[Incident]) -> list[Incident]:
    return sorted(incidents, key=lambda incident: (-incident.severity.rank, incident.agent, incident.onset))


def by_agent(incidents: Iterable[Incident]) -> list[list[Incident]]:
    """The incidents of each agent, in the order in which the agents come."""
    found: dict[str, list[Incident]] = {}
    for incident in incidents:
        found.setdefault(incident.agent, []).append(incident)
    return list(found.values())


def details(incident: Incident, timezone: str) -> str:
    return shorten(_told(incident.details, incident, timezone), MAX_EXPLANATION)


def brief(incident: Incident, timezone: str) -> str:
    """The details without how sure they are."""
    return shorten(re.split(r" \(|; ", _told(incident.details, incident, timezone))[0], MAX_SENTENCE)


def for_people(text: str, incident: Incident, timezone: str) -> str:
    """A sentence about the incident, bounded, on the team's clock."""
    return shorten(_told(text, incident, timezone), MAX_EXPLANATION)


def root_cause(incident: Incident, timezone: str) -> str:
    return shorten(_told(incident.root_cause, incident, timezone), MAX_EXPLANATION)


def common_cause(incidents: Sequence[Incident], timezone: str) -> tuple[str, int] | None:
    """What most agents have in common, and how many have it; None where no two are known to."""
    labelled: dict[str, set[str]] = {}
    for incident in incidents:
        if incident.cause:
            labelled.setdefault(incident.cause, set()).add(incident.agent)
    if not labelled:
        return None
    cause, agents = max(labelled.items(), key=lambda item: len(item[1]))
    if len(agents) == 1:
        return None
    first = next(incident for incident in incidents if incident.cause == cause)
    told = shorten(_told(cause, first, timezone), MAX_SENTENCE)
    # 'deployment of 2026-03-02 10:00 UTC: …' begins a sentence; the name of a model or an error stays as it is.
    return (told[0].upper() + told[1:] if _CHANGE.match(cause) else told), len(agents)


def severities(incidents: Sequence[Incident]) -> str:
    """'CRITICAL'; 'CRITICAL (2 critical, 1 high)' where the agents differ."""
    grave = [worst_first(own)[0].severity for own in by_agent(incidents)]
    counts = Counter(grave)
    ranked = sorted(counts, key=lambda severity: -severity.rank)
    told = ranked[0].upper()
    return told if len(ranked) == 1 else f"{told} ({', '.join(f'{counts[level]} {level}' for level in ranked)})"


def types(incidents: Sequence[Incident]) -> str:
    """'success_drop'; of one agent '(also error_spike)', of several how many have it, where not all do."""
    agents = by_agent(incidents)
    if len(agents) == 1:
        first, *others = dict.fromkeys(kind for incident in incidents for kind in (incident.type, *incident.also))
        return first + (f" (also {', '.join(others)})" if others else "")
    counts = Counter(kind for own in agents for kind in {incident.type for incident in own})
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    everybody = len(agents)
    return ", ".join(kind if count == everybody else f"{kind} ({count} of {everybody})" for kind, count in ranked)


def listed(lines: Sequence[Line], noun: str) -> list[Line]:
    """The first ten lines, and one that counts the rest; `noun` is what they are about, in the singular."""
    rest = len(lines) - SHOWN
    more = [line(f"… and {rest} more {noun}{'s' if rest > 1 else ''}")] if rest > 0 else []
    return [*lines[:SHOWN], *more]


def _told(text: str, incident: Incident, timezone: str) -> str:
    return on_the_teams_clock(one_line(text), incident.onset, timezone)
