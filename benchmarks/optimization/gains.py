"""What an optimizer gains on texts that it never saw, and whether the gain comes from the labels.

Each row is one optimizer on one random split of one agent's labelled texts. The optimizers see the training and the
validation part; the score is of the rest. As an ablation they also work on labels that are permuted among the
texts that they see: what is gained then was not learned from the labels. All models are the embedded one; dollars
are what its tokens would cost at a provider.

The splits of measure() are of seeds from 1000 on. Whoever tunes the embedded model or the texts looks at others.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import dspy
import pandas as pd
from dspy import lm15
from dspy.teleprompt.gepa.gepa_utils import ScoreWithFeedback
from rich.console import Console
from rich.table import Table
from scipy import stats

from dspy_modules.demo_agents import INBOUND_EXAMPLES, STRATEGY_EXAMPLES, InboundAgent, Inputs, StrategyAgent
from dspy_modules.demo_metrics import Judgement, right_intent, right_strategy
from dspy_modules.embedded_model import EMBEDDED_MODEL, EmbeddedModel
from dspy_modules.prices import NANODOLLARS, Price

FIRST_SEED = 1000
TRAINING, VALIDATION = 30, 20
METRIC_CALLS = 300
DEMOS, LABELLED_DEMOS = 4, 16
TASK_PRICE = Price(0.40, 1.60)
REFLECTION_PRICE = Price(2.00, 8.00)
CONFIDENCE = 0.95

Metric = Callable[[Any, Any], Judgement]


@dataclass(frozen=True)
class Task:
    """An agent to optimize, with its labelled texts and what judges its answers."""

    program: Callable[[], dspy.Module]
    labelled: Sequence[tuple[Inputs, Inputs]]
    metric: Metric

    def examples(self) -> list[dspy.Example]:
        return [dspy.Example(**asked, **answered).with_inputs(*asked) for asked, answered in self.labelled]


@dataclass(frozen=True)
class Split:
    training: list[dspy.Example]
    validation: list[dspy.Example]
    held_out: list[dspy.Example]


@dataclass
class CountingEngine:
    """The embedded model, counted where no cache of DSPy's can hide a call. Threads may share it."""

    price: Price
    calls: int = 0
    nanodollars: int = 0
    _model: EmbeddedModel = field(default_factory=EmbeddedModel)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def complete(self, request: lm15.Request) -> lm15.Response:
        response = self._model.complete(request)
        usage = response.usage
        with self._lock:
            self.calls += 1
            self.nanodollars += self.price.cost(usage.input_tokens or 0, usage.output_tokens or 0)
        return response

    def lm(self) -> dspy.LM:
        return dspy.LM(EMBEDDED_MODEL, engine=self, cache=False, num_retries=0)


Optimizer = Callable[[Task, Split, int, dspy.LM], dspy.Module]
"""(task, split, seed, model that reflects) -> the optimized program."""


def unchanged(task: Task, split: Split, seed: int, reflection: dspy.LM) -> dspy.Module:  # noqa: ARG001
    return task.program()


def bootstrapped(task: Task, split: Split, seed: int, reflection: dspy.LM) -> dspy.Module:  # noqa: ARG001
    def is_right(example: Any, prediction: Any, trace: Any = None) -> bool:  # noqa: ARG001
        return task.metric(example, prediction)[0] == 1.0

    optimizer = dspy.BootstrapFewShot(is_right, max_bootstrapped_demos=DEMOS, max_labeled_demos=LABELLED_DEMOS)
    return optimizer.compile(task.program(), trainset=split.training)


def reflected(task: Task, split: Split, seed: int, reflection: dspy.LM) -> dspy.Module:
    # GEPA insists on five parameters.
    def judged(
        gold: Any,
        pred: Any,
        trace: Any = None,  # noqa: ARG001
        pred_name: Any = None,  # noqa: ARG001
        pred_trace: Any = None,  # noqa: ARG001
    ) -> ScoreWithFeedback:
        score, feedback = task.metric(gold, pred)
        return ScoreWithFeedback(score=score, feedback=feedback)

    optimizer = dspy.GEPA(
        judged,
        max_metric_calls=METRIC_CALLS,
        reflection_lm=reflection,
        num_threads=1,
        seed=seed,
    )
    return optimizer.compile(task.program(), trainset=split.training, valset=split.validation)


TASKS = {
    "StrategyAgent": Task(StrategyAgent, STRATEGY_EXAMPLES, right_strategy),
    "InboundAgent": Task(InboundAgent, INBOUND_EXAMPLES, right_intent),
}
METHODS: dict[str, tuple[Optimizer, bool]] = {
    "baseline": (unchanged, False),
    "bootstrap": (bootstrapped, False),
    "gepa": (reflected, False),
    "shuffled_bootstrap": (bootstrapped, True),
    "shuffled_gepa": (reflected, True),
}
"""The optimizer, and whether it sees permuted labels."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seeds", type=int, default=10, help="random splits of each agent's texts")
    frame = measure(arguments.parse_args().seeds)
    console = Console(width=120)
    console.print(_scores_table(frame))
    console.print(_gains_table(frame))
    print(json.dumps(summary(frame)))


def measure(seeds: int) -> pd.DataFrame:
    """One row per task, seed and method.

    Columns: task, seed, method; score (of the held-out texts, 0 to 1); lm_calls, usd and seconds (of optimizing);
    usd_per_1000_answers (of the optimized program: a longer prompt costs at every answer).
    """
    with _quiet():
        rows = [_row(*case) for case in product(TASKS, range(FIRST_SEED, FIRST_SEED + seeds), METHODS)]
    return pd.DataFrame(rows)


def summary(frame: pd.DataFrame) -> dict[str, float]:
    """The mean gain of each method over the baseline of the same task and split, in points."""
    gains = gains_in_points(frame)
    return {f"{method}_gain_points": round(float(gains[method].mean()), 1) for method in METHODS if method in gains}


def gains_in_points(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows are task and seed, columns methods; values are held-out points above the baseline of the same split."""
    scores = frame.pivot(index=["task", "seed"], columns="method", values="score") * 100
    return scores.drop(columns="baseline").sub(scores["baseline"], axis=0)


def split_of(task: Task, seed: int, *, shuffled: bool = False) -> Split:
    """A random split; `shuffled` permutes the labels among the texts that an optimizer sees."""
    chance = random.Random(seed)
    examples = task.examples()
    chance.shuffle(examples)
    seen, held_out = examples[: TRAINING + VALIDATION], examples[TRAINING + VALIDATION :]
    if shuffled:
        seen = _permuted(seen, chance)
    return Split(seen[:TRAINING], seen[TRAINING:], held_out)


def _permuted(examples: Sequence[dspy.Example], chance: random.Random) -> list[dspy.Example]:
    labels = [example.labels().toDict() for example in examples]
    chance.shuffle(labels)
    return [
        dspy.Example(**example.inputs().toDict(), **label).with_inputs(*example.inputs().keys())
        for example, label in zip(examples, labels, strict=True)
    ]


def _row(name: str, seed: int, method: str) -> dict[str, Any]:
    task = TASKS[name]
    optimizer, shuffled = METHODS[method]
    split = split_of(task, seed, shuffled=shuffled)
    asked, reflecting, answering = (CountingEngine(price) for price in (TASK_PRICE, REFLECTION_PRICE, TASK_PRICE))
    began = time.perf_counter()
    with dspy.context(lm=asked.lm()):
        program = optimizer(task, split, seed, reflecting.lm())
    seconds = time.perf_counter() - began
    return {
        "task": name,
        "seed": seed,
        "method": method,
        "score": _score(program, split.held_out, task.metric, answering.lm()),
        "lm_calls": asked.calls + reflecting.calls,
        "usd": (asked.nanodollars + reflecting.nanodollars) / NANODOLLARS,
        "seconds": seconds,
        "usd_per_1000_answers": answering.nanodollars / NANODOLLARS / answering.calls * 1000,
    }


def _score(program: dspy.Module, examples: Sequence[dspy.Example], metric: Metric, lm: dspy.LM) -> float:
    with dspy.context(lm=lm):
        return sum(metric(example, program(**example.inputs()))[0] for example in examples) / len(examples)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the optimizers' lines and bars about each of their steps."""
    logger = logging.getLogger("dspy")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def _scores_table(frame: pd.DataFrame) -> Table:
    table = Table(title=f"Held-out score, {frame['seed'].nunique()} splits; cost of optimizing")
    for column in ("Task", "Method"):
        table.add_column(column)
    for column in ("Mean", "Min", "Max", "LM calls", "USD", "Seconds", "USD for 1,000 answers"):
        table.add_column(column, justify="right")
    for (task, method), rows in frame.groupby(["task", "method"], sort=False):
        score = rows["score"] * 100
        costs = rows[["lm_calls", "usd", "seconds", "usd_per_1000_answers"]].mean()
        table.add_row(
            str(task),
            str(method),
            *(f"{value:.1f}" for value in (score.mean(), score.min(), score.max())),
            f"{costs['lm_calls']:.0f}",
            f"{costs['usd']:.4f}",
            f"{costs['seconds']:.2f}",
            f"{costs['usd_per_1000_answers']:.3f}",
        )
    return table


def _gains_table(frame: pd.DataFrame) -> Table:
    gains = gains_in_points(frame)
    table = Table(title=f"Points above the baseline of the same split, with {CONFIDENCE:.0%} intervals over the splits")
    for column in ("Task", *gains.columns):
        table.add_column(column, justify="left" if column == "Task" else "right")
    for task, rows in gains.groupby(level="task", sort=False):
        table.add_row(str(task), *(_interval(rows[method]) for method in gains.columns))
    table.add_row("both", *(_interval(gains[method]) for method in gains.columns))
    return table


def _interval(gains: pd.Series[float]) -> str:
    """Mean and Student's interval. Splits of the same texts overlap, so it is narrower than one of new texts."""
    if len(gains) < 2:
        return f"{gains.mean():+.1f}"
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(gains) - 1)) * float(stats.sem(gains.to_numpy()))
    return f"{gains.mean():+.1f} ({gains.mean() - reach:+.1f} to {gains.mean() + reach:+.1f})"


if __name__ == "__main__":
    main()
