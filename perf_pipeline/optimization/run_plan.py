"""What an optimization run is, how its money is divided, and when one that failed is taken up again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from perf_pipeline.fleet import FleetConfig

MAX_ATTEMPTS = 6
FIRST_PAUSE = timedelta(minutes=2)
LONGEST_PAUSE = timedelta(hours=1)

BASELINE_SHARE = 0.25
"""Of the cap, what scoring the baseline on the held-out items may cost at most."""

LEAST_GATE_SHARE = 0.1
MOST_GATE_SHARE = 0.5
CANDIDATE_TO_BASELINE = 4
"""A candidate with many demonstrations in its prompt may cost that many times what the baseline does."""


@dataclass(frozen=True)
class Budget:
    """How far each part of a run may bring its whole spending, in US dollars."""

    baseline_usd: float
    search_usd: float
    gate_usd: float


def run_configuration(agent: str, fleet: FleetConfig, optimizer: str) -> dict[str, Any]:
    """What is pinned when a run begins, as JSON; empty where the agent has no target that fits the optimizer."""
    configured = fleet.agent(agent)
    target = configured.target if configured else None
    if target is None:
        return {}
    try:
        settings = target.optimizer_settings(optimizer)
    except ValidationError:
        return {}
    names = [name for name in (target.task_model, target.reflection_model, target.judge_model) if name]
    return {
        "target": target.model_dump(mode="json", exclude={"settings"}),
        "settings": settings.model_dump(mode="json"),
        "models": {name: fleet.models[name].model_dump(mode="json") for name in names},
    }


def run_id(agent: str, optimizer: str, baseline: str | None, data: str, configuration: Mapping[str, Any]) -> str:
    """16 hexadecimal digits, the same for the same optimization of the same program on the same data."""
    asked = [agent, optimizer, baseline, data, dict(configuration)]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def budget_of(cap_usd: float, baseline_cost_usd: float | None = None) -> Budget:
    """How the cap is divided. What the gate needs is set aside before the search begins, by what the baseline cost."""
    expected = CANDIDATE_TO_BASELINE * (baseline_cost_usd or 0)
    aside = min(max(expected, LEAST_GATE_SHARE * cap_usd), MOST_GATE_SHARE * cap_usd)
    return Budget(BASELINE_SHARE * cap_usd, cap_usd - aside, cap_usd)


def month_limits(agent: str, fleet: FleetConfig, now: datetime) -> dict[str, float]:
    """The accounts of the team's calendar month, with how many US dollars each may hold."""
    month = f"month:{now.astimezone(ZoneInfo(fleet.timezone)):%Y-%m}"
    limits = {f"{month}:fleet": fleet.monthly_budget_usd}
    configured = fleet.agent(agent)
    if configured is not None and configured.monthly_budget_usd is not None:
        limits[f"{month}:agent:{agent}"] = configured.monthly_budget_usd
    return limits


def next_attempt(attempts: int, is_lasting: bool, now: datetime) -> datetime | None:
    """When a run that failed for reasons that are not its own is taken up again; None for never."""
    if is_lasting or attempts >= MAX_ATTEMPTS:
        return None
    return now + min(FIRST_PAUSE * 2 ** (attempts - 1), LONGEST_PAUSE)
