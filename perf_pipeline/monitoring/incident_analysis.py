"""Which incidents a language model is asked about, and whether what it answers may be told."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_analysts import PERFORMANCE_AGENT
from perf_pipeline.monitoring.cause_kinds import CauseKind
from perf_pipeline.monitoring.incident_summary import MOST_WORDS, IncidentSummary, summary_by_rules
from perf_pipeline.monitoring.prose.faithfulness import unfaithful
from perf_pipeline.records import Incident, IncidentAnalysis, IncidentState

MOST_ATTEMPTS = 3

STARTING_UP = timedelta(seconds=20)
"""An alert waits for so long beyond the analysts' own seconds: the step that asks must begin first."""

NOBODY_ASKED = "no model is configured"
OVER_BEFORE_ASKED = "the incident was over before a model was asked"
NOT_IN_TIME = "the model was not asked in time"


@dataclass(frozen=True)
class Answer:
    """What a model answered about an incident."""

    cause_kind: str
    confidence: float
    what_changed: str
    likely_cause: str
    what_to_do: str


@dataclass(frozen=True)
class WordedIncident:
    """The sentences that people read of an incident, and who worded them: a model, or rules because of `trouble`."""

    summary: IncidentSummary
    written_by: str | None
    trouble: str = ""


def to_analyse(
    incidents: Sequence[Incident], known: Mapping[str, IncidentAnalysis], fleet: FleetConfig, now: datetime
) -> list[IncidentAnalysis]:
    """What to ask a model about now: grave incidents that are open, news, and not understood as they are now.

    The analysts' own agent is never asked about itself. One that got no answer is asked about again, three times at
    most.
    """
    if fleet.analysts.model is None:
        return []
    due = now + timedelta(seconds=fleet.analysts.seconds) + STARTING_UP
    asked = []
    for incident in incidents:
        digest, before = digest_of(incident), known.get(incident.id)
        attempts = before.attempts if before is not None and before.digest == digest else 0
        understood = attempts > 0 and before is not None and before.written_by is not None
        if _is_news(incident, fleet, now) and not understood and attempts < MOST_ATTEMPTS:
            asked.append(IncidentAnalysis(incident.id, digest, due, attempts + 1))
    return asked


def digest_of(incident: Incident) -> str:
    """Stands for what an analysis explains. Figures that grow from window to window are left out of it."""
    parts = (incident.id, incident.type, incident.severity, incident.reopened, incident.cause)
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:16]


def _is_news(incident: Incident, fleet: FleetConfig, now: datetime) -> bool:
    return (
        incident.state is IncidentState.OPEN
        and incident.family != "data"
        and incident.agent != PERFORMANCE_AGENT
        and incident.severity.rank >= fleet.notifications.alert_from.rank
        and incident.last_seen + fleet.window + fleet.act_within >= now
    )


def with_answer(
    asked: IncidentAnalysis, answer: Answer, facts: Sequence[str], model: str, now: datetime
) -> IncidentAnalysis:
    """The analysis with the answer, or with the reason why it may not be told."""
    if trouble := trouble_with(answer, facts):
        return without_answer(asked, trouble)
    return replace(
        asked,
        written_by=model,
        written_at=now,
        cause_kind=answer.cause_kind,
        confidence=answer.confidence,
        what_changed=answer.what_changed,
        likely_cause=answer.likely_cause,
        what_to_do=answer.what_to_do,
    )


def without_answer(asked: IncidentAnalysis, trouble: str) -> IncidentAnalysis:
    return replace(asked, trouble=trouble)


def trouble_with(answer: Answer, facts: Sequence[str]) -> str:
    """Why the answer may not be told; "" where it may."""
    if answer.cause_kind not in set(CauseKind):
        return f"it named {answer.cause_kind!r}, which is no kind of cause"
    told = {"what changed": answer.what_changed, "the likely cause": answer.likely_cause}
    empty = [part for part, text in (told | {"what to do": answer.what_to_do}).items() if not text.strip()]
    if empty:
        return f"it said nothing of {' and '.join(empty)}"
    if (length := _summary(answer).length) > MOST_WORDS:
        return f"it took {length} words, and {MOST_WORDS} are allowed"
    wrong = [reason for text in told.values() for reason in unfaithful(text, facts)]
    wrong += unfaithful(answer.what_to_do, facts, advice=True)
    return f"its words do not hold against the facts: {wrong[0]}" if wrong else ""


def worded(incident: Incident, analysis: IncidentAnalysis | None, fleet: FleetConfig) -> WordedIncident:
    """The model's sentences where they are there and about the incident as it is, else those of the rules."""
    current = analysis if analysis is not None and analysis.digest == digest_of(incident) else None
    if current is not None and current.written_by is not None:
        answer = Answer(
            current.cause_kind,
            current.confidence or 0.0,
            current.what_changed,
            current.likely_cause,
            current.what_to_do,
        )
        return WordedIncident(_summary(answer), current.written_by)
    by_rules = summary_by_rules(incident)
    if current is not None:
        return WordedIncident(by_rules, None, current.trouble or NOT_IN_TIME)
    return WordedIncident(by_rules, None, NOBODY_ASKED if fleet.analysts.model is None else "")


def _summary(answer: Answer) -> IncidentSummary:
    return IncidentSummary(
        CauseKind(answer.cause_kind),
        answer.what_changed.strip(),
        answer.likely_cause.strip(),
        answer.what_to_do.strip(),
    )
