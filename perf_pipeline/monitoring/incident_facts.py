"""An incident as facts: the sentences that prose about it may repeat, and nothing beyond."""

from __future__ import annotations

from perf_pipeline.monitoring.cause_evidence import CauseEvidence, evidence_in
from perf_pipeline.monitoring.fact_words import (
    change_in_words,
    error_in_words,
    explanation_in_words,
    failing_step_in_words,
    slow_step_in_words,
)
from perf_pipeline.records import Incident

SHOWN = 3
"""Of explanations and changes: so many."""

SHOWN_STEPS = 2


def facts_of_incident(incident: Incident) -> tuple[str, ...]:
    evidence = evidence_in(incident.evidence)
    known = _facts_of_cause(evidence) if evidence is not None else []
    return (
        f"{incident.agent}: {incident.details}.",
        f"The severity is {incident.severity.upper()} and the type {incident.type}.",
        *(known or [f"Of its cause this is known: {incident.root_cause.rstrip('.')}."]),
    )


def _facts_of_cause(evidence: CauseEvidence) -> list[str]:
    return [
        *(explanation_in_words(one, evidence.affected_means) for one in evidence.explanations[:SHOWN]),
        *(error_in_words(one) for one in evidence.error_types[:1]),
        *(failing_step_in_words(one) for one in evidence.first_failing_steps[:SHOWN_STEPS]),
        *(slow_step_in_words(one) for one in evidence.slowest_steps[:SHOWN_STEPS]),
        *(change_in_words(one) for one in evidence.changes[:SHOWN]),
    ]
