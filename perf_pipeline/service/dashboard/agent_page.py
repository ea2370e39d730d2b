"""One agent: its incidents, what changed, its notable traces and its versions; `history_charts` draws its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.monitoring.incident_times import time_of
from perf_pipeline.notifications.alert_layout import TraceUrl
from perf_pipeline.notifications.incident_words import brief
from perf_pipeline.notifications.safe_text import web_address
from perf_pipeline.notifications.team_clock import duration
from perf_pipeline.records import Incident, IncidentState, ProgramAlias, ProgramVersion
from perf_pipeline.service.dashboard.reductions import NOTABLE_TASKS
from perf_pipeline.service.dashboard.words import in_words, latency, said


@dataclass(frozen=True)
class TraceRow:
    trace_id: str
    url: str | None
    started_at: datetime
    latency: str
    what: str


@dataclass(frozen=True)
class IncidentRow:
    id: str
    type: str
    severity: str
    state: str
    since: datetime
    lasted: str
    brief: str


@dataclass(frozen=True)
class ChangeRow:
    time: datetime
    kind: str
    text: str


@dataclass(frozen=True)
class VersionRow:
    """`standing` says whether it runs, or why it never will again."""

    version: str
    parent: str
    registered_at: datetime
    standing: str


def incident_rows(
    incidents: Sequence[Incident], window: timedelta, timezone: str, now: datetime
) -> tuple[IncidentRow, ...]:
    """Newest first."""
    rows = []
    for incident in sorted(incidents, key=lambda one: one.onset, reverse=True):
        time = time_of(incident, window, now)
        so_far = "" if incident.state is IncidentState.RESOLVED else " so far"
        rows.append(
            IncidentRow(
                id=incident.id,
                type=in_words(incident.type),
                severity=str(incident.severity),
                state=str(incident.state),
                since=incident.onset,
                lasted=duration(time.end - time.start) + so_far,
                brief=brief(incident, timezone),
            )
        )
    return tuple(rows)


def change_rows(changes: pd.DataFrame) -> tuple[ChangeRow, ...]:
    """Newest first."""
    rows = []
    for _, row in changes.sort_values("time", ascending=False, kind="stable").iterrows():
        versions = [said(row[name]) for name in ("from_version", "to_version") if isinstance(row[name], str)]
        text = said(row["description"]) + (f" ({' → '.join(versions)})" if versions else "")
        rows.append(ChangeRow(row["time"].to_pydatetime(), said(row["kind"]), text))
    return tuple(rows)


def slowest_traces(tasks: pd.DataFrame, trace_url: TraceUrl) -> tuple[TraceRow, ...]:
    """`tasks` are rows of `tables.AGENT_TASKS`."""
    slow = tasks[tasks["latency_ms"].notna()].sort_values("latency_ms", ascending=False, kind="stable")
    return tuple(_trace(row, trace_url) for _, row in slow.head(NOTABLE_TASKS).iterrows())


def failing_traces(tasks: pd.DataFrame, trace_url: TraceUrl) -> tuple[TraceRow, ...]:
    """Newest first."""
    failed = tasks[~tasks["ok"].astype(bool)].sort_values("start_time", ascending=False, kind="stable")
    return tuple(_trace(row, trace_url) for _, row in failed.head(NOTABLE_TASKS).iterrows())


def _trace(row: pd.Series, trace_url: TraceUrl) -> TraceRow:
    trace_id = said(row["trace_id"])
    error, message = row["error_type"], row["error_message"]
    # Most tracers begin the message with the type.
    told_by_message = isinstance(error, str) and isinstance(message, str) and message.startswith(error)
    parts = [None if told_by_message else error, message, row["model"], row["program_version"]]
    return TraceRow(
        trace_id=trace_id,
        url=web_address(trace_url(trace_id)),
        started_at=row["start_time"].to_pydatetime(),
        latency=latency(row["latency_ms"]),
        what=" · ".join(said(part)[:160] for part in parts if isinstance(part, str) and part) or "succeeded",
    )


def version_rows(versions: Sequence[ProgramVersion], running: ProgramAlias | None) -> tuple[VersionRow, ...]:
    """Newest first; the code itself, which every agent began with, is not among them."""
    rows = []
    for one in sorted(versions, key=lambda version: version.registered_at, reverse=True):
        standing = "in production" if running and running.version == one.version else ""
        if one.quarantined_because:
            standing = f"taken back: {said(one.quarantined_because)}"
        rows.append(VersionRow(one.version, one.parent or "the code", one.registered_at, standing))
    return tuple(rows)
