"""Labelled incidents as the ledger would hold them, for whoever explains them in words."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from perf_pipeline.monitoring.cause_kinds import CauseKind, kind_of_values
from perf_pipeline.monitoring.finding_facts import Facts
from perf_pipeline.monitoring.finding_words import in_words
from perf_pipeline.monitoring.findings import FAMILIES
from perf_pipeline.monitoring.incidents import incident_id
from perf_pipeline.records import Incident, IncidentState
from perf_pipeline.simulated_incidents.labelled import LabelledIncident
from perf_pipeline.simulated_incidents.traffic import ONSET, WINDOW

SIMULATED_NATS = 12.0
"""How strong the evidence of a simulated finding is told to be: detectors did not see it."""


def incident_of(labelled: LabelledIncident) -> Incident:
    """The incident that the finding would open, with the cause and the evidence that the product finds."""
    cause, finding = labelled.explained(), labelled.finding
    return Incident(
        id=incident_id(finding.agent, FAMILIES[finding.type], finding.window_start),
        agent=finding.agent,
        family=FAMILIES[finding.type],
        type=finding.type,
        also=(),
        severity=finding.severity,
        state=IncidentState.OPEN,
        onset=ONSET,
        opened_at=finding.window_start,
        last_seen=finding.window_start,
        resolved_at=None,
        reopened=0,
        root_cause=cause.root_cause,
        recommended_action=cause.recommended_action,
        details=_details(labelled),
        example_traces=cause.example_traces,
        cause=cause.label,
        evidence=cause.evidence.model_dump_json() if cause.evidence else "",
    )


def true_kind(labelled: LabelledIncident) -> CauseKind:
    """The kind of the cause; of two, that of the first."""
    return kind_of_values(dict(labelled.causes[0])) if labelled.causes else CauseKind.UNKNOWN


def _details(labelled: LabelledIncident) -> str:
    tasks, type = labelled.tasks, labelled.finding.type
    since = tasks[tasks["start_time"] >= pd.Timestamp(ONSET)]
    before = tasks[tasks["start_time"] < pd.Timestamp(ONSET)]
    usual, now = (_typical(type, part) for part in (before, since))
    effect = usual - now if type == "success_drop" else now / max(usual, 1e-9)
    total = now / 100 * len(since) if type == "success_drop" else math.nan
    facts = Facts(
        onset=ONSET,
        until=labelled.finding.window_start,
        observed=now,
        baseline=usual,
        total=total,
        expected_total=math.nan,
        tasks=len(since),
        effect=effect,
        effect_low=0.8 * effect,
        effect_high=1.2 * effect,
        evidence_nats=SIMULATED_NATS,
    )
    return in_words(type, "open", facts, WINDOW, labelled.finding.window_start)


def _typical(type: str, tasks: pd.DataFrame) -> float:
    if type == "success_drop":
        return 100 * float(tasks["ok"].mean())
    if type == "latency_increase":
        return float(np.exp(np.log(tasks["latency_ms"].dropna()).mean()))
    return float(tasks["cost_usd"].mean())
