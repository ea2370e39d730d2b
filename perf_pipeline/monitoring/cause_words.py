"""The cause of a finding in a sentence that only repeats its figures."""

from __future__ import annotations

import math

from perf_pipeline.monitoring.affected_tasks import AffectedTasks
from perf_pipeline.monitoring.cause_evidence import (
    CauseEvidence,
    ErrorShare,
    Explanation,
    FailingStep,
    NearbyChange,
    SlowStep,
)
from perf_pipeline.monitoring.explanations import OBSERVED
from perf_pipeline.monitoring.nearby_changes import FIRST_USE, time_and_words

CHANGE_NOUNS = {"model": "model change", "prompt": "prompt change"}
DOMINANT_SHARE = 0.6
NO_CULPRIT = "No single error, model, version, tool or step stands out"
NO_CHANGE_KNOWN = "No change of the agent or of the fleet is known from that time"

EVERY_OBSERVED = {column for columns in OBSERVED.values() for column in columns}

WORDS = {
    "program_version": "version",
    "parent_agent": "calls by",
    "deployment": "the deployment of",
    "error_type": "error",
    "first_failing_step": "step",
    "slowest_step": "step",
}


def short_error(error_type: str) -> str:
    """The class of an exception without its modules."""
    return error_type.rsplit(".", 1)[-1]


def cause_in_words(evidence: CauseEvidence, tasks: AffectedTasks) -> str:
    """What the affected tasks have in common, what explains them and how sure that is, and the change before them."""
    explained = [one for one in evidence.explanations if not one.alternative and not set(one.values) & EVERY_OBSERVED]
    change = evidence.changes[0] if evidence.changes else None
    told = "" if change is None else change_in_words(change)
    parts = [_what_went_wrong(evidence, tasks), *(_explained(one, evidence, tasks.did) for one in explained[:2]), told]
    if change is not None:
        # It is named once, at the end.
        value = f"{WORDS['deployment']} {time_and_words(change.time, change.description)}"
        parts = [part.replace(value, "the deployment") for part in parts]
    return "; ".join(part for part in parts if part) or NO_CULPRIT


def change_in_words(change: NearbyChange) -> str:
    if change.kind == FIRST_USE:
        before = f" (before: {change.from_version})" if change.from_version else ""
        return f"after the first use of {change.to_version} at {change.time:%H:%M} UTC{before}"
    kind = CHANGE_NOUNS.get(change.kind, change.kind)
    words = f"after the {kind} of {change.time:%H:%M} UTC: {change.description}"
    if change.from_version and change.to_version:
        words += f" ({change.from_version} → {change.to_version})"
    return words


def chance_in_words(p_value: float) -> str:
    """'less than 1 in 300', rounded down to one digit."""
    if p_value < 1e-6:
        return "less than 1 in a million"
    if p_value >= 0.5:
        return "more likely than not"
    times = 1 / p_value
    size = 10 ** math.floor(math.log10(times))
    return f"about 1 in {math.floor(times / size) * size:,}"


def values_in_words(values: dict[str, str]) -> str:
    """'model gpt-x and tool search'."""
    return " and ".join(f"{WORDS.get(name, name)} {value}" for name, value in values.items())


def _what_went_wrong(evidence: CauseEvidence, tasks: AffectedTasks) -> str:
    error = next((one for one in evidence.error_types if _dominates(one)), None)
    failing = next((one for one in evidence.first_failing_steps if _dominates(one)), None)
    slow = next((one for one in evidence.slowest_steps if _dominates(one)), None)
    if error:
        return _error(error, failing, tasks.noun)
    if failing:
        return f"{failing.tasks} of {failing.of} {tasks.noun} begin in {failing.name}"
    return _slow_step(slow) if slow else ""


def _dominates(one: ErrorShare | FailingStep | SlowStep) -> bool:
    return one.tasks >= DOMINANT_SHARE * one.of


def _error(error: ErrorShare, failing: FailingStep | None, noun: str) -> str:
    verb = "are" if noun == "failures" else "have"
    words = f"{error.tasks} of {error.of} {noun} {verb} {short_error(error.error_type)}"
    if error.usual_of and error.usual_tasks < DOMINANT_SHARE * error.usual_of:
        words += f" ({error.usual_tasks} of {error.usual_of} before)"
    return words + (f", first in {failing.name}" if failing else "")


def _slow_step(slow: SlowStep) -> str:
    words = f"{slow.name} takes longest in {slow.tasks} of {slow.of} slow tasks: {duration_in_words(slow.median_ms)}"
    return words + (f", usually {duration_in_words(slow.usual_median_ms)}" if slow.usual_median_ms is not None else "")


def duration_in_words(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def _explained(one: Explanation, evidence: CauseEvidence, did: str) -> str:
    which = "all" if one.affected == evidence.affected else f"{one.affected} of {evidence.affected}"
    joint = "since" if list(one.values) == ["deployment"] else "with"
    usually = f"{100 * one.usual_rate:.0f}% before" if one.usual_tasks else "no task had it before"
    return (
        f"{which} {joint} {values_in_words(one.values)}, where {one.affected} of {one.tasks} {did} ({usually}), "
        f"{100 * one.share:.0f}% of the rise; chance alone: {chance_in_words(one.p_value)}"
    )
