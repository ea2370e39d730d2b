"""DSPy's optimizers really run, find something, and stop: with the best so far where money ends, with nothing else."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dspy
import pytest
from dspy import lm15

from dspy_modules import metered_engine
from dspy_modules.demo_agents import INBOUND_EXAMPLES, STRATEGY_EXAMPLES, InboundAgent, StrategyAgent
from dspy_modules.demo_metrics import right_intent, right_strategy
from dspy_modules.embedded_model import EmbeddedModel
from dspy_modules.evaluation import evaluate, judge_with
from dspy_modules.examples import as_example
from dspy_modules.judging import Answered, approved
from dspy_modules.metered_engine import Bill, Call
from dspy_modules.optimizers import Found, Progress, Search, search
from dspy_modules.prices import Price
from dspy_modules.programs import signature_fingerprint, state_of, texts_of, with_state
from dspy_modules.run_models import Model, ModelSettings, fresh_cache, metered_model, only_metered_calls
from dspy_modules.stop_signals import BudgetExhausted, InfrastructureFailure, RunCancelled, RunStopped

PRICE = Price(0.4, 1.6)
SETTINGS: dict[str, dict[str, Any]] = {
    "GEPA": {"max_metric_calls": 120, "reflection_minibatch_size": 4},
    "BootstrapFewShot": {"max_bootstrapped_demos": 4, "max_labeled_demos": 16, "max_rounds": 1},
    "SIMBA": {"batch_size": 12, "candidates": 3, "steps": 4, "max_demos": 4},
    "MIPROv2": {"auto": "light", "max_bootstrapped_demos": 2, "max_labeled_demos": 2},
}
RUNNING = ["GEPA", "BootstrapFewShot", "SIMBA"]


@dataclass
class CountingMeter:
    """A meter that pays for so many calls, and then raises its stop signal."""

    affordable: int = 1_000_000
    stop: RunStopped = field(default_factory=lambda: BudgetExhausted("No money is left."))
    calls: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def recall(self, call: Call) -> str | None:  # noqa: ARG002
        return None

    def reserve(self, call: Call) -> str:
        with self.lock:
            if self.calls >= self.affordable:
                raise self.stop
            self.calls += 1
            return call.key

    def settle(self, reservation: str, bill: Bill, answer: str) -> None: ...
    def release(self, reservation: str) -> None: ...
    def note(self, stop: object) -> None:
        pass

    def lose(self, reservation: str) -> None: ...


@pytest.fixture(autouse=True)
def _only_metered_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(metered_engine, "FIRST_WAIT_SECONDS", 0)
    with only_metered_calls():
        yield


def model(meter: CountingMeter, max_tokens: int = 4000) -> Model:
    return metered_model(ModelSettings("embedded/simulated-1", PRICE, max_tokens), meter, "task")


def mixed(examples: Any) -> list[dspy.Example]:
    """The examples, each label in turn."""
    by_label: dict[str, list[dspy.Example]] = {}
    for asked, answered in examples:
        by_label.setdefault(str(answered), []).append(as_example(asked, answered))
    return [one for group in zip(*by_label.values(), strict=False) for one in group]


INBOUND, STRATEGY = mixed(INBOUND_EXAMPLES), mixed(STRATEGY_EXAMPLES)


def given(optimizer: str, meter: CountingMeter, **changes: Any) -> Search:
    inbound = optimizer == "BootstrapFewShot"
    examples = INBOUND if inbound else STRATEGY
    facts: dict[str, Any] = {
        "program": InboundAgent() if inbound else StrategyAgent(),
        "train": examples[:20],
        "validation": examples[20:40],
        "judge": judge_with(right_intent if inbound else right_strategy, "m:metric"),
        "task_model": model(meter),
        "reflection_model": None if inbound else model(meter),
        "threads": 2,
        "settings": SETTINGS[optimizer],
        "on_progress": lambda _: None,
    }
    return Search(**(facts | changes))


def searched(optimizer: str, asked: Search) -> Found:
    """What the search finds where nothing was asked before."""
    with fresh_cache():
        return search(optimizer, asked)


def points(found: Found | None, asked: Search) -> float:
    """On examples that the search has not seen."""
    examples = (INBOUND if isinstance(asked.program, InboundAgent) else STRATEGY)[40:80]
    program = found.program if found else asked.program
    assert program
    with fresh_cache():
        scored = evaluate(program, examples, asked.judge, model(CountingMeter()), 2)
    return sum(one.judgement.score for one in scored) / len(scored)


@pytest.mark.parametrize("optimizer", RUNNING)
def test_each_optimizer_finds_a_program_that_differs_and_can_be_written_down(optimizer: str) -> None:
    meter, steps = CountingMeter(), list[Progress]()
    asked = given(optimizer, meter, on_progress=steps.append)
    before = state_of(asked.program)
    found = searched(optimizer, asked)
    assert found.program
    assert found.stopped is None
    assert texts_of(found.program) != texts_of(asked.program)
    assert signature_fingerprint(found.program) == signature_fingerprint(asked.program)
    assert state_of(asked.program) == before, "the baseline is left as it was"
    again = with_state(asked.program, state_of(found.program))
    assert texts_of(again) == texts_of(found.program)
    assert meter.calls > 0
    assert steps
    spent = meter.calls
    points(found, asked)
    assert meter.calls == spent, "what was found holds no model of the search"


@pytest.mark.parametrize("optimizer", ["GEPA", "BootstrapFewShot"])
def test_what_is_found_does_better_on_examples_that_the_search_has_not_seen(optimizer: str) -> None:
    asked = given(optimizer, CountingMeter())
    assert points(searched(optimizer, asked), asked) > points(None, asked)


def test_gepa_rewrites_instructions_and_bootstrapping_adds_examples() -> None:
    rewritten = searched("GEPA", given("GEPA", CountingMeter())).program
    shown = searched("BootstrapFewShot", given("BootstrapFewShot", CountingMeter())).program
    assert rewritten
    assert shown
    [before], [after] = texts_of(StrategyAgent()), texts_of(rewritten)
    assert (after.instructions != before.instructions, after.demonstrations) == (True, ())
    [before], [after] = texts_of(InboundAgent()), texts_of(shown)
    assert (after.instructions, len(after.demonstrations)) == (before.instructions, 16)


def test_the_same_search_finds_the_same() -> None:
    once, twice = (searched("BootstrapFewShot", given("BootstrapFewShot", CountingMeter())).program for _ in range(2))
    assert once
    assert twice
    assert state_of(once) == state_of(twice)


def test_gepa_tells_how_far_it_is_and_never_that_the_best_got_worse() -> None:
    steps: list[Progress] = []
    searched("GEPA", given("GEPA", CountingMeter(), on_progress=steps.append))
    best = [step.best_score for step in steps if step.best_score is not None]
    assert all(0 <= score <= 1 for score in best)
    assert (best, len(best)) == (sorted(best), len(steps))
    assert [step.candidates for step in steps] == sorted(step.candidates for step in steps)
    assert steps[-1].candidates > steps[0].candidates >= 1


def test_a_budget_that_runs_out_keeps_gepas_best_so_far() -> None:
    whole = CountingMeter()
    full = searched("GEPA", given("GEPA", whole))
    asked = given("GEPA", meter := CountingMeter(affordable=whole.calls - 5))
    found = searched("GEPA", asked)
    assert (found.stopped, meter.calls) == ("No money is left.", meter.affordable)
    assert found.program
    assert full.program
    assert points(found, asked) >= points(None, asked)
    assert texts_of(found.program)[0].instructions != texts_of(asked.program)[0].instructions


def test_a_budget_that_ends_before_gepa_has_anything_finds_nothing() -> None:
    assert searched("GEPA", given("GEPA", CountingMeter(affordable=3))) == Found(None, "No money is left.")


@pytest.mark.parametrize("affordable", [0, 5])
def test_a_budget_that_runs_out_leaves_bootstrapping_the_labelled_examples(affordable: int) -> None:
    asked = given("BootstrapFewShot", CountingMeter(affordable))
    found = searched("BootstrapFewShot", asked)
    assert found.stopped == "No money is left."
    assert found.program
    [text] = texts_of(found.program)
    known = {(one.message, one.intent) for one in [*asked.train, *asked.validation]}
    assert len(text.demonstrations) == 16
    assert {(demo["message"], demo["intent"]) for demo in text.demonstrations} <= known
    assert points(found, asked) > points(None, asked)


def test_without_labelled_examples_a_budget_that_runs_out_leaves_bootstrapping_nothing() -> None:
    settings = SETTINGS["BootstrapFewShot"] | {"max_labeled_demos": 0}
    asked = given("BootstrapFewShot", CountingMeter(0), settings=settings)
    assert searched("BootstrapFewShot", asked) == Found(None, "No money is left.")


def test_a_budget_that_runs_out_ends_simba_with_nothing() -> None:
    assert searched("SIMBA", given("SIMBA", CountingMeter(12))) == Found(None, "No money is left.")


@pytest.mark.parametrize("after", [0, 9])
@pytest.mark.parametrize("optimizer", RUNNING)
def test_an_outage_passes_through_and_is_never_a_score(
    optimizer: str, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, answer = itertools.count(), EmbeddedModel.complete

    def silent_in_the_end(engine: EmbeddedModel, request: lm15.Request) -> lm15.Response:
        if next(answered) >= after:
            raise lm15.TimeoutError("silence")
        return answer(engine, request)

    monkeypatch.setattr(EmbeddedModel, "complete", silent_in_the_end)
    with pytest.raises(InfrastructureFailure, match="does not answer: silence") as failed:
        searched(optimizer, given(optimizer, CountingMeter()))
    assert not failed.value.is_lasting


@pytest.mark.parametrize("optimizer", RUNNING)
def test_a_cancelled_run_ends_each_optimizer(optimizer: str) -> None:
    with pytest.raises(RunCancelled, match="ana"):
        searched(optimizer, given(optimizer, CountingMeter(6, RunCancelled("ana cancelled the run."))))


@pytest.mark.parametrize("optimizer", RUNNING)
def test_a_broken_metric_ends_each_optimizer_and_is_no_zero(optimizer: str) -> None:
    broken = judge_with(lambda *_: 1.5, "agents:metric")
    with pytest.raises(InfrastructureFailure, match="agents:metric must give a score from 0 to 1") as failed:
        searched(optimizer, given(optimizer, CountingMeter(), judge=broken))
    assert failed.value.is_lasting


class FailsAtTimes(StrategyAgent):
    """A program that cannot do some of its tasks."""

    def forward(self, brief: str) -> dspy.Prediction:
        if len(brief) % 5 == 0:
            raise LookupError("No such account.")
        return super().forward(brief)


def compares(example: Any, prediction: Any) -> bool:
    """As most people write a metric."""
    return prediction.strategy == example.strategy


@pytest.mark.parametrize(
    "optimizer",
    [
        "GEPA",
        "SIMBA",
    ],
)
def test_a_program_that_fails_at_some_examples_is_optimized_all_the_same(optimizer: str) -> None:
    asked = given(optimizer, CountingMeter(), program=FailsAtTimes(), judge=judge_with(compares, "m:compares"))
    assert searched(optimizer, asked).program


def test_an_optimizer_that_breaks_is_no_passing_fault() -> None:
    def fall_over(_: Progress) -> None:
        raise KeyError("a bug")

    with pytest.raises(InfrastructureFailure, match="BootstrapFewShot broke off with KeyError") as failed:
        searched("BootstrapFewShot", given("BootstrapFewShot", CountingMeter(), on_progress=fall_over))
    assert failed.value.is_lasting


def test_mipro_finds_a_program_or_says_what_stopped_it() -> None:
    found = searched("MIPROv2", given("MIPROv2", CountingMeter()))
    assert found.program
    stopped = searched("MIPROv2", given("MIPROv2", CountingMeter(10)))
    assert stopped == Found(None, "No money is left.")


@dataclass
class ScriptedJudge:
    """An engine that answers by what stands in the prompt, and keeps the prompts."""

    answers: dict[str, str]
    prompts: list[str] = field(default_factory=list)

    def complete(self, request: lm15.Request) -> lm15.Response:
        prompt = request.messages[-1].text or ""
        self.prompts.append(prompt)
        [said] = [answer for words, answer in self.answers.items() if words in prompt]
        return lm15.Response(
            id=None,
            model=request.model,
            message=lm15.Message.assistant([lm15.TextPart(f"[[ ## right ## ]]\n{said}\n\n[[ ## completed ## ]]")]),
            finish_reason="stop",
            usage=lm15.Usage(input_tokens=1, output_tokens=1, total_tokens=2),
        )


def judging_model(meter: CountingMeter, engine: ScriptedJudge) -> Model:
    metered = metered_engine.MeteredEngine(engine, meter, PRICE, "judge")
    return dspy.LM("embedded/judge", engine=metered, cache=False, num_retries=0, max_tokens=50)


def answers(*texts: str) -> list[Answered]:
    return [Answered({"message": text}, {"intent": "not_now"}) for text in texts]


def test_a_judge_is_asked_with_task_inputs_and_answer_and_only_yes_is_yes() -> None:
    engine = ScriptedJudge({"first": "True", "second": "False", "third": "perhaps"})
    meter = CountingMeter()
    verdicts = approved(InboundAgent(), answers("first", "second", "third"), judging_model(meter, engine), 1)
    assert verdicts == [True, False, False]
    prompt = next(prompt for prompt in engine.prompts if "first" in prompt)
    for words in ("Say what the sender of the message wants.", '{"message": "first"}', '{"intent": "not_now"}'):
        assert words in prompt
    assert meter.calls == len(engine.prompts) >= 3


def test_a_judge_without_money_stops_the_run_and_calls_nothing_wrong() -> None:
    with pytest.raises(BudgetExhausted):
        approved(InboundAgent(), answers("first"), judging_model(CountingMeter(0), ScriptedJudge({})), 2)
    assert approved(InboundAgent(), [], judging_model(CountingMeter(0), ScriptedJudge({})), 2) == []
