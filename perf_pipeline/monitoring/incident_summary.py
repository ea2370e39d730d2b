"""An incident in three short sentences, by rules: what changed, the most likely cause, what to do now.

It is what people read where no language model words it: then the same figures stand in plainer sentences.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from perf_pipeline.monitoring.cause_evidence import CauseEvidence, Explanation, NearbyChange, evidence_in
from perf_pipeline.monitoring.cause_kinds import CauseKind, change_before, kind_of_cause, top_explanation
from perf_pipeline.monitoring.cause_words import CHANGE_NOUNS
from perf_pipeline.monitoring.fact_words import named_values, they_did
from perf_pipeline.monitoring.nearby_changes import FIRST_USE
from perf_pipeline.records import Incident

MOST_WORDS = 45
"""All three sentences together: with agent, severity and type, a reader gets to the details after 60 words."""

_EVIDENCE = re.compile(r"evidence (?:beyond )?1 : ([\d,]+)")
_SURE = ((1_000_000, "practically certain"), (1_000, "very sure"), (20, "fairly sure"))


ADVICE_ON_DISAGREEMENTS = {
    "unnoticed_failures": "Let the agent raise, or set the span's status, where it finds out.",
    "missing_traces": "Check the tracer, its exporter, and that spans carry the task's id.",
    "unseen_errors": "Look at what runs beside its tasks, and for code that logs an error and goes on.",
}


@dataclass(frozen=True)
class IncidentSummary:
    """`cause_kind` is what the likely cause is an instance of."""

    cause_kind: CauseKind
    what_changed: str
    likely_cause: str
    what_to_do: str

    @property
    def length(self) -> int:
        return sum(len(text.split()) for text in (self.what_changed, self.likely_cause, self.what_to_do))


def summary_by_rules(incident: Incident) -> IncidentSummary:
    """In at most `MOST_WORDS`, where the incident's own names leave room for that."""
    evidence = evidence_in(incident.evidence)
    kind = kind_of_cause(evidence)
    changed, to_do = what_changed(incident), advice(incident, evidence, kind)
    summaries = [IncidentSummary(kind, changed, cause, to_do) for cause in _likely_causes(incident, evidence)]
    return next((one for one in summaries if one.length <= MOST_WORDS), summaries[-1])


def what_changed(incident: Incident) -> str:
    """'Success rate fell from 85% to 12% since 10:00 UTC (very sure)'."""
    told = re.split(r" \(|; ", incident.details)[0].rstrip(".")
    found = _EVIDENCE.search(incident.details)
    odds = float(found.group(1).replace(",", "")) if found else math.nan
    sure = next((words for least, words in _SURE if odds >= least), "")
    return f"{told} ({sure})." if sure else f"{told}."


def _likely_causes(incident: Incident, evidence: CauseEvidence | None) -> list[str]:
    """The likeliest explanation, and the change right before the onset; else the first step that fails. The longest
    sentence first."""
    if incident.type in ADVICE_ON_DISAGREEMENTS:
        return [_sentence(incident.root_cause.partition(":")[0])]
    if evidence is None:
        return [_sentence(incident.root_cause)]
    top, change = top_explanation(evidence), change_before(evidence)
    parts = [_explained(top, evidence.affected_means)] if top is not None else []
    if not parts and evidence.first_failing_steps:
        step = evidence.first_failing_steps[0]
        parts.append(f"{step.tasks} of {step.of} affected tasks failed first in {step.name}")
    if change is not None and (top is None or "deployment" not in top.values):
        parts.append(_came(change, alone=not parts))
    if not parts:
        return [_sentence(incident.root_cause)]
    shortest = [f"likely {named_values(top.values)}"] if top is not None else []
    return [_sentence(one) for one in (", ".join(parts), parts[0], *shortest)]


def _explained(top: Explanation, affected_means: str) -> str:
    hit = f"{top.affected} of {top.tasks} tasks with it {they_did(affected_means)}"
    return f"likely {named_values(top.values)}: {hit}, {100 * top.share:.0f}% of the rise"


def _came(change: NearbyChange, *, alone: bool) -> str:
    at = f"{change.time:%H:%M} UTC"
    noun = CHANGE_NOUNS.get(change.kind, change.kind)
    what = f"the first use of {change.to_version} at {at}" if change.kind == FIRST_USE else f"the {noun} of {at}"
    return f"likely {what}, {change.minutes_before_onset:.0f} minutes before" if alone else f"after {what}"


def advice(incident: Incident, evidence: CauseEvidence | None, kind: CauseKind) -> str:
    if incident.type in ADVICE_ON_DISAGREEMENTS:
        return ADVICE_ON_DISAGREEMENTS[incident.type]
    top = top_explanation(evidence) if evidence is not None else None
    values = top.values if top is not None else {}
    if incident.family == "traffic":
        return "Check whether work still reaches it, and whether it still sends traces."
    model, tool = values.get("model", "the model"), values.get("tool", "the tool")
    provider, caller = values.get("provider", "the provider"), values.get("parent_agent", "the calling agent")
    return {
        CauseKind.MODEL: _about_the_model(incident.agent, model, evidence),
        CauseKind.PROVIDER: f"Check the status of {provider}, and switch to another provider until it answers.",
        CauseKind.TOOL: f"Check {tool}: the example traces show what it was asked.",
        CauseKind.PROGRAM: f"Roll {incident.agent} back to its earlier version, then compare the example traces.",
        CauseKind.DEPLOYMENT: "Roll the deployment back, or compare its changes with the example traces.",
        CauseKind.CALLER: f"Look at what {caller} sends it, in the example traces.",
        CauseKind.STEP: "Open that step in the example traces.",
        CauseKind.UNKNOWN: "Start with the example traces.",
    }[kind]


def _about_the_model(agent: str, model: str, evidence: CauseEvidence | None) -> str:
    change = change_before(evidence) if evidence is not None else None
    if change is not None and change.kind == "model":
        return f"Switch {agent} back to its earlier model, then compare the example traces."
    return f"Compare the answers of {model} in the example traces, then consider another model."


def _sentence(text: str) -> str:
    plain = text.strip().rstrip(".")
    return f"{plain[:1].upper()}{plain[1:]}."
