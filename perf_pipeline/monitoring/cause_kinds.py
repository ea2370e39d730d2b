"""What kind of thing causes a finding, as the evidence has it."""

from __future__ import annotations

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
    "parent_agent": CauseKind.CALLER,
    "provider": CauseKind.PROVIDER,
    "model": CauseKind.MODEL,
    "first_failing_step": CauseKind.STEP,
    "slowest_step": CauseKind.STEP,
    "error_type": CauseKind.STEP,
}
"""In the order in which the attributes of one explanation are asked: the more particular ones first."""

KIND_OF_CHANGE = {
    "deployment": CauseKind.DEPLOYMENT,
    "model": CauseKind.MODEL,
    "prompt": CauseKind.PROGRAM,
    "promotion": CauseKind.PROGRAM,
    "rollback": CauseKind.PROGRAM,
}

TELLING_SHARE = 0.5
"""An explanation of less than half of the trouble gives way to a change that came right before it."""

SOON_AFTER_MINUTES = 60


def kind_of_cause(evidence: CauseEvidence | None) -> CauseKind:
    """The kind that the evidence speaks for, by rules; `unknown` where it speaks for none."""
    if evidence is None:
        return CauseKind.UNKNOWN
    top = top_explanation(evidence)
    if top is not None and top.share >= TELLING_SHARE:
        return kind_of_values(top.values)
    change = change_before(evidence)
    if change is not None:
        return KIND_OF_CHANGE.get(change.kind, CauseKind.UNKNOWN)
    return kind_of_values(top.values) if top is not None else CauseKind.UNKNOWN


def top_explanation(evidence: CauseEvidence) -> Explanation | None:
    """The likeliest: of which tasks are hit before of what went wrong with them, where there is one."""
    together = [one for one in evidence.explanations if not one.alternative]
    return next(
        (one for one in together if kind_of_values(one.values) is not CauseKind.STEP), next(iter(together), None)
    )


def change_before(evidence: CauseEvidence) -> NearbyChange | None:
    """The likeliest change, where it came at most an hour before the onset."""
    return next(
        (change for change in evidence.changes[:1] if 0 <= change.minutes_before_onset <= SOON_AFTER_MINUTES), None
    )


def kind_of_values(values: dict[str, str]) -> CauseKind:
    return next((kind for name, kind in KIND_OF_ATTRIBUTE.items() if name in values), CauseKind.UNKNOWN)
