"""Causes as sentences: what explains a finding, where its tasks fail first, what changed then."""

from __future__ import annotations

from perf_pipeline.monitoring.cause_evidence import Explanation, FailingStep, NearbyChange

NOUNS = {"program_version": "version", "parent_agent": "calling agent", "failing_step": "step", "error_type": "error"}
CHANGE_NOUNS = {"model": "model change", "prompt": "prompt change"}
RAREST_CHANCE = 1e-6


def named_values(values: dict[str, str]) -> str:
    """'model gpt-x with tool search'."""
    return " with ".join(f"{NOUNS.get(name, name.replace('_', ' '))} {value}" for name, value in values.items())


def explanation_in_words(explanation: Explanation, affected_means: str) -> str:
    """'9 of 10 tasks with model gpt-x failed, 5% did before: that explains 86% of the rise.'"""
    usual = 100 * explanation.usual_rate
    chance = _chance(explanation.p_value)
    counted = f"{explanation.affected} of {explanation.tasks} tasks with {named_values(explanation.values)}"
    share = f"that explains {100 * explanation.share:.0f}% of the rise"
    luck = f"; by chance less often than once in {chance} times" if chance else ""
    return f"{counted} {affected_means}, {usual:.0f}% did before: {share}{luck}."


def step_in_words(step: FailingStep) -> str:
    error = f", with {step.error_type.rsplit('.', 1)[-1]}" if step.error_type else ""
    return f"{step.tasks} of {step.of} affected tasks failed first in the {step.kind} step {step.name}{error}."


def change_in_words(change: NearbyChange) -> str:
    """'The deployment of 09:58 UTC came 2 minutes before the onset: "Shorten the prompt" (9f2c1ab → 44d07be).'"""
    minutes = round(abs(change.minutes_before_onset))
    when = "before" if change.minutes_before_onset >= 0 else "after"
    count = f"{minutes} minute{'' if minutes == 1 else 's'}"
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
