"""An installation of many agents with months of history, made without running them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from perf_pipeline.fleet import FleetConfig, load_fleet
from perf_pipeline.fleet_model import Severity
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import Incident, IncidentState, Scope, SourceHealth, SourceStatus
from perf_pipeline.tables import AGENT_METRICS, AGENT_TASKS, OPTIMIZATION_DECISIONS
from perf_pipeline.tokens import new_token
from resources.lake import Lake, write_parquet
from resources.ledger import Ledger

SHIPPED = Path(__file__).parents[2] / "fleet.yaml"
TASKS_A_WINDOW = 10
WINDOWS_AT_ONCE = 48
SOURCES = ("spans", "logs", "tasks", "changes")


def write_fleet_file(home: Path, agents: int, first_day: datetime) -> FleetConfig:
    content = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    template = content["agents"][-1]
    content["agents"] = [template | {"name": f"Agent{number:03}"} for number in range(agents)]
    content["history_start"] = first_day.date()
    (home / "fleet.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_fleet(home / "fleet.yaml")


def fill_lake(lake: Lake, fleet: FleetConfig, windows: Sequence[Window]) -> None:
    """Metrics of all windows; tasks and decisions of those of the last two days."""
    for number in range(0, len(windows), WINDOWS_AT_ONCE):
        _write_metrics(lake, fleet.agent_names, windows[number : number + WINDOWS_AT_ONCE], number)
    for window in windows[-96:]:
        lake.write(OPTIMIZATION_DECISIONS, window.start, OPTIMIZATION_DECISIONS.empty())
    for window in windows[-4:]:
        lake.write(AGENT_TASKS, window.start, _tasks(fleet.agent_names, window))


def write_metrics(lake: Lake, agents: Sequence[str], window: Window, seed: int) -> None:
    _write_metrics(lake, agents, [window], seed)


def _write_metrics(lake: Lake, agents: Sequence[str], windows: Sequence[Window], seed: int) -> None:
    rng, size = np.random.default_rng(seed), len(agents) * len(windows)
    tasks = rng.poisson(TASKS_A_WINDOW, size)
    successes = rng.binomial(tasks, 0.92)
    latency = rng.lognormal(8, 0.3, size)
    idle = tasks == 0
    frame = pd.DataFrame(
        {
            "agent": list(agents) * len(windows),
            "window_start": [window.start for window in windows for _ in agents],
            "tasks": tasks,
            "successes": successes,
            "success_rate": np.where(idle, np.nan, 100 * successes / np.maximum(tasks, 1)),
            "error_count": tasks - successes,
            "log_errors": rng.poisson(0.2, size),
            "latency_mean_ms": np.where(idle, np.nan, latency * 1.1),
            "latency_p50_ms": np.where(idle, np.nan, latency),
            "latency_p95_ms": np.where(idle, np.nan, latency * 2),
            "latency_p99_ms": np.where(idle, np.nan, latency * 3),
            "latency_log_mean": np.where(idle, np.nan, np.log(latency)),
            "latency_log_sd": 0.4,
            "total_tokens": tasks * 1500,
            "cost_usd": tasks * 0.002,
            "baseline_tasks": 500,
            "baseline_success_rate": 92.0,
            "baseline_errors_per_task": 0.08,
            "baseline_log_mean": 8.0,
            "score": np.where(idle, np.nan, rng.uniform(70, 99, size)),
            "trend": "stable",
            "complete": True,
        }
    )
    whole = AGENT_METRICS.conform(frame.reindex(columns=AGENT_METRICS.columns))
    for number, window in enumerate(windows):
        own = whole.iloc[number * len(agents) : (number + 1) * len(agents)]
        write_parquet(lake.path(AGENT_METRICS, window.start), own)


def fill_ledger(book: Ledger, fleet: FleetConfig, windows: Sequence[Window], now: datetime) -> str:
    """What each source said of each window of the last week, incidents of three months; the secret of a token."""
    book.record_health(
        SourceHealth(source, window.start, SourceStatus.COMPLETE, "", 2000, 0, window.end + timedelta(hours=1))
        for window in windows[-336:]
        for source in SOURCES
    )
    rng = np.random.default_rng(1)
    book.record_incidents(
        _incident(number, fleet.agent_names[int(rng.integers(len(fleet.agents)))], windows[int(place)])
        for number, place in enumerate(rng.integers(0, len(windows), 300))
    )
    secret, token = new_token("benchmark", "benchmark", [Scope.READ], "benchmark", now)
    book.add_token(token)
    return secret


def _incident(number: int, agent: str, window: Window) -> Incident:
    is_open = number < 10
    return Incident(
        id=f"incident-{number}",
        agent=agent,
        family="success_rate",
        type="success_drop",
        also=(),
        severity=Severity.HIGH,
        state=IncidentState.OPEN if is_open else IncidentState.RESOLVED,
        onset=window.start,
        opened_at=window.start,
        last_seen=window.end,
        resolved_at=None if is_open else window.end,
        reopened=0,
        root_cause="All failing tasks raised RateLimitError.",
        recommended_action="INVESTIGATE",
        details="Success fell from 92 % to 40 % of 40 tasks.",
    )


def _tasks(agents: Sequence[str], window: Window) -> pd.DataFrame:
    size = len(agents) * TASKS_A_WINDOW
    rng = np.random.default_rng(int(window.start.timestamp()))
    frame = pd.DataFrame({name: [None] * size for name in AGENT_TASKS.columns}).assign(
        task_span_id=[f"{window.key}-{number}" for number in range(size)],
        trace_id=[f"{rng.integers(1 << 62):032x}" for _ in range(size)],
        agent=np.repeat(list(agents), TASKS_A_WINDOW),
        start_time=window.start,
        ok=True,
        latency_ms=rng.lognormal(8, 0.5, size),
        llm_ms=0.0,
        tool_ms=0.0,
        llm_calls=1,
        tool_calls=0,
        error_count=0,
        spans=3,
    )
    return AGENT_TASKS.conform(frame.reindex(columns=AGENT_TASKS.columns))
