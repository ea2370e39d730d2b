"""The embedded model answers DSPy's real prompts from names, rules and examples, and fails as providers do."""

from __future__ import annotations

from typing import Literal

import dspy
import pytest
from dspy.utils.exceptions import AdapterParseError, LMRateLimitError, LMTimeoutError

from dspy_modules.embedded_model import EmbeddedModel, Fault, embedded_lm
from dspy_modules.embedded_prompt import expects_json, read_prompt

ADAPTERS = [dspy.ChatAdapter(), dspy.JSONAdapter()]
ADAPTER_NAMES = ["ChatAdapter", "JSONAdapter"]


class Route(dspy.Signature):
    """Route the request."""

    request: str = dspy.InputField(desc="what a customer wrote")
    topics: list[str] = dspy.InputField()
    department: Literal["billing", "technical_support"] = dspy.OutputField()
    urgent: bool = dspy.OutputField()
    people: int = dspy.OutputField()
    quote: str = dspy.OutputField(desc="the sentence about the invoice")


def ask(adapter: dspy.Adapter, signature: type[dspy.Signature] = Route, **inputs: object) -> dspy.Prediction:
    with dspy.context(lm=embedded_lm(), adapter=adapter):
        return dspy.Predict(signature)(**inputs)


@pytest.mark.parametrize("adapter", ADAPTERS, ids=ADAPTER_NAMES)
def test_each_field_gets_a_value_of_its_type_through_both_adapters(adapter: dspy.Adapter) -> None:
    answer = ask(adapter, request="Good day. My invoice is wrong.", topics=["money"])
    assert answer.department in ("billing", "technical_support")
    assert isinstance(answer.urgent, bool)
    assert answer.people == 0
    assert answer.quote == "My invoice is wrong."


@pytest.mark.parametrize("adapter", ADAPTERS, ids=ADAPTER_NAMES)
@pytest.mark.parametrize(
    ("request_text", "department"),
    [("A question on billing", "billing"), ("I need support for a technical matter", "technical_support")],
)
def test_a_value_named_in_the_input_is_chosen(adapter: dspy.Adapter, request_text: str, department: str) -> None:
    assert ask(adapter, request=request_text, topics=[]).department == department


@pytest.mark.parametrize("department", ["billing", "technical_support"])
def test_a_rule_in_the_instructions_is_followed(department: str) -> None:
    rule = f'Route the request.\n- If the input mentions "screen", "black picture", answer {department}.'
    answer = ask(ADAPTERS[0], Route.with_instructions(rule), request="The picture is black", topics=[])
    assert answer.department == department


@pytest.mark.parametrize("adapter", ADAPTERS, ids=ADAPTER_NAMES)
@pytest.mark.parametrize("department", ["billing", "technical_support"])
def test_the_nearest_example_decides_where_names_and_rules_are_silent(adapter: dspy.Adapter, department: str) -> None:
    other = "billing" if department == "technical_support" else "technical_support"
    program = dspy.Predict(Route)
    same = {"topics": [], "urgent": False, "people": 3, "quote": "none"}
    program.demos = [
        dspy.Example(request="The parcel came broken", department=department, **same),
        dspy.Example(request="Greetings from Lisbon", department=other, **same),
    ]
    with dspy.context(lm=embedded_lm(), adapter=adapter):
        answer = program(request="My parcel is broken", topics=[])
    assert (answer.department, answer.people) == (department, 3)


def test_the_same_prompt_gets_the_same_answer() -> None:
    answers = [ask(ADAPTERS[0], request="Hello", topics=["x"]).toDict() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]


def test_token_usage_is_reported() -> None:
    with dspy.context(lm=embedded_lm(), track_usage=True):
        usage = dspy.Predict(Route)(request="Hello", topics=[]).get_lm_usage()
    assert usage is not None
    counts = usage["embedded/simulated-1"]
    assert counts["prompt_tokens"] > 100
    assert counts["total_tokens"] == counts["prompt_tokens"] + counts["completion_tokens"]


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (Fault.MALFORMED, AdapterParseError),
        (Fault.RATE_LIMITED, LMRateLimitError),
        (Fault.TIMED_OUT, LMTimeoutError),
    ],
)
def test_a_fault_becomes_the_exception_that_dspy_raises_for_a_provider(fault: Fault, raised: type[Exception]) -> None:
    with dspy.context(lm=embedded_lm(faults=lambda *_: fault)), pytest.raises(raised):
        dspy.Predict(Route)(request="Hello", topics=[])


def test_a_malformed_first_answer_is_repaired_by_the_json_fallback() -> None:
    asked: list[bool] = []

    def first_answer_malformed(messages: object, model: str) -> Fault | None:
        assert model == "embedded/simulated-1"
        asked.append(expects_json(messages))  # pyright: ignore[reportArgumentType]
        return None if asked[-1] else Fault.MALFORMED

    with dspy.context(lm=embedded_lm(faults=first_answer_malformed), adapter=dspy.ChatAdapter()):
        assert dspy.Predict(Route)(request="billing", topics=[]).department == "billing"
    assert asked == [False, True]


def test_a_prompt_that_is_not_from_dspy_is_refused() -> None:
    with pytest.raises(ValueError, match="ChatAdapter and JSONAdapter"):
        read_prompt([{"role": "user", "content": "Tell me a story."}])


def test_a_saved_program_loads_its_embedded_model_again() -> None:
    state = embedded_lm().dump_state()
    loaded = dspy.LM.load_state(state, allow_custom_lm_class=True)
    assert isinstance(loaded, dspy.LM)
    assert isinstance(loaded.engine, EmbeddedModel)
    assert loaded.model == "embedded/simulated-1"
