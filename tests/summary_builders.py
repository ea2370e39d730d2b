"""Days and weeks of a fleet as the summaries tell them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.completeness import SourceCompleteness
from perf_pipeline.monitoring.daily import day_of_key, summarize_day
from perf_pipeline.monitoring.incident_times import incidents_in
from perf_pipeline.monitoring.score_series import scores_in_parts
from perf_pipeline.monitoring.weekly import summarize_week, week_before, week_of_key
from perf_pipeline.monitoring.windows import Window, windows_between
from perf_pipeline.notifications.attention import Attention, WaitingApproval
from perf_pipeline.notifications.daily_message import BARS_A_DAY, DayReport
from perf_pipeline.notifications.weekly_message import BARS_A_WEEK, WeekReport
from perf_pipeline.optimization.standing import Budget, OptimizationStanding
from perf_pipeline.records import Incident, IncidentState, RequestState, Silence
from perf_pipeline.tables import AGENT_METRICS, ANOMALIES
from tests.builders import LENGTH, finding_row, frame, metrics_row, shipped_fleet
from tests.incident_builders import incident

KEY = "2025-10-27"
DAY = day_of_key(KEY, "UTC")
WEEK_KEY = "2025-10-20"
WEEK = week_of_key(WEEK_KEY, "UTC")
NINE = DAY.end + timedelta(hours=9)
"""When the daily summary is written."""

COMPLETE = tuple(SourceCompleteness(name, 48) for name in ("spans", "logs", "tasks"))
BUDGET = Budget("October", 35.0, 200.0)


def noon(hour: float = 12, day: datetime = DAY.start) -> datetime:
    """A time of the day."""
    return day + timedelta(hours=hour)


def metrics(
    levels: dict[str, float], span: Window = DAY, falls: dict[str, tuple[float, float]] | None = None, tasks: int = 4
) -> pd.DataFrame:
    """`agent_metrics` over the span: each agent's scores lie around its level, and at 15 within the hours of the span
    that `falls` names. An agent of level 0 has no tasks."""
    noise = np.random.default_rng(5)
    rows = []
    for window in windows_between(span.start, span.end, LENGTH):
        hour = (window.start - span.start) / timedelta(hours=1)
        for agent, level in levels.items():
            start, end = (falls or {}).get(agent, (0, 0))
            bad = start <= hour < end
            score = 15.0 if bad else float(np.clip(level + noise.normal(0, 3), 0, 100))
            count = tasks if level else 0
            rows.append(
                metrics_row(
                    agent,
                    0,
                    count,
                    0 if bad else count,
                    window_start=pd.Timestamp(window.start).as_unit("us"),
                    score=score if count else float("nan"),
                    cost_usd=0.01 * count,
                    trend="degrading" if agent in (falls or {}) else "stable",
                )
            )
    return frame(AGENT_METRICS, rows)


def findings(*severities: str, **columns: Any) -> pd.DataFrame:
    rows = [finding_row(f"Agent{number}", severity=severity, **columns) for number, severity in enumerate(severities)]
    return frame(ANOMALIES, rows)


def resolved(start: float, end: float, **changes: Any) -> Incident:
    """An incident between two hours of the day."""
    facts: dict[str, Any] = {"id": f"{start}-{changes.get('agent')}", "onset": noon(start)}
    facts |= {"state": IncidentState.RESOLVED, "resolved_at": noon(end), "last_seen": noon(end)}
    return incident(**(facts | changes))


def day_report(
    figures: pd.DataFrame | None = None,
    agents: tuple[str, ...] | None = None,
    incidents: tuple[Incident, ...] = (),
    found: pd.DataFrame | None = None,
    **changes: Any,
) -> DayReport:
    """A day on which all is known; quiet but for what a test says."""
    known = metrics({"InboundAgent": 90.0}) if figures is None else figures
    anomalies = ANOMALIES.empty() if found is None else found
    day = changes.get("day", DAY)
    there = incidents_in(day, incidents)
    names = tuple(dict.fromkeys(known["agent"])) if agents is None else agents
    facts: dict[str, Any] = {
        "name": KEY,
        "day": day,
        "written_at": NINE,
        "timezone": "UTC",
        "window": LENGTH,
        "summary": summarize_day(day, known, anomalies, there, [], names),
        "scores": scores_in_parts(known, day, BARS_A_DAY),
        "anomalies": anomalies,
        "incidents": there,
        "optimizations": (),
        "budget": BUDGET,
        "sources": COMPLETE,
        "attention": Attention(),
    }
    return DayReport(**(facts | changes))


def bad_day() -> tuple[DayReport, pd.DataFrame]:
    """A day of the shipped fleet on which much went wrong, with its metrics."""
    levels = {name: 92.0 - 3 * number for number, name in enumerate(shipped_fleet().agent_names)} | {"Introspection": 0}
    figures = metrics(levels, falls={"InboundAgent": (13.5, 24), "AuditAgent": (3, 5.5)})
    incidents = (
        incident(severity=Severity.CRITICAL, onset=noon(13.5), last_seen=NINE, reopened=1),
        resolved(3, 5.5, agent="AuditAgent", type="latency_increase", family="latency"),
        incident(id="data", agent="source:spans", family="data", type="data_gap", onset=noon(20)),
    )
    report = day_report(
        figures,
        shipped_fleet().agent_names,
        incidents,
        findings("critical", "high", "high"),
        optimizations=(
            OptimizationStanding("StrategyAgent", "GEPA", RequestState.AWAITING_APPROVAL, (20, 40)),
            OptimizationStanding("FollowUpAgent", "BootstrapFewShot", RequestState.FINISHED, (10, 25)),
            OptimizationStanding("ResearchAgent", "BootstrapFewShot", RequestState.EXPIRED, (10, 25)),
        ),
        sources=(
            SourceCompleteness("spans", 48, 2, 1, 0, noon(20), noon(21.5), True, "Phoenix does not answer: timed out."),
            SourceCompleteness("logs", 48),
            SourceCompleteness("tasks", 48, 0, 0, 4, noon(0), noon(2)),
        ),
        attention=Attention(
            approvals=(WaitingApproval("StrategyAgent", "GEPA", 30.0, NINE + timedelta(hours=24)),),
            unacknowledged=(incidents[0],),
            undeliverable=3,
            silences=(Silence("s1", "Re*", "latency_*", NINE, NINE + timedelta(hours=4), "Ana", "load test"),),
        ),
        drawn=tuple(name for name, level in levels.items() if level),
    )
    return report, figures


def empty_day(**changes: Any) -> DayReport:
    facts: dict[str, Any] = {
        "sources": (SourceCompleteness("spans", 48, 48, 0, 0, DAY.start, DAY.end, True, "Phoenix does not answer."),)
    }
    return day_report(AGENT_METRICS.empty(), shipped_fleet().agent_names, **(facts | changes))


def large_fleet(agents: int = 200) -> tuple[DayReport, pd.DataFrame]:
    """A day of many agents, of which 30 fail for hours and still do."""
    names = [f"Agent{number:03}" for number in range(agents)]
    failing = names[::7][:30]
    figures = metrics(
        {name: 80.0 + number % 19 for number, name in enumerate(names)}, falls=dict.fromkeys(failing, (9, 24.0))
    )
    incidents = tuple(incident(id=name, agent=name, onset=noon(9), last_seen=NINE) for name in failing)
    report = day_report(
        figures,
        tuple(names),
        incidents,
        findings(*["high"] * len(failing)),
        optimizations=tuple(
            OptimizationStanding(name, "BootstrapFewShot", RequestState.READY, (10, 25)) for name in names[:40]
        ),
        attention=Attention(unacknowledged=incidents),
    )
    return report, figures


def week_report(
    this_week: pd.DataFrame,
    last_week: pd.DataFrame | None = None,
    incidents: tuple[Incident, ...] = (),
    agents: tuple[str, ...] | None = None,
    **changes: Any,
) -> WeekReport:
    before = week_before(WEEK_KEY, "UTC")
    known = pd.concat(
        [frame_ for frame_ in (this_week, last_week) if frame_ is not None and len(frame_)] or [this_week]
    )
    now = WEEK.end + timedelta(hours=9)
    there = incidents_in(WEEK, incidents)
    names = tuple(dict.fromkeys(known["agent"])) if agents is None else agents
    facts: dict[str, Any] = {
        "week": WEEK,
        "written_at": now,
        "timezone": "UTC",
        "summary": summarize_week(WEEK, before, known, there, [], names, LENGTH, now),
        "scores": scores_in_parts(known, WEEK, BARS_A_WEEK),
        "incidents": there,
        "optimizations": (),
        "budget": BUDGET,
        "sources": COMPLETE,
        "attention": Attention(),
    }
    return WeekReport(**(facts | changes))


def eventful_week(agents: int = 7) -> WeekReport:
    """A week of the shipped fleet, or of so many agents: one fell, one rose, one is new."""
    fleet = shipped_fleet().agent_names
    names = fleet if agents == len(fleet) else tuple(f"Agent{number:03}" for number in range(agents))
    levels = {name: 92.0 - number % 20 for number, name in enumerate(names)}
    before = {name: level for name, level in levels.items() if name != names[-1]} | {names[2]: 60.0}
    since = WEEK.start
    return week_report(
        metrics(levels, WEEK, {names[1]: (50, 110)}),
        metrics(before, week_before(WEEK_KEY, "UTC")),
        (
            resolved(50, 80, agent=names[1], onset=noon(50, since), resolved_at=noon(80, since)),
            resolved(
                90, 110, agent=names[1], onset=noon(90, since), resolved_at=noon(110, since), severity=Severity.CRITICAL
            ),
            incident(agent=names[3], type="cost_spike", family="cost", onset=noon(160, since), id="open"),
        ),
        optimizations=(
            OptimizationStanding(names[0], "GEPA", RequestState.FINISHED, (20, 40), 23.4),
            OptimizationStanding(names[2], "BootstrapFewShot", RequestState.FINISHED, (10, 25)),
            OptimizationStanding(names[4], "BootstrapFewShot", RequestState.DECLINED, (10, 25)),
        ),
        sources=(
            SourceCompleteness(
                "spans", 336, 5, 0, 0, noon(40, since), noon(47, since), False, "Phoenix does not answer."
            ),
            SourceCompleteness("logs", 336),
        ),
        attention=Attention(
            approvals=(WaitingApproval(names[5], "GEPA", 30.0, datetime(2025, 10, 28, 9, tzinfo=UTC)),)
        ),
    )
