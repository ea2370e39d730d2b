"""A week is seven days of the team's clock, and stands beside the seven days before."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.jobs import WEEKLY
from perf_pipeline.monitoring.daily import day_of_key
from perf_pipeline.monitoring.incident_times import incidents_in
from perf_pipeline.monitoring.weekly import summarize_week, week_before, week_of_key
from perf_pipeline.partitions import weeks_partitions
from perf_pipeline.records import Incident, NotificationState
from perf_pipeline.tables import AGENT_METRICS, WEEKLY_SUMMARY
from tests.builders import LENGTH, START, Row, frame, metrics_row, request, shipped_fleet
from tests.cycle_fixtures import QUIET, Installation, checks, installation
from tests.incident_builders import incident

KEY = "2026-03-02"
WEEK, BEFORE = week_of_key(KEY, "UTC"), week_before(KEY, "UTC")
A_WEEK = 336
"""Windows."""


@pytest.mark.parametrize(
    ("key", "timezone", "start", "hours"),
    [
        ("2026-03-02", "UTC", datetime(2026, 3, 2, tzinfo=UTC), 168),
        ("2026-03-23", "Europe/Berlin", datetime(2026, 3, 22, 23, tzinfo=UTC), 167),
        ("2026-10-19", "Europe/Berlin", datetime(2026, 10, 18, 22, tzinfo=UTC), 169),
    ],
)
def test_a_week_lasts_seven_days_of_the_teams_clock(key: str, timezone: str, start: datetime, hours: int) -> None:
    week = week_of_key(key, timezone)
    assert (week.start, week.end - week.start) == (start, timedelta(hours=hours))


@settings(deadline=None)
@given(
    st.dates(date(2020, 1, 1), date(2035, 1, 1)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/Santiago", "Africa/Cairo", "Australia/Lord_Howe"]),
)
def test_a_week_is_its_days_and_follows_the_one_before(first: date, timezone: str) -> None:
    days = [day_of_key(f"{first + timedelta(days=number)}", timezone) for number in range(7)]
    week = week_of_key(f"{first}", timezone)
    assert (week.start, week.end) == (days[0].start, days[-1].end)
    assert week_before(f"{first}", timezone).end == week.start


@pytest.mark.parametrize(("day", "first"), [("monday", "2026-01-05"), ("thursday", "2026-01-01")])
def test_weeks_begin_on_the_day_of_the_summary(day: str, first: str) -> None:
    notifications = shipped_fleet().notifications.model_copy(update={"weekly_summary_on": day})
    partitions = weeks_partitions(shipped_fleet().model_copy(update={"notifications": notifications}))
    keys = partitions.get_partition_keys(current_time=datetime(2026, 1, 20, tzinfo=UTC))
    assert keys[0] == first
    assert all(date.fromisoformat(key).weekday() == date.fromisoformat(first).weekday() for key in keys)


def summary(rows: list[Row], incidents: list[Incident] | None = None, now: datetime = WEEK.end) -> pd.Series:
    """InboundAgent's week."""
    metrics = frame(AGENT_METRICS, rows)
    there = incidents_in(WEEK, incidents or [])
    requests = [request(requested_at=START)]
    found = summarize_week(WEEK, BEFORE, metrics, there, requests, ["InboundAgent"], LENGTH, now)
    assert WEEKLY_SUMMARY.problems(found) == []
    return found.iloc[0]


def test_the_figures_of_both_weeks_weigh_every_task_alike() -> None:
    found = summary(
        [
            metrics_row(number=0, tasks=30, successes=30, score=100.0, cost_usd=0.5),
            metrics_row(number=1, tasks=10, successes=0, score=20.0, cost_usd=0.25),
            metrics_row(number=-A_WEEK, tasks=4, successes=2, score=60.0, cost_usd=1.5),
            metrics_row(number=-2 * A_WEEK, tasks=90, score=1.0),
        ]
    )
    assert found["score"] == pytest.approx(80)
    assert (found["tasks"], found["success_rate"], found["cost_usd"]) == (40, 75, 0.75)
    before = (found["score_before"], found["tasks_before"], found["success_rate_before"], found["cost_usd_before"])
    assert before == (60, 4, 50, 1.5)
    assert found["optimization"] == "BootstrapFewShot (finished)"


def test_an_agent_that_did_nothing_has_no_figures_and_is_not_left_out() -> None:
    found = summary([])
    assert (found["tasks"], found["tasks_before"], found["incidents"], found["hours_in_incident"]) == (0, 0, 0, 0)
    assert all(math.isnan(found[name]) for name in ("score", "score_before", "success_rate", "cost_usd"))


def test_hours_in_which_two_incidents_overlap_count_once_and_hours_of_other_weeks_do_not() -> None:
    incidents = [
        incident(id="1", onset=WEEK.start - timedelta(hours=10), opened_at=WEEK.start, last_seen=WEEK.start),
        incident(id="2", onset=START),
    ]
    assert summary([], incidents, now=START + timedelta(hours=5))["hours_in_incident"] == 15
    assert summary([], incidents[1:], now=WEEK.end + timedelta(days=3))["hours_in_incident"] == 158


def test_an_agent_of_the_week_before_is_not_forgotten() -> None:
    metrics = frame(AGENT_METRICS, [metrics_row("Gone", -A_WEEK)])
    found = summarize_week(WEEK, BEFORE, metrics, [], [], ["A"], LENGTH, WEEK.end)
    assert list(zip(found["agent"], found["tasks"], found["tasks_before"], strict=True)) == [
        ("A", 0, 0),
        ("Gone", 0, 20),
    ]


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path / "installation") as running:
        yield running


def summarize(installed: Installation, first_day: date) -> dg.ExecuteInProcessResult:
    job = installed.definitions.resolve_job_def(WEEKLY)
    return job.execute_in_process(
        instance=installed.instance, partition_key=f"{first_day}", raise_on_error=False, run_config=QUIET
    )


def last_monday(weeks_ago: int = 0) -> date:
    today = datetime.now(UTC).date()
    return today - timedelta(days=today.weekday() + 7 * weeks_ago)


def test_the_weekly_summary_is_put_into_the_outbox_once(installed: Installation) -> None:
    first_day = last_monday(weeks_ago=1)
    for _ in range(2):
        result = summarize(installed, first_day)
        assert result.success
        assert checks(result)["weekly_summary", "schema"]
    installed.tick("notifications")
    [posted] = installed.messages
    assert posted["key"] == f"weekly-summary:{first_day}@slack"
    assert posted["title"].startswith(f"📈 Weekly Performance Summary - {first_day} to ")
    stored = installed.lake.read(WEEKLY_SUMMARY, week_of_key(f"{first_day}", "UTC").start, datetime.now(UTC))
    assert list(stored["agent"]) == list(installed.fleet.agent_names)


def test_the_summary_of_a_week_that_goes_on_does_not_replace_that_of_the_whole_week(installed: Installation) -> None:
    assert summarize(installed, last_monday()).success
    with installed.ledger() as book:
        [message] = book.notifications()
    assert message.key == f"weekly-summary:{last_monday()}:so-far@slack"
    assert message.message.title.endswith("(so far)")


def test_the_summary_of_a_week_long_over_is_withheld(installed: Installation) -> None:
    assert summarize(installed, last_monday(weeks_ago=4)).success
    with installed.ledger() as book:
        assert [message.state for message in book.notifications()] == [NotificationState.WITHHELD]
