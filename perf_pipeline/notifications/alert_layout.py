"""The parts of an alert: who, why, what exactly, and examples; for one agent, for many, and for sources of data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from perf_pipeline.message import Line, Piece, Section, bold, bullets, labelled, line, section
from perf_pipeline.monitoring.incident_analysis import WordedIncident
from perf_pipeline.notifications.incident_words import (
    MAX_EXPLANATION,
    MAX_SENTENCE,
    SHOWN,
    brief,
    by_agent,
    common_cause,
    details,
    for_people,
    is_outage,
    listed,
    name,
    names,
    root_cause,
)
from perf_pipeline.notifications.safe_text import one_line, shorten
from perf_pipeline.records import Incident

NOT_AN_AGENTS_FAILURE = "This is not an agent's failure. What is missing is read again when the source answers."

TraceUrl = Callable[[str], str | None]
Told = Mapping[str, WordedIncident]


def headline(known: Sequence[Incident], timezone: str) -> str:
    """What is the matter, in one line. `known` here and below: the incidents of the alert, the worst first."""
    worst = known[0]
    if is_outage(worst):
        return f"the {names(known, 'sources')} could not be read completely"
    if len(by_agent(known)) == 1:
        return f"{name(worst)}: {brief(worst, timezone)}"
    shared = common_cause(known, timezone)
    return f"{names(known)}: {worst.type}" + (f"; cause: {shared[0]}" if shared else "")


def named(known: Sequence[Incident]) -> str:
    """All names; of many, how many there are."""
    agents = [own[0] for own in by_agent(known)]
    if len(agents) > SHOWN:
        return f"{len(agents)}, the worst {SHOWN} are listed below"
    return ", ".join(map(name, agents))


def lead(known: Sequence[Incident], timezone: str, told: Told) -> list[Line]:
    """What changed, since when and how sure that is, of the worst incident of one agent; of several, the list says."""
    worst = known[0]
    if is_outage(worst) or len(by_agent(known)) > 1:
        return []
    return [labelled("What Changed", for_people(told[worst.id].summary.what_changed, worst, timezone))]


def action(worst: Incident, timezone: str, told: WordedIncident) -> Line:
    """How fast to act, and what to do."""
    urgency = shorten(one_line(worst.recommended_action), MAX_SENTENCE)
    if is_outage(worst):
        return labelled("Recommended Action", urgency)
    return labelled("Recommended Action", f"{urgency}. {for_people(told.summary.what_to_do, worst, timezone)}")


def worded_by(known: Sequence[Incident], told: Told) -> list[Section]:
    """Who worded the alert: a language model, whose every figure was checked, or rules."""
    worst = known[0]
    if is_outage(worst):
        return []
    return [section(labelled("Worded by", by_whom(told[worst.id])))]


def by_whom(words: WordedIncident) -> str:
    """'rules (the model did not answer within 8 s)'."""
    if words.written_by:
        by = f"{one_line(words.written_by)}, every figure and name held against the data"
    else:
        by = "rules" + (f" ({one_line(words.trouble)})" if words.trouble else "")
    return shorten(by, MAX_EXPLANATION)


def causes(known: Sequence[Incident], timezone: str, told: Told) -> list[Line]:
    """Why; of several agents, what they have in common, and the worst one's own cause, with its figures."""
    worst, agents = known[0], by_agent(known)
    if is_outage(worst) and len(agents) == 1:
        return [labelled("Root Cause", root_cause(worst, timezone))]
    if len(agents) == 1:
        return [labelled("Root Cause", for_people(told[worst.id].summary.likely_cause, worst, timezone))]
    if is_outage(worst):
        answers = [line(f"{name(own[0])}: {root_cause(own[0], timezone)}") for own in agents]
        return [labelled("Root Cause"), *listed(answers, "source")]
    shared = common_cause(known, timezone)
    if shared is None:
        why = "No common one is known"
    else:
        cause, count = shared
        why = f"{cause}, common to {'all' if count == len(agents) else f'{count} of the'} {len(agents)} agents"
    example = for_people(told[worst.id].summary.likely_cause, worst, timezone)
    return [labelled("Root Cause", why), line(f"For example {name(worst)}: {within_a_sentence(example)}")]


def details_sections(known: Sequence[Incident], timezone: str, told: Told) -> list[Section]:
    """What was found, and the evidence for its cause: whole sentences for one agent, a line for each of several."""
    if is_outage(known[0]):
        said = list(dict.fromkeys(details(incident, timezone) for incident in known))
        return [section(labelled("Details", ". ".join(said)), NOT_AN_AGENTS_FAILURE)]
    agents = by_agent(known)
    evidence = _evidence(known[0], timezone, told)
    if len(known) == 1:
        return [section(labelled("Details", details(known[0], timezone)), *evidence)]
    if len(agents) == 1:
        lines = [line(details(incident, timezone)) for incident in known]
        more = [section(*evidence)] if evidence else []
        return [section(labelled("Details")), bullets(listed(lines, "finding")), *more]
    lines = [in_the_list(own, timezone) for own in agents]
    return [section(labelled("Details")), bullets(listed(lines, "agent"))]


def _evidence(worst: Incident, timezone: str, told: Told) -> list[Line]:
    """The cause with all of its figures, where the root cause does not say them already."""
    whole = root_cause(worst, timezone)
    said = for_people(told[worst.id].summary.likely_cause, worst, timezone)
    return [] if whole.rstrip(".").lower() == said.rstrip(".").lower() else [labelled("Evidence", whole)]


def in_the_list(own: Sequence[Incident], timezone: str) -> Line:
    """One agent's incidents, the worst first, in one line."""
    worst = own[0]
    more = [incident.type for incident in own[1:]]
    also = f" (also {', '.join(dict.fromkeys(more))})" if more else ""
    return line(
        bold(f"{name(worst)}:"), f" {worst.severity.upper()}, {within_a_sentence(brief(worst, timezone))}{also}"
    )


def within_a_sentence(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def traces_sections(known: Sequence[Incident], trace_url: TraceUrl) -> list[Section]:
    """Links to traces of the worst agent that has some."""
    shown = next((incident for incident in known if incident.example_traces), None)
    if shown is None:
        return []
    links = [Piece(text=trace[:8], url=trace_url(trace)) for trace in shown.example_traces]
    pieces = [piece for link in links for piece in (link, Piece(text=", "))][:-1]
    whose = "" if len(by_agent(known)) == 1 else f" of {name(shown)}"
    return [section(labelled(f"Example traces{whose}", *pieces))]
