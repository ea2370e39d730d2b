"""A day of the team's clock, summed up per agent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.findings import FindingState
from perf_pipeline.monitoring.score_series import mean_score
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.optimization.standing import latest_requests
from perf_pipeline.records import Incident, OptimizationRequest, RequestState
from perf_pipeline.tables import DAILY_SUMMARY

STATE_WORDS = {
    RequestState.AWAITING_APPROVAL: "pending approval",
    RequestState.READY: "triggered",
    RequestState.RUNNING: "running",
    RequestState.FINISHED: "finished",
    RequestState.CANCELLED: "cancelled",
    RequestState.DECLINED: "declined",
    RequestState.EXPIRED: "not approved in time",
    RequestState.REFUSED: "could not be run",
    RequestState.FAILED: "failed",
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
    incidents: Sequence[Incident],
    requests: Sequence[OptimizationRequest],
    agents: Sequence[str],
) -> pd.DataFrame:
    """One row an agent, as `tables.DAILY_SUMMARY`.

    `metrics` (`tables.AGENT_METRICS`) may reach beyond the day; `findings` are those of `findings_of`, `incidents`
    those of `incidents_in`.
    """
    day_metrics = metrics[(metrics["window_start"] >= day.start) & (metrics["window_start"] < day.end)]
    by_agent = {str(agent): rows.sort_values("window_start") for agent, rows in day_metrics.groupby("agent")}
    found, troubles = Counter(findings["agent"]), Counter(incident.agent for incident in incidents)
    requested = latest_requests(requests, day.start, day.end)
    rows = []
    for agent in dict.fromkeys([*agents, *day_metrics["agent"]]):
        own = by_agent.get(agent, day_metrics[:0])
        active = own[own["tasks"] > 0]
        tasks = int(active["tasks"].sum())
        rows.append(
            {
                "day_start": day.start,
                "agent": agent,
                "score": mean_score(active),
                "trend": active["trend"].iloc[-1] if tasks else "unknown",
                "tasks": tasks,
                "success_rate": 100 * active["successes"].sum() / tasks if tasks else np.nan,
                "latency_p95_ms": active["latency_p95_ms"].max() if tasks else np.nan,
                "cost_usd": active["cost_usd"].sum(min_count=1),
                "anomalies": found[agent],
                "incidents": troubles[agent],
                "optimization": _optimization(requested.get(agent)),
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


def _optimization(request: OptimizationRequest | None) -> str | None:
    return f"{request.optimizer} ({STATE_WORDS[request.state]})" if request else None


def worst_first(summary: pd.DataFrame) -> pd.DataFrame:
    """Rows of a summary by rising score; those without one at the end."""
    return summary.sort_values("score", kind="stable", na_position="last")
