"""What kind of thing causes a finding, as the evidence has it, and what to do about each kind."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from perf_pipeline.monitoring.cause_evidence import CauseEvidence, Explanation, NearbyChange


class CauseKind(StrEnum):
    MODEL = "model"
    PROVIDER = "provider"
    TOOL = "tool"
    PROGRAM = "program"
    DEPLOYMENT = "deployment"
    CALLER = "caller"
    STEP = "step"
    UNKNOWN = "unknown"


KIND_OF_ATTRIBUTE = {
    "tool": CauseKind.TOOL,
    "program_version": CauseKind.PROGRAM,
    "deployment": CauseKind.DEPLOYMENT,
    "provider": CauseKind.PROVIDER,
    "model": CauseKind.MODEL,
    "parent_agent": CauseKind.CALLER,
    "step": CauseKind.STEP,
    "failing_step": CauseKind.STEP,
    "slowest_step": CauseKind.STEP,
}
"""In the order in which the attributes of one explanation are asked: the more particular ones first."""

KIND_OF_CHANGE = {
    "deployment": CauseKind.DEPLOYMENT,
    "model": CauseKind.MODEL,
    "prompt": CauseKind.PROGRAM,
    "promotion": CauseKind.PROGRAM,
    "rollback": CauseKind.PROGRAM,
    "program": CauseKind.PROGRAM,
}

TELLING_SHARE = 0.5
"""An explanation of less than half of the trouble gives way to a change that came right before it."""

SOON_AFTER = timedelta(hours=1)


def kind_of_cause(evidence: CauseEvidence | None) -> CauseKind:
    """The kind that the evidence speaks for, by rules; `unknown` where it speaks for none."""
    if evidence is None:
        return CauseKind.UNKNOWN
    top = evidence.explanations[0] if evidence.explanations else None
    if top is not None and top.share >= TELLING_SHARE:
        return _kind_of_explanation(top)
    change = change_before(evidence)
    if change is not None:
        return KIND_OF_CHANGE.get(change.kind, CauseKind.UNKNOWN)
    return _kind_of_explanation(top) if top is not None else CauseKind.UNKNOWN


def change_before(evidence: CauseEvidence) -> NearbyChange | None:
    """The likeliest change, where it came at most an hour before the onset."""
    soon = SOON_AFTER.total_seconds() / 60
    return next((change for change in evidence.changes if 0 <= change.minutes_before_onset <= soon), None)


def _kind_of_explanation(explanation: Explanation) -> CauseKind:
    return next((kind for name, kind in KIND_OF_ATTRIBUTE.items() if name in explanation.values), CauseKind.UNKNOWN)
