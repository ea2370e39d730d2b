"""The tasks of a simulated agent, as they would go if nothing happened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from perf_pipeline.monitoring.windows import Window

ONSET = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
WINDOW = timedelta(minutes=30)

MODELS = {
    "gpt-5": "openai",
    "gpt-5-mini": "openai",
    "opus-5": "anthropic",
    "haiku-5": "anthropic",
    "large-3": "mistral",
}
TOOLS = ("search", "crm", "calendar", "mailer", "billing")
CALLERS = ("LeadAgent", "Dispatcher", "NightBatch")
STEPS = ("retrieve", "parse", "LM")
ERRORS = ("TimeoutError", "RateLimitError", "AdapterParseError", "ValidationError")


@dataclass(frozen=True)
class Traffic:
    """`tasks`: one row a task, in order of time, with at (seconds after the onset), model, provider, tools (tuple),
    parent_agent, program_version, failure (chance, 0 to 1), cost (US dollars), and one column of milliseconds for each
    of `STEPS` and `TOOLS`. `affected` is the time since the onset."""

    agent: str
    affected: Window
    tasks: pd.DataFrame


def draw_traffic(agent: str, rng: np.random.Generator) -> Traffic:
    """A day of tasks and some windows more.

    Values are as unevenly popular as in life, tools go with models, one model has always failed more than the others,
    and a version may have been rolled out some hours ago.
    """
    windows = int(rng.integers(1, 5))
    per_day = int(np.exp(rng.uniform(np.log(100), np.log(450))))
    since = int(rng.integers(30, 120))
    at = np.sort(np.concatenate([rng.uniform(-86_400, 0, per_day), rng.uniform(0, windows * 1800, since)]))
    count = len(at)
    models = rng.choice(list(MODELS), size=int(rng.integers(3, len(MODELS) + 1)), replace=False)
    model = rng.choice(models, size=count, p=rng.dirichlet(np.full(len(models), 1.5)))
    used = rng.choice(TOOLS, size=int(rng.integers(3, len(TOOLS) + 1)), replace=False)
    favours = {name: rng.dirichlet(np.full(len(used), rng.choice([0.6, 5.0]))) for name in models}
    first_tool = np.array([rng.choice(used, p=favours[name]) for name in model])
    second_tool = np.where(rng.random(count) < 0.3, rng.choice(used, size=count), first_tool)
    caller = rng.choice([*CALLERS, ""], size=count, p=rng.dirichlet([1.5, 1.5, 1.0, 2.0]))
    rolled_out = -rng.uniform(3, 20) * 3600 if rng.random() < 0.4 else -90_000
    bad_model = rng.choice(models)
    tasks = pd.DataFrame(
        {
            "at": at,
            "model": model,
            "provider": [MODELS[name] for name in model],
            "tools": [tuple(sorted({one, other})) for one, other in zip(first_tool, second_tool, strict=True)],
            "parent_agent": caller,
            "program_version": np.where(at >= rolled_out, "v7", "v6"),
            "failure": rng.uniform(0.02, 0.1) * np.where(model == bad_model, rng.uniform(1, 3), 1.0),
            "cost": 0.01 * np.exp(rng.normal(0, 0.4, count)),
        }
    )
    for step in (*STEPS, *used):
        tasks[step] = np.exp(rng.normal(np.log(rng.uniform(200, 900)), 0.35, count))
    tasks["LM"] *= 3 * pd.Series(model).map(dict(zip(models, np.exp(rng.normal(0, 0.3, len(models))), strict=True)))
    return Traffic(agent, Window(ONSET, ONSET + windows * WINDOW), tasks)


def uses(tasks: pd.DataFrame, tool: str) -> pd.Series:
    return pd.Series([tool in tools for tools in tasks["tools"].tolist()], index=tasks.index)
