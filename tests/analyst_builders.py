"""An analyst's surroundings: an incident with evidence, and a model server that says of it what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from dspy_modules.embedded_prompt import read_prompt, write_answer
from perf_pipeline.fleet import AgentConfig, FleetConfig
from perf_pipeline.fleet_analysts import PERFORMANCE_AGENT, AnalystsConfig
from perf_pipeline.fleet_targets import ModelConfig
from perf_pipeline.monitoring.cause_evidence import CauseEvidence, Explanation, FailingStep, NearbyChange
from perf_pipeline.monitoring.incident_summary import summary_by_rules
from perf_pipeline.records import Incident
from tests.alert_stories import failing
from tests.incident_builders import ONSET
from tests.wire.model_server import Body, Fault, Says

EVIDENCE = CauseEvidence(
    affected_means="failed",
    affected=17,
    tasks=17,
    explanations=(
        Explanation(
            values={"program_version": "2.4.1"},
            affected=17,
            tasks=17,
            usual_rate=0.15,
            usual_tasks=240,
            share=0.96,
            p_value=2e-6,
        ),
    ),
    first_failing_steps=(
        FailingStep(name="Predict(ClassifyMessage)", kind="LLM", error_type="AdapterParseError", tasks=15, of=17),
    ),
    changes=(
        NearbyChange(
            time=ONSET - timedelta(minutes=6),
            kind="deployment",
            agent=None,
            description="Shorten the answer prompt (main)",
            from_version="9f2c1ab",
            to_version="44d07be",
            minutes_before_onset=6,
        ),
    ),
)


def known_incident(**changes: Any) -> Incident:
    return failing(**({"evidence": EVIDENCE.model_dump_json()} | changes))


def fleet_with_analysts(fleet: FleetConfig, base_url: str, **analysts: Any) -> FleetConfig:
    """The fleet with a model of the server at the address, for analysts that have `analysts.model` and the rest."""
    model = ModelConfig(
        model="openai/simulated-1",
        usd_per_million_input_tokens=0.4,
        usd_per_million_output_tokens=1.6,
        max_tokens=2000,
        api_base=base_url,
        api_key_variable="ANALYST_KEY",
    )
    watched = AgentConfig(name=PERFORMANCE_AGENT, policy="execution", latency_objective_ms=8000)
    content = fleet.model_dump() | {
        "daily_summary_at": f"{fleet.daily_summary_at:%H:%M}",
        "models": {"small": model.model_dump()},
        "agents": [*(agent.model_dump() for agent in fleet.agents), watched.model_dump()],
        "analysts": AnalystsConfig(model="small", **analysts).model_dump(),
    }
    return FleetConfig.model_validate(content)


def saying(values: Callable[[Mapping[str, str]], Mapping[str, Any]]) -> Callable[[int, Body], Fault]:
    """A plan by which the model answers each of DSPy's prompts: with the values for its inputs that it asks for."""

    def plan(number: int, body: Body) -> Fault:  # noqa: ARG001
        prompt = read_prompt(body["messages"])
        wanted = {field.name for field in prompt.outputs}
        return Says(
            write_answer(prompt, {name: value for name, value in values(prompt.query).items() if name in wanted})
        )

    return plan


def honest_answer(incident: Incident, **changes: str) -> dict[str, Any]:
    """What rules would say, as a model's answer."""
    summary = summary_by_rules(incident)
    return {
        "cause_kind": str(summary.cause_kind),
        "confidence": 0.9,
        "what_changed": summary.what_changed.replace(" (practically certain)", ""),
        "likely_cause": summary.likely_cause,
        "what_to_do": summary.what_to_do,
    } | changes
