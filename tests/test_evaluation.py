"""A score is what the metric gives for what the program answered; nothing that is out of order is a score."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import dspy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspy_modules.demo_agents import INBOUND_EXAMPLES, InboundAgent
from dspy_modules.demo_metrics import right_intent
from dspy_modules.embedded_model import Fault, embedded_lm
from dspy_modules.evaluation import Judgement, Scored, evaluate, judge_with
from dspy_modules.examples import Example, as_example
from dspy_modules.stop_signals import BudgetExhausted, InfrastructureFailure, PhaseOver, RunCancelled, RunStopped

EXAMPLE = as_example({"question": "Is it day?"}, {"answer": "yes"})
ANSWER = dspy.Prediction(answer="yes")


class Scripted(dspy.Module):
    """Answers what it is asked, or raises it."""

    def __init__(self, *behaviours: Any) -> None:
        super().__init__()
        self.behaviours = behaviours
        self.called: list[int] = []

    def forward(self, number: int) -> Any:
        self.called.append(number)
        found = self.behaviours[number]
        if isinstance(found, BaseException):
            raise found
        return found() if callable(found) else dspy.Prediction(value=found)


def numbered(count: int) -> list[Example]:
    return [as_example({"number": number}, {"value": number}) for number in range(count)]


def right_value(example: Any, prediction: Any) -> float:
    return float(example.value == prediction.value)


def slowly() -> dspy.Prediction:
    """An answer that takes as long as the shortest of real ones."""
    time.sleep(0.005)
    return dspy.Prediction(value=0)


def scores(program: dspy.Module, count: int, *, threads: int = 2, metric: Any = right_value) -> list[Scored]:
    return evaluate(program, numbered(count), judge_with(metric, "m:metric"), embedded_lm(), threads)


def judged(given: Any) -> Judgement:
    return judge_with(lambda _example, _prediction: given, "agents:metric")(EXAMPLE, ANSWER)


@pytest.mark.parametrize(
    ("given", "score", "feedback"),
    [
        (True, 1.0, "This answer got a score of 1."),
        (False, 0.0, "This answer got a score of 0."),
        (1, 1.0, "This answer got a score of 1."),
        (0.25, 0.25, "This answer got a score of 0.25."),
        ((0.5, "Half right."), 0.5, "Half right."),
        ((True, ""), 1.0, "This answer got a score of 1."),
        ((0.5, None), 0.5, "This answer got a score of 0.5."),
        (dspy.Prediction(score=0.75, feedback="Nearly."), 0.75, "Nearly."),
        (dspy.Prediction(score=1), 1.0, "This answer got a score of 1."),
    ],
)
def test_a_metric_may_give_a_score_a_truth_value_a_pair_or_a_prediction(
    given: Any, score: float, feedback: str
) -> None:
    assert judged(given) == Judgement(score, feedback)


@pytest.mark.parametrize(
    "given",
    [math.nan, 1.5, -0.1, math.inf, None, "good", (0.5, "a", "b"), (None, "x"), (2, "x"), {}, dspy.Prediction(x=1)],
)
def test_what_is_no_score_from_0_to_1_ends_the_run_and_is_no_zero(given: Any) -> None:
    with pytest.raises(InfrastructureFailure) as failed:
        judged(given)
    assert failed.value.is_lasting
    assert str(failed.value).startswith(
        "The metric agents:metric must give a score from 0 to 1, alone or with feedback"
    )
    assert ": it gave " in str(failed.value)


def test_a_metric_that_raises_ends_the_run_with_what_it_raised() -> None:
    def broken(example: Any, prediction: Any) -> float:
        return prediction.nothing / example.nothing

    with pytest.raises(InfrastructureFailure, match=r"m:metric .*: it raised AttributeError"):
        scores(Scripted(0), 1, metric=broken)


def test_a_stop_signal_in_a_metric_passes_as_it_is() -> None:
    def judge_without_money(*_: Any) -> float:
        raise BudgetExhausted("No money is left.")

    with pytest.raises(BudgetExhausted, match="No money is left"):
        scores(Scripted(0), 1, metric=judge_without_money)


@given(st.floats(0, 1), st.text(min_size=1))
def test_every_score_from_0_to_1_is_kept_with_its_feedback(score: float, feedback: str) -> None:
    assert judged((score, feedback)) == Judgement(score, feedback)


def test_scores_come_in_the_order_of_the_examples_whichever_is_ready_first() -> None:
    done = [threading.Event() for _ in range(4)]

    def after_the_next(number: int) -> Any:
        def answer() -> dspy.Prediction:
            assert number == len(done) - 1 or done[number + 1].wait(10)
            done[number].set()
            return dspy.Prediction(value=number if number % 2 else None)

        return answer

    found = scores(Scripted(*map(after_the_next, range(4))), 4, threads=4)
    assert [one.judgement.score for one in found] == [0, 1, 0, 1]
    assert [one.answer for one in found] == [{"value": None}, {"value": 1}, {"value": None}, {"value": 3}]


def test_a_program_that_fails_scores_0_and_says_why_and_the_others_go_on() -> None:
    first, second, third = scores(Scripted(0, ValueError("no\n such\tcustomer " + "x" * 400), 2), 3)
    assert (first.judgement.score, third.judgement.score) == (1, 1)
    assert (second.judgement.score, second.answer) == (0, None)
    assert second.error
    assert second.error.startswith("ValueError: no such customer xxx")
    assert len(second.error) == 300
    assert second.judgement.feedback == f"The program failed with {second.error}"


def test_an_answer_that_cannot_be_read_is_a_wrong_answer() -> None:
    broken = embedded_lm(faults=lambda *_: Fault.MALFORMED)
    [asked, *_] = INBOUND_EXAMPLES
    [found] = evaluate(InboundAgent(), [as_example(*asked)], judge_with(right_intent, "m"), broken, 1)
    assert (found.judgement.score, found.answer) == (0, None)
    assert "AdapterParseError" in str(found.error)


def test_the_programs_answers_are_those_of_the_model_that_is_given() -> None:
    asked = [as_example(*pair) for pair in INBOUND_EXAMPLES[:40]]
    found = evaluate(InboundAgent(), asked, judge_with(right_intent, "m"), embedded_lm(), 4)
    assert 0 < sum(one.judgement.score for one in found) < len(asked)
    for example, one in zip(asked, found, strict=True):
        assert one.answer
        assert (one.answer["intent"] == example.intent) == (one.judgement.score == 1)


@pytest.mark.parametrize(
    "stop", [BudgetExhausted("no"), RunCancelled("no"), PhaseOver("no"), InfrastructureFailure("no")]
)
@pytest.mark.parametrize("threads", [1, 4])
def test_a_stop_signal_in_one_thread_stops_all_and_is_no_score(stop: RunStopped, threads: int) -> None:
    program = Scripted(0, stop, *[slowly] * 200)
    with pytest.raises(type(stop)):
        scores(program, 202, threads=threads)
    assert len(program.called) < 100


def test_a_stop_signal_stops_all_also_while_an_earlier_example_takes_long() -> None:
    program = Scripted(lambda: time.sleep(0.4) or slowly(), InfrastructureFailure("no"), *[slowly] * 50)
    with pytest.raises(InfrastructureFailure):
        scores(program, 52)
    assert len(program.called) < 25, "each of them is paid for"


def test_the_first_examples_stop_signal_is_raised_where_there_are_two() -> None:
    with pytest.raises(RunCancelled):
        scores(Scripted(RunCancelled("first"), BudgetExhausted("second")), 2)


def test_a_stopped_evaluation_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with pytest.raises(BudgetExhausted):
        scores(Scripted(*[BudgetExhausted("no")] * 20), 20, threads=8)
    assert threading.active_count() == before


def test_no_examples_give_no_scores() -> None:
    assert scores(Scripted(), 0) == []


@pytest.mark.parametrize("answer", [{"value": 0}, "0", None])
def test_a_program_that_gives_no_prediction_fails_or_is_scored_but_breaks_nothing(answer: Any) -> None:
    [found] = scores(Scripted(lambda: answer), 1, metric=lambda *_: 0.5)
    assert found.judgement.score in (0, 0.5)
