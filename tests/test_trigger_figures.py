"""What a triggered cycle is said to have done: what belongs to it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from perf_pipeline.fleet_model import Severity
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.message import Message
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import IncidentState, Notification, NotificationState, ToldIncident
from perf_pipeline.trigger_figures import CycleFigures, cycle_figures
from tests.approval_builders import request_to_approve
from tests.incident_builders import incident

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
WINDOW = Window(NOON, NOON + timedelta(minutes=30))
HAPPENED = Window(NOON + timedelta(minutes=10), NOON + timedelta(minutes=12))
DURING = HAPPENED.start + timedelta(minutes=1)


def note(key: str, **changes: Any) -> Notification:
    sent = Notification(
        key=f"{key}@slack",
        kind=NotificationKind.ALERT,
        message=Message(title="Alert"),
        created_at=DURING,
        target="slack",
        state=NotificationState.SENT,
    )
    return replace(sent, **changes)


def figures(**changes: Any) -> CycleFigures:
    metrics = pd.DataFrame({"agent": ["A", "B", "A"]})
    anomalies = pd.DataFrame({"state": ["open", "pending", "open", "recovering", "resolved"]})
    given: dict[str, Any] = {
        "metrics": metrics,
        "anomalies": anomalies,
        "requests": (),
        "incidents": (),
        "told": (),
        "notifications": (),
        "slack_targets": ("slack",),
    }
    return cycle_figures(WINDOW, HAPPENED, **(given | changes))


def test_agents_count_once_and_only_open_findings_count() -> None:
    assert figures() == CycleFigures(2, 2, 0, 0)


def test_requests_count_that_were_recorded_for_the_window_since_the_run_began() -> None:
    own = request_to_approve(window_start=NOON, requested_at=DURING)
    earlier = replace(own, id="earlier", requested_at=HAPPENED.start - timedelta(seconds=1))
    other = replace(own, id="other", window_start=NOON - timedelta(minutes=30))
    assert figures(requests=[own, earlier, other]).optimizations_triggered == 1


def test_messages_count_that_were_sent_to_slack_about_what_the_run_touched() -> None:
    ongoing = incident(id="1", opened_at=NOON - timedelta(hours=2), last_seen=NOON, state=IncidentState.OPEN)
    over = incident(id="2", opened_at=NOON - timedelta(hours=9), last_seen=NOON - timedelta(hours=8))
    told = [
        ToldIncident("1", "alert:1", Severity.HIGH, IncidentState.OPEN, 0),
        ToldIncident("2", "alert:2", Severity.HIGH, IncidentState.OPEN, 0),
    ]
    asked = request_to_approve(id="r", window_start=NOON, requested_at=DURING)
    counted = [note("alert:1"), note("alert:1:update"), note("approval:r")]
    not_counted = [
        note("alert:11"),
        note("alert:2"),
        note("daily-summary:2026-11-22"),
        note("alert:1", target="pager"),
        note("alert:1", state=NotificationState.PENDING),
        note("alert:1", created_at=HAPPENED.start - timedelta(seconds=1)),
        note("alert:1", created_at=HAPPENED.end + timedelta(seconds=1)),
    ]
    given: dict[str, Any] = {"incidents": [ongoing, over], "told": told, "requests": [asked]}
    assert figures(notifications=counted, **given).slack_messages_sent == 3
    assert figures(notifications=not_counted, **given).slack_messages_sent == 0
