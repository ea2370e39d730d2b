"""How good an analysis is: the metric that the analysts' own program is optimized by."""

from __future__ import annotations

from typing import Any

from perf_pipeline.monitoring.incident_analysis import Answer, trouble_with

RIGHT_KIND, TELLABLE = 0.7, 0.3
"""What the kind of cause and words that may be told count for."""


def right_cause(example: Any, prediction: Any) -> tuple[float, str]:
    """0 to 1, and what to do better. `example` has `facts`, a fact a line, and the true `cause_kind`."""
    answer = Answer(
        cause_kind=str(prediction.get("cause_kind")),
        confidence=0.0,
        what_changed=str(prediction.get("what_changed") or ""),
        likely_cause=str(prediction.get("likely_cause") or ""),
        what_to_do=str(prediction.get("what_to_do") or ""),
    )
    is_right = answer.cause_kind == example["cause_kind"]
    trouble = trouble_with(answer, example["facts"].splitlines())
    said = [
        f"The kind of cause is right: {answer.cause_kind}."
        if is_right
        else f"The kind of cause is {example['cause_kind']}, not {answer.cause_kind}.",
        f"The report may not be told: {trouble}." if trouble else "The report may be told.",
    ]
    return RIGHT_KIND * is_right + TELLABLE * (not trouble), " ".join(said)
