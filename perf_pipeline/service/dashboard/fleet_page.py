"""The fleet at a glance: each agent's last day, what is wrong, and what waits for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.monitoring.score_series import mean_score, scores_in_parts
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.notifications.attention import Attention
from perf_pipeline.notifications.incident_words import is_outage
from perf_pipeline.notifications.summary_words import count, dollars, names_of, percent
from perf_pipeline.records import Incident, IncidentState
from perf_pipeline.service.dashboard.freshness import Freshness
from perf_pipeline.service.dashboard.sparkline import sparkline
from perf_pipeline.service.dashboard.words import UNKNOWN, ago, clock_time, in_words, is_known, latency, said

SPARKS = 24
"""Points of a sparkline: one an hour."""

TREND_MARKS = {"improving": "↗", "stable": "→", "degrading": "↘"}
SHOWN_TO_DO = 4


@dataclass(frozen=True)
class Badge:
    """An open incident in two words. `state` is open or recovering."""

    id: str
    severity: str
    text: str
    state: str


@dataclass(frozen=True)
class AgentRow:
    """Figures of the last 24 hours, as text. `level` is the severity of its worst open incident, or quiet."""

    name: str
    level: str
    score: str
    trend: str
    trend_mark: str
    spark: tuple[str, ...]
    spark_text: str
    tasks: str
    success: str
    p95: str
    cost: str
    last_task: str
    incidents: tuple[Badge, ...]


@dataclass(frozen=True)
class ToDo:
    """What waits for a person, and where to see it or what to type for it."""

    text: str
    page: str | None = None
    command: str | None = None


@dataclass(frozen=True)
class FleetPage:
    headline: str
    freshness: Freshness
    figures: tuple[tuple[str, str], ...]
    outages: tuple[Badge, ...]
    to_do: tuple[ToDo, ...]
    agents: tuple[AgentRow, ...]
    has_data: bool


def fleet_page(
    metrics: pd.DataFrame,
    span: Window,
    agents: Sequence[str],
    incidents: Sequence[Incident],
    attention: Attention,
    fresh: Freshness,
    window: timedelta,
    timezone: str,
    now: datetime,
) -> FleetPage:
    """`metrics` are rows of `tables.AGENT_METRICS`, which may reach beyond the span; `incidents` may be over."""
    within = metrics[(metrics["window_start"] >= span.start) & (metrics["window_start"] < span.end)]
    ongoing = [incident for incident in incidents if incident.state is not IncidentState.RESOLVED]
    of_agents = [incident for incident in ongoing if not is_outage(incident)]
    sparks = scores_in_parts(within, span, SPARKS)
    by_agent = {str(agent): rows.sort_values("window_start") for agent, rows in within.groupby("agent")}
    rows = [
        _row(
            agent,
            by_agent.get(agent, within[:0]),
            sparks.get(agent, []),
            [one for one in of_agents if one.agent == agent],
            window,
            timezone,
            now,
        )
        for agent in dict.fromkeys([*agents, *by_agent])
    ]
    return FleetPage(
        headline=_headline(of_agents, len(rows)),
        freshness=fresh,
        figures=_figures(within, of_agents),
        outages=tuple(_badge(one, one.agent.removeprefix("source:")) for one in ongoing if is_outage(one)),
        to_do=tuple(_to_do(attention)),
        agents=tuple(row for _, row in sorted(rows, key=lambda item: item[0])),
        has_data=bool((within["tasks"] > 0).any()),
    )


def _row(
    agent: str,
    own: pd.DataFrame,
    spark: Sequence[float],
    incidents: Sequence[Incident],
    window: timedelta,
    timezone: str,
    now: datetime,
) -> tuple[tuple[int, float, str], AgentRow]:
    """The row, and what it is sorted by: agents with grave incidents first, then those with a low score."""
    active = own[own["tasks"] > 0]
    tasks = int(active["tasks"].sum())
    score = mean_score(active)
    worst = max((one.severity.rank for one in incidents), default=-1)
    level = next((str(one.severity) for one in incidents if one.severity.rank == worst), "quiet")
    trend = str(active["trend"].iloc[-1]) if tasks else "unknown"
    known = [value for value in spark if not math.isnan(value)]
    cost = active["cost_usd"].sum(min_count=1) if tasks else math.nan
    p95 = float(active["latency_p95_ms"].max()) if tasks else math.nan
    newest = active["window_start"].iloc[-1].to_pydatetime() if tasks else None
    row = AgentRow(
        name=agent,
        level=level,
        score=f"{score:.0f}" if is_known(score) else UNKNOWN,
        trend="too little history" if trend == "unknown" else trend,
        trend_mark=TREND_MARKS.get(trend, ""),
        spark=sparkline(spark),
        spark_text=f"between {min(known):.0f} and {max(known):.0f}" if known else "no score",
        tasks=f"{tasks:,}",
        success=percent(100 * float(active["successes"].sum()) / tasks) if tasks else UNKNOWN,
        p95=latency(p95),
        cost=dollars(float(cost)) if is_known(cost) else UNKNOWN,
        last_task=_last_task(newest, window, timezone, now),
        incidents=tuple(_badge(one, in_words(one.type)) for one in incidents),
    )
    return (-worst, score if is_known(score) else math.inf, agent), row


def _last_task(newest: datetime | None, window: timedelta, timezone: str, now: datetime) -> str:
    """Of the newest window with a task, when it closed."""
    if newest is None:
        return "none in 24 h"
    closed_at = newest + window
    return (
        "in the open window" if closed_at > now else f"{ago(closed_at, now)} ({clock_time(closed_at, timezone, now)})"
    )


def _badge(incident: Incident, text: str) -> Badge:
    return Badge(incident.id, str(incident.severity), said(text), str(incident.state))


def _headline(ongoing: Sequence[Incident], agents: int) -> str:
    if not ongoing:
        return f"No incident is open among {count(agents, 'agent')}."
    names = list(dict.fromkeys(one.agent for one in sorted(ongoing, key=lambda one: -one.severity.rank)))
    verb = "is" if len(ongoing) == 1 else "are"
    return f"{count(len(ongoing), 'incident')} {verb} open: {names_of(names)}."


def _figures(within: pd.DataFrame, ongoing: Sequence[Incident]) -> tuple[tuple[str, str], ...]:
    active = within[within["tasks"] > 0]
    tasks, cost, score = int(active["tasks"].sum()), active["cost_usd"].sum(min_count=1), mean_score(active)
    return (
        ("Score", f"{score:.0f}" if is_known(score) else UNKNOWN),
        ("Success", percent(100 * float(active["successes"].sum()) / tasks) if tasks else UNKNOWN),
        ("Tasks", f"{tasks:,}"),
        ("Cost", dollars(float(cost)) if is_known(cost) else "not known"),
        ("Open incidents", str(len(ongoing))),
    )


def _to_do(attention: Attention) -> list[ToDo]:
    found = [
        ToDo(
            f"Approve or decline {said(one.optimizer)} for {said(one.agent)}, at most {dollars(one.max_cost_usd)}.",
            page="/dashboard/optimizations",
        )
        for one in attention.approvals
    ]
    found += [
        ToDo(
            f"Nobody looks after {said(one.agent.removeprefix('source:'))}: {in_words(one.type)}, {one.severity}.",
            page=f"/dashboard/incidents/{one.id}",
        )
        for one in attention.unacknowledged
    ]
    rest = len(found) - SHOWN_TO_DO
    if rest > 1:
        found = [*found[:SHOWN_TO_DO], ToDo(f"And {rest} more.", page="/dashboard/incidents")]
    if attention.undeliverable:
        found.append(
            ToDo(f"{count(attention.undeliverable, 'message')} could not be delivered.", page="/dashboard/outbox")
        )
    return found
