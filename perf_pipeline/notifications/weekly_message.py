"""The Weekly Performance Summary: each agent beside the week before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

from perf_pipeline.message import Line, Message, Section, bullets, labelled, section
from perf_pipeline.monitoring.completeness import SourceCompleteness, of_spans
from perf_pipeline.monitoring.daily import worst_first
from perf_pipeline.monitoring.metric_standings import MetricStanding
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.notifications.attention import Attention
from perf_pipeline.notifications.attention_lines import attention_sections
from perf_pipeline.notifications.incident_words import is_outage
from perf_pipeline.notifications.metric_lines import metric_sections
from perf_pipeline.notifications.summary_words import (
    SHOWN_AGENTS,
    by_severity,
    count,
    data_sections,
    dollars,
    name_of,
    names_of,
    optimization_sections,
    percent,
    sparkline,
    spend_line,
    still_open,
    why_nothing,
)
from perf_pipeline.notifications.team_clock import duration
from perf_pipeline.optimization.standing import Budget, OptimizationStanding
from perf_pipeline.records import Incident

BARS_A_WEEK = 7
MIN_MOVE = 3
"""Points of score: less than this is not worth a reader's look."""

MIN_TASKS_TO_MOVE = 10
"""In each of the two weeks: the score of fewer tasks is mostly chance."""

MOVERS = 3


@dataclass(frozen=True)
class WeekReport:
    """What is known of a week when it is summed up, at `written_at`.

    `summary` is `tables.WEEKLY_SUMMARY`, `scores` those of `scores_in_parts` in BARS_A_WEEK parts, `incidents` those
    of `incidents_in`, `optimizations` all that were requested in the week or are open, `sources` how completely they
    were read, `metrics` what is told of those of fleet.yaml.
    """

    week: Window
    written_at: datetime
    timezone: str
    summary: pd.DataFrame
    scores: Mapping[str, Sequence[float]]
    incidents: Sequence[Incident]
    optimizations: Sequence[OptimizationStanding]
    budget: Budget
    sources: Sequence[SourceCompleteness]
    attention: Attention
    metrics: Sequence[MetricStanding] = ()

    @property
    def troubles(self) -> list[Incident]:
        """The incidents of agents."""
        return [incident for incident in self.incidents if not is_outage(incident)]


def weekly_summary_message(report: WeekReport) -> Message:
    zone = ZoneInfo(report.timezone)
    first, last = (time.astimezone(zone) for time in (report.week.start, report.week.end - timedelta(hours=12)))
    so_far = " (so far)" if report.written_at < report.week.end else ""
    tasks, cost = int(report.summary["tasks"].sum()), float(report.summary["cost_usd"].sum(min_count=1))
    return Message(
        title=f"📈 Weekly Performance Summary - {first:%Y-%m-%d} to {last:%Y-%m-%d}{so_far}",
        headline=f"{count(tasks, 'task')}, {count(len(report.troubles), 'incident')}",
        sections=(
            *_performance(report),
            *(_movers(report.summary) if tasks else ()),
            *metric_sections(report.metrics, "the week before"),
            *optimization_sections(report.optimizations),
            section(_incidents(report.troubles)),
            *attention_sections(report.attention, report.week, report.timezone),
            section(spend_line(cost, tasks, report.budget)),
            *_data(report),
        ),
    )


def _performance(report: WeekReport) -> list[Section]:
    active = report.summary[report.summary["tasks"] > 0]
    if active.empty:
        return [section(labelled("Agent Performance", why_nothing(report.sources, "week")))]
    tasks, before = (int(report.summary[name].sum()) for name in ("tasks", "tasks_before"))
    success = float((active["success_rate"] * active["tasks"]).sum() / tasks)
    compared = f" after {before:,} the week before" if before else ", none the week before"
    few = len(active) <= SHOWN_AGENTS
    ranked = active if few else worst_first(active)
    lines = [_agent_line(row, report.scores.get(str(row["agent"]), ())) for _, row in ranked[:SHOWN_AGENTS].iterrows()]
    if not few:
        rest = len(ranked) - SHOWN_AGENTS
        lines.append(f"… and {rest} more agent{'s' if rest > 1 else ''} with higher scores")
    idle = list(report.summary[report.summary["tasks"] == 0]["agent"])
    if idle:
        lines.append(f"No tasks: {names_of(idle)}")
    lines.append(f"In all: {count(tasks, 'task')}{compared}, {percent(success)} successful. Bars: the score each day")
    return [section(labelled("Agent Performance", "")), bullets(lines)]


def _agent_line(row: pd.Series, scores: Sequence[float]) -> str:
    score = "no score" if pd.isna(row["score"]) else f"{row['score']:.0f}/100"
    details = [count(int(row["tasks"]), "task"), f"{percent(row['success_rate'])} successful"]
    if not pd.isna(row["cost_usd"]):
        details.append(dollars(row["cost_usd"]))
    if row["incidents"]:
        length = duration(timedelta(hours=float(row["hours_in_incident"])))
        details.append(f"{length} in {count(int(row['incidents']), 'incident')}")
    figures = " ".join(part for part in (score, _move(row), sparkline(scores)) if part)
    return f"{name_of(row['agent'])}: {figures} ({', '.join(details)})"


def _move(row: pd.Series) -> str:
    """The score against that of the week before, by the figures that a reader sees."""
    if row["tasks_before"] == 0:
        return "(new)"
    if pd.isna(row["score"]) or pd.isna(row["score_before"]):
        return ""
    points = round(row["score"]) - round(row["score_before"])
    return f"({points:+d})" if points else "(±0)"


def _movers(summary: pd.DataFrame) -> list[Section]:
    """Those that moved most, and not by chance of a few tasks."""
    known = summary[(summary["tasks"] >= MIN_TASKS_TO_MOVE) & (summary["tasks_before"] >= MIN_TASKS_TO_MOVE)]
    known = known.assign(points=known["score"].round() - known["score_before"].round()).dropna(subset=["points"])
    best = known[known["points"] >= MIN_MOVE].nlargest(MOVERS, "points")
    worst = known[known["points"] <= -MIN_MOVE].nsmallest(MOVERS, "points")
    if best.empty and worst.empty:
        why = (
            f"no score by {MIN_MOVE} points or more" if len(known) else "too few tasks to compare with the week before"
        )
        return [section(labelled("Movers", why))]
    return [
        section(
            *(
                labelled(label, ", ".join(_moved(row) for _, row in rows.iterrows()))
                for label, rows in (("Best Movers", best), ("Worst Movers", worst))
                if len(rows)
            )
        )
    ]


def _moved(row: pd.Series) -> str:
    return f"{name_of(row['agent'])} {row['score_before']:.0f} → {row['score']:.0f} ({row['points']:+.0f})"


def _incidents(troubles: Sequence[Incident]) -> Line:
    if not troubles:
        return labelled("Incidents", "none")
    words = f"{len(troubles)}, {still_open(troubles)} ({by_severity(one.severity for one in troubles)})"
    [(agent, number)] = Counter(incident.agent for incident in troubles).most_common(1)
    return labelled("Incidents", f"{words}; most: {name_of(agent)}, {number}" if number > 1 else words)


def _data(report: WeekReport) -> list[Section]:
    """How completely the spans were read, which all figures rest on, and what any source lacks."""
    spans = of_spans(report.sources)
    gaps = data_sections(report.sources, report.week, report.timezone)
    if not 0 < spans.missing < spans.windows:
        return gaps
    return [section(labelled("Data Completeness", f"{spans.complete_percent:.1f}% of the spans' windows")), *gaps]
