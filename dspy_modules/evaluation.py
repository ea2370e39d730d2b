"""What a program scores on examples. A failing model or metric ends the evaluation; it is never a score of 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from dspy_modules.programs import Program
from dspy_modules.run_models import Model
from dspy_modules.stop_signals import InfrastructureFailure

Metric = Callable[[dspy.Example, dspy.Prediction], Any]
"""A user's metric: a score from 0 to 1, true or false, or a pair of a score and feedback in words."""

Judge = Callable[[dspy.Example, dspy.Prediction], "Judgement"]


@dataclass(frozen=True)
class Judgement:
    """`score` is 0 to 1."""

    score: float
    feedback: str


@dataclass(frozen=True)
class Scored:
    """How the program did at an example: `answer` by field, None where it failed with `error`.

    `is_trouble` says that the failure need not be the program's own: a tool or a model may have refused it.
    """

    judgement: Judgement
    answer: Mapping[str, Any] | None
    error: str | None = None
    is_trouble: bool = field(default=False, compare=False)


def judge_with(metric: Metric, name: str) -> Judge:
    """The metric, checked: it must give a score from 0 to 1. Raises InfrastructureFailure where it does not."""

    def judge(example: dspy.Example, prediction: dspy.Prediction) -> Judgement:
        try:
            given = metric(example, prediction)
        except Exception as error:
            raise _broken(name, f"it raised {type(error).__name__}: {error}") from error
        score, feedback = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
        if isinstance(given, dspy.Prediction):
            score, feedback = given.get("score"), given.get("feedback")
        try:
            number = float(score)  # pyright: ignore[reportArgumentType]
        except (TypeError, ValueError) as error:
            raise _broken(name, f"it gave {given!r}") from error
        if math.isnan(number) or not 0 <= number <= 1:
            raise _broken(name, f"it gave {number:g}")
        return Judgement(number, str(feedback) if feedback else f"This answer got a score of {number:g}.")

    return judge


def evaluate(
    program: Program, examples: Sequence[dspy.Example], judge: Judge, model: Model, threads: int
) -> list[Scored]:
    """How the program does at each example, in their order.

    A program that raises for an example scores 0 there. Raises RunStopped, whatever other threads still do.
    """

    def score(example: dspy.Example) -> Scored:
        try:
            prediction = program(**example.inputs())
            if not isinstance(prediction, dspy.Prediction):
                raise TypeError(f"the program gave a {type(prediction).__name__}, not a dspy.Prediction")
        except Exception as error:  # noqa: BLE001 (a failing program is what is measured; stop signals pass)
            words = error_words(error)
            is_own = isinstance(error, AdapterParseError | dspy.ContextWindowExceededError)
            return Scored(Judgement(0.0, f"The program failed with {words}"), None, words, is_trouble=not is_own)
        return Scored(judge(example, prediction), prediction.toDict())

    with dspy.context(lm=model):
        pool = ThreadPoolExecutor(threads)
        try:
            waiting = [pool.submit(copy_context().run, score, example) for example in examples]
            # What stops one stops all, however long those before it take: each example is paid for.
            wait(waiting, return_when=FIRST_EXCEPTION)
            pool.shutdown(wait=True, cancel_futures=True)
            return [future.result() for future in waiting if not future.cancelled()]
        finally:
            # For one who interrupts the process: its calls of the model end with the part of the run.
            pool.shutdown(wait=False, cancel_futures=True)


def error_words(error: Exception) -> str:
    """The error in one line, short enough to be told."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _broken(name: str, what: str) -> InfrastructureFailure:
    return InfrastructureFailure(
        f"The metric {name} must give a score from 0 to 1, alone or with feedback, for every prediction: {what}.",
        is_lasting=True,
    )
