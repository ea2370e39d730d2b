"""The partitions of the assets: windows, days and weeks, all in UTC, and optimization requests."""

from __future__ import annotations

import dagster as dg

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.windows import KEY_FORMAT

OPTIMIZATION_REQUESTS = dg.DynamicPartitionsDefinition(name="optimization_requests")
"""One partition a request to optimize an agent; the key is its ID."""

CRON_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


def windows_partitions(fleet: FleetConfig) -> dg.TimeWindowPartitionsDefinition:
    """One partition a window, the open one included, so that it can be looked at before it closes."""
    return dg.TimeWindowPartitionsDefinition(
        start=fleet.history_start_utc,
        fmt=KEY_FORMAT,
        cron_schedule=window_cron(fleet),
        timezone="UTC",
        end_offset=1,
    )


def days_partitions(fleet: FleetConfig) -> dg.DailyPartitionsDefinition:
    """One partition a calendar day. The key names a day of the team's clock; Dagster counts them in UTC, the
    windows' time zone, because its mappings between partitions need one zone."""
    return dg.DailyPartitionsDefinition(start_date=fleet.history_start_utc, timezone="UTC", end_offset=1)


def weeks_partitions(fleet: FleetConfig) -> dg.WeeklyPartitionsDefinition:
    """One partition a week that begins on the day of the weekly summary. The key names the week's first day, on the
    team's clock; Dagster counts in UTC, as with `days_partitions`."""
    return dg.WeeklyPartitionsDefinition(
        start_date=fleet.history_start_utc,
        timezone="UTC",
        day_offset=cron_weekday(fleet),
        end_offset=1,
    )


def cron_weekday(fleet: FleetConfig) -> int:
    """The day of the weekly summary as cron counts it: 0 is Sunday."""
    return CRON_WEEKDAYS.index(fleet.notifications.weekly_summary_on)


def window_cron(fleet: FleetConfig) -> str:
    return "0 * * * *" if fleet.window_minutes == 60 else f"*/{fleet.window_minutes} * * * *"
