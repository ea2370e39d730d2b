"""What a run optimizes, loaded: the user's program and metric, and the models that they call, metered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dspy_modules.evaluation import Judge, Scored, evaluate, judge_with
from dspy_modules.examples import Example, as_example
from dspy_modules.judging import Answered, approved
from dspy_modules.metered_engine import Meter
from dspy_modules.prices import Price
from dspy_modules.programs import (
    Program,
    ProgramError,
    forward_fields,
    load_attribute,
    load_program,
    without_own_models,
)
from dspy_modules.run_models import Model, ModelSettings, metered_model
from dspy_modules.serving import restored
from dspy_modules.stop_signals import InfrastructureFailure
from perf_pipeline.fleet_targets import ModelConfig, TargetConfig
from perf_pipeline.records import LabelledExample, OptimizationRun, SpendPurpose, TaskRecord
from perf_pipeline.runs.meter import PartMeter
from perf_pipeline.runs.tools import RunRefused, RunTools
from resources.program_source import ProgramSourceError

MOST_TROUBLES = 0.1
"""Of the held-out items: those at which a program may fail with something else than an answer that cannot be read."""


@dataclass(frozen=True)
class LoadedTarget:
    """`code` is the program as it stands in the code; `models` are those that the target names, by name."""

    config: TargetConfig
    models: Mapping[str, ModelConfig]
    code: Program
    judge: Judge
    redact: Callable[[dict[str, Any]], Mapping[str, Any]] | None
    input_fields: tuple[str, ...]
    key_of: Callable[[str], str | None]

    def model(self, name: str, meter: Meter, purpose: SpendPurpose) -> Model:
        """Raises RunRefused where its key is not set, and RunStopped where its settings cannot be used."""
        return metered_model(model_settings(self.models[name], self.key_of), meter, str(purpose))

    def scored(self, program: Program, items: Sequence[LabelledExample], meter: PartMeter) -> list[Scored]:
        """How the program does at the items, for the gate.

        Raises RunStopped, also where the program kept it to itself, and InfrastructureFailure where the program fails
        at many items for reasons that need not be its own: two programs must not be compared across an outage.
        """
        model = self.model(self.config.task_model, meter, SpendPurpose.GATE)
        scored = evaluate(program, examples_of(items), self.judge, model, self.config.threads)
        if meter.stopped is not None:
            raise meter.stopped
        troubles = [one.error for one in scored if one.is_trouble]
        if len(troubles) > MOST_TROUBLES * len(scored):
            raise InfrastructureFailure(
                f"The program failed at {len(troubles)} of {len(scored)} held-out items, as with {troubles[0]}: see "
                "what it calls, and whether it can be called where optimizations run."
            )
        return scored

    def judged_right(self, tasks: Sequence[TaskRecord], judge_model: str, meter: Meter) -> list[bool]:
        """Which of the tasks' answers the judge calls right. Raises RunStopped."""
        answered = [Answered(task.inputs, task.outputs or {}) for task in tasks]
        return approved(self.code, answered, self.model(judge_model, meter, SpendPurpose.JUDGE), self.config.threads)


def load_target(
    config: TargetConfig, models: Mapping[str, ModelConfig], key_of: Callable[[str], str | None]
) -> LoadedTarget:
    """Import what the target names. Raises RunRefused and ProgramError."""
    code = without_own_models(load_program(config.program))
    fields = config.input_fields or forward_fields(code)
    if not fields:
        raise RunRefused(f"{config.program} takes any inputs: name them in input_fields of the target.")
    if both := sorted(set(fields) & set(config.output_fields)):
        raise RunRefused(f"{', '.join(both)} cannot be an input and an output of the target.")
    judge = judge_with(load_attribute(config.metric), config.metric)
    redact = load_attribute(config.redact) if config.redact else None
    return LoadedTarget(config, models, code, judge, redact, fields, key_of)


def baseline_program(target: LoadedTarget, run: OptimizationRun, tools: RunTools) -> Program:
    """The program in production when the run began. Raises RunRefused where its file was changed since, or is for
    another signature."""
    if run.baseline is None:
        return target.code
    known = tools.book.program_version(run.agent, run.baseline)
    try:
        body = tools.files.programs.artifact(run.agent, run.baseline)
        if known is None or hashlib.sha256(body).hexdigest() != known.sha256:
            raise RunRefused(f"Version {run.baseline} in the lake is not what was registered: roll back to another.")
        return restored(target.code, json.loads(body), run.baseline)
    except (ProgramSourceError, ProgramError) as error:
        raise RunRefused(f"The program in production cannot be compared with: {error}.") from error


def examples_of(items: Sequence[LabelledExample]) -> list[Example]:
    return [as_example(item.inputs, item.expected) for item in items]


def model_settings(config: ModelConfig, key_of: Callable[[str], str | None]) -> ModelSettings:
    """Raises RunRefused where the model's key is not set."""
    key = key_of(config.api_key_variable) if config.api_key_variable else None
    if config.api_key_variable and not key:
        raise RunRefused(f"{config.api_key_variable} is not set: it holds the key of {config.model}.")
    return ModelSettings(
        config.model,
        Price(config.usd_per_million_input_tokens, config.usd_per_million_output_tokens),
        config.max_tokens,
        config.temperature,
        config.timeout_seconds,
        config.api_base,
        key,
    )
