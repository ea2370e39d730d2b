"""The part of fleet.yaml about optimization: what is optimized, on which examples, by which models at what price."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from perf_pipeline.fleet_model import FleetModel, Positive

OptimizerName = Literal["GEPA", "BootstrapFewShot", "MIPROv2", "SIMBA"]
ImportPath = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")]
"""A module and a name in it, such as my_agents.inbound:InboundAgent."""

FieldName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")]
Count = Annotated[int, Field(ge=1, le=100_000)]
DemoCount = Annotated[int, Field(ge=0, le=1000)]


class ModelConfig(FleetModel):
    """A language model that optimizations call. `model` is named as for DSPy and LiteLLM, such as openai/gpt-4.1-mini;
    its key is in the environment variable `api_key_variable`."""

    model: Annotated[str, Field(pattern=r"^[\w.-]+/\S+$")]
    usd_per_million_input_tokens: Annotated[float, Field(ge=0)]
    usd_per_million_output_tokens: Annotated[float, Field(ge=0)]
    max_tokens: Count
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    timeout_seconds: Positive = 120
    api_base: Annotated[str, Field(pattern=r"^https?://[^\s@]+$")] | None = None
    api_key_variable: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None

    @property
    def is_simulated(self) -> bool:
        """Whether it is the embedded model of the demo."""
        return self.model.startswith("embedded/")


class TraceExamples(FleetModel):
    """Examples from production: what went into and came out of the agent's tasks, and what people said about it.

    A feedback named in `corrections` says what would have been right; a score from `approve_from` under a name of
    `approvals` says that the answer was. `trust_outcomes` takes each task that agent_state calls completed as right.
    """

    kind: Literal["traces"] = "traces"
    days: Annotated[float, Field(gt=0, le=366)] = 28
    max_tasks: Count = 1000
    corrections: tuple[str, ...] = ("correction",)
    approvals: tuple[str, ...] = ("user_feedback",)
    approve_from: Annotated[float, Field(ge=0, le=1)] = 0.5
    trust_outcomes: bool = False


class FileExamples(FleetModel):
    """Examples from a file of JSON lines: {"inputs": {…}, "expected": {…}, "session": "…" (optional)}."""

    kind: Literal["file"]
    path: Annotated[str, Field(min_length=1)]


def _kind_of(content: object) -> str:
    kind = content.get("kind", "traces") if isinstance(content, dict) else getattr(content, "kind", None)
    return str(kind)


Examples = Annotated[
    Annotated[TraceExamples, Tag("traces")] | Annotated[FileExamples, Tag("file")], Discriminator(_kind_of)
]


class GepaSettings(FleetModel):
    """How long GEPA searches: an `auto` preset, or a number of metric calls."""

    auto: Literal["light", "medium", "heavy"] | None = None
    max_metric_calls: Count | None = None
    reflection_minibatch_size: Count = 3

    @model_validator(mode="after")
    def _one_length(self) -> GepaSettings:
        if self.auto and self.max_metric_calls:
            raise ValueError("give auto or max_metric_calls, not both")
        return self


class BootstrapFewShotSettings(FleetModel):
    """How many examples the prompt gets: of tasks that went well, and labelled ones besides, up to a total."""

    max_bootstrapped_demos: DemoCount = 4
    max_labeled_demos: DemoCount = 16
    max_rounds: Count = 1


class MiproSettings(FleetModel):
    auto: Literal["light", "medium", "heavy"] = "light"
    max_bootstrapped_demos: DemoCount = 4
    max_labeled_demos: DemoCount = 4


class SimbaSettings(FleetModel):
    batch_size: Count = 16
    candidates: Count = 6
    steps: Count = 8
    max_demos: DemoCount = 4


OptimizerSettings = GepaSettings | BootstrapFewShotSettings | MiproSettings | SimbaSettings

SETTINGS: dict[str, type[OptimizerSettings]] = {
    "GEPA": GepaSettings,
    "BootstrapFewShot": BootstrapFewShotSettings,
    "MIPROv2": MiproSettings,
    "SIMBA": SimbaSettings,
}

NEEDS_REFLECTION = ("GEPA",)


class TargetConfig(FleetModel):
    """What of an agent is optimized. `program` is called without arguments and gives a `dspy.Module`; `metric` gets an
    example and a prediction, and gives a score from 0 to 1, alone or with feedback in words.

    `output_fields` are those that the right answer is known of. `slice_by` names an input or output field: no group of
    held-out items that has a value of it in common may get worse. `redact` gets the fields of a task and gives them
    back without what must not leave production.
    """

    program: ImportPath
    metric: ImportPath
    output_fields: Annotated[tuple[FieldName, ...], Field(min_length=1)]
    input_fields: tuple[FieldName, ...] = ()
    examples: Examples = TraceExamples()
    task_model: str
    reflection_model: str | None = None
    judge_model: str | None = None
    redact: ImportPath | None = None
    slice_by: FieldName | None = None
    min_training: Annotated[int, Field(ge=2)] = 10
    min_holdout: Annotated[int, Field(ge=20)] = 20
    threads: Annotated[int, Field(ge=1, le=64)] = 4
    settings: dict[str, str | int | float | bool] = Field(default_factory=dict)

    def optimizer_settings(self, optimizer: str) -> OptimizerSettings:
        """Raises ValidationError, whose places are keys of `settings`."""
        return SETTINGS[optimizer].model_validate(self.settings)
