"""What may happen to an agent: each kind of cause changes the tasks that it hits, and says what the cause is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from perf_pipeline.simulated_incidents.traffic import CALLERS, ERRORS, TOOLS, Traffic, uses

Values = dict[str, str]


@dataclass
class Happening:
    """What happened: it is written into `tasks` (those of `Traffic`, with the columns error and failing_step for
    tasks that fail because of it). `deployments` are (seconds after the onset, version or None)."""

    tasks: pd.DataFrame
    finding: str = "success_drop"
    causes: list[Values] = field(default_factory=list)
    deployments: list[tuple[float, str | None]] = field(default_factory=list)
    blames_deployment: bool = False
    everywhere: bool = False


Kind = Callable[[Traffic, np.random.Generator], Happening | None]
"""None where the traffic has no tasks that it could hit enough of."""

FEWEST = 8
"""So many tasks are affected because of a cause, or nobody would look for it."""


def model_degraded(traffic: Traffic, rng: np.random.Generator) -> Happening | None:
    model = _of_some(traffic.tasks["model"], rng)
    return _failing(traffic, rng, {"model": model}, traffic.tasks["model"] == model, "LM")


def provider_outage(traffic: Traffic, rng: np.random.Generator) -> Happening | None:
    models = traffic.tasks.groupby("provider")["model"].nunique()
    several = models[models > 1].index
    if not len(several) or len(models) < 2:
        return None
    provider = str(rng.choice(several))
    return _failing(traffic, rng, {"provider": provider}, traffic.tasks["provider"] == provider, "LM")


def tool_failing(traffic: Traffic, rng: np.random.Generator) -> Happening | None:
    tool = _tool(traffic, rng)
    return _failing(traffic, rng, {"tool": tool}, uses(traffic.tasks, tool), tool)


def calling_agent(traffic: Traffic, rng: np.random.Generator) -> Happening | None:
    caller = str(rng.choice(CALLERS))
    return _failing(traffic, rng, {"parent_agent": caller}, traffic.tasks["parent_agent"] == caller, "parse")


def bad_version(traffic: Traffic, rng: np.random.Generator) -> Happening | None:
    tasks, began = _rolled_out(traffic, rng)
    moved = Traffic(traffic.agent, traffic.affected, tasks)
    happening = _failing(moved, rng, {"program_version": "v8"}, tasks["program_version"] == "v8", "parse")
    if happening:
        happening.deployments.append((began, "v8"))
    return happening


def bad_deployment(traffic: Traffic, rng: np.random.Generator) -> Happening | None:
    began = float(rng.uniform(0, 600))
    happening = _failing(traffic, rng, {}, traffic.tasks["at"] >= began, "parse")
    if happening:
        happening.deployments.append((began - 1, None))
        happening.blames_deployment = happening.everywhere = True
    return happening


def tool_on_a_model(traffic: Traffic, rng: np.random.Generator) -> Happening | None:
    model, tool = _of_some(traffic.tasks["model"], rng), _tool(traffic, rng)
    hit = (traffic.tasks["model"] == model) & uses(traffic.tasks, tool)
    return _failing(traffic, rng, {"model": model, "tool": tool}, hit, tool)


def caller_on_a_model(traffic: Traffic, rng: np.random.Generator) -> Happening | None:
    caller, model = str(rng.choice(CALLERS)), _of_some(traffic.tasks["model"], rng)
    hit = (traffic.tasks["parent_agent"] == caller) & (traffic.tasks["model"] == model)
    return _failing(traffic, rng, {"model": model, "parent_agent": caller}, hit, "LM")


def new_error_everywhere(traffic: Traffic, rng: np.random.Generator) -> Happening | None:
    error = "QuotaExceededError"
    happening = _failing(traffic, rng, {"error_type": error}, pd.Series(True, traffic.tasks.index), "parse", error)
    if happening:
        happening.everywhere = True
    return happening


def slow_step(traffic: Traffic, rng: np.random.Generator) -> Happening:
    happening = _slower(traffic, rng, {"slowest_step": "retrieve"}, pd.Series(True, traffic.tasks.index), "retrieve", 8)
    happening.everywhere = True
    return happening


def slow_tool(traffic: Traffic, rng: np.random.Generator) -> Happening | None:
    tool = _tool(traffic, rng)
    return _enough(_slower(traffic, rng, {"tool": tool}, uses(traffic.tasks, tool), tool, 12), traffic)


def slow_model(traffic: Traffic, rng: np.random.Generator) -> Happening | None:
    model = _of_some(traffic.tasks["model"], rng)
    return _enough(_slower(traffic, rng, {"model": model}, traffic.tasks["model"] == model, "LM", 3), traffic)


def dear_version(traffic: Traffic, rng: np.random.Generator) -> Happening | None:
    tasks, began = _rolled_out(traffic, rng)
    hit = tasks["program_version"] == "v8"
    if hit.sum() < FEWEST:
        return None
    tasks.loc[hit, "cost"] *= rng.uniform(2.5, 5)
    return Happening(tasks, "cost_spike", [{"program_version": "v8"}], [(began, "v8")])


def two_causes(traffic: Traffic, rng: np.random.Generator) -> Happening | None:
    kinds = rng.permutation(np.array([model_degraded, tool_failing, calling_agent], dtype=object))[:2]
    first = kinds[0](traffic, rng)
    if first is None:
        return None
    both = kinds[1](Traffic(traffic.agent, traffic.affected, first.tasks), rng)
    if both is None or first.causes == both.causes:
        return None
    both.causes = [*first.causes, *both.causes]
    return both


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        model_degraded,
        provider_outage,
        tool_failing,
        calling_agent,
        bad_version,
        bad_deployment,
        tool_on_a_model,
        caller_on_a_model,
        new_error_everywhere,
        slow_step,
        slow_tool,
        slow_model,
        dear_version,
        two_causes,
    )
}


def _failing(
    traffic: Traffic, rng: np.random.Generator, cause: Values, hit: pd.Series, step: str, error: str | None = None
) -> Happening | None:
    tasks = traffic.tasks.copy()
    hit = hit & (tasks["at"] >= 0)
    chance = rng.uniform(0.35, 0.95)
    if hit.sum() * chance < FEWEST:
        return None
    for column in ("cause_error", "cause_step"):
        if column not in tasks:
            tasks[column] = None
    stronger = hit & (chance > tasks["failure"])
    tasks.loc[stronger, "cause_error"] = error or str(rng.choice(ERRORS))
    tasks.loc[stronger, "cause_step"] = step
    tasks.loc[hit, "failure"] = 1 - (1 - tasks.loc[hit, "failure"]) * (1 - chance)
    return Happening(tasks, causes=[cause])


def _slower(
    traffic: Traffic, rng: np.random.Generator, cause: Values, hit: pd.Series, step: str, most: float
) -> Happening:
    tasks = traffic.tasks.copy()
    tasks.loc[hit & (tasks["at"] >= 0), step] *= rng.uniform(0.6 * most, 1.4 * most)
    return Happening(tasks, "latency_increase", [cause])


def _enough(happening: Happening, traffic: Traffic) -> Happening | None:
    """Enough tasks took at least half as long again as they would have."""
    before, after = (tasks[tasks["at"] >= 0] for tasks in (traffic.tasks, happening.tasks))
    slower = _milliseconds(after) > 1.5 * _milliseconds(before)
    return happening if slower.sum() >= FEWEST else None


def _milliseconds(tasks: pd.DataFrame) -> pd.Series:
    tools = sum((tasks[tool] * uses(tasks, tool) for tool in TOOLS if tool in tasks), pd.Series(0.0, tasks.index))
    return tasks["retrieve"] + tasks["parse"] + tasks["LM"] + tools


def _rolled_out(traffic: Traffic, rng: np.random.Generator) -> tuple[pd.DataFrame, float]:
    """The tasks, a part of which run a new version since about the onset, and when that was."""
    tasks, began = traffic.tasks.copy(), float(rng.uniform(-300, 300))
    moved = (tasks["at"] >= max(began, 0)) & (rng.random(len(tasks)) < rng.uniform(0.25, 1.2))
    tasks.loc[moved, "program_version"] = "v8"
    return tasks, began


def _tool(traffic: Traffic, rng: np.random.Generator) -> str:
    return str(rng.choice([tool for tool in TOOLS if tool in traffic.tasks]))


def _of_some(values: pd.Series, rng: np.random.Generator) -> str:
    return str(rng.choice(sorted(values.unique())))
