"""How right an answer of a demo agent is: a score of 1 or 0, and feedback that names what was expected."""

from __future__ import annotations

from typing import Any

Judgement = tuple[float, str]
"""The score, and the feedback that an optimizer reads."""


def right_strategy(example: Any, prediction: Any) -> Judgement:
    """StrategyAgent's."""
    return _judge("strategy", example, prediction)


def right_intent(example: Any, prediction: Any) -> Judgement:
    """InboundAgent's."""
    return _judge("intent", example, prediction)


def right_step(example: Any, prediction: Any) -> Judgement:
    """FollowUpAgent's. The opening is free text, and is not judged."""
    return _judge("step", example, prediction)


def right_segment(example: Any, prediction: Any) -> Judgement:
    """ResearchAgent's. The finding is free text, and is not judged."""
    return _judge("segment", example, prediction)


def right_verdict(example: Any, prediction: Any) -> Judgement:
    """AuditAgent's. The issue is free text, and is not judged."""
    return _judge("verdict", example, prediction)


def right_action(example: Any, prediction: Any) -> Judgement:
    """AccountOrchestrator's. The draft is free text, and is not judged."""
    return _judge("action", example, prediction)


def right_health(example: Any, prediction: Any) -> Judgement:
    """Introspection's. The lesson is free text, and is not judged."""
    return _judge("health", example, prediction)


def _judge(field: str, example: Any, prediction: Any) -> Judgement:
    """Compares one field. A prediction without it is wrong; an example without it raises AttributeError."""
    expected = str(getattr(example, field))
    answered = getattr(prediction, field, None)
    if answered is not None and str(answered) == expected:
        return 1.0, f"Right: expected '{expected}', and that was answered."
    said = "nothing was answered" if answered is None else f"answered '{answered}'"
    return 0.0, f"Wrong: expected '{expected}', {said}."
