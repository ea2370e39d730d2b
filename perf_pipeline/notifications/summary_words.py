"""Words and figures that the daily and the weekly summary have in common. A line is one piece: Slack counts them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from perf_pipeline.fleet_model import Severity
from perf_pipeline.message import Line, Section, bullets, labelled, line, section
from perf_pipeline.monitoring.completeness import SourceCompleteness, of_spans
from perf_pipeline.monitoring.daily import STATE_WORDS
from perf_pipeline.monitoring.incident_times import time_of
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.notifications.safe_text import one_line, shorten
from perf_pipeline.notifications.team_clock import duration
from perf_pipeline.notifications.team_clock import moment as dated_moment
from perf_pipeline.optimization.standing import Budget, OptimizationStanding
from perf_pipeline.records import Incident, IncidentState, RequestState, RunOutcome

SMALL_FLEET = 7
"""All optimizations of so many agents are shown: they fit."""

SHOWN_AGENTS, SHOWN_INCIDENTS, SHOWN_OPTIMIZATIONS = 15, 6, 5
"""So many are listed where there are more; the rest are counted. A whole message must fit into Slack's blocks."""

NAMED = 5
MAX_NAME, MAX_REASON = 32, 120
BARS = "▁▂▃▄▅▆▇█"
NO_TASKS = "·"


def sparkline(scores: Iterable[float]) -> str:
    """A bar for each score, ▁ for 0 and █ for 100, and a dot where there is none."""
    return "".join(NO_TASKS if math.isnan(score) else BARS[min(int(score / 100 * 8), 7)] for score in scores)


def name_of(name: object) -> str:
    return shorten(one_line(str(name)), MAX_NAME)


def names_of(agents: Sequence[str]) -> str:
    shown = ", ".join(name_of(agent) for agent in agents[:NAMED])
    return shown if len(agents) <= NAMED else f"{shown} and {len(agents) - NAMED} more"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(value: float) -> str:
    """Whole, but for what would be rounded to all or to nothing."""
    if 99 < value < 100:
        return f"{min(value, 99.9):.1f}%"
    return f"{max(value, 0.1):.1f}%" if 0 < value < 1 else f"{value:.0f}%"


def dollars(value: float) -> str:
    if 0 < value < 0.01:
        return "less than $0.01"
    cents = round(value, 2)
    return f"${cents:,.0f}" if cents >= 1000 or cents == int(cents) else f"${cents:,.2f}"


def moment(time: datetime, span: Window, timezone: str) -> str:
    """A time on the team's clock, without the date where the span is a day that holds it."""
    dated = dated_moment(time, timezone)
    one_day = span.end - span.start <= timedelta(hours=25)
    return dated.partition(" ")[2] if one_day and span.start <= time < span.end else dated


def stretch(start: datetime, end: datetime, span: Window, timezone: str) -> str:
    """'13:30 to 16:00 UTC': the zone once, and the date, where there is one."""
    first, last = moment(start, span, timezone), moment(end, span, timezone)
    *first_date, first_clock, first_zone = first.split(" ")
    *last_date, last_clock, last_zone = last.split(" ")
    if first_zone != last_zone:
        return f"{first} to {last}"
    shown_last = last_clock if first_date == last_date else " ".join((*last_date, last_clock))
    return f"{' '.join((*first_date, first_clock))} to {shown_last} {last_zone}"


def listed(lines: Sequence[Line | str], limit: int, noun: str) -> Section:
    """The first lines as a list, and one that counts the rest; `noun` is what they are about, in the singular."""
    rest = len(lines) - limit
    # A line that says there is one more is no shorter than that one.
    if rest <= 1:
        return bullets(lines)
    return bullets([*lines[:limit], f"… and {rest} more {noun}s"])


def by_severity(severities: Iterable[str]) -> str:
    """Such as "1 critical, 2 high severity", or "high severity" where there is one kind only."""
    known = [str(severity) for severity in severities]
    levels = [str(level) for level in sorted(Severity, key=lambda level: -level.rank) if level in known]
    parts = levels if len(levels) == 1 else [f"{known.count(level)} {level}" for level in levels]
    return f"{', '.join(parts)} severity"


def still_open(incidents: Sequence[Incident]) -> str:
    """How many of them are not over: "1 still open", "all resolved", or of a single one "resolved"."""
    number = sum(incident.state is not IncidentState.RESOLVED for incident in incidents)
    every = "all " if len(incidents) > 1 else ""
    return {0: f"{every}resolved", len(incidents): f"{every}still open"}.get(number, f"{number} still open")


def incident_line(incident: Incident, span: Window, timezone: str, window: timedelta, now: datetime) -> Line:
    time = time_of(incident, window, now)
    length = duration(time.end - time.start)
    since = f"since {moment(time.start, span, timezone)}"
    if incident.state is IncidentState.RESOLVED:
        when = f"{stretch(time.start, time.end, span, timezone)}, resolved after {length}"
    elif incident.state is IncidentState.RECOVERING:
        when = f"{since}, recovering, {length} so far"
    else:
        when = f"{since}, still open, {length} so far"
    if incident.reopened:
        when += f", came back {'once' if incident.reopened == 1 else f'{incident.reopened} times'}"
    return line(f"{name_of(incident.agent)}: {incident.type}, {incident.severity.upper()}, {when}")


def optimization_line(standing: OptimizationStanding) -> Line:
    """State, predicted range and measured gain; a prediction is left out where nothing came of the request."""
    parts = [f"{name_of(standing.optimizer)} ({STATE_WORDS[standing.state]})"]
    if standing.predicted and not standing.state.came_to_nothing:
        low, high = standing.predicted
        parts.append(f"predicted {low:g}% better" if low == high else f"predicted {low:g} to {high:g}% better")
    if standing.state is RequestState.FINISHED:
        parts.append(_result(standing))
    return line(f"{name_of(standing.agent)}: {', '.join(parts)}")


def _result(standing: OptimizationStanding) -> str:
    if standing.outcome is RunOutcome.STALE:
        return "stays as it was: another version was promoted meanwhile"
    if standing.outcome not in (None, RunOutcome.PROMOTED):
        return "stays as it was: nothing was proven to be better"
    points = "{:.0f} → {:.0f} points on held-out tasks".format(*standing.points) if standing.points else ""
    if standing.gain is None:
        return f"measured {points}" if points else "gain not measured yet"
    return f"measured {standing.gain:+.0f}%" + (f" ({points})" if points else "")


def optimization_sections(standings: Sequence[OptimizationStanding]) -> list[Section]:
    if not standings:
        return [section(labelled("Optimization Status", "none requested"))]
    # In the order of the requests where all are shown; else what is still to be decided or done first.
    few = len(standings) <= SMALL_FLEET
    ranked = standings if few else sorted(standings, key=lambda one: not one.state.is_open)
    lines = [optimization_line(one) for one in ranked]
    return [
        section(labelled("Optimization Status", "")),
        listed(lines, SMALL_FLEET if few else SHOWN_OPTIMIZATIONS, "optimization"),
    ]


def spend_line(cost_usd: float, tasks: int, budget: Budget) -> Line:
    committed = f"{dollars(budget.committed_usd)} of {dollars(budget.budget_usd)} committed in {budget.month}"
    if budget.committed_usd > budget.budget_usd:
        committed += ", over budget"
    known = "cost of model calls not known" if math.isnan(cost_usd) else f"{dollars(cost_usd)} for model calls"
    return labelled("Spend", f"{known}; optimizations {committed}" if tasks else f"optimizations {committed}")


def data_sections(sources: Sequence[SourceCompleteness], span: Window, timezone: str) -> list[Section]:
    gaps = [gap_words(source, span, timezone) for source in sources if source.missing]
    if len(gaps) < 2:
        return [section(labelled("Data", gaps[0] if gaps else "complete"))]
    return [section(labelled("Data", "")), bullets(gaps)]


def gap_words(gap: SourceCompleteness, span: Window, timezone: str) -> str:
    kinds = ((gap.unavailable, "unavailable"), (gap.partial, "incomplete"), (gap.unread, "never read"))
    parts = [(number, kind) for number, kind in kinds if number]
    all_of_them = gap.missing == gap.windows
    number = (
        f"all {count(gap.windows, 'window')}" if all_of_them else f"{gap.missing} of {count(gap.windows, 'window')}"
    )
    kind = parts[0][1] if len(parts) == 1 else f"missing ({', '.join(f'{number} {kind}' for number, kind in parts)})"
    when = ""
    if gap.start and gap.end and not all_of_them:
        where = stretch(gap.start, gap.end, span, timezone)
        when = f", {where}" if gap.together else f", within {where}"
    reason = f": {shorten(one_line(gap.reason), MAX_REASON)}" if gap.reason else ""
    return f"{number} of {gap.source} {kind}{when}{reason}"


def why_nothing(sources: Sequence[SourceCompleteness], period: str) -> str:
    """What is known of why no agent did anything in a `period`: a day, or a week."""
    spans = of_spans(sources)
    if spans.windows == 0:
        return f"no data. No window of this {period} has closed yet."
    if spans.unread == spans.windows:
        return f"no data. Nothing was read for this {period}: the pipeline did not run for it."
    if spans.missing == spans.windows:
        return f"no data. The spans of this {period} could not be read; see Data below."
    if spans.missing:
        return f"no data. A part of this {period} could not be read, and in the rest no agent did anything."
    return (
        f"no agent did anything. The spans of this {period} were read completely and there were none: no work came, or "
        "the agents send no traces."
    )
