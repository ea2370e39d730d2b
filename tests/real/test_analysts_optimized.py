"""The product optimizes its own analyst, on simulated incidents whose causes are known. It takes half a minute."""

from __future__ import annotations

from pathlib import Path

import pytest

from dspy_modules.analysts import IncidentAnalyst
from dspy_modules.serving import AgentProgram
from perf_pipeline.analysts.examples import example_lines
from perf_pipeline.fleet import AgentConfig
from perf_pipeline.fleet_analysts import PERFORMANCE_AGENT
from perf_pipeline.fleet_targets import TargetConfig
from perf_pipeline.records import RunOutcome
from tests.optimization_fixtures import SIMULATED, Workshop, fleet_with

pytestmark = pytest.mark.real

INCIDENTS = 52


def test_the_analyst_is_optimized_like_any_agent_and_its_version_is_served(tmp_path: Path) -> None:
    examples = tmp_path / "examples.jsonl"
    examples.write_text("\n".join(example_lines(INCIDENTS)), encoding="utf-8")
    target = TargetConfig.model_validate(
        {
            "program": "dspy_modules.analysts:IncidentAnalyst",
            "metric": "perf_pipeline.analysts.metric:right_cause",
            "output_fields": ["cause_kind"],
            "examples": {"kind": "file", "path": str(examples)},
            "task_model": "task",
            "threads": 2,
        }
    )
    watched = AgentConfig(name=PERFORMANCE_AGENT, policy="execution", latency_objective_ms=8000, target=target)
    fleet = fleet_with({}, task=SIMULATED.model_copy(update={"max_tokens": 1000}))
    workshop = Workshop(tmp_path, fleet.model_copy(update={"agents": (*fleet.agents, watched)}))
    workshop.request(agent=PERFORMANCE_AGENT)
    result = workshop.run()
    assert result.run.outcome in (RunOutcome.PROMOTED, RunOutcome.REJECTED), result.report
    assert result.run.held_out_items is not None
    assert result.run.held_out_items >= 20
    served = AgentProgram(PERFORMANCE_AGENT, IncidentAnalyst, workshop.files.programs).current()
    assert served.version == (result.run.version if result.run.outcome is RunOutcome.PROMOTED else "code")
    workshop.book.close()
