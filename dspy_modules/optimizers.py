"""DSPy's optimizers behind one interface: a program and examples in, the best program found out.

Each is the real one of DSPy. What is ours: its settings by name, one kind of metric for all, progress, and that a
budget which runs out ends the search with the best so far.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import dspy

from dspy_modules.evaluation import Judge, error_words
from dspy_modules.programs import Program, signature_of
from dspy_modules.run_models import Model
from dspy_modules.stop_signals import BudgetExhausted, InfrastructureFailure

SEED = 0
RIGHT_FROM = 0.8
"""The score from which an answer is good enough to be shown as an example."""


@dataclass(frozen=True)
class Progress:
    """How far a search is: `candidates` that were tried in full, and the best one's share of 1 on validation."""

    candidates: int
    best_score: float | None


@dataclass(frozen=True)
class Search:
    """What an optimizer gets. `settings` are those of its name in fleet.yaml."""

    program: Program
    train: Sequence[dspy.Example]
    validation: Sequence[dspy.Example]
    judge: Judge
    task_model: Model
    reflection_model: Model | None
    threads: int
    settings: Mapping[str, Any]
    on_progress: Callable[[Progress], None]


@dataclass(frozen=True)
class Found:
    """The best program of a search, None where it ended before there was one. `stopped` says why it ended early."""

    program: Program | None
    stopped: str | None = None


def search(optimizer: str, given: Search) -> Found:
    """Run the optimizer. Raises RunStopped, but for BudgetExhausted; and InfrastructureFailure where it breaks."""
    run = {"GEPA": _gepa, "BootstrapFewShot": _bootstrap_few_shot, "MIPROv2": _mipro, "SIMBA": _simba}[optimizer]
    try:
        # DSPy's optimizers draw progress bars, thousands of lines in a log.
        with dspy.context(lm=given.task_model), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            return run(given)
    except Exception as error:
        raise InfrastructureFailure(f"{optimizer} broke off with {error_words(error)}", is_lasting=True) from error


class _BestCandidate:
    """Watches GEPA's state, which is gone where a stop signal ends the search. Never asks GEPA to stop."""

    def __init__(self, on_progress: Callable[[Progress], None]) -> None:
        self.instructions: Mapping[str, str] | None = None
        self._on_progress = on_progress

    def __call__(self, state: Any) -> bool:
        scores = state.program_full_scores_val_set
        best = max(range(len(scores)), key=lambda index: scores[index])
        if best > 0:
            self.instructions = dict(state.program_candidates[best])
        self._on_progress(Progress(len(scores), scores[best]))
        return False


def _gepa(given: Search) -> Found:
    def metric(
        gold: dspy.Example,
        pred: dspy.Prediction,
        trace: object = None,  # noqa: ARG001 (GEPA passes all five)
        pred_name: str | None = None,  # noqa: ARG001
        pred_trace: object = None,  # noqa: ARG001
    ) -> dspy.Prediction:
        judgement = given.judge(gold, pred)
        return dspy.Prediction(score=judgement.score, feedback=judgement.feedback)

    settings = dict(given.settings)
    if not settings.get("auto") and not settings.get("max_metric_calls"):
        settings["auto"] = "light"
    best = _BestCandidate(given.on_progress)
    optimizer = dspy.GEPA(
        metric=metric,
        auto=settings.get("auto"),
        max_metric_calls=settings.get("max_metric_calls"),
        reflection_minibatch_size=settings["reflection_minibatch_size"],
        reflection_lm=given.reflection_model,
        num_threads=given.threads,
        seed=SEED,
        gepa_kwargs={"stop_callbacks": [best]},
    )
    try:
        found = optimizer.compile(given.program, trainset=list(given.train), valset=list(given.validation))
    except BudgetExhausted as stop:
        if best.instructions is None:
            return Found(None, str(stop))
        return Found(_with_instructions(given.program, best.instructions), str(stop))
    return Found(found)


def _bootstrap_few_shot(given: Search) -> Found:
    examples = [*given.train, *given.validation]
    most = given.settings["max_labeled_demos"]
    optimizer = dspy.BootstrapFewShot(
        metric=_score_of(given.judge),
        metric_threshold=RIGHT_FROM,
        max_bootstrapped_demos=given.settings["max_bootstrapped_demos"],
        max_labeled_demos=most,
        max_rounds=given.settings["max_rounds"],
        max_errors=len(examples) * given.settings["max_rounds"] + 1,
    )
    stopped = None
    try:
        found = optimizer.compile(given.program, trainset=examples)
    except BudgetExhausted as stop:
        # Labelled examples cost nothing to choose.
        stopped = str(stop)
        found = dspy.LabeledFewShot(k=most).compile(given.program.reset_copy(), trainset=examples) if most else None
    given.on_progress(Progress(1, None))
    return Found(found, stopped)


def _mipro(given: Search) -> Found:
    optimizer = dspy.MIPROv2(
        metric=_score_of(given.judge),
        prompt_model=given.reflection_model or given.task_model,
        task_model=given.task_model,
        auto=given.settings["auto"],
        max_bootstrapped_demos=given.settings["max_bootstrapped_demos"],
        max_labeled_demos=given.settings["max_labeled_demos"],
        num_threads=given.threads,
        seed=SEED,
    )
    try:
        found = optimizer.compile(given.program, trainset=list(given.train), valset=list(given.validation))
    except BudgetExhausted as stop:
        return Found(None, str(stop))
    given.on_progress(Progress(1, None))
    return Found(found)


def _simba(given: Search) -> Found:
    examples = [*given.train, *given.validation]
    optimizer = dspy.SIMBA(
        metric=_score_of(given.judge),
        bsize=min(given.settings["batch_size"], len(examples)),
        num_candidates=given.settings["candidates"],
        max_steps=given.settings["steps"],
        max_demos=given.settings["max_demos"],
        prompt_model=given.reflection_model or given.task_model,
        num_threads=given.threads,
    )
    try:
        found = optimizer.compile(given.program, trainset=examples, seed=SEED)
    except BudgetExhausted as stop:
        return Found(None, str(stop))
    given.on_progress(Progress(1, None))
    return Found(found)


def _score_of(judge: Judge) -> Callable[..., float]:
    def score(example: dspy.Example, prediction: Any, trace: object = None) -> float:  # noqa: ARG001
        # SIMBA asks about a program that failed, too.
        return 0.0 if prediction is None else judge(example, prediction).score

    return score


def _with_instructions(program: Program, instructions: Mapping[str, str]) -> Program:
    changed = program.deepcopy()
    for name, predictor in changed.named_predictors():
        if name in instructions:
            predictor.signature = signature_of(predictor).with_instructions(instructions[name])
    return changed
