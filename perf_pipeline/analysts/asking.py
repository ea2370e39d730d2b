"""Questions to the analysts' model: paid out of their own budget, traced as PerformanceAgent, in time or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from dspy_modules.evaluation import error_words
from dspy_modules.metered_engine import Meter
from dspy_modules.run_models import Model, metered_model
from dspy_modules.serving import Served
from dspy_modules.stop_signals import BudgetExhausted, RunStopped
from dspy_modules.tracing import AgentTracer, Task
from perf_pipeline.analysts.deadline import Late, done_within
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_analysts import PERFORMANCE_AGENT
from perf_pipeline.monitoring.incident_analysis import NOBODY_ASKED
from perf_pipeline.runs.meter import RunMeter
from perf_pipeline.runs.target import model_settings
from perf_pipeline.runs.tools import RunRefused
from resources.ledger import Ledger
from resources.reading import LedgerError
from resources.sources import SpanSource

NO_ANSWER = "the model did not answer within {seconds:g} s"
UNREADABLE = "its answer could not be read"


@dataclass(frozen=True)
class AnalystTools:
    """`key_of` gives the secret in an environment variable, None where it is not set."""

    book: Ledger
    fleet: FleetConfig
    spans: SpanSource
    key_of: Callable[[str], str | None]
    clock: Callable[[], datetime]


def analyst_tools(book: Ledger, fleet: FleetConfig, spans: SpanSource) -> AnalystTools:
    """Those of a Dagster process: keys are in its environment."""
    return AnalystTools(book, fleet, spans, lambda variable: dg.EnvVar(variable).get_value(), lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Question:
    """`id` names the task in the traces."""

    id: str
    facts: Sequence[str]


@dataclass(frozen=True)
class NoAnswer:
    """Why there is none, in words that follow 'worded by rules, because'."""

    trouble: str


def ask(served: Served, questions: Sequence[Question], tools: AnalystTools) -> list[dict[str, Any] | NoAnswer]:
    """The fields of each answer of the program, in the order of the questions. Whatever is wrong is told, not raised.

    All questions together take `analysts.seconds` and the start of the model's library, not more.
    """
    config = tools.fleet.analysts
    if config.model is None or not questions:
        return [NoAnswer(NOBODY_ASKED) for _ in questions]
    try:
        meter = RunMeter(tools.book, f"analysts:{uuid.uuid4().hex}", partial(_month, tools.fleet), tools.clock)
        with ExitStack() as open_things:
            part = open_things.enter_context(meter.part(config.monthly_budget_usd, drain_seconds=0))
            model = _model(tools, part)
            place = tools.spans.export_place()
            tracer = open_things.enter_context(AgentTracer(place.exporter, place.project))
            work = [partial(_answer, tracer, served, one, model) for one in questions]
            results = done_within(config.seconds, work)
        tools.book.forget_answers(meter.request_id)
    except (RunRefused, LedgerError, RunStopped) as error:
        return [NoAnswer(_within_a_sentence(str(error))) for _ in questions]
    return [_result(one, config.seconds) for one in results]


def _answer(tracer: AgentTracer, served: Served, question: Question, model: Model) -> dict[str, Any]:
    task = Task(PERFORMANCE_AGENT, question.id, question.id, served.version)
    return tracer.run(served.program, {"facts": "\n".join(question.facts)}, task, model).toDict()


def _model(tools: AnalystTools, meter: Meter) -> Model:
    config = tools.fleet.models[str(tools.fleet.analysts.model)]
    # A call that is late is of no use: it must not hold its connection, or what is set aside for it, for longer.
    limited = config.model_copy(update={"timeout_seconds": min(config.timeout_seconds, tools.fleet.analysts.seconds)})
    return metered_model(model_settings(limited, tools.key_of), meter, "analyst").copy(cache=False)


def _month(fleet: FleetConfig, now: datetime) -> dict[str, float]:
    return {f"analysts:{now.astimezone(ZoneInfo(fleet.timezone)):%Y-%m}": fleet.analysts.monthly_budget_usd}


def _result(result: dict[str, Any] | BaseException | Late, seconds: float) -> dict[str, Any] | NoAnswer:
    if isinstance(result, dict):
        return result
    if isinstance(result, Late):
        return NoAnswer(NO_ANSWER.format(seconds=seconds))
    if isinstance(result, BudgetExhausted):
        return NoAnswer("the analysts' budget of this month is spent")
    if isinstance(result, RunStopped):
        return NoAnswer(_within_a_sentence(str(result)))
    if isinstance(result, Exception):
        return NoAnswer(f"{UNREADABLE} ({error_words(result).partition(':')[0]})")
    raise result


def _within_a_sentence(text: str) -> str:
    return " ".join(text.split()).rstrip(".")[:300]
