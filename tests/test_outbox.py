"""The rules of the outbox: who is alerted, under which key, and how long a failed message waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from perf_pipeline.fleet import Severity
from perf_pipeline.notifications.outbox import (
    LONGEST_WAIT,
    MAX_ATTEMPTS,
    after_failure,
    alert_key,
    alerts,
    summary_key,
)
from perf_pipeline.records import Incident, IncidentState, Notification, NotificationState
from tests.test_messages import incident

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WINDOW, ACT_WITHIN = timedelta(minutes=30), timedelta(hours=2)


def made(*incidents: Incident) -> list[Notification]:
    return alerts(incidents, NOW, ACT_WITHIN, WINDOW, "UTC", lambda trace: f"https://phoenix.example/{trace}")


def seen(ago: timedelta, state: IncidentState = IncidentState.OPEN, severity: Severity = Severity.HIGH) -> Incident:
    return incident(onset=NOW - ago, last_seen=NOW - ago, state=state, severity=severity, example_traces=("ab12",))


@pytest.mark.parametrize(
    ("severity", "alerted"),
    [(Severity.LOW, False), (Severity.MEDIUM, False), (Severity.HIGH, True), (Severity.CRITICAL, True)],
)
def test_high_and_critical_incidents_are_alerted(severity: Severity, alerted: bool) -> None:
    assert bool(made(seen(WINDOW, severity=severity))) == alerted


def test_an_alert_waits_to_be_sent_under_its_incidents_key() -> None:
    [message] = made(seen(WINDOW))
    assert (message.state, message.key, message.kind) == (
        NotificationState.PENDING,
        alert_key(seen(WINDOW)),
        "alert",
    )
    assert message.created_at == NOW
    assert "<https://phoenix.example/ab12|ab12>" in message.text
    assert message.blocks[0]["type"] == "header"


def test_an_incident_has_one_key_whatever_becomes_of_it() -> None:
    known = seen(WINDOW)
    later = replace(known, severity=Severity.CRITICAL, state=IncidentState.RESOLVED, last_seen=NOW)
    assert alert_key(later) == alert_key(known)
    assert alert_key(replace(later, state=IncidentState.OPEN, reopened=1)) == alert_key(known)


def test_an_incident_that_was_over_long_ago_is_recorded_and_withheld() -> None:
    [message] = made(seen(timedelta(hours=5), IncidentState.RESOLVED))
    assert message.state is NotificationState.WITHHELD
    assert message.note == "The incident was over before it became known."


@pytest.mark.parametrize("state", [IncidentState.OPEN, IncidentState.RECOVERING])
def test_an_old_incident_that_is_not_over_waits_for_the_windows_that_are_to_be_read(state: IncidentState) -> None:
    assert made(seen(timedelta(hours=5), state)) == []


def test_an_incident_that_recovers_is_alerted_like_an_open_one() -> None:
    [message] = made(seen(WINDOW, IncidentState.RECOVERING))
    assert message.state is NotificationState.PENDING


@pytest.mark.parametrize(("minutes", "state"), [(0, NotificationState.PENDING), (1, NotificationState.WITHHELD)])
def test_the_time_to_act_counts_from_the_windows_end(minutes: int, state: NotificationState) -> None:
    [message] = made(seen(WINDOW + ACT_WITHIN + timedelta(minutes=minutes), IncidentState.RESOLVED))
    assert message.state is state


def test_a_day_in_progress_and_the_whole_day_have_keys_of_their_own() -> None:
    assert summary_key("2026-03-01", over=True) == "daily-summary:2026-03-01"
    assert summary_key("2026-03-01", over=False) != summary_key("2026-03-01", over=True)


def test_the_wait_doubles_from_15_seconds_to_half_an_hour() -> None:
    waits = [after_failure(attempts, True, NOW).not_before for attempts in range(1, 12)]
    seconds = [(wait - NOW).total_seconds() for wait in waits if wait]
    assert seconds == [15, 30, 60, 120, 240, 480, 960, 1800, 1800, 1800, 1800]
    assert max(seconds) == LONGEST_WAIT.total_seconds()


@pytest.mark.parametrize(
    ("attempts", "retryable", "state"),
    [
        (1, True, NotificationState.PENDING),
        (MAX_ATTEMPTS - 1, True, NotificationState.PENDING),
        (MAX_ATTEMPTS, True, NotificationState.UNDELIVERABLE),
        (1, False, NotificationState.UNDELIVERABLE),
    ],
)
def test_what_is_hopeless_is_kept_as_undeliverable(attempts: int, retryable: bool, state: NotificationState) -> None:
    step = after_failure(attempts, retryable, NOW)
    assert step.state is state
    assert (step.not_before is None) == (state is NotificationState.UNDELIVERABLE)
