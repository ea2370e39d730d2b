"""The cadence: a cycle at the close of every window, and the summaries at the team's hour."""

from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.jobs import MONITORING, SUMMARY, WEEKLY, range_tags
from perf_pipeline.monitoring.windows import windows_due
from perf_pipeline.partitions import cron_weekday, window_cron


def monitoring_schedule(fleet: FleetConfig) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="monitoring_schedule",
        cron_schedule=window_cron(fleet),
        execution_timezone="UTC",
        job_name=MONITORING,
        description="At the close of a window: that window, and the windows before it again for late spans.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        tick = context.scheduled_execution_time.astimezone(UTC)
        windows = windows_due(tick, fleet.window, fleet.lateness_windows, fleet.history_start_utc)
        if not windows:
            return dg.SkipReason("No window has closed since history_start of fleet.yaml.")
        return dg.RunRequest(run_key=f"closing-{windows[-1].key}", tags=range_tags(windows[0].key, windows[-1].key))

    return schedule


def daily_summary_schedule(fleet: FleetConfig) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="daily_summary_schedule",
        cron_schedule=f"{fleet.daily_summary_at.minute} {fleet.daily_summary_at.hour} * * *",
        execution_timezone=fleet.timezone,
        job_name=SUMMARY,
        description="Every morning on the team's clock: the summary of the day before.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        yesterday = context.scheduled_execution_time.astimezone(ZoneInfo(fleet.timezone)).date() - timedelta(days=1)
        return dg.RunRequest(run_key=f"summary-{yesterday}", partition_key=f"{yesterday}")

    return schedule


def weekly_summary_schedule(fleet: FleetConfig) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="weekly_summary_schedule",
        cron_schedule=f"{fleet.daily_summary_at.minute} {fleet.daily_summary_at.hour} * * {cron_weekday(fleet)}",
        execution_timezone=fleet.timezone,
        job_name=WEEKLY,
        description="Once a week on the team's clock: the summary of the seven days before.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = context.scheduled_execution_time.astimezone(ZoneInfo(fleet.timezone)).date()
        first_day = today - timedelta(days=7)
        if first_day < fleet.history_start:
            return dg.SkipReason("No whole week has passed since history_start of fleet.yaml.")
        return dg.RunRequest(run_key=f"weekly-summary-{first_day}", partition_key=f"{first_day}")

    return schedule
