"""An incident as facts: the sentences that prose about it may repeat, and nothing beyond."""

from __future__ import annotations

from perf_pipeline.monitoring.cause_evidence import evidence_in
from perf_pipeline.monitoring.fact_words import change_in_words, explanation_in_words, step_in_words
from perf_pipeline.records import Incident

SHOWN = 3
"""Of explanations, steps and changes: so many."""


def facts_of_incident(incident: Incident) -> tuple[str, ...]:
    evidence = evidence_in(incident.evidence)
    facts = [
        f"{incident.agent}: {incident.details}.",
        f"The severity is {incident.severity.upper()} and the type {incident.type}.",
    ]
    if evidence is None or not (evidence.explanations or evidence.first_failing_steps or evidence.changes):
        return (*facts, f"Of its cause this is known: {incident.root_cause}.")
    facts += [explanation_in_words(one, evidence.affected_means) for one in evidence.explanations[:SHOWN]]
    facts += [step_in_words(one) for one in evidence.first_failing_steps[:SHOWN]]
    facts += [change_in_words(one) for one in evidence.changes[:SHOWN]]
    return tuple(facts)
