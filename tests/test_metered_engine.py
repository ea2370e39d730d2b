"""Calls of a model are paid for: reserved before, settled after; a model that is out of order is no wrong answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import dspy
import pytest
from dspy import lm15

from dspy_modules.embedded_model import EmbeddedModel, embedded_lm
from dspy_modules.metered_engine import RETRIES, Bill, Call, MeteredEngine
from dspy_modules.prices import Price, UnboundedCallError, tokens_of
from dspy_modules.run_models import ModelSettings, fresh_cache, metered_model, only_metered_calls
from dspy_modules.stop_signals import BudgetExhausted, InfrastructureFailure, ModelUnavailable

PRICE = Price(0.4, 1.6)


@dataclass
class RecordingMeter:
    """A meter that notes what it is told, and refuses after `affordable` reservations."""

    affordable: int = 1_000_000
    paid: dict[str, list[str]] = field(default_factory=dict)
    log: list[tuple[str, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def recall(self, call: Call) -> str | None:
        answers = self.paid.get(call.key)
        return answers.pop(0) if answers else None

    def reserve(self, call: Call) -> str:
        with self.lock:
            if len(self.said("reserve")) >= self.affordable:
                raise BudgetExhausted("No money is left.")
            self.log.append(("reserve", call.worst_case))
            return call.key

    def settle(self, reservation: str, bill: Bill, answer: str) -> None:
        with self.lock:
            self.log.append(("settle", bill.nanodollars))
            self.paid.setdefault(reservation, []).append(answer)

    def release(self, reservation: str) -> None:  # noqa: ARG002
        self.log.append(("release", 0))

    def note(self, stop: object) -> None:
        pass

    def lose(self, reservation: str) -> None:  # noqa: ARG002
        self.log.append(("lose", 0))

    def said(self, what: str) -> list[int]:
        return [amount for word, amount in self.log if word == what]


@dataclass
class FailingEngine:
    """Raises what it is given, one after the other, then answers like the embedded model."""

    errors: list[BaseException]
    calls: int = 0

    def complete(self, request: lm15.Request) -> lm15.Response:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return EmbeddedModel().complete(request)


def ask(meter: RecordingMeter, engine: object, *, sleep: Callable[[float], None] = lambda _: None) -> dspy.Prediction:
    lm = dspy.LM(
        "embedded/simulated-1",
        engine=MeteredEngine(engine, meter, PRICE, "task", sleep),  # pyright: ignore[reportArgumentType]
        cache=False,
        num_retries=0,
        max_tokens=200,
    )
    with dspy.context(lm=lm):
        return dspy.Predict("question -> answer: bool")(question="Is it day?")


def settings(**changes: object) -> ModelSettings:
    return ModelSettings(**{"model": "embedded/simulated-1", "price": PRICE, "max_tokens": 200, **changes})  # pyright: ignore[reportArgumentType]


def test_a_call_is_reserved_at_its_worst_case_and_billed_by_its_tokens() -> None:
    meter = RecordingMeter()
    ask(meter, EmbeddedModel())
    [(_, reserved), (_, billed)] = meter.log
    assert 0 < billed < reserved
    assert reserved >= PRICE.cost(0, 200)


def test_an_answer_that_was_paid_for_is_given_again_and_costs_nothing() -> None:
    meter = RecordingMeter()
    first = ask(meter, EmbeddedModel())
    again = ask(meter, FailingEngine([AssertionError("The model must not be asked again.")]))
    assert again.answer == first.answer
    assert len(meter.said("reserve")) == 1


def test_a_stop_signal_of_the_meter_passes_through_dspy() -> None:
    with pytest.raises(BudgetExhausted):
        ask(RecordingMeter(affordable=0), EmbeddedModel())


@pytest.mark.parametrize(
    "error",
    [lm15.RateLimitError("wait", status=429), lm15.ServerError("broken", status=500), lm15.TransportError("gone")],
)
def test_a_passing_fault_is_tried_again_and_each_attempt_is_reserved(error: lm15.LM15Error) -> None:
    meter, engine = RecordingMeter(), FailingEngine([error])
    ask(meter, engine)
    assert engine.calls == 2
    assert len(meter.said("reserve")) == 2
    assert len(meter.said("settle")) == 1


def test_a_provider_that_says_when_to_come_back_is_obeyed() -> None:
    waits: list[float] = []
    ask(RecordingMeter(), FailingEngine([lm15.RateLimitError("wait", retry_after=7)]), sleep=waits.append)
    assert waits == [7]


def test_a_provider_that_wants_to_be_left_alone_for_long_interrupts_the_run() -> None:
    with pytest.raises(ModelUnavailable) as raised:
        ask(RecordingMeter(), FailingEngine([lm15.RateLimitError("wait", retry_after=3600)]))
    assert not raised.value.is_lasting


def test_an_outage_stops_the_run_and_is_no_wrong_answer() -> None:
    meter, engine = RecordingMeter(), FailingEngine([lm15.TimeoutError("silence") for _ in range(RETRIES + 1)])
    with pytest.raises(ModelUnavailable, match="does not answer: silence"):
        ask(meter, engine)
    assert engine.calls == RETRIES + 1


def test_a_refused_key_stops_the_run_at_once_and_for_good() -> None:
    engine = FailingEngine([lm15.AuthError("bad key", status=401)])
    with pytest.raises(ModelUnavailable) as raised:
        ask(RecordingMeter(), engine)
    assert raised.value.is_lasting
    assert engine.calls == 1


def test_an_engine_with_a_bug_stops_the_run() -> None:
    meter = RecordingMeter()
    with pytest.raises(ModelUnavailable, match="broke"):
        ask(meter, FailingEngine([KeyError("bug")]))
    assert meter.said("lose")


def test_a_prompt_that_is_too_long_is_the_programs_fault() -> None:
    meter = RecordingMeter()
    with pytest.raises(dspy.ContextWindowExceededError):
        ask(meter, FailingEngine([lm15.ContextLengthError("too long"), lm15.ContextLengthError("too long")]))
    assert set(meter.log) - {("release", 0)} == {("reserve", amount) for amount in meter.said("reserve")}


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (lm15.RateLimitError("wait"), "release"),
        (lm15.TransportError("refused"), "release"),
        (lm15.TransportError("broke off"), "lose"),
        (lm15.TimeoutError("silence"), "lose"),
        (lm15.ServerError("broken"), "lose"),
    ],
)
def test_only_what_was_surely_not_billed_is_given_back(error: lm15.LM15Error, word: str) -> None:
    if str(error).endswith("refused"):
        error.__cause__ = ConnectionRefusedError()
    meter = RecordingMeter()
    ask(meter, FailingEngine([error]))
    assert [said for said, _ in meter.log] == ["reserve", word, "reserve", "settle"]


def test_a_killed_call_counts_as_billed() -> None:
    meter = RecordingMeter()
    with pytest.raises(KeyboardInterrupt):
        ask(meter, FailingEngine([KeyboardInterrupt()]))
    assert [said for said, _ in meter.log] == ["reserve", "lose"]


def test_an_answer_without_usage_is_billed_at_its_worst_case() -> None:
    class Silent:
        def complete(self, request: lm15.Request) -> lm15.Response:
            response = EmbeddedModel().complete(request)
            return lm15.Response(
                id=None, model=response.model, message=response.message, finish_reason="stop", usage=lm15.Usage()
            )

    meter = RecordingMeter()
    ask(meter, Silent())
    assert meter.said("settle") == meter.said("reserve")


def test_a_call_without_a_limit_on_its_answer_is_not_made() -> None:
    meter = RecordingMeter()
    lm = dspy.LM(
        "embedded/simulated-1", engine=MeteredEngine(EmbeddedModel(), meter, PRICE, "task"), cache=False, num_retries=0
    )
    with dspy.context(lm=lm), pytest.raises(ModelUnavailable, match="max_tokens"):
        dspy.Predict("question -> answer")(question="?")
    assert meter.log == []


def test_programs_that_await_their_model_pay_as_well() -> None:
    async def both() -> None:
        with dspy.context(lm=metered_model(settings(), meter, "task")):
            program = dspy.Predict("question -> answer: bool")
            await asyncio.gather(program.acall(question="Is it day?"), program.acall(question="Is it night?"))

    meter = RecordingMeter()
    with fresh_cache():
        asyncio.run(both())
    assert len(meter.said("settle")) == 2


def test_what_dspys_cache_holds_is_not_paid_again_within_a_run_and_is_in_another() -> None:
    meter = RecordingMeter()
    for _ in range(2):
        meter.paid.clear()
        with fresh_cache(), dspy.context(lm=metered_model(settings(), meter, "task")):
            for _ in range(3):
                dspy.Predict("question -> answer: bool")(question="Is it day?")
    assert len(meter.said("settle")) == 2


def test_a_program_that_makes_a_model_itself_is_stopped_before_it_calls_it() -> None:
    class Sneaky(dspy.Module):
        def forward(self, question: str) -> dspy.Prediction:
            with dspy.context(lm=embedded_lm()):
                return dspy.Predict("question -> answer: bool")(question=question)

    async def awaited() -> None:
        await dspy.asyncify(Sneaky())(question="Is it day?")  # pyright: ignore[reportCallIssue]

    meter = RecordingMeter()
    with only_metered_calls(), dspy.context(lm=metered_model(settings(), meter, "task")):
        dspy.Predict("question -> answer: bool")(question="Is it night?")
        with pytest.raises(InfrastructureFailure, match="past the budget"):
            Sneaky()(question="Is it day?")
        with pytest.raises(InfrastructureFailure, match="past the budget"):
            asyncio.run(awaited())
        with pytest.raises(InfrastructureFailure, match="past the budget"):
            dspy.Evaluate(devset=[dspy.Example(question="?").with_inputs("question")] * 3, num_threads=2)(
                Sneaky(), metric=lambda *_: 1.0
            )


def test_a_program_that_streams_pays_as_well() -> None:
    async def streamed() -> None:
        program = dspy.streamify(dspy.Predict("question -> answer: str"))
        async for _ in program(question="Is it day? The sun is up."):  # pyright: ignore[reportCallIssue]
            pass

    meter = RecordingMeter()
    with fresh_cache(), dspy.context(lm=metered_model(settings(), meter, "task")):
        asyncio.run(streamed())
    assert len(meter.said("settle")) == 1


def test_the_key_of_a_provider_is_in_no_text_of_the_settings() -> None:
    assert "sk-secret" not in repr(settings(api_key="sk-secret"))


def test_prices_round_up_and_never_by_arithmetic_noise() -> None:
    assert Price(0.1, 0).cost(3, 0) == 300
    assert Price(0.0375, 0).cost(1, 0) == 38


def test_a_text_costs_at_most_one_token_a_byte() -> None:
    request = {"messages": [{"role": "user", "text": "日本語のテキスト" * 100}]}
    assert Price(1, 0).worst_case(request, 1, 10) >= Price(1, 0).cost(len("日本語のテキスト".encode()) * 100, 0)
    with pytest.raises(UnboundedCallError):
        Price(1, 1).worst_case(request, 1, None)


def test_reasoning_that_a_provider_counts_in_the_total_only_is_paid_as_output() -> None:
    assert tokens_of(lm15.Usage(input_tokens=10, output_tokens=5, total_tokens=40)) == (10, 30)
    assert tokens_of(lm15.Usage(input_tokens=10, output_tokens=5)) == (10, 5)


@pytest.mark.parametrize(
    "usage", [lm15.Usage(), lm15.Usage(input_tokens=10), lm15.Usage(input_tokens=0, output_tokens=0, total_tokens=0)]
)
def test_usage_that_is_not_there_is_not_taken_for_none(usage: lm15.Usage) -> None:
    assert tokens_of(usage) is None
