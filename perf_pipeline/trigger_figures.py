"""What a triggered cycle did, in figures that come from the lake and the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.notifications.approval_messages import question_key
from perf_pipeline.records import Incident, Notification, NotificationState, OptimizationRequest, ToldIncident


@dataclass(frozen=True)
class CycleFigures:
    """`agents_analyzed`: agents with a row of agent_metrics in the windows. `anomalies_detected`: findings of the
    windows that are open. `optimizations_triggered`: requests that were recorded for the windows since the run began.
    `slack_messages_sent`: messages to Slack that were put into the outbox since then, and sent, about incidents of the
    windows or these requests."""

    agents_analyzed: int
    anomalies_detected: int
    optimizations_triggered: int
    slack_messages_sent: int


def cycle_figures(
    windows: Window,
    happened: Window,
    metrics: pd.DataFrame,
    anomalies: pd.DataFrame,
    requests: Iterable[OptimizationRequest],
    incidents: Iterable[Incident],
    told: Iterable[ToldIncident],
    notifications: Iterable[Notification],
    slack_targets: Iterable[str],
) -> CycleFigures:
    """`windows` is the stretch that the run materialized, `happened` the time in which what it caused took place;
    `metrics` and `anomalies` are rows of `tables.AGENT_METRICS` and `tables.ANOMALIES` of these windows, with at least
    their agents, types and states."""
    triggered = [
        request
        for request in requests
        if windows.start <= request.window_start < windows.end
        and happened.start <= request.requested_at <= happened.end
    ]
    touched = {incident.id for incident in incidents if _touches(incident, windows)}
    threads = {one.thread for one in told if one.incident_id in touched}
    threads |= {question_key(request.id) for request in triggered}
    slack = set(slack_targets)
    sent = [
        note
        for note in notifications
        if note.state is NotificationState.SENT
        and note.target in slack
        and happened.start <= note.created_at <= happened.end
        and any(_is_of(note, thread) for thread in threads)
    ]
    open_findings = anomalies[anomalies["state"] == "open"]
    return CycleFigures(int(metrics["agent"].nunique()), len(open_findings), len(triggered), len(sent))


def _touches(incident: Incident, windows: Window) -> bool:
    """Whether the windows had a part in the incident: it was there in them, or ended at the close of one."""
    end = incident.resolved_at or incident.last_seen
    return incident.opened_at < windows.end and end >= windows.start


def _is_of(note: Notification, thread: str) -> bool:
    """Whether a message begins a thread or belongs to it: its key is that of the thread, or goes on after it."""
    return note.key.startswith((f"{thread}@", f"{thread}:"))
