"""What fleet.yaml may say about optimization, and the sentence that each wrong key earns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from perf_pipeline.demo.demo_fleet import FILE, MODELS, TARGETS, demo_fleet, write_fleet
from perf_pipeline.fleet import FleetConfig, FleetError, load_fleet
from perf_pipeline.fleet_targets import (
    SETTINGS,
    BootstrapFewShotSettings,
    FileExamples,
    GepaSettings,
    MiproSettings,
    ModelConfig,
    SimbaSettings,
    TargetConfig,
    TraceExamples,
)

SHIPPED = Path(__file__).parents[1] / "fleet.yaml"
MODEL = {
    "model": "openai/gpt-4.1-mini",
    "usd_per_million_input_tokens": 0.4,
    "usd_per_million_output_tokens": 1.6,
    "max_tokens": 500,
}
TARGET = {
    "program": "agents.strategy:StrategyAgent",
    "metric": "agents.metrics:right",
    "output_fields": ["strategy"],
    "task_model": "small",
    "reflection_model": "large",
}
GEPA, BOOTSTRAP = "StrategyAgent", "InboundAgent"
"""The agents of the shipped fleet that these two optimize."""


def with_target(
    folder: Path,
    agent: str = GEPA,
    *,
    optimizer: str | None = None,
    models: dict[str, Any] | None = None,
    without: str | None = None,
    **changes: Any,
) -> Path:
    content = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    content["models"] = {"small": MODEL, "large": MODEL} if models is None else models
    [entry] = [one for one in content["agents"] if one["name"] == agent]
    target = {**TARGET, **changes}
    entry["target"] = {name: value for name, value in target.items() if name != without}
    if optimizer:
        content["optimization_policies"][entry["policy"]]["optimizer"] = optimizer
    file = folder / "fleet.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file


def refusal(folder: Path, agent: str = GEPA, **changes: Any) -> str:
    with pytest.raises(FleetError) as refused:
        load_fleet(with_target(folder, agent, **changes))
    [_, *lines] = str(refused.value).splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def loaded(folder: Path, agent: str = GEPA, **changes: Any) -> TargetConfig:
    found = load_fleet(with_target(folder, agent, **changes)).agent(agent)
    assert found
    assert found.target
    return found.target


def place(agent: str) -> str:
    content = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    return f"agents.{[one['name'] for one in content['agents']].index(agent)}.target"


def test_a_target_needs_no_more_than_program_metric_fields_and_models(tmp_path: Path) -> None:
    target = loaded(tmp_path)
    assert target.examples == TraceExamples()
    assert (target.min_holdout, target.input_fields, target.settings) == (20, (), {})


@pytest.mark.parametrize("key", ["task_model", "reflection_model", "judge_model"])
def test_a_model_that_is_not_listed_is_named_beside_those_that_are(tmp_path: Path, key: str) -> None:
    said = refusal(tmp_path, **{key: "huge"})
    assert said == f"- agents: the target of StrategyAgent has {key} 'huge'; models has small, large."


def test_a_fleet_without_models_is_said_to_have_none(tmp_path: Path) -> None:
    assert refusal(tmp_path, models={}).endswith("has task_model 'small'; models has none.")


def test_gepa_needs_a_model_to_reflect_with_and_the_others_do_not(tmp_path: Path) -> None:
    said = refusal(tmp_path, without="reflection_model")
    assert "the target of StrategyAgent needs a reflection_model, for GEPA rewrites instructions with it" in said
    for optimizer in set(SETTINGS) - {"GEPA"}:
        assert loaded(tmp_path, optimizer=optimizer, without="reflection_model").reflection_model is None


@pytest.mark.parametrize(
    ("agent", "settings", "said"),
    [
        (GEPA, {"auto": "light", "max_metric_calls": 9}, "settings, for GEPA: give auto or max_metric_calls, not both"),
        (GEPA, {"max_labeled_demos": 4}, "settings.max_labeled_demos, for GEPA: Extra inputs are not permitted"),
        (GEPA, {"auto": "extreme"}, "settings.auto, for GEPA: Input should be 'light', 'medium' or 'heavy'"),
        (GEPA, {"max_metric_calls": 0}, "settings.max_metric_calls, for GEPA: Input should be greater than or equal"),
        (BOOTSTRAP, {"auto": "light"}, "settings.auto, for BootstrapFewShot: Extra inputs are not permitted"),
        (BOOTSTRAP, {"max_rounds": "many"}, "settings.max_rounds, for BootstrapFewShot: Input should be a valid int"),
        (BOOTSTRAP, {"max_labeled_demos": 1.5}, "settings.max_labeled_demos, for BootstrapFewShot: Input should be"),
    ],
)
def test_a_setting_that_the_optimizer_does_not_take_is_named(
    tmp_path: Path, agent: str, settings: dict[str, Any], said: str
) -> None:
    assert f"- agents: the target of {agent}: {said}" in refusal(tmp_path, agent, settings=settings)


@pytest.mark.parametrize(
    ("changes", "key", "said"),
    [
        ({"min_holdout": 19}, "min_holdout", "greater than or equal to 20"),
        ({"min_training": 1}, "min_training", "greater than or equal to 2"),
        ({"program": "agents.strategy.StrategyAgent"}, "program", "should match pattern"),
        ({"program": "agents/strategy.py:StrategyAgent"}, "program", "should match pattern"),
        ({"metric": "agents:"}, "metric", "should match pattern"),
        ({"redact": "os; rm:x"}, "redact", "should match pattern"),
        ({"output_fields": []}, "output_fields", "at least 1 item"),
        ({"output_fields": ["strategy", "no field"]}, "output_fields.1", "should match pattern"),
        ({"threads": 0}, "threads", "greater than or equal to 1"),
        ({"examples": {"kind": "csv", "path": "x"}}, "examples", "does not match any of the expected tags"),
        ({"examples": {"kind": "file"}}, "examples.file.path", "is missing"),
        ({"examples": {"kind": "traces", "days": 0}}, "examples.traces.days", "greater than 0"),
        ({"optimiser": "GEPA"}, "optimiser", "is not a setting of fleet.yaml; check its spelling"),
        ({"without": "metric"}, "metric", "is missing"),
    ],
)
def test_a_wrong_key_of_a_target_is_named(tmp_path: Path, changes: dict[str, Any], key: str, said: str) -> None:
    sentence = refusal(tmp_path, **changes)
    assert sentence.startswith(f"- {place(GEPA)}.{key}: ")
    assert said in sentence


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"model": "gpt-4.1-mini"}, "model"),
        ({"usd_per_million_input_tokens": -1}, "usd_per_million_input_tokens"),
        ({"usd_per_million_output_tokens": float("nan")}, "usd_per_million_output_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"api_base": "https://me:secret@models.example"}, "api_base"),
        ({"api_key_variable": "sk-secret-key"}, "api_key_variable"),
        ({"temperature": 3}, "temperature"),
    ],
)
def test_a_wrong_key_of_a_model_is_named(tmp_path: Path, changes: dict[str, Any], key: str) -> None:
    said = refusal(tmp_path, models={"small": {**MODEL, **changes}, "large": MODEL})
    assert said.startswith(f"- models.small.{key}: ")


def test_a_models_price_and_limit_must_be_given(tmp_path: Path) -> None:
    for key in ("usd_per_million_input_tokens", "usd_per_million_output_tokens", "max_tokens"):
        model = {name: value for name, value in MODEL.items() if name != key}
        assert refusal(tmp_path, models={"small": model, "large": MODEL}) == f"- models.small.{key}: is missing."


@pytest.mark.parametrize(
    ("optimizer", "given", "expected"),
    [
        ("GEPA", {"auto": "heavy"}, GepaSettings(auto="heavy")),
        ("BootstrapFewShot", {"max_rounds": 2}, BootstrapFewShotSettings(max_rounds=2)),
        ("MIPROv2", {"auto": "medium", "max_labeled_demos": 0}, MiproSettings(auto="medium", max_labeled_demos=0)),
        ("SIMBA", {"steps": 3, "candidates": 2}, SimbaSettings(steps=3, candidates=2)),
    ],
)
def test_each_optimizer_can_be_chosen_with_settings_of_its_own(
    tmp_path: Path, optimizer: str, given: dict[str, Any], expected: object
) -> None:
    assert loaded(tmp_path, optimizer=optimizer, settings=given).optimizer_settings(optimizer) == expected


def test_an_optimizer_that_does_not_exist_is_refused_beside_those_that_do(tmp_path: Path) -> None:
    said = refusal(tmp_path, optimizer="COPRO")
    assert all(name in said for name in ("optimization_policies", "COPRO", *SETTINGS))


def test_only_the_embedded_model_is_simulated() -> None:
    assert ModelConfig.model_validate({**MODEL, "model": "embedded/simulated-1"}).is_simulated
    assert not ModelConfig.model_validate(MODEL).is_simulated


def test_the_shipped_fleet_optimizes_nothing_before_somebody_says_what() -> None:
    fleet = load_fleet(SHIPPED)
    assert [agent.target for agent in fleet.agents] == [None] * len(fleet.agents)
    assert fleet.models == {}


def rewritten(fleet: FleetConfig, folder: Path) -> FleetConfig:
    write_fleet(fleet, folder)
    return load_fleet(folder / FILE)


def test_the_demos_file_keeps_its_targets_and_models(tmp_path: Path) -> None:
    again = rewritten(demo_fleet(SHIPPED), tmp_path)
    assert {agent.name: agent.target for agent in again.agents if agent.target} == TARGETS
    assert again.models == MODELS


def test_a_target_with_all_its_keys_survives_being_written(tmp_path: Path) -> None:
    examples = FileExamples(kind="file", path="examples.jsonl")
    fleet = load_fleet(
        with_target(
            tmp_path,
            input_fields=["brief"],
            judge_model="small",
            redact="agents.redact:without_names",
            slice_by="segment",
            min_holdout=40,
            threads=8,
            settings={"max_metric_calls": 90},
            examples=examples.model_dump(),
        )
    )
    assert rewritten(fleet, tmp_path) == fleet


def test_examples_are_from_traces_unless_it_says_otherwise(tmp_path: Path) -> None:
    assert loaded(tmp_path, examples={"days": 7}).examples == TraceExamples(days=7)


def test_examples_from_traces_survive_being_written(tmp_path: Path) -> None:
    fleet = load_fleet(with_target(tmp_path, examples={"kind": "traces", "days": 7}))
    assert rewritten(fleet, tmp_path) == fleet
