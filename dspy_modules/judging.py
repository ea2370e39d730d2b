"""A language model as a judge of answers that nobody labelled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy

from dspy_modules.evaluation import Judgement, evaluate
from dspy_modules.programs import Program, signature_of
from dspy_modules.run_models import Model


class JudgeAnswer(dspy.Signature):
    """Judge whether the answer to the task is right. When in doubt, it is not."""

    task: str = dspy.InputField(desc="what was asked of the one who answered")
    inputs: str = dspy.InputField(desc="what the task was about")
    answer: str = dspy.InputField()
    right: bool = dspy.OutputField()


@dataclass(frozen=True)
class Answered:
    """A task and what was answered, by field."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]


def approved(program: Program, tasks: Sequence[Answered], model: Model, threads: int) -> list[bool]:
    """Which of the answers the judge calls right; one that it cannot judge is not. Raises RunStopped."""
    asked = "\n".join(signature_of(predictor).instructions for _, predictor in program.named_predictors())
    examples = [
        dspy.Example(task=asked, inputs=_text(task.inputs), answer=_text(task.outputs)).with_inputs(
            "task", "inputs", "answer"
        )
        for task in tasks
    ]
    verdicts = evaluate(
        dspy.Predict(JudgeAnswer),
        examples,
        lambda _example, prediction: Judgement(float(prediction.right is True), ""),
        model,
        threads,
    )
    return [verdict.judgement.score == 1 for verdict in verdicts]


def _text(fields: Mapping[str, Any]) -> str:
    return json.dumps(dict(fields), ensure_ascii=False, default=str)
