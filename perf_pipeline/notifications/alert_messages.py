"""What is said about incidents: the PERFORMANCE ALERT, and what follows in its thread.

An outage of a source is a DATA OUTAGE: it must not read as an agent's failure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from perf_pipeline.message import Button, Line, Message, Section, bold, bullets, labelled, line, section
from perf_pipeline.monitoring.incident_analysis import WordedIncident
from perf_pipeline.monitoring.incident_summary import summary_by_rules
from perf_pipeline.notifications.alert_layout import (
    TraceUrl,
    action,
    causes,
    details_sections,
    headline,
    in_the_list,
    lead,
    named,
    traces_sections,
    within_a_sentence,
    worded_by,
)
from perf_pipeline.notifications.incident_words import (
    MAX_NAME,
    brief,
    by_agent,
    details,
    is_outage,
    listed,
    name,
    names,
    severities,
    types,
    worst_first,
)
from perf_pipeline.notifications.safe_text import one_line, shorten
from perf_pipeline.notifications.team_clock import duration, moment
from perf_pipeline.records import AlertThread, Incident

ALERT, OUTAGE = "🚨 PERFORMANCE ALERT", "📡 DATA OUTAGE"
SILENCE_BY_BUTTON = timedelta(hours=4)

ChangeKind = Literal["worse", "back", "joined", "recovered"]
TITLES: dict[ChangeKind, str] = {
    "worse": "It got worse",
    "back": "It is back",
    "joined": "More is failing",
    "recovered": "Recovered",
}
"""The gravest first: it is the title of a message that tells several."""


@dataclass(frozen=True)
class Change:
    """What people are told anew of an incident of a thread."""

    incident: Incident
    kind: ChangeKind


def alert_message(
    incidents: Sequence[Incident],
    thread: str,
    timezone: str,
    trace_url: TraceUrl,
    told: Mapping[str, WordedIncident] | None = None,
) -> Message:
    """The alert of incidents that are one trouble, with buttons that refer to `thread`. `told` words them, by id; those
    that are not in it are worded by rules.

    A reader gets to the details after at most 60 words: what changed, how grave it is, why, and what to do.
    """
    known = worst_first(incidents)
    told = {one.id: WordedIncident(summary_by_rules(one), None) for one in known} | dict(told or {})
    worst, agents = known[0], by_agent(known)
    outage = is_outage(worst)
    noun, several = ("Source", "Sources") if outage else ("Agent", "Agents")
    who = name(worst) if len(agents) == 1 else named(known)
    head = [labelled(noun if len(agents) == 1 else several, who), labelled("Severity", severities(known))]
    head.append(labelled("Type", types(known)))
    if outage or len(agents) > 1:
        head.append(labelled("Since", moment(min(incident.onset for incident in known), timezone)))
    reasons = [*lead(known, timezone, told), *causes(known, timezone, told), action(worst, timezone, told[worst.id])]
    return Message(
        title=OUTAGE if outage else ALERT,
        headline=headline(known, timezone),
        sections=(
            section(*head),
            section(*reasons),
            *details_sections(known, timezone, told),
            *traces_sections(known, trace_url),
            *worded_by(known, told),
        ),
        buttons=_buttons(thread),
    )


def update_message(changes: Sequence[Change], still_open: Sequence[Incident], timezone: str) -> Message:
    """What changed about a thread's incidents; `still_open` are those of the thread that are not over."""
    order = list(TITLES)
    known = sorted(
        changes, key=lambda change: (order.index(change.kind), -change.incident.severity.rank, change.incident.agent)
    )
    over = known[0].kind == "recovered"
    alone = len(known) == 1
    lines = [_changed(change, timezone, alone) for change in known]
    sections = [section(*lines) if alone else bullets(listed(lines, "change"))]
    if over and still_open:
        sections.append(section(f"Not over yet: {names(worst_first(still_open))}."))
    return Message(
        title="✅ RECOVERED" if over and not still_open else TITLES[known[0].kind],
        headline="; ".join(filter(None, (_in_one_line(kind, known) for kind in order))),
        sections=tuple(sections),
        announce=not over,
    )


def acknowledged_message(person: str) -> Message:
    who = shorten(one_line(person), MAX_NAME)
    return Message(
        title="👀 Acknowledged",
        headline=f"by {who}",
        sections=(section(f"{who} looks after it. You will hear again if it gets worse or spreads."),),
    )


def reminder_message(incidents: Sequence[Incident], thread: AlertThread, timezone: str) -> Message:
    """That incidents are still open, and that nobody has said to look after them."""
    known = worst_first(incidents)
    lines = [in_the_list(own, timezone) for own in by_agent(known)]
    return Message(
        title="⏰ Still not over",
        headline=headline(known, timezone),
        sections=(_unacknowledged(thread, timezone), bullets(listed(lines, "agent"))),
        buttons=_buttons(thread.id),
        announce=True,
    )


def escalation_message(alert: Message, thread: AlertThread, timezone: str) -> Message:
    """The alert of what is still open, once more, for those who are called when nobody acknowledges it."""
    return alert.model_copy(
        update={
            "title": f"{alert.title}, not acknowledged",
            "sections": (_unacknowledged(thread, timezone), *alert.sections),
        }
    )


def _in_one_line(kind: ChangeKind, changes: Sequence[Change]) -> str:
    concerned = worst_first(change.incident for change in changes if change.kind == kind)
    if not concerned:
        return ""
    alike = [incident for incident in concerned if is_outage(incident) == is_outage(concerned[0])]
    who = f"the {names(alike, 'sources')}" if is_outage(alike[0]) else names(alike)
    return f"{who} {_became(kind, alike[0], several=len(by_agent(alike)) > 1)}"


def _changed(change: Change, timezone: str, alone: bool) -> Line:
    incident = change.incident
    became = _became(change.kind, incident, several=False)
    if change.kind == "recovered":
        told = f"{became}{_since(incident, timezone)}"
    else:
        found = details(incident, timezone) if alone else brief(incident, timezone)
        grave = "" if change.kind == "worse" else f" ({incident.severity.upper()})"
        told = f"{became}{grave}: {within_a_sentence(found)}"
    return line(*(["The "] if is_outage(incident) else []), bold(name(incident)), f" {told}")


def _became(kind: ChangeKind, incident: Incident, *, several: bool) -> str:
    grave = incident.severity.upper()
    if is_outage(incident):
        # The names of sources are plurals: spans, logs, tasks.
        return {
            "worse": f"are now {grave}",
            "back": "could not be read completely again",
            "joined": "could not be read completely, either",
            "recovered": "are read completely again",
        }[kind]
    state = {
        "worse": f"now {grave}",
        "back": "affected again",
        "joined": "affected, too",
        "recovered": "back to normal",
    }
    return f"{'are' if several else 'is'} {state[kind]}"


def _since(incident: Incident, timezone: str) -> str:
    if incident.resolved_at is None:
        return ""
    lasted = duration(incident.resolved_at - incident.onset)
    return f" since {moment(incident.resolved_at, timezone)}, after {lasted}"


def _unacknowledged(thread: AlertThread, timezone: str) -> Section:
    return section(f"Told at {moment(thread.told_at, timezone)}; nobody has acknowledged it.")


def _buttons(thread: str) -> tuple[Button, ...]:
    return (
        Button(action="acknowledge", text="Acknowledge", value=thread, style="primary"),
        Button(action="silence", text=f"Silence {duration(SILENCE_BY_BUTTON)}", value=thread),
    )
