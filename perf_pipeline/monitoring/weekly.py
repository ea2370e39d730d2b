"""A week of the team's clock beside the week before, summed up per agent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

from perf_pipeline.monitoring.daily import STATE_WORDS
from perf_pipeline.monitoring.incident_times import time_in_incident
from perf_pipeline.monitoring.score_series import mean_score
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.optimization.standing import latest_requests
from perf_pipeline.records import Incident, OptimizationRequest
from perf_pipeline.tables import WEEKLY_SUMMARY

WEEK = timedelta(days=7)


def week_of_key(key: str, timezone: str) -> Window:
    """The seven days whose first a partition key such as 2026-11-16 names on the team's clock, as UTC times."""
    zone = ZoneInfo(timezone)
    first = datetime.strptime(key, "%Y-%m-%d")
    return Window(*(day.replace(tzinfo=zone).astimezone(UTC) for day in (first, first + WEEK)))


def week_before(key: str, timezone: str) -> Window:
    return week_of_key(f"{datetime.strptime(key, '%Y-%m-%d') - WEEK:%Y-%m-%d}", timezone)


def summarize_week(
    week: Window,
    before: Window,
    metrics: pd.DataFrame,
    incidents: Sequence[Incident],
    requests: Sequence[OptimizationRequest],
    agents: Sequence[str],
    window: timedelta,
    now: datetime,
) -> pd.DataFrame:
    """One row an agent, as `tables.WEEKLY_SUMMARY`.

    `metrics` (`tables.AGENT_METRICS`) reach over both weeks; `incidents` are those of `incidents_in` the week.
    """
    this_week, last_week = _by_agent(metrics, week), _by_agent(metrics, before)
    requested = latest_requests(requests, week.start, week.end)
    rows = []
    for agent in dict.fromkeys([*agents, *this_week, *last_week]):
        own = [incident for incident in incidents if incident.agent == agent]
        request = requested.get(agent)
        earlier = {f"{name}_before": value for name, value in _figures(last_week.get(agent, metrics[:0])).items()}
        rows.append(
            {"week_start": week.start, "agent": agent, **_figures(this_week.get(agent, metrics[:0])), **earlier}
            | {
                "incidents": len(own),
                "hours_in_incident": time_in_incident(own, week, window, now) / timedelta(hours=1),
                "optimization": f"{request.optimizer} ({STATE_WORDS[request.state]})" if request else None,
            }
        )
    return WEEKLY_SUMMARY.conform(pd.DataFrame(rows))


def _by_agent(metrics: pd.DataFrame, span: Window) -> dict[str, pd.DataFrame]:
    within = metrics[(metrics["window_start"] >= span.start) & (metrics["window_start"] < span.end)]
    return {str(agent): rows for agent, rows in within[within["tasks"] > 0].groupby("agent")}


def _figures(active: pd.DataFrame) -> dict[str, float]:
    tasks = int(active["tasks"].sum())
    return {
        "score": mean_score(active),
        "tasks": tasks,
        "success_rate": 100 * float(active["successes"].sum()) / tasks if tasks else float("nan"),
        "cost_usd": float(active["cost_usd"].sum(min_count=1)),
    }
