"""What a window of many agents costs the detectors: from a stored memory to the next one.

A few agents get eight days of made-up metrics, so that every detector is grown, and are copied under new names. Then
windows are taken one by one, as cycles do: the memory is read from its stored rows, the window goes through `replay`,
and the new memory is stored again.
"""

from __future__ import annotations

import io
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.detectors.fleet_memory import restored, stored
from perf_pipeline.monitoring.detectors.registry import detectors
from perf_pipeline.monitoring.detectors.replay import replay

START = datetime(2026, 3, 2, tzinfo=UTC)
GROWN_AGENTS, GROWN_DAYS = 250, 8
AGENTS = (1_000, 3_000, 10_000)
REPEATS = 5


@dataclass(frozen=True)
class Throughput:
    """Seconds are medians over windows. Bytes are those of one agent's memory, all detectors together."""

    agents: int
    restore_s: float
    replay_s: float
    store_s: float
    bytes_per_agent: float
    parquet_bytes_per_agent: float

    @property
    def seconds(self) -> float:
        return self.restore_s + self.replay_s + self.store_s

    @property
    def agents_per_s(self) -> float:
        return self.agents / self.seconds


def measure(agents: int, grown: pd.DataFrame, fleet: FleetConfig, repeats: int = REPEATS) -> Throughput:
    """One window of so many agents, whose memories are copies of `grown_memory`."""
    policy = fleet.detection
    every, half_life = detectors(policy, fleet.window), timedelta(days=policy.memory_days)
    warm_up = timedelta(days=GROWN_DAYS) // fleet.window
    rows = _copied(grown, agents)
    rng, timings = np.random.default_rng(agents), []
    for number in range(repeats):
        metrics = _windows(rng, agents, warm_up + number, 1, fleet.window)
        times = [time.perf_counter()]
        memory = restored(rows, every)
        times.append(time.perf_counter())
        memory = replay(metrics, every, fleet.window, half_life, memory)
        times.append(time.perf_counter())
        rows = stored(memory, every)
        times.append(time.perf_counter())
        timings.append(np.diff(times))
    restore_s, replay_s, store_s = (float(statistics.median(column)) for column in zip(*timings, strict=True))
    return Throughput(
        agents=agents,
        restore_s=restore_s,
        replay_s=replay_s,
        store_s=store_s,
        bytes_per_agent=sum(map(len, rows["memory"])) / agents,
        # Copies would compress too well.
        parquet_bytes_per_agent=_parquet_bytes(grown) / GROWN_AGENTS,
    )


def grown_memory(fleet: FleetConfig) -> pd.DataFrame:
    """The stored memory of `GROWN_AGENTS` agents after `GROWN_DAYS` days."""
    every = detectors(fleet.detection, fleet.window)
    windows = timedelta(days=GROWN_DAYS) // fleet.window
    metrics = _windows(np.random.default_rng(0), GROWN_AGENTS, 0, windows, fleet.window)
    return stored(replay(metrics, every, fleet.window, timedelta(days=fleet.detection.memory_days)), every)


def _copied(rows: pd.DataFrame, agents: int) -> pd.DataFrame:
    """The same memories under the names of so many agents."""
    by_finding = [
        own.iloc[np.arange(agents) % len(own)].assign(agent=_names(agents)) for _, own in rows.groupby("finding")
    ]
    return pd.concat(by_finding, ignore_index=True)


def _parquet_bytes(rows: pd.DataFrame) -> int:
    """As the lake stores them."""
    file = io.BytesIO()
    rows.to_parquet(file, index=False, compression="zstd")
    return file.getbuffer().nbytes


def _names(agents: int) -> np.ndarray:
    return np.array([f"Agent{number:05d}" for number in range(agents)], dtype=object)


def _windows(rng: np.random.Generator, agents: int, first: int, windows: int, window: timedelta) -> pd.DataFrame:
    """Rows of healthy agents that all differ; about ten tasks a window."""
    names = _names(agents)
    starts = pd.date_range(START + first * window, periods=windows, freq=window)
    rows = agents * windows
    own = np.random.default_rng(7)  # the same agents whichever windows are drawn
    success, latency = own.uniform(0.75, 0.98, agents), own.uniform(np.log(1e3), np.log(1e4), agents)
    success, latency = np.tile(success, windows), np.tile(latency, windows)
    tasks = np.maximum(rng.poisson(10, rows), 1)
    successes = rng.binomial(tasks, success)
    log_mean = latency + rng.normal(size=rows) * np.hypot(0.05, 0.5 / np.sqrt(tasks))
    tokens = tasks * np.exp(8 + 0.4 / np.sqrt(tasks) * rng.normal(size=rows))
    return pd.DataFrame(
        {
            "agent": np.tile(names, windows),
            "window_start": np.repeat(starts, agents),
            "tasks": tasks,
            "successes": successes,
            "error_count": rng.poisson(tasks - successes + 0.05),
            "log_errors": rng.poisson(tasks - successes + 0.2),
            "latency_log_mean": log_mean,
            "latency_log_sd": np.where(tasks > 1, rng.uniform(0.4, 0.6, rows), np.nan),
            "total_tokens": tokens,
            "cost_usd": tokens * 2e-6,
            "score": 55 * successes / tasks + rng.uniform(35, 45, rows),
        }
    )
