"""Tables of metrics for the detectors: seeded agents that keep to a law, changes put into them, and what is found.

Windows are numbered as in `builders`: window 0 begins at START, and what comes before has negative numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from perf_pipeline.fleet import DetectionPolicy
from perf_pipeline.monitoring.detectors.engine import Detector
from perf_pipeline.monitoring.detectors.fleet_memory import FleetMemory
from perf_pipeline.monitoring.detectors.judgement import Judgement, Model, Observation
from perf_pipeline.monitoring.detectors.lifecycle import Event
from perf_pipeline.monitoring.detectors.memory import empty_memory, season_dtype
from perf_pipeline.monitoring.detectors.registry import detectors
from perf_pipeline.monitoring.detectors.replay import Step, replay
from perf_pipeline.tables import AGENT_METRICS
from tests.builders import LENGTH, START, Row, frame, shipped_fleet

POLICY = shipped_fleet().detection
HALF_LIFE = timedelta(days=POLICY.memory_days)
HOUR, DAY = 2, 48
"""In windows."""

WEEK = 7 * DAY
FIRST = int(START.timestamp() // LENGTH.total_seconds())
"""Number since 1970 of window 0."""


@dataclass(frozen=True)
class Law:
    """How an agent behaves. Means are of a window; deviations are of natural logarithms, but for the score's."""

    tasks: float = 10.0
    traffic_dispersion: float = 0.1
    day_amplitude: float = 0.0
    weekend: float = 1.0
    success: float = 0.9
    shared_luck: float = 0.02
    recovered_errors: float = 0.05
    log_errors: float = 0.1
    log_background: float = 0.0
    latency_ms: float = 1000.0
    latency_between: float = 0.1
    latency_within: float = 0.6
    tokens: float = 2000.0
    tokens_between: float = 0.1
    tokens_within: float = 0.5
    score: float = 85.0
    score_between: float = 3.0
    score_within: float = 20.0


@dataclass(frozen=True)
class Change:
    """From window `start` to before `end`, for all agents of the table: factors, and points off the success rate."""

    start: int
    end: int
    success_points: float = 0.0
    errors: float = 1.0
    latency: float = 1.0
    tokens: float = 1.0
    cost: float = 1.0
    tasks: float = 1.0


def agents(law: Law, windows: Iterable[int], seed: int, count: int = 1, changes: Sequence[Change] = ()) -> pd.DataFrame:
    """Metrics of `count` agents, one row an agent and window, drawn from the law: what detectors read."""
    numbers = np.array(windows)
    rng, size = np.random.default_rng(seed), (count, len(numbers))

    def factor(name: str, neutral: float) -> np.ndarray:
        values = np.full(len(numbers), neutral)
        for change in changes:
            values[(numbers >= change.start) & (numbers < change.end)] = getattr(change, name)
        return values

    starts = pd.DatetimeIndex(pd.Timestamp(START) + pd.to_timedelta(numbers * LENGTH.total_seconds(), unit="s"))
    clock = np.asarray(starts.hour + starts.minute / 60)
    rhythm = 1 - law.day_amplitude * np.cos(2 * np.pi * clock / 24)
    rhythm = rhythm * np.where(np.asarray(starts.dayofweek) >= 5, law.weekend, 1.0)
    expected = law.tasks * rhythm * factor("tasks", 1.0)
    shape = 1 / law.traffic_dispersion
    n = rng.poisson(rng.gamma(shape, expected / shape, size)) if law.traffic_dispersion else rng.poisson(expected, size)
    success = np.clip(law.success - factor("success_points", 0.0) / 100, 0.0, 1.0)
    total = 1 / law.shared_luck - 1
    luck = rng.beta(np.maximum(success * total, 1e-9), np.maximum((1 - success) * total, 1e-9), size)
    k = rng.binomial(n, np.where(success > 0, luck, 0.0))
    errors = n - k + rng.poisson(law.recovered_errors * factor("errors", 1.0) * n)
    logged = rng.poisson(law.log_errors * factor("errors", 1.0) * n + law.log_background)
    latency = np.log(law.latency_ms * factor("latency", 1.0)) + rng.normal(0, law.latency_between, size)
    per_root = 1 / np.sqrt(np.maximum(n, 1))
    spread = law.latency_within * np.sqrt(rng.chisquare(np.maximum(n - 1, 1)) / np.maximum(n - 1, 1))
    drawn = rng.lognormal(-(law.tokens_within**2) / 2, law.tokens_within, (*size, max(int(n.max()), 1)))
    used = np.where(np.arange(drawn.shape[2]) < n[:, :, None], drawn, 0.0).sum(axis=2)
    used *= law.tokens * np.exp(rng.normal(0, law.tokens_between, size))
    score = law.score + rng.normal(0, law.score_between, size) + rng.normal(0, law.score_within, size) * per_root

    def unless_idle(values: np.ndarray) -> np.ndarray:
        return np.where(n > 0, values, np.nan)

    log_mean = latency + rng.normal(0, law.latency_within, size) * per_root
    columns = {
        "tasks": n,
        "successes": k,
        "success_rate": unless_idle(100 * k / np.maximum(n, 1)),
        "error_count": errors,
        "log_errors": logged,
        "latency_p50_ms": unless_idle(np.exp(log_mean)),
        "latency_p95_ms": unless_idle(np.exp(log_mean + 1.64 * law.latency_within)),
        "latency_log_mean": unless_idle(log_mean),
        "latency_log_sd": np.where(n > 1, spread, np.nan),
        "total_tokens": unless_idle(np.round(used * factor("tokens", 1.0))),
        "cost_usd": unless_idle(used * factor("cost", 1.0) * 1e-5),
        "score": unless_idle(score),
        "complete": np.ones(size, dtype=bool),
    }
    return pd.DataFrame(
        {
            "agent": np.repeat([f"agent-{number:02}" for number in range(count)], len(numbers)),
            "window_start": np.tile(starts, count),
        }
        | {name: values.reshape(-1) for name, values in columns.items()}
    )


def metrics(*rows: Row) -> pd.DataFrame:
    """Rows of `builders.metrics_row` as a table."""
    return frame(AGENT_METRICS, rows)


def with_planned_change(table: pd.DataFrame, number: int, agent: str | None = None) -> pd.DataFrame:
    """The table with a planned change in window `number` of the agent, or of the whole fleet."""
    touched = table["window_start"] == pd.Timestamp(START + number * LENGTH)
    touched &= (table["agent"] == agent) if agent else True
    before = table["planned_changes"].fillna(0) if "planned_changes" in table else 0
    return table.assign(planned_changes=before + touched.astype(int))


def some_detectors(findings: Collection[str] | None = None, policy: DetectionPolicy = POLICY) -> tuple[Detector, ...]:
    return tuple(every for every in detectors(policy, LENGTH) if findings is None or every.finding in findings)


def memory_after(
    table: pd.DataFrame, findings: Collection[str] | None = None, memory: FleetMemory | None = None
) -> FleetMemory:
    return replay(table, some_detectors(findings), LENGTH, HALF_LIFE, memory)


def watch(
    table: pd.DataFrame,
    findings: Collection[str] | None = None,
    memory: FleetMemory | None = None,
    policy: DetectionPolicy = POLICY,
    since: int | None = None,
) -> pd.DataFrame:
    """What the detectors said from window `since` on: a row for each window, finding and agent, in order of time.

    Windows are numbered as in the table, and NaN for what has not happened.
    """
    said: list[dict[str, Any]] = []

    def note(step: Step) -> None:
        if since is not None and step.index - FIRST < since:
            return
        told, outcome, count = step.told, step.outcome, len(step.agents)
        said.append(
            {
                "finding": [step.detector.finding] * count,
                "agent": step.agents,
                "number": np.full(count, step.index - FIRST),
                "seen": told.seen,
                "value": told.value,
                "expected": told.expected,
                "low": told.low,
                "high": told.high,
                "phase": outcome.phase,
                "event": outcome.event,
                "evidence": outcome.statistic,
                "onset": np.where(outcome.onset < 0, np.nan, outcome.onset - FIRST),
                "opened": np.where(outcome.opened < 0, np.nan, outcome.opened - FIRST),
                "effect": outcome.effect,
                "effect_error": outcome.effect_error,
                "severity": outcome.severity,
            }
        )

    replay(table, some_detectors(findings, policy), LENGTH, HALF_LIFE, memory, on_step=note)
    return pd.DataFrame({name: np.concatenate([part[name] for part in said]) for name in said[0]})


def events(said: pd.DataFrame) -> list[tuple[int, str]]:
    """Number of the window and name of the event, of all that happened."""
    happened = said[said["event"] > 0]
    return [
        (int(number), Event(event).name) for number, event in zip(happened["number"], happened["event"], strict=True)
    ]


def observation(agents: int = 1, **measured: Any) -> Observation:
    """Window 0 of all agents; numbers stand for all of them, and what is not named was not measured."""
    names = [field.name for field in fields(Observation) if field.name != "custom"][3:]
    values = {name: np.broadcast_to(np.asarray(measured.pop(name, np.nan), float), agents).copy() for name in names}
    assert not measured
    values["changed"] = values["changed"] > 0
    return Observation(FIRST, HOUR, np.ones(agents, dtype=bool), **values)  # pyright: ignore[reportArgumentType]


def knowing(model: Model, agents: int = 1, **sums: float) -> np.ndarray:
    """Memories of agents whose baseline rests on these sums."""
    memory = empty_memory(1, agents)[0]
    for name, value in sums.items():
        memory["trusted"][:, list(model.sums).index(name)] = value
    return memory


def judged(model: Model, memory: np.ndarray, seen: Observation, seasons: np.ndarray | None = None) -> Judgement:
    """The window judged by agents that know these seasons, or none."""
    if seasons is None:
        seasons = np.zeros(len(memory), dtype=season_dtype(model.seasons))
    return model.judge(memory, model.baseline(memory), seasons, seen)
