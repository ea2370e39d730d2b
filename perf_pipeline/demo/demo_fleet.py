"""The demo's fleet file: the user's, but for whom it would tell, and with something to optimize.

Nobody is to hear of simulated incidents. Two of the demo's agents have a target, on the embedded model.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from perf_pipeline.fleet import FleetConfig, load_fleet
from perf_pipeline.fleet_metrics import MetricConfig
from perf_pipeline.fleet_people import Approver, NotificationsConfig
from perf_pipeline.fleet_targets import ModelConfig, TargetConfig

FILE = "fleet.yaml"
STORY_HOURS = 6.0

APPROVER = Approver(name="ana")
"""The simulated person who approves in the demo."""

SIMULATED = ModelConfig(
    model="embedded/simulated-1",
    usd_per_million_input_tokens=0.4,
    usd_per_million_output_tokens=1.6,
    max_tokens=500,
)
MODELS = {
    "task": SIMULATED,
    "reflection": SIMULATED.model_copy(
        update={"usd_per_million_input_tokens": 2.0, "usd_per_million_output_tokens": 8.0, "max_tokens": 4000}
    ),
}
"""Prices are those of a small and a large model of 2025, so that the simulated dollars are of the right size."""

TARGETS = {
    "InboundAgent": TargetConfig(
        program="dspy_modules.demo_agents:InboundAgent",
        metric="dspy_modules.demo_metrics:right_intent",
        output_fields=("intent",),
        task_model="task",
        settings={"max_labeled_demos": 24},
    ),
    "StrategyAgent": TargetConfig(
        program="dspy_modules.demo_agents:StrategyAgent",
        metric="dspy_modules.demo_metrics:right_strategy",
        output_fields=("strategy",),
        task_model="task",
        reflection_model="reflection",
        settings={"max_metric_calls": 400, "reflection_minibatch_size": 8},
    ),
}


METRICS = (
    MetricConfig(name="right_answers", annotation="user_feedback", unit="points", better="higher", objective=0.5),
    MetricConfig(name="answer_length", sql="avg(completion_tokens)", unit="tokens", better="lower", objective=60),
)
"""What the simulated reviewers say of the answers, and how long these are."""


def demo_fleet(fleet_path: Path) -> FleetConfig:
    """The fleet of the file with the embedded channel as its only target. Raises FleetError."""
    fleet = load_fleet(fleet_path)
    alone = NotificationsConfig()
    quiet = {"targets": alone.targets, "routes": alone.routes, "escalate_to": ()}
    return fleet.model_copy(
        update={
            "notifications": fleet.notifications.model_copy(update=quiet),
            "approvals": fleet.approvals.model_copy(update={"approvers": (APPROVER,)}),
            # The story's incident is over for longer than the two hours that are news elsewhere.
            "act_within_hours": max(fleet.act_within_hours, STORY_HOURS),
            "models": MODELS,
            "metrics": METRICS,
            "agents": tuple(agent.model_copy(update={"target": TARGETS.get(agent.name)}) for agent in fleet.agents),
        }
    )


def write_fleet(fleet: FleetConfig, home: Path) -> None:
    """Write the fleet where `perf-pipeline dev --demo` reads it."""
    content = fleet.model_dump(mode="json", exclude_defaults=True)
    content["daily_summary_at"] = f"{fleet.daily_summary_at:%H:%M}"
    (home / FILE).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
