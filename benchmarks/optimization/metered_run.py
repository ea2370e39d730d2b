"""One run of a plan, as a process makes it: baseline, search and gate, each paid by a part of the run's meter.

The stack is the real one from the program to the wire: DSPy, LiteLLM, HTTP, and the ledger in SQLite.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import dspy

from benchmarks.optimization.run_plans import RunPlan
from dspy_modules import metered_engine
from dspy_modules.demo_agents import INBOUND_EXAMPLES, STRATEGY_EXAMPLES, InboundAgent, StrategyAgent
from dspy_modules.demo_metrics import right_intent, right_strategy
from dspy_modules.evaluation import Judge, evaluate, judge_with
from dspy_modules.examples import as_example
from dspy_modules.metered_engine import Meter
from dspy_modules.optimizers import Search, search
from dspy_modules.prices import Price
from dspy_modules.programs import Program
from dspy_modules.run_models import Model, ModelSettings, fresh_cache, metered_model
from dspy_modules.stop_signals import RunStopped
from perf_pipeline.fleet_targets import SETTINGS
from perf_pipeline.optimization.run_plan import budget_of
from perf_pipeline.records import SpendPurpose
from perf_pipeline.runs.meter import RunMeter
from resources.ledger import Ledger

PRICE = Price(0.4, 1.6)
MAX_TOKENS = {SpendPurpose.TASK: 200, SpendPurpose.GATE: 200, SpendPurpose.REFLECTION: 1500}
TIMEOUT_SECONDS = 1.0
HELD_OUT = 6
METRIC_CALLS = 24
FIRST_WAIT_SECONDS = 0.002


class AwaitedAgent(InboundAgent):
    async def aforward(self, message: str) -> dspy.Prediction:
        return await self.classify.acall(message=message)


def run_once(plan: RunPlan, ledger_url: str, base_url: str) -> str:
    """How it ended: 'done', or the stop signal's name."""
    metered_engine.FIRST_WAIT_SECONDS = FIRST_WAIT_SECONDS
    book = Ledger(ledger_url)
    meter = _meter(plan, book)
    try:
        with fresh_cache():
            _optimize(plan, meter, base_url)
    except RunStopped as stop:
        return type(stop).__name__
    finally:
        book.close()
    return "done"


def give_up(plan: RunPlan, ledger_url: str) -> int:
    """Close what a process that is gone left open: how many calls these were."""
    book = Ledger(ledger_url)
    try:
        return _meter(plan, book).given_up
    finally:
        book.close()


def _meter(plan: RunPlan, book: Ledger) -> RunMeter:
    return RunMeter(book, plan.request_id, lambda _: {plan.month: plan.month_usd}, lambda: datetime.now(UTC))


def _optimize(plan: RunPlan, meter: RunMeter, base_url: str) -> None:
    program, examples, judge = _task(plan)
    held_out, seen = examples[:HELD_OUT], examples[HELD_OUT : HELD_OUT + plan.items]
    before_usd = meter.spent_usd
    with meter.part(budget_of(plan.cap_usd).baseline_usd) as part:
        evaluate(program, held_out, judge, _model(plan, part, SpendPurpose.GATE, base_url), plan.threads)
    budget = budget_of(plan.cap_usd, meter.spent_usd - before_usd)
    with meter.part(budget.search_usd) as part:
        found = _searched(plan, program, seen, judge, part, base_url)
    with meter.part(budget.gate_usd) as part:
        evaluate(found or program, held_out, judge, _model(plan, part, SpendPurpose.GATE, base_url), plan.threads)


def _task(plan: RunPlan) -> tuple[Program, list[dspy.Example], Judge]:
    if plan.agent == "StrategyAgent":
        program, labelled, judge = StrategyAgent(), STRATEGY_EXAMPLES, judge_with(right_strategy, "right_strategy")
    else:
        program, labelled, judge = AwaitedAgent(), INBOUND_EXAMPLES, judge_with(right_intent, "right_intent")
    # A step of 7 goes through all labels, which stand one after the other.
    return program, [as_example(*labelled[7 * number % len(labelled)]) for number in range(len(labelled))], judge


def _model(plan: RunPlan, meter: Meter, purpose: SpendPurpose, base_url: str) -> Model:
    settings = ModelSettings(
        plan.model,
        PRICE,
        MAX_TOKENS[purpose],
        timeout_seconds=TIMEOUT_SECONDS,
        api_base=base_url,
        api_key="a-key",
    )
    return metered_model(settings, meter, str(purpose))


def _searched(
    plan: RunPlan, program: Program, seen: list[dspy.Example], judge: Judge, meter: Meter, base_url: str
) -> Program | None:
    model = _model(plan, meter, SpendPurpose.TASK, base_url)
    if plan.kind == "evaluation":
        evaluate(program, seen, judge, model, plan.threads)
        return None
    if plan.kind == "awaited":
        asyncio.run(_gathered(program, seen, model, plan.threads))
        return None
    own = {"max_metric_calls": METRIC_CALLS} if plan.kind == "GEPA" else {}
    half = len(seen) // 2
    return search(
        plan.kind,
        Search(
            program=program,
            train=seen[:half],
            validation=seen[half:],
            judge=judge,
            task_model=model,
            reflection_model=_model(plan, meter, SpendPurpose.REFLECTION, base_url) if plan.kind == "GEPA" else None,
            threads=plan.threads,
            settings=SETTINGS[plan.kind].model_validate(own).model_dump(),
            on_progress=lambda _: None,
        ),
    ).program


async def _gathered(program: Program, examples: list[dspy.Example], model: Model, at_once: int) -> None:
    room = asyncio.Semaphore(at_once)

    async def ask(example: dspy.Example) -> None:
        async with room:
            try:
                await program.acall(**example.inputs())
            except Exception:  # noqa: BLE001 (a wrong answer, as in an evaluation; stop signals pass)
                return

    with dspy.context(lm=model):
        await asyncio.gather(*(ask(example) for example in examples))
