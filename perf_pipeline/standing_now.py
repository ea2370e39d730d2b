"""How the pipeline and its agents stand now, as the command line and the HTTP service show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.jobs import MONITORING
from perf_pipeline.monitoring.catch_up import filled_windows
from perf_pipeline.monitoring.windows import Window, floor_to_window, windows_between
from perf_pipeline.optimization.standing import budget_at_end
from perf_pipeline.records import Incident, IncidentState, RequestState, SourceHealth
from perf_pipeline.tables import AGENT_METRICS, OPTIMIZATION_DECISIONS
from resources.dagster_webserver import DagsterWebserver
from resources.lake import Lake
from resources.ledger import Ledger
from resources.reading import DagsterError
from resources.table_history import Rows

SHOWN_METRICS = AGENT_METRICS.view(
    "agent",
    "window_start",
    "tasks",
    "successes",
    "success_rate",
    "error_count",
    "log_errors",
    "latency_mean_ms",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "total_tokens",
    "cost_usd",
    "baseline_success_rate",
    "score",
    "trend",
    "complete",
)
"""What is shown of `tables.AGENT_METRICS`."""

DAY = timedelta(days=1)
MONITORING_SCHEDULE = "monitoring_schedule"


def pipeline_rows(
    book: Ledger, lake: Lake, rows: Rows, fleet: FleetConfig, dagster: DagsterWebserver, now: datetime
) -> dict[str, Any]:
    """All of it; times in ISO 8601. `rows` are those of `SHOWN_METRICS`, at least of the last days."""
    since = max(now - fleet.catch_up, fleet.history_start_utc)
    health = book.health(since, now)
    decided = lake.written(OPTIMIZATION_DECISIONS, since, now)
    missing = missing_windows(health, decided, fleet, now)
    ongoing = [one for one in book.incidents(now) if one.state is not IncidentState.RESOLVED]
    requests, runs = book.optimization_requests(), book.optimization_runs()
    budget = budget_at_end(requests, runs, now, fleet)
    newest = max((start for start in decided if start + fleet.window <= now), default=None)
    return {
        "as_of": now.isoformat(),
        "last_window": _last_window(newest, decided, fleet),
        "next_window_closes_at": (floor_to_window(now, fleet.window) + fleet.window).isoformat(),
        "dagster": _dagster(dagster),
        "missing_windows": {
            "count": len(missing),
            "oldest": missing[0].start.isoformat() if missing else None,
            "looked_at_hours": fleet.catch_up_hours,
        },
        "sources": source_rows(health, now),
        "agents": agent_rows(rows, fleet, ongoing, now),
        "open_incidents": len(ongoing),
        "running_optimizations": [
            {"request_id": one.id, "agent": one.agent, "optimizer": one.optimizer, "state": str(one.state)}
            for one in requests
            if one.state in (RequestState.READY, RequestState.RUNNING)
        ],
        "waiting_approvals": sum(one.state is RequestState.AWAITING_APPROVAL for one in requests),
        "spend": {
            "month": budget.month,
            "committed_usd": budget.committed_usd,
            "budget_usd": budget.budget_usd,
            "optimizers_in_all_usd": sum(run.spent_usd for run in runs),
        },
    }


def missing_windows(
    health: Sequence[SourceHealth], decided: Mapping[datetime, datetime], fleet: FleetConfig, now: datetime
) -> list[Window]:
    """The windows that closed within `catch_up_hours` and have something left to do, oldest first; `decided` says when
    a cycle last came to its end, by window start."""
    since = max(now - fleet.catch_up, fleet.history_start_utc)
    expected = windows_between(since, now - fleet.catch_up_after, fleet.window)
    filled = filled_windows(expected, health, decided, now, fleet.lateness, fleet.catch_up_after)
    return [window for window in expected if window not in filled]


def source_rows(health: Sequence[SourceHealth], now: datetime) -> list[dict[str, Any]]:
    """How each source could be read for its newest window, and how often it could not within a day."""
    newest = {reading.source: reading for reading in health}
    lacking = Counter(
        reading.source for reading in health if reading.window_start >= now - DAY and reading.status != "complete"
    )
    return [
        {
            "source": reading.source,
            "status": str(reading.status),
            "reason": reading.reason,
            "window_start": reading.window_start.isoformat(),
            "read_at": reading.collected_at.isoformat(),
            "rows": reading.rows,
            "incomplete_windows_of_a_day": lacking[reading.source],
        }
        for reading in newest.values()
    ]


def agent_rows(rows: Rows, fleet: FleetConfig, ongoing: Sequence[Incident], now: datetime) -> list[dict[str, Any]]:
    """Each agent's newest complete window, and its score in the newest one that it did something in."""
    troubled = Counter(incident.agent for incident in ongoing)
    names = dict.fromkeys([*fleet.agent_names, *rows.bounds])
    return [_agent_row(name, rows.of(name), fleet, troubled[name], now) for name in names]


def _agent_row(name: str, known: pd.DataFrame, fleet: FleetConfig, incidents: int, now: datetime) -> dict[str, Any]:
    complete = known[known["complete"]]
    scored = complete[complete["score"].notna()]
    last = complete.iloc[-1] if len(complete) else None
    best_known = scored.iloc[-1] if len(scored) else None
    day = known[known["window_start"] >= now - DAY]
    config = fleet.agent(name)
    return {
        "agent": name,
        "policy": config.policy if config else None,
        "optimizer": str(fleet.optimization_policy(config).optimizer) if config else None,
        "window_start": _time(last, "window_start"),
        "tasks": int(last["tasks"]) if last is not None else 0,
        "success_rate": _number(last, "success_rate"),
        "latency_p95_ms": _number(last, "latency_p95_ms"),
        "error_count": int(last["error_count"]) if last is not None else 0,
        "score": _number(best_known, "score"),
        "scored_window": _time(best_known, "window_start"),
        "trend": str(best_known["trend"]) if best_known is not None else "unknown",
        "tasks_of_a_day": int(day["tasks"].sum()),
        "cost_usd_of_a_day": _sum_of_known(day["cost_usd"]),
        "open_incidents": incidents,
    }


def _last_window(
    start: datetime | None, decided: Mapping[datetime, datetime], fleet: FleetConfig
) -> dict[str, Any] | None:
    if start is None:
        return None
    return {
        "start": start.isoformat(),
        "end": (start + fleet.window).isoformat(),
        "finished_at": decided[start].isoformat(),
    }


def _dagster(dagster: DagsterWebserver) -> dict[str, Any]:
    """What Dagster says of itself; that it does not answer is part of the standing, and no failure."""
    try:
        automation = dagster.automation()
        last = next(iter(dagster.runs(MONITORING, limit=1)), None)
    except DagsterError as error:
        return {"reachable": False, "said": str(error), "daemon_runs": None, "switched_off": [], "last_run": None}
    switches = {**automation.schedules, **automation.sensors}
    return {
        "reachable": True,
        "said": "",
        "daemon_runs": not automation.ailing_daemons,
        "switched_off": sorted(name for name, is_on in switches.items() if not is_on),
        "last_run": {
            "run_id": last.id,
            "status": last.status,
            "created_at": last.created_at.isoformat(),
            "ended_at": last.ended_at.isoformat() if last.ended_at else None,
            "url": dagster.run_url(last.id),
        }
        if last
        else None,
    }


def _sum_of_known(values: pd.Series) -> float | None:
    """None where nothing is known: that is not 0."""
    return float(values.sum()) if values.notna().any() else None


def _number(row: pd.Series | None, name: str) -> float | None:
    return None if row is None or pd.isna(row[name]) else float(row[name])


def _time(row: pd.Series | None, name: str) -> str | None:
    return None if row is None else row[name].isoformat()
