"""What is said about incidents: the PERFORMANCE ALERT, and what follows in its thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from perf_pipeline.message import Button, Line, Message, Piece, Section, bullets, labelled, line, section
from perf_pipeline.records import AlertThread, Incident

SHOWN_AGENTS = 10
BUTTONS_TO_SILENCE = "4 h"

TraceUrl = Callable[[str], str | None]


@dataclass(frozen=True)
class Change:
    """What people are told anew of an incident of a thread."""

    incident: Incident
    kind: Literal["joined", "worse", "back", "recovered"]


def alert_message(incidents: Sequence[Incident], thread: str, timezone: str, trace_url: TraceUrl) -> Message:
    """The PERFORMANCE ALERT of incidents that are one trouble, the worst first, with buttons that refer to `thread`."""
    worst = incidents[0]
    agents = list(dict.fromkeys(incident.agent for incident in incidents))
    types = list(dict.fromkeys(type for incident in incidents for type in (incident.type, *incident.also)))
    head = [
        labelled("Agent" if len(agents) == 1 else f"Agents ({len(agents)})", _named(agents)),
        labelled("Severity", worst.severity.upper()),
        labelled("Type", types[0] + (f" (also {', '.join(types[1:])})" if len(types) > 1 else "")),
        labelled("Since", _moment(min(incident.onset for incident in incidents), timezone)),
    ]
    causes = [labelled("Root Cause", worst.root_cause), labelled("Recommended Action", worst.recommended_action)]
    sections = [section(*head), section(*causes), *_details(incidents)]
    traces = worst.example_traces
    if traces:
        links = [Piece(text=trace[:8], url=trace_url(trace)) for trace in traces]
        pieces = [piece for link in links for piece in (link, Piece(text=", "))][:-1]
        sections.append(section(labelled("Example traces", *pieces)))
    return Message(title="🚨 PERFORMANCE ALERT", sections=tuple(sections), buttons=_buttons(thread))


def update_message(changes: Sequence[Change], still_open: Sequence[Incident], timezone: str) -> Message:
    """What changed about a thread's incidents; `still_open` are those of the thread that are not over."""
    titles = {"joined": "More is failing", "worse": "It got worse", "back": "It is back", "recovered": "Recovered"}
    kinds = list(dict.fromkeys(change.kind for change in changes))
    over = kinds == ["recovered"]
    title = "✅ RECOVERED" if over and not still_open else titles[kinds[0]]
    lines = [_changed(change, timezone) for change in changes[:SHOWN_AGENTS]]
    if len(changes) > SHOWN_AGENTS:
        lines.append(line(f"… and {len(changes) - SHOWN_AGENTS} more"))
    sections = [bullets(lines)]
    if over and still_open:
        sections.append(section(f"Not over yet: {_named([incident.agent for incident in still_open])}"))
    return Message(title=title, sections=tuple(sections), announce=not over)


def acknowledged_message(person: str) -> Message:
    return Message(title="👀 Acknowledged", sections=(section(f"{person} looks after it."),))


def reminder_message(incidents: Sequence[Incident], thread: AlertThread, timezone: str) -> Message:
    """That incidents are still open, and that nobody has said to look after them."""
    since = _moment(thread.told_at, timezone)
    lines = [line(f"{incident.agent}: {incident.details}") for incident in incidents[:SHOWN_AGENTS]]
    return Message(
        title="⏰ Still not over",
        sections=(section(f"Told at {since}; nobody has acknowledged it."), bullets(lines)),
        buttons=_buttons(thread.id),
        announce=True,
    )


def escalation_message(
    incidents: Sequence[Incident], thread: AlertThread, timezone: str, trace_url: TraceUrl
) -> Message:
    """The alert once more, for those who are called when nobody acknowledges it."""
    alert = alert_message(incidents, thread.id, timezone, trace_url)
    since = _moment(thread.told_at, timezone)
    return alert.model_copy(
        update={
            "title": "🚨 PERFORMANCE ALERT, not acknowledged",
            "sections": (section(f"Told at {since}; nobody has acknowledged it since."), *alert.sections),
        }
    )


def _details(incidents: Sequence[Incident]) -> list[Section]:
    if len(incidents) == 1:
        return [section(labelled("Details", incidents[0].details))]
    lines: list[Line] = [line(f"{incident.agent}: {incident.details}") for incident in incidents[:SHOWN_AGENTS]]
    if len(incidents) > SHOWN_AGENTS:
        lines.append(line(f"… and {len(incidents) - SHOWN_AGENTS} more"))
    return [section(labelled("Details", "")), bullets(lines)]


def _changed(change: Change, timezone: str) -> Line:
    incident = change.incident
    words = {
        "joined": f"also failing ({incident.type}, {incident.severity.upper()}): {incident.details}",
        "worse": f"now {incident.severity.upper()}: {incident.details}",
        "back": f"it came back ({incident.severity.upper()}): {incident.details}",
        "recovered": "back to normal"
        + (f" since {_moment(incident.resolved_at, timezone)}" if incident.resolved_at else ""),
    }
    return line(Piece(text=f"{incident.agent}: ", bold=True), words[change.kind])


def _buttons(thread: str) -> tuple[Button, ...]:
    return (
        Button(action="acknowledge", text="Acknowledge", value=thread, style="primary"),
        Button(action="silence", text=f"Silence {BUTTONS_TO_SILENCE}", value=thread),
    )


def _named(agents: Sequence[str]) -> str:
    shown = ", ".join(agents[:SHOWN_AGENTS])
    return shown if len(agents) <= SHOWN_AGENTS else f"{shown} and {len(agents) - SHOWN_AGENTS} more"


def _moment(time: datetime, timezone: str) -> str:
    return f"{time.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M %Z}"
