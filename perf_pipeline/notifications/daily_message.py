"""The Daily Performance Summary."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.message import Message, Section, bullets, labelled, section
from perf_pipeline.monitoring.completeness import SourceCompleteness, of_spans
from perf_pipeline.monitoring.daily import worst_first
from perf_pipeline.monitoring.metric_standings import MetricStanding
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.notifications.attention import Attention
from perf_pipeline.notifications.attention_lines import attention_sections
from perf_pipeline.notifications.incident_words import MAX_EXPLANATION, is_outage
from perf_pipeline.notifications.metric_lines import metric_sections
from perf_pipeline.notifications.safe_text import one_line, shorten
from perf_pipeline.notifications.summary_words import (
    SHOWN_AGENTS,
    SHOWN_INCIDENTS,
    by_severity,
    count,
    data_sections,
    incident_line,
    listed,
    name_of,
    names_of,
    optimization_sections,
    percent,
    sparkline,
    spend_line,
    still_open,
    why_nothing,
)
from perf_pipeline.notifications.team_clock import on_the_teams_clock
from perf_pipeline.optimization.standing import Budget, OptimizationStanding
from perf_pipeline.records import Incident, IncidentState

BARS_A_DAY = 12
TRENDS = {"improving": "↗ improving", "stable": "→ stable", "degrading": "↘ degrading"}


@dataclass(frozen=True)
class Insight:
    """What a language model makes of a day: a sentence or two, held against the figures; or why there is none."""

    text: str
    model: str
    trouble: str = ""


@dataclass(frozen=True)
class DayReport:
    """What is known of a day when it is summed up, at `written_at`.

    `name` is its date on the team's clock, `summary` is `tables.DAILY_SUMMARY`, `scores` those of `scores_in_parts`
    in BARS_A_DAY parts, `anomalies` the findings of `findings_of`, `incidents` those of `incidents_in`, `sources` how
    completely they were read, `drawn` the agents of the picture, `metrics` what is told of those of fleet.yaml.
    """

    name: str
    day: Window
    written_at: datetime
    timezone: str
    window: timedelta
    summary: pd.DataFrame
    scores: Mapping[str, Sequence[float]]
    anomalies: pd.DataFrame
    incidents: Sequence[Incident]
    optimizations: Sequence[OptimizationStanding]
    budget: Budget
    sources: Sequence[SourceCompleteness]
    attention: Attention
    drawn: Sequence[str] = ()
    metrics: Sequence[MetricStanding] = ()
    insight: Insight | None = None

    @property
    def troubles(self) -> list[Incident]:
        """The incidents of agents. Outages of sources are told with the data: no agent is to blame for them."""
        return [incident for incident in self.incidents if not is_outage(incident)]


def daily_summary_message(report: DayReport) -> Message:
    tasks, cost = int(report.summary["tasks"].sum()), float(report.summary["cost_usd"].sum(min_count=1))
    return Message(
        title=f"📊 Daily Performance Summary - {report.name}"
        + (" (so far)" if report.written_at < report.day.end else ""),
        headline=_headline(report),
        sections=(
            *_insight(report),
            *_performance(report),
            *metric_sections(report.metrics, "the day before"),
            *optimization_sections(report.optimizations),
            *_anomalies(report),
            *attention_sections(report.attention, report.day, report.timezone),
            section(spend_line(cost, tasks, report.budget)),
            *data_sections(report.sources, report.day, report.timezone),
        ),
        picture_text=_picture_text(report) if report.drawn else None,
    )


def _insight(report: DayReport) -> list[Section]:
    told = report.insight
    if told is None or not told.text:
        return []
    text = on_the_teams_clock(one_line(told.text), report.written_at, report.timezone)
    return [section(labelled("In short", shorten(text, MAX_EXPLANATION)), f"(in the words of {one_line(told.model)})")]


def _headline(report: DayReport) -> str:
    tasks = int(report.summary["tasks"].sum())
    parts = ["no tasks seen"]
    if tasks:
        parts = [f"{percent(_success(report.summary))} of {count(tasks, 'task')} successful"]
    ongoing = sum(incident.state is not IncidentState.RESOLVED for incident in report.troubles)
    if ongoing:
        parts.append(f"{count(ongoing, 'incident')} still open")
    if report.attention.approvals:
        number = len(report.attention.approvals)
        parts.append(f"{count(number, 'approval')} {'waits' if number == 1 else 'wait'}")
    return ", ".join(parts)


def _success(summary: pd.DataFrame) -> float:
    active = summary[summary["tasks"] > 0]
    return float((active["success_rate"] * active["tasks"]).sum() / active["tasks"].sum())


def _performance(report: DayReport) -> list[Section]:
    active = report.summary[report.summary["tasks"] > 0]
    if active.empty:
        return [section(labelled("Agent Performance", why_nothing(report.sources, "day")))]
    few = len(active) <= SHOWN_AGENTS
    ranked = active if few else worst_first(active)
    lines = [_agent_line(row, report.scores.get(str(row["agent"]), ())) for _, row in ranked[:SHOWN_AGENTS].iterrows()]
    if not few:
        rest = ranked[SHOWN_AGENTS:]
        lines.append(f"… and {len(rest)} more agent{'s' if len(rest) > 1 else ''}{_range(rest['score'])}")
    idle = list(report.summary[report.summary["tasks"] == 0]["agent"])
    if idle:
        lines.append(f"No tasks: {names_of(idle)}")
    total = f"{count(int(active['tasks'].sum()), 'task')}, {percent(_success(active))} successful"
    lines.append(f"In all: {total}. Bars: the score every 2 hours")
    return [section(labelled("Agent Performance", "")), bullets(lines)]


def _agent_line(row: pd.Series, scores: Sequence[float]) -> str:
    score = "no score" if pd.isna(row["score"]) else f"{row['score']:.0f}/100"
    figures = " ".join(part for part in (score, TRENDS.get(str(row["trend"])), sparkline(scores)) if part)
    tasks = f"({count(int(row['tasks']), 'task')}, {percent(row['success_rate'])} successful)"
    return f"{name_of(row['agent'])}: {figures} {tasks}"


def _range(scores: pd.Series) -> str:
    known = scores.dropna()
    if known.empty:
        return ""
    low, high = f"{known.min():.0f}", f"{known.max():.0f}"
    return f" at {low}/100" if low == high else f", from {low} to {high}/100"


def _anomalies(report: DayReport) -> list[Section]:
    found = report.anomalies[report.anomalies["type"] != "data_gap"]
    detected = [f"{len(found)} detected ({by_severity(found['severity'])})"] if len(found) else []
    if not report.troubles:
        return [section(labelled("Anomalies", *(detected or [_none_detected(of_spans(report.sources))])))]
    head = section(labelled("Anomalies", "; ".join([*detected, _counted(report.troubles)])))
    lines = [
        incident_line(one, report.day, report.timezone, report.window, report.written_at) for one in report.troubles
    ]
    return [head, listed(lines, SHOWN_INCIDENTS, "incident")]


def _none_detected(spans: SourceCompleteness) -> str:
    if spans.missing == spans.windows:
        return "not known"
    return "none detected in what could be read" if spans.missing else "none detected"


def _counted(troubles: Sequence[Incident]) -> str:
    return f"{count(len(troubles), 'incident')}, {still_open(troubles)}"


def _picture_text(report: DayReport) -> str:
    drawn = report.summary[report.summary["agent"].isin(list(report.drawn))]
    all_of_them = len(drawn) == int(report.summary["score"].notna().sum())
    shaded = ", incidents shaded" if any(one.agent in report.drawn for one in report.troubles) else ""
    text = (
        f"Score of {'each agent' if all_of_them else f'the {len(drawn)} worst agents'} through {report.name}{shaded}."
    )
    lowest = worst_first(drawn).iloc[0]
    return text if math.isnan(lowest["score"]) else f"{text} Lowest: {name_of(lowest['agent'])}, {lowest['score']:.0f}."
