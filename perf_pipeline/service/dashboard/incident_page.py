"""One incident: what is wrong and why, what it rests on, what happened when, and who was told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.monitoring.finding_words import CERTAIN
from perf_pipeline.monitoring.incident_analysis import WordedIncident
from perf_pipeline.monitoring.incident_times import time_of
from perf_pipeline.notifications.alert_layout import TraceUrl, by_whom
from perf_pipeline.notifications.incident_words import details, for_people, is_outage, name, root_cause
from perf_pipeline.notifications.plain_text import subject
from perf_pipeline.notifications.safe_text import web_address
from perf_pipeline.notifications.team_clock import duration, on_the_teams_clock
from perf_pipeline.records import AlertThread, Incident, IncidentState, Notification, NotificationState, ToldIncident
from perf_pipeline.service.dashboard.measures import measure_of
from perf_pipeline.service.dashboard.words import UNKNOWN, in_words, number, said

MAX_EVIDENCE = 12


@dataclass(frozen=True)
class Evidence:
    """What was known of a finding at the close of a window."""

    window_start: datetime
    type: str
    state: str
    severity: str
    observed: str
    baseline: str
    effect: str
    evidence: str
    tasks: str


@dataclass(frozen=True)
class Moment:
    time: datetime
    text: str


@dataclass(frozen=True)
class IncidentPage:
    """`analysis` are paragraphs that sum it up; `thread` is what commands call the alert."""

    id: str
    agent: str
    is_outage: bool
    title: str
    severity: str
    state: str
    since: datetime
    lasted: str
    details: str
    root_cause: str
    analysis: tuple[str, ...]
    recommended_action: str
    evidence: tuple[Evidence, ...]
    traces: tuple[tuple[str, str | None], ...]
    timeline: tuple[Moment, ...]
    told: str
    looked_after: str
    thread: str | None


def incident_page(
    incident: Incident,
    findings: pd.DataFrame,
    told: ToldIncident | None,
    thread: AlertThread | None,
    messages: Sequence[Notification],
    trace_url: TraceUrl,
    window: timedelta,
    timezone: str,
    now: datetime,
    words: WordedIncident | None = None,
) -> IncidentPage:
    """`findings` are rows of `tables.ANOMALIES` of the incident's agent; `messages` those of its thread; `words` those
    that its alert is told in."""
    time = time_of(incident, window, now)
    so_far = "" if incident.state is IncidentState.RESOLVED else " so far"
    return IncidentPage(
        id=incident.id,
        agent=incident.agent,
        is_outage=is_outage(incident),
        title=f"{name(incident)}: {in_words(incident.type)}",
        severity=str(incident.severity),
        state=str(incident.state),
        since=incident.onset,
        lasted=duration(time.end - time.start) + so_far,
        details=details(incident, timezone),
        root_cause=root_cause(incident, timezone),
        analysis=_analysis(incident, words, timezone),
        recommended_action=said(incident.recommended_action),
        evidence=_evidence(incident, findings),
        traces=tuple((said(trace), web_address(trace_url(trace))) for trace in incident.example_traces),
        timeline=_timeline(incident, thread, messages, timezone),
        told=_told(told, thread),
        looked_after=_looked_after(thread),
        thread=thread.id if thread else None,
    )


def _analysis(incident: Incident, words: WordedIncident | None, timezone: str) -> tuple[str, ...]:
    if words is None or is_outage(incident):
        return ()
    summary = words.summary
    sentences = (summary.what_changed, summary.likely_cause, summary.what_to_do)
    told = (for_people(sentence, incident, timezone) for sentence in sentences)
    return (*told, f"Worded by {by_whom(words)}.")


def _evidence(incident: Incident, findings: pd.DataFrame) -> tuple[Evidence, ...]:
    """Of the incident's own types, newest first."""
    own = findings[findings["type"].isin([incident.type, *incident.also])]
    newest = own.sort_values("window_start", ascending=False, kind="stable").head(MAX_EVIDENCE)
    return tuple(_finding(row) for _, row in newest.iterrows())


def _finding(row: pd.Series) -> Evidence:
    metric = row["metric"] if isinstance(row["metric"], str) else ""
    measure = measure_of(metric)

    def shown(value: float) -> str:
        return UNKNOWN if pd.isna(value) else f"{measure.prefix}{number(value * measure.factor)}{measure.suffix}"

    interval = "" if pd.isna(row["effect_low"]) else f" ({number(row['effect_low'])} to {number(row['effect_high'])})"
    return Evidence(
        window_start=row["window_start"].to_pydatetime(),
        type=in_words(str(row["type"])),
        state=said(row["state"]),
        severity=said(row["severity"]),
        observed=shown(row["observed"]),
        baseline=shown(row["baseline"]),
        effect=UNKNOWN if pd.isna(row["effect"]) else number(row["effect"]) + interval,
        evidence=_odds(row["evidence_nats"]),
        tasks=f"{int(row['tasks']):,}",
    )


def _odds(nats: float) -> str:
    """How unlikely chance alone is, as the sentences of findings tell it."""
    if pd.isna(nats):
        return UNKNOWN
    odds = math.exp(min(float(nats), math.log(CERTAIN)))
    return f"{'beyond ' if float(nats) > math.log(CERTAIN) else ''}1 : {float(f'{odds:.2g}'):,.0f}"


def _timeline(
    incident: Incident, thread: AlertThread | None, messages: Sequence[Notification], timezone: str
) -> tuple[Moment, ...]:
    found = [
        Moment(incident.onset, "The change began, as far as can be told."),
        Moment(incident.opened_at, "The window began at whose close the incident opened."),
    ]
    for message in messages:
        if message.state is NotificationState.SENT and message.sent_at:
            words = on_the_teams_clock(subject(message.message), message.created_at, timezone)
            found.append(Moment(message.sent_at, f"Told {said(message.target)}: {said(words)}"))
        else:
            note = f" ({said(message.note)})" if message.note else ""
            found.append(Moment(message.created_at, f"A message to {said(message.target)} is {message.state}{note}."))
    if thread and thread.acknowledged_at:
        found.append(Moment(thread.acknowledged_at, f"{said(thread.acknowledged_by)} looks after it."))
    if incident.reopened:
        times = "once" if incident.reopened == 1 else f"{incident.reopened} times"
        found.append(Moment(incident.last_seen, f"It came back {times} after it had ended; last seen in this window."))
    if incident.resolved_at:
        found.append(Moment(incident.resolved_at, "Resolved."))
    return tuple(sorted(found, key=lambda moment: moment.time))


def _told(told: ToldIncident | None, thread: AlertThread | None) -> str:
    if told is not None and told.withheld:
        return "Nobody was told: it was silenced, or over for too long when it was found."
    if told is None or thread is None:
        return "Nobody was told of it alone: the summaries tell of those below notifications.alert_from in fleet.yaml."
    return f"Told: {', '.join(map(said, thread.targets)) or 'nobody'}."


def _looked_after(thread: AlertThread | None) -> str:
    if thread is None:
        return ""
    return f"{said(thread.acknowledged_by)} looks after it." if thread.acknowledged_at else "Nobody looks after it yet."
