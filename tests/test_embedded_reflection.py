"""The embedded model writes instructions: feedback on failures becomes rules that its own task skill follows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import dspy
import pytest
from dspy.propose.grounded_proposer import generate_instruction_class
from dspy.teleprompt.gepa.gepa_utils import ScoreWithFeedback
from dspy.teleprompt.gepa.instruction_proposal import CompressInstruction, InstructionProposer
from hypothesis import given
from hypothesis import strategies as st

from dspy_modules.demo_agents import INBOUND_EXAMPLES, InboundAgent
from dspy_modules.demo_metrics import right_intent
from dspy_modules.embedded_model import embedded_lm, reply
from dspy_modules.embedded_reflection_skill import (
    PHRASES_A_VALUE,
    VALUES,
    WORDS_A_PHRASE,
    Case,
    cases_of_feedback,
    rewritten,
)

Reflection = Mapping[str, Any]


class Route(dspy.Signature):
    """Route the request."""

    request: str = dspy.InputField()
    department: Literal["billing", "repairs"] = dspy.OutputField()


def reflection(request: str, expected: str, answered: str) -> Reflection:
    verdict = "Right" if expected == answered else "Wrong"
    return {
        "Inputs": {"request": request},
        "Generated Outputs": {"department": answered},
        "Feedback": f"{verdict}: expected '{expected}', answered '{answered}'.",
    }


def proposed(*reflections: Reflection, instruction: str = "Route the request.", max_chars: int | None = None) -> str:
    """What the model proposes to GEPA's own proposer."""
    with dspy.context(lm=embedded_lm()):
        proposer = InstructionProposer(max_chars=max_chars)
        return proposer({"route": instruction}, {"route": reflections}, ["route"])["route"]


@pytest.mark.parametrize(("expected", "answered"), [("billing", "repairs"), ("repairs", "billing")])
def test_feedback_on_a_failure_becomes_a_rule_that_the_task_skill_follows(expected: str, answered: str) -> None:
    instruction = proposed(reflection("The kettle leaks on the floor", expected, answered))
    assert instruction == f'Route the request.\n- If the input mentions "kettle leaks floor", answer {expected}.'
    with dspy.context(lm=embedded_lm()):
        answer = dspy.Predict(Route.with_instructions(instruction))(request="My kettle leaks")
    assert answer.department == expected


def test_a_right_answer_makes_no_rule() -> None:
    assert proposed(reflection("The kettle leaks", "repairs", "repairs")) == "Route the request."


def test_a_word_that_occurs_with_several_values_makes_no_phrase() -> None:
    instruction = proposed(
        reflection("The kettle leaks", "repairs", "billing"),
        reflection("The kettle was charged twice", "billing", "billing"),
    )
    assert '"leaks"' in instruction
    assert "kettle" not in instruction


def test_known_rules_and_text_are_kept_and_their_words_stay_theirs() -> None:
    known = 'Route the request.\nBe polite.\n- If the input mentions "kettle", answer repairs.'
    instruction = proposed(reflection("A kettle was charged twice", "billing", "repairs"), instruction=known)
    assert instruction == known + '\n- If the input mentions "charged twice", answer billing.'


def test_the_same_feedback_twice_adds_nothing() -> None:
    failure = reflection("The kettle leaks on the floor", "repairs", "billing")
    assert proposed(failure, instruction=proposed(failure)) == proposed(failure)


@pytest.mark.parametrize(
    "feedback", ["The correct answer is 'repairs'.", "It should have been `repairs`.", 'Expected: "repairs"']
)
def test_other_ways_to_name_the_expected_value_are_understood(feedback: str) -> None:
    examples = [{"Inputs": {"request": "It leaks"}, "Generated Outputs": {"department": "billing"}}]
    listed = json.dumps([{**examples[0], "Feedback": feedback}])
    assert cases_of_feedback(listed) == [Case("It leaks", "repairs")]


@pytest.mark.parametrize("examples", ["not JSON", "{}", "[1]", '[{"Feedback": "Your output failed to parse."}]'])
def test_feedback_that_names_no_value_leaves_the_instruction_as_it_is(examples: str) -> None:
    assert rewritten("Route the request.", cases_of_feedback(examples)) == "Route the request."


@given(st.lists(st.tuples(st.text(max_size=80), st.sampled_from([f"value_{n}" for n in range(20)])), max_size=60))
def test_rules_stay_bounded_and_are_read_back_as_they_were_written(failures: list[tuple[str, str]]) -> None:
    instruction = "Route the request."
    for text, expected in failures:
        instruction = rewritten(instruction, [Case(text, expected)])
    rules = instruction.splitlines()[1:]
    assert len(rules) <= VALUES
    for rule in rules:
        phrases = rule.split('"')[1::2]
        assert len(phrases) <= PHRASES_A_VALUE
        assert all(len(phrase.split()) <= WORDS_A_PHRASE for phrase in phrases)
    assert rewritten(instruction, []) == instruction


def test_a_limit_of_length_is_kept_by_leaving_rules_out() -> None:
    failures = [reflection(f"Machine number{n} leaks oil{n} badly{n}", "repairs", "billing") for n in range(9)]
    instruction = proposed(*failures, max_chars=120)
    assert len(instruction) <= 120
    assert instruction.startswith('Route the request.\n- If the input mentions "')


def test_an_instruction_is_shortened_on_request() -> None:
    long = 'Route the request.\n- If the input mentions "kettle leaks", "broken lid", answer repairs.'
    with dspy.context(lm=embedded_lm(), adapter=dspy.JSONAdapter()):
        answer = dspy.Predict(CompressInstruction)(instruction=long, length_limit="At most 75 characters.")
    assert answer.shortened_instruction == long.replace(', "broken lid"', "")


def test_miprov2s_proposer_gets_the_instruction_with_rules_from_its_examples() -> None:
    ask = generate_instruction_class(program_aware=False, use_dataset_summary=False, use_instruct_history=False)
    demonstrations = "Request: The kettle leaks\nDepartment: repairs\n\nRequest: Charged twice\nDepartment: billing\n\n"
    with dspy.context(lm=embedded_lm()):
        answer = ask(task_demos=demonstrations, basic_instruction="Route the request.", tip="Keep it clear.")
    assert answer.proposed_instruction.splitlines() == [
        "Route the request.",
        '- If the input mentions "kettle leaks", answer repairs.',
        '- If the input mentions "charged twice", answer billing.',
    ]


def test_an_unknown_prompt_is_answered_without_a_value() -> None:
    assert "[[" not in reply([{"role": "user", "content": "Tell me a story."}])


def test_a_gepa_run_improves_an_agent_on_messages_that_it_did_not_see() -> None:
    examples = [dspy.Example(**asked, **answered).with_inputs("message") for asked, answered in INBOUND_EXAMPLES]
    training, validation, held_out = examples[0::5], examples[1::10], examples[2::5]

    def judged(
        gold: Any,
        pred: Any,
        trace: Any = None,  # noqa: ARG001
        pred_name: Any = None,  # noqa: ARG001
        pred_trace: Any = None,  # noqa: ARG001
    ) -> ScoreWithFeedback:
        score, feedback = right_intent(gold, pred)
        return ScoreWithFeedback(score=score, feedback=feedback)

    def score(program: dspy.Module) -> float:
        return sum(right_intent(example, program(**example.inputs()))[0] for example in held_out) / len(held_out)

    with dspy.context(lm=embedded_lm()):
        optimizer = dspy.GEPA(judged, max_metric_calls=150, reflection_lm=embedded_lm(), num_threads=1)
        optimized = optimizer.compile(InboundAgent(), trainset=training, valset=validation)
        assert score(optimized) >= score(InboundAgent()) + 0.1
    assert '- If the input mentions "' in optimized.dump_state()["classify"]["signature"]["instructions"]
