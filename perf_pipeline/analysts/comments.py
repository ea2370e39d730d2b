"""What a language model adds to a day's summary and to a decision: a sentence, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dspy_modules.analysts import fleet_analyst, optimization_analyst
from dspy_modules.programs import Program
from dspy_modules.serving import CODE, Served
from perf_pipeline.analysts.asking import AnalystTools, NoAnswer, Question, ask
from perf_pipeline.monitoring.prose.faithfulness import unfaithful

INSIGHT_WORDS = 35
ADVICE_WORDS = 25
ADVICES = {"proceed": "to go ahead", "wait": "to wait", "decline": "against it"}


@dataclass(frozen=True)
class Comment:
    """`text` is empty where there is none, and `trouble` says why."""

    text: str
    trouble: str = ""


def insight_of_day(day: str, facts: Sequence[str], tools: AnalystTools) -> Comment:
    """One or two sentences on what matters most in the day."""
    [answer] = ask(_as_in_code(fleet_analyst()), [Question(f"day {day}", facts)], tools)
    if isinstance(answer, NoAnswer):
        return Comment("", answer.trouble)
    return _checked(str(answer.get("insight") or ""), facts, INSIGHT_WORDS, advice=False)


def advice_on(decisions: Mapping[str, Sequence[str]], tools: AnalystTools) -> dict[str, Comment]:
    """By agent, a sentence on each decision to optimize; `decisions` holds their facts. People read it. It decides
    nothing."""
    questions = [Question(f"optimization of {agent}", facts) for agent, facts in decisions.items()]
    answers = ask(_as_in_code(optimization_analyst()), questions, tools)
    return {
        agent: Comment("", answer.trouble) if isinstance(answer, NoAnswer) else _advice(answer, facts, tools)
        for (agent, facts), answer in zip(decisions.items(), answers, strict=True)
    }


def _advice(answer: Mapping[str, Any], facts: Sequence[str], tools: AnalystTools) -> Comment:
    comment = _checked(str(answer.get("reason") or ""), facts, ADVICE_WORDS, advice=True)
    way = ADVICES.get(str(answer.get("advice")))
    if comment.trouble or way is None:
        return Comment("", comment.trouble or "it gave no advice")
    model = tools.fleet.models[str(tools.fleet.analysts.model)].model
    return Comment(f"{model} advises {way}: {comment.text.rstrip('.')}")


def _checked(text: str, facts: Sequence[str], most_words: int, *, advice: bool) -> Comment:
    plain = " ".join(text.split())
    if not plain:
        return Comment("", "it said nothing")
    if (length := len(plain.split())) > most_words:
        return Comment("", f"it took {length} words, and {most_words} are allowed")
    wrong = unfaithful(plain, facts, advice=advice)
    return Comment("", f"its words do not hold against the facts: {wrong[0]}") if wrong else Comment(plain)


def _as_in_code(program: Program) -> Served:
    return Served(program, CODE, 0)
