"""Evidence as facts: one sentence for what explains a finding, where its tasks fail first, what changed then."""

from __future__ import annotations

from perf_pipeline.monitoring.cause_evidence import ErrorShare, Explanation, FailingStep, NearbyChange, SlowStep
from perf_pipeline.monitoring.cause_words import CHANGE_NOUNS, duration_in_words, short_error
from perf_pipeline.monitoring.nearby_changes import FIRST_USE

NOUNS = {
    "program_version": "version",
    "parent_agent": "calling agent",
    "first_failing_step": "first failing step",
    "slowest_step": "slowest step",
    "error_type": "error",
}
RAREST_CHANCE = 1e-6


def named_values(values: dict[str, str]) -> str:
    """'model gpt-x with tool search'. A deployment is told by its time and title."""
    return " with ".join(f"{NOUNS.get(name, name.replace('_', ' '))} {value}" for name, value in values.items())


def they_did(affected_means: str) -> str:
    """'failed', 'had errors', 'were slower than 4.2 s'."""
    if affected_means.startswith("with "):
        return f"had {affected_means.removeprefix('with ')}"
    return affected_means if affected_means == "failed" else f"were {affected_means}"


def explanation_in_words(explanation: Explanation, affected_means: str) -> str:
    """'9 of 10 tasks with model gpt-x failed, 5% did before: that explains 86% of the rise.'"""
    counted = f"{explanation.affected} of {explanation.tasks} tasks with {named_values(explanation.values)}"
    usual = f"{100 * explanation.usual_rate:.0f}% did before" if explanation.usual_tasks else "no task had it before"
    share = f"that explains {100 * explanation.share:.0f}% of the rise"
    luck = f"; by chance less often than 1 in {chance} times" if (chance := _chance(explanation.p_value)) else ""
    return f"{counted} {they_did(affected_means)}, {usual}: {share}{luck}."


def error_in_words(error: ErrorShare) -> str:
    name = short_error(error.error_type)
    before = f"; {error.usual_tasks} of {error.usual_of} did before" if error.usual_of else ""
    return f"{error.tasks} of {error.of} affected tasks failed with {name}{before}."


def failing_step_in_words(step: FailingStep) -> str:
    error = f", with {short_error(step.error_type)}" if step.error_type else ""
    return f"{step.tasks} of {step.of} affected tasks failed first in the {step.kind} step {step.name}{error}."


def slow_step_in_words(step: SlowStep) -> str:
    usual = f", usually {duration_in_words(step.usual_median_ms)}" if step.usual_median_ms is not None else ""
    slowest = f"{step.tasks} of {step.of} affected tasks took longest in the step {step.name}"
    return f"{slowest}: {duration_in_words(step.median_ms)} there{usual}."


def change_in_words(change: NearbyChange) -> str:
    """'The deployment of 09:58 UTC came 2 minutes before the onset: "Shorten the prompt" (9f2c1ab → 44d07be).'"""
    minutes = round(abs(change.minutes_before_onset))
    when = "before" if change.minutes_before_onset >= 0 else "after"
    count = f"{minutes} minute{'' if minutes == 1 else 's'}"
    if change.kind == FIRST_USE:
        return f"The first use of {change.to_version} at {change.time:%H:%M} UTC came {count} {when} the onset."
    versions = f" ({change.from_version} → {change.to_version})" if change.from_version and change.to_version else ""
    noun = CHANGE_NOUNS.get(change.kind, change.kind)
    # Other people's words, which claim nothing here.
    title = f'"{change.description}"'
    return f"The {noun} of {change.time:%H:%M} UTC came {count} {when} the onset: {title}{versions}."


def _chance(p_value: float) -> str:
    """'1,000' for one in a thousand; "" where chance would do it more often than once in twenty times."""
    if p_value > 0.05:
        return ""
    times = 1 / max(p_value, RAREST_CHANCE)
    return f"{float(f'{times:.1g}'):,.0f}"
