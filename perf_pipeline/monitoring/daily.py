"""A day of the team's clock, summed up per agent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.findings import FindingState
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import OptimizationRequest, RequestState
from perf_pipeline.tables import DAILY_SUMMARY

STATE_WORDS = {
    RequestState.AWAITING_APPROVAL: "pending approval",
    RequestState.READY: "triggered",
    RequestState.RUNNING: "running",
    RequestState.FINISHED: "finished",
    RequestState.CANCELLED: "cancelled",
}


def day_of_key(key: str, timezone: str) -> Window:
    """The day that a partition key such as 2026-11-22 names on the team's clock, as UTC times."""
    midnight = datetime.strptime(key, "%Y-%m-%d").replace(tzinfo=ZoneInfo(timezone))
    next_midnight = (midnight + timedelta(days=1)).replace(tzinfo=ZoneInfo(timezone))
    return Window(midnight.astimezone(UTC), next_midnight.astimezone(UTC))


def summarize_day(
    day: Window,
    metrics: pd.DataFrame,
    findings: pd.DataFrame,
    requests: Sequence[OptimizationRequest],
    agents: Sequence[str],
) -> pd.DataFrame:
    """One row an agent, as `tables.DAILY_SUMMARY`.

    `metrics` (`tables.AGENT_METRICS`) may reach beyond the day; `findings` are those of `findings_of`.
    """
    day_metrics = metrics[(metrics["window_start"] >= day.start) & (metrics["window_start"] < day.end)]
    names = list(dict.fromkeys([*agents, *day_metrics["agent"]]))
    rows = []
    for agent in names:
        own = day_metrics[day_metrics["agent"] == agent].sort_values("window_start")
        active = own[own["tasks"] > 0]
        tasks = int(active["tasks"].sum())
        scored = active[active["score"].notna()]
        rows.append(
            {
                "day_start": day.start,
                "agent": agent,
                "score": np.average(scored["score"], weights=scored["tasks"]) if len(scored) else np.nan,
                "trend": active["trend"].iloc[-1] if len(active) else "unknown",
                "tasks": tasks,
                "success_rate": 100 * active["successes"].sum() / tasks if tasks else np.nan,
                "latency_p95_ms": active["latency_p95_ms"].max() if tasks else np.nan,
                "anomalies": int((findings["agent"] == agent).sum()),
                "optimization": _optimization(agent, requests, day),
            }
        )
    return DAILY_SUMMARY.conform(pd.DataFrame(rows))


def findings_of(day: Window, anomalies: pd.DataFrame) -> pd.DataFrame:
    """Rows of `tables.ANOMALIES`, one a finding of the day, at its worst, however many windows it lasted.

    What stayed pending is none.
    """
    within = (anomalies["window_start"] >= day.start) & (anomalies["window_start"] < day.end)
    found = anomalies[within & (anomalies["state"] != FindingState.PENDING)]
    rank = found["severity"].map(lambda severity: Severity(severity).rank)
    worst = found.assign(rank=rank).sort_values(["rank", "window_start"], ascending=[False, True], kind="stable")
    return worst.drop_duplicates(["agent", "type", "opened"]).drop(columns="rank").sort_values("window_start")


def _optimization(agent: str, requests: Sequence[OptimizationRequest], day: Window) -> str | None:
    """The agent's latest request: one of the day, or an older one that is still open."""
    own = [request for request in requests if request.agent == agent and request.requested_at < day.end]
    current = [request for request in own if request.requested_at >= day.start or request.state.is_open]
    if not current:
        return None
    latest = max(current, key=lambda request: request.requested_at)
    return f"{latest.optimizer} ({STATE_WORDS[latest.state]})"
