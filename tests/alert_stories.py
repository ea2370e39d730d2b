"""Messages about incidents as people get them: one of every kind, for tests and for pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from perf_pipeline.fleet import Severity
from perf_pipeline.message import Message
from perf_pipeline.notifications.alert_messages import (
    Change,
    acknowledged_message,
    alert_message,
    escalation_message,
    reminder_message,
    update_message,
)
from perf_pipeline.records import AlertThread, Incident, IncidentState
from tests.incident_builders import ONSET, incident

NEW_YORK = "America/New_York"
THREAD = AlertThread("alert:0123456789abcdef", "", ONSET, ONSET + timedelta(minutes=32), ("slack",))
DEPLOYMENT = "deployment of 2025-10-27 13:24 UTC: Shorten the answer prompt (main)"


def trace_url(trace: str) -> str | None:
    return f"https://phoenix.example.com/redirects/traces/{trace}"


def failing(agent: str = "InboundAgent", **changes: object) -> Incident:
    """What detection says of an agent whose tasks fail after a deployment."""
    facts: dict[str, object] = {
        "id": f"reliability of {agent}",
        "agent": agent,
        "severity": Severity.CRITICAL,
        "also": ("error_spike",),
        "root_cause": "17 of 17 failures are AdapterParseError, all on version 2.4.1; after the deployment of "
        "13:24 UTC: Shorten the answer prompt (main) (9f2c1ab → 44d07be)",
        "details": "Success rate fell from 85% to 0% since 13:30 UTC (0 of 17 tasks; 95% interval of the loss 67 to "
        "93 points; evidence 1 : 3,100,000)",
        "example_traces": ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "d75597dee50b0cac"),
        "cause": DEPLOYMENT,
    }
    return incident(**(facts | changes))


def slow(agent: str = "ResearchAgent", **changes: object) -> Incident:
    facts: dict[str, object] = {
        "id": f"latency of {agent}",
        "family": "latency",
        "type": "latency_increase",
        "also": (),
        "severity": Severity.HIGH,
        "details": "Typical latency rose from 1.2 s to 9.8 s since 13:30 UTC (24 tasks, 8.2 times the usual; 95% "
        "interval 6.1 to 11 times; evidence 1 : 52,000)",
        "root_cause": "94% of the time was spent in language-model calls",
        "cause": "",
    }
    return failing(agent, **(facts | changes))


def outage(source: str = "spans", **changes: object) -> Incident:
    facts: dict[str, object] = {
        "id": f"outage of {source}",
        "agent": f"source:{source}",
        "family": "data",
        "type": "data_gap",
        "root_cause": "Phoenix at https://phoenix.example.com did not answer within 15 s: check PHOENIX_ENDPOINT and "
        "that the server is running.",
        "details": f"The {source} of this window are unavailable; "
        + ("no agent is judged on it" if source == "spans" else "what they would add is missing"),
    }
    return incident(**(facts | changes))


def fleet_of(count: int) -> list[Incident]:
    """Every tenth agent is hit worse, every twentieth is slow as well."""
    found = []
    for number in range(count):
        severity = Severity.CRITICAL if number % 10 == 0 else Severity.HIGH
        found.append(failing(f"Agent{number:03}", severity=severity, also=()))
        if number % 20 == 10:
            found.append(slow(f"Agent{number:03}", cause=DEPLOYMENT))
    return found


def over(incident: Incident, hours: float = 1.5) -> Incident:
    return replace(incident, state=IncidentState.RESOLVED, resolved_at=incident.onset + timedelta(hours=hours))


def alert_stories(timezone: str = NEW_YORK) -> Mapping[str, Message]:
    """Every kind of message about incidents, by a name for its picture."""
    inbound, research = failing(), slow()
    audit = failing("AuditAgent", severity=Severity.HIGH)
    return {
        "alert": alert_message([inbound], THREAD.id, timezone, trace_url),
        "alert-of-two-findings": alert_message([inbound, slow("InboundAgent")], THREAD.id, timezone, trace_url),
        "alert-of-three-agents": alert_message(
            [audit, failing("FollowUpAgent"), inbound], THREAD.id, timezone, trace_url
        ),
        "alert-without-common-cause": alert_message(
            [
                replace(agent, cause="", root_cause="No single error, model or version stands out")
                for agent in (inbound, audit)
            ],
            THREAD.id,
            timezone,
            trace_url,
        ),
        "alert-of-200-agents": alert_message(fleet_of(200), THREAD.id, timezone, trace_url),
        "outage": alert_message([outage()], THREAD.id, timezone, trace_url),
        "outage-of-two-sources": alert_message(
            [outage(), outage("logs", severity=Severity.MEDIUM, root_cause="Railway answered HTTP 503.")],
            THREAD.id,
            timezone,
            trace_url,
        ),
        "joined": update_message([Change(audit, "joined")], [inbound, audit], timezone),
        "many-joined": update_message([Change(one, "joined") for one in fleet_of(14)], fleet_of(15), timezone),
        "worse": update_message([Change(inbound, "worse")], [inbound], timezone),
        "back": update_message([Change(inbound, "back")], [inbound], timezone),
        "recovered": update_message([Change(over(inbound), "recovered")], [], timezone),
        "recovered-in-part": update_message([Change(over(audit), "recovered")], [inbound, research], timezone),
        "outage-over": update_message([Change(over(outage()), "recovered")], [], timezone),
        "mixed": update_message(
            [
                Change(over(research, 3), "recovered"),
                Change(inbound, "worse"),
                Change(audit, "joined"),
                Change(failing("FollowUpAgent"), "back"),
            ],
            [inbound, audit],
            timezone,
        ),
        "acknowledged": acknowledged_message("Ana Ruiz"),
        "reminder": reminder_message([inbound, audit], THREAD, timezone),
        "reminder-of-200-agents": reminder_message(fleet_of(200), THREAD, timezone),
        "escalation": escalation_message(alert_message([inbound], THREAD.id, timezone, trace_url), THREAD, timezone),
    }
