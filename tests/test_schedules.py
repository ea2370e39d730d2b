"""The cadence: which windows and which day a tick asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from perf_pipeline.definitions import build_defs
from perf_pipeline.fleet import FleetConfig, load_fleet
from perf_pipeline.installation import installed_resources
from perf_pipeline.partitions import weeks_partitions
from perf_pipeline.schedules import daily_summary_schedule, weekly_summary_schedule
from perf_pipeline.settings import read_settings

FLEET = load_fleet(Path(__file__).parent.parent / "fleet.yaml")


def tick(schedule: str, at: datetime, fleet: FleetConfig = FLEET) -> dg.ScheduleExecutionData:
    definitions = build_defs(fleet, installed_resources(read_settings({}), fleet))
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=at, repository_def=definitions.get_repository_def()
        )
        found = definitions.resolve_schedule_def(schedule)
        assert isinstance(found, dg.ScheduleDefinition)
        with context:
            return found.evaluate_tick(context)


def windows_asked_for(at: datetime, **changes: object) -> tuple[str | None, str, str]:
    [request] = tick("monitoring_schedule", at, FLEET.model_copy(update=changes)).run_requests or []
    tags = request.tags
    return request.run_key, tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]


@pytest.mark.parametrize(
    ("lateness", "first"), [(0, "2026-03-01-09:00"), (1, "2026-03-01-08:30"), (3, "2026-03-01-07:30")]
)
def test_a_tick_asks_for_the_closing_window_and_the_ones_that_may_have_late_spans(lateness: int, first: str) -> None:
    tick_at = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    assert windows_asked_for(tick_at, lateness_windows=lateness) == (
        "closing-2026-03-01-09:00",
        first,
        "2026-03-01-09:00",
    )


def test_a_tick_that_comes_late_or_in_another_zone_means_the_same_window() -> None:
    late = datetime(2026, 3, 1, 9, 44, 59, tzinfo=UTC)
    assert windows_asked_for(late.astimezone(ZoneInfo("Asia/Kolkata")))[2] == "2026-03-01-09:00"


def test_nothing_before_the_beginning_of_history_is_asked_for() -> None:
    assert windows_asked_for(datetime(2026, 1, 1, 0, 30, tzinfo=UTC)) == (
        "closing-2026-01-01-00:00",
        "2026-01-01-00:00",
        "2026-01-01-00:00",
    )
    before = tick("monitoring_schedule", datetime(2026, 1, 1, 0, 0, tzinfo=UTC))
    assert not before.run_requests
    assert "history_start" in (before.skip_message or "")


@pytest.mark.parametrize(
    ("timezone", "at", "day"),
    [
        ("UTC", datetime(2026, 3, 2, 9, 0, tzinfo=UTC), "2026-03-01"),
        # The night to 29 March has 23 hours in Berlin, that to 25 October 25.
        ("Europe/Berlin", datetime(2026, 3, 29, 7, 0, tzinfo=UTC), "2026-03-28"),
        ("Europe/Berlin", datetime(2026, 10, 25, 8, 0, tzinfo=UTC), "2026-10-24"),
        ("Pacific/Auckland", datetime(2026, 3, 1, 20, 0, tzinfo=UTC), "2026-03-01"),
        ("Pacific/Honolulu", datetime(2026, 3, 2, 19, 0, tzinfo=UTC), "2026-03-01"),
    ],
)
def test_the_morning_tick_asks_for_yesterday_on_the_teams_clock(timezone: str, at: datetime, day: str) -> None:
    fleet = FLEET.model_copy(update={"timezone": timezone})
    [request] = tick("daily_summary_schedule", at, fleet).run_requests or []
    assert (request.run_key, request.partition_key) == (f"summary-{day}", day)


def test_the_summary_is_due_at_nine_on_the_teams_clock_through_the_change_of_clocks() -> None:
    schedule = daily_summary_schedule(FLEET.model_copy(update={"timezone": "Europe/Berlin"}))
    evening = datetime(2026, 3, 27, 20, 0, tzinfo=UTC).timestamp()
    ticks = schedule_execution_time_iterator(evening, schedule.cron_schedule, schedule.execution_timezone)
    assert [next(ticks).astimezone(UTC) for _ in range(3)] == [
        datetime(2026, 3, 28, 8, tzinfo=UTC),
        datetime(2026, 3, 29, 7, tzinfo=UTC),
        datetime(2026, 3, 30, 7, tzinfo=UTC),
    ]


@pytest.mark.parametrize(
    ("timezone", "at", "first_day"),
    [
        ("UTC", datetime(2026, 3, 9, 9, 0, tzinfo=UTC), "2026-03-02"),
        # The night to Sunday 29 March has 23 hours in Berlin.
        ("Europe/Berlin", datetime(2026, 3, 30, 7, 0, tzinfo=UTC), "2026-03-23"),
        # Monday morning in Auckland is Sunday evening in UTC.
        ("Pacific/Auckland", datetime(2026, 3, 8, 20, 0, tzinfo=UTC), "2026-03-02"),
    ],
)
def test_on_monday_the_week_before_is_asked_for(timezone: str, at: datetime, first_day: str) -> None:
    [request] = tick("weekly_summary_schedule", at, FLEET.model_copy(update={"timezone": timezone})).run_requests or []
    assert (request.run_key, request.partition_key) == (f"weekly-summary-{first_day}", first_day)


def test_a_week_that_history_begins_within_is_not_asked_for() -> None:
    before = tick("weekly_summary_schedule", datetime(2026, 1, 5, 9, 0, tzinfo=UTC))
    assert not before.run_requests
    assert "history_start" in (before.skip_message or "")


@pytest.mark.parametrize(("day", "weekday"), [("monday", 0), ("wednesday", 2), ("sunday", 6)])
def test_the_weekly_summary_is_due_on_its_day_and_its_weeks_begin_on_it(day: str, weekday: int) -> None:
    notifications = FLEET.notifications.model_copy(update={"weekly_summary_on": day})
    fleet = FLEET.model_copy(update={"timezone": "America/New_York", "notifications": notifications})
    schedule = weekly_summary_schedule(fleet)
    start = datetime(2026, 3, 4, tzinfo=UTC).timestamp()
    due = next(schedule_execution_time_iterator(start, schedule.cron_schedule, schedule.execution_timezone))
    assert (due.weekday(), due.hour, due.minute) == (weekday, 9, 0)
    [request] = tick("weekly_summary_schedule", due, fleet).run_requests or []
    assert request.partition_key in weeks_partitions(fleet).get_partition_keys(current_time=due)
