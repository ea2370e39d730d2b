"""Incidents and messages as tests need them, with what a test does not say filled in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from perf_pipeline.fleet import Severity
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.message import Message, section
from perf_pipeline.records import Incident, IncidentState, Notification

ONSET = datetime(2025, 10, 27, 13, 30, tzinfo=UTC)


def incident(**changes: Any) -> Incident:
    """An open one of high severity, which opened and was last seen when it began."""
    onset = changes.get("onset", ONSET)
    facts: dict[str, Any] = {
        "id": "0123456789abcdef",
        "agent": "InboundAgent",
        "family": "reliability",
        "type": "success_drop",
        "also": (),
        "severity": Severity.HIGH,
        "state": IncidentState.OPEN,
        "onset": onset,
        "opened_at": onset,
        "last_seen": changes.get("opened_at", onset),
        "resolved_at": None,
        "reopened": 0,
        "root_cause": "Model degradation",
        "recommended_action": "IMMEDIATE",
        "details": "Success rate dropped from 85% to 0%",
    }
    return Incident(**(facts | changes))


def notification(key: str = "alert:1", at: datetime = ONSET, **changes: Any) -> Notification:
    content = Message(title=f"title of {key}", sections=(section(f"text of {key}"),))
    made = Notification(key, NotificationKind.ALERT, content, at, "slack")
    return replace(made, **changes)
