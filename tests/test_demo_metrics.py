"""The metrics of the demo agents score one field, and their feedback names what was expected."""

from __future__ import annotations

from collections.abc import Callable

import dspy
import pytest

from dspy_modules import demo_metrics
from dspy_modules.demo_metrics import Judgement, right_intent, right_strategy
from dspy_modules.embedded_reflection_skill import EXPECTED

Metric = Callable[[object, object], Judgement]

FIELDS = ["strategy", "intent", "step", "segment", "verdict", "action", "health"]


def metric_of(field: str) -> Metric:
    return getattr(demo_metrics, f"right_{field}")


@pytest.mark.parametrize("field", FIELDS)
def test_the_expected_value_scores_one_and_any_other_nothing(field: str) -> None:
    example = dspy.Example({"text": "t", field: "a"}).with_inputs("text")
    right = metric_of(field)(example, dspy.Prediction(**{field: "a"}))
    wrong = metric_of(field)(example, dspy.Prediction(**{field: "b"}))
    assert right == (1.0, "Right: expected 'a', and that was answered.")
    assert wrong == (0.0, "Wrong: expected 'a', answered 'b'.")


def test_a_prediction_without_the_field_is_wrong_and_says_so() -> None:
    example = dspy.Example(strategy="renew")
    assert right_strategy(example, dspy.Prediction()) == (0.0, "Wrong: expected 'renew', nothing was answered.")


def test_an_example_without_a_label_is_not_silently_wrong() -> None:
    with pytest.raises(AttributeError, match="intent"):
        right_intent(dspy.Example(message="Hello"), dspy.Prediction(intent="objection"))


def test_the_embedded_model_finds_the_expected_value_in_the_feedback() -> None:
    _, feedback = right_intent(dspy.Example(intent="not_now"), dspy.Prediction(intent="objection"))
    found = EXPECTED.search(feedback)
    assert found is not None
    assert found.group(1) == "not_now"
