"""How the pipeline and its agents stand now, as the command line and the HTTP service show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

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
SHOWN_REACH = timedelta(days=7)


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
    """Each agent's newest complete window, and its score in the newest one that it did something in, of the last
    `SHOWN_REACH`."""
    troubled = Counter(incident.agent for incident in ongoing)
    configs = {config.name: config for config in fleet.agents}
    names = dict.fromkeys([*configs, *rows.bounds])
    policies = fleet.optimization_policies
    return [
        {
            "agent": name,
            "policy": configs[name].policy if name in configs else None,
            "optimizer": str(policies[configs[name].policy].optimizer) if name in configs else None,
            **_newest_figures(rows, name, now),
            "open_incidents": troubled[name],
        }
        for name in names
    ]


def _newest_figures(rows: Rows, name: str, now: datetime) -> dict[str, Any]:
    first, end = rows.bounds.get(name, (0, 0))
    times = rows.arrays["window_start"][first:end]
    first += int(times.searchsorted(_utc64(now - SHOWN_REACH)))
    own = {column: values[first:end] for column, values in rows.arrays.items()}
    complete = np.flatnonzero(own["complete"])
    scored = np.flatnonzero(own["complete"] & ~np.isnan(own["score"]))
    last = int(complete[-1]) if len(complete) else None
    best_known = int(scored[-1]) if len(scored) else None
    day = own["window_start"] >= _utc64(now - DAY)
    return {
        "window_start": _time(own, last),
        "tasks": int(own["tasks"][last]) if last is not None else 0,
        "success_rate": _number(own["success_rate"], last),
        "latency_p95_ms": _number(own["latency_p95_ms"], last),
        "error_count": int(own["error_count"][last]) if last is not None else 0,
        "score": _number(own["score"], best_known),
        "scored_window": _time(own, best_known),
        "trend": str(own["trend"][best_known]) if best_known is not None else "unknown",
        "tasks_of_a_day": int(own["tasks"][day].sum()),
        "cost_usd_of_a_day": _sum_of_known(own["cost_usd"][day]),
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


def _sum_of_known(values: np.ndarray) -> float | None:
    """None where nothing is known: that is not 0."""
    return None if np.isnan(values).all() else float(np.nansum(values))


def _number(values: np.ndarray, place: int | None) -> float | None:
    return None if place is None or np.isnan(values[place]) else float(values[place])


def _time(own: Mapping[str, np.ndarray], place: int | None) -> str | None:
    return None if place is None else own["window_start"][place].item().replace(tzinfo=UTC).isoformat()


def _utc64(time: datetime) -> np.datetime64:
    return np.datetime64(time.astimezone(UTC).replace(tzinfo=None), "us")
