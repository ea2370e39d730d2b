"""weekly_summary: a week of the team's clock beside the week before, put into the outbox."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg

from perf_pipeline.assets.window_asset import FRAME, LAKE_IO, column_schema
from perf_pipeline.attention_now import attention_now
from perf_pipeline.checks import schema_result, schema_spec
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.metric_history import custom_values
from perf_pipeline.monitoring.completeness import completeness
from perf_pipeline.monitoring.incident_times import incidents_in
from perf_pipeline.monitoring.metric_standings import standings, uncomputed
from perf_pipeline.monitoring.score_series import scores_in_parts
from perf_pipeline.monitoring.weekly import WEEK, summarize_week, week_before, week_of_key
from perf_pipeline.monitoring.windows import windows_between
from perf_pipeline.notifications.outbox import to_targets
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.notifications.routing import targets_of
from perf_pipeline.notifications.weekly_message import BARS_A_WEEK, WeekReport, weekly_summary_message
from perf_pipeline.optimization.standing import budget_at_end, requests_in, standing_of
from perf_pipeline.partitions import weeks_partitions
from perf_pipeline.tables import AGENT_METRICS, ANOMALIES, CUSTOM_METRICS, OPTIMIZATION_DECISIONS, WEEKLY_SUMMARY
from resources.lake import Lake, LakeResource
from resources.ledger import Ledger, LedgerResource

SUMMED_UP = AGENT_METRICS.view("agent", "window_start", "tasks", "successes", "score", "cost_usd")


def weekly_summary_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    # The week before is compared with, and a week of the team's clock begins hours before or after Dagster's in UTC.
    weeks_around = dg.TimeWindowPartitionMapping(
        start_offset=-2, end_offset=1, allow_nonexistent_upstream_partitions=True
    )

    @dg.asset(
        name=WEEKLY_SUMMARY.name,
        description=WEEKLY_SUMMARY.description,
        group_name="decisions",
        kinds={"slack", "parquet"},
        owners=[fleet.owner],
        partitions_def=weeks_partitions(fleet),
        io_manager_key=LAKE_IO,
        dagster_type=FRAME,
        metadata={"dagster/column_schema": column_schema(WEEKLY_SUMMARY)},
        check_specs=[schema_spec(WEEKLY_SUMMARY)],
        deps=[
            dg.AssetDep(table.name, partition_mapping=weeks_around)
            for table in (CUSTOM_METRICS, AGENT_METRICS, ANOMALIES, OPTIMIZATION_DECISIONS)
        ],
    )
    def weekly_summary(
        context: dg.AssetExecutionContext, lake: LakeResource, ledger: LedgerResource
    ) -> dg.MaterializeResult:
        now, key = datetime.now(UTC), context.partition_key
        with ledger.open() as book:
            report = week_report(key, lake.open(), book, fleet, now)
            message, over = weekly_summary_message(report), now >= report.week.end
            history = now > report.week.end + weekly_within(fleet)
            notes = to_targets(
                # As with a day, the summary of a week so far must not take the place of that of the whole.
                f"weekly-summary:{key}" if over else f"weekly-summary:{key}:so-far",
                NotificationKind.WEEKLY_SUMMARY,
                message,
                targets_of(fleet.notifications, NotificationKind.WEEKLY_SUMMARY),
                now,
                withheld="The week was over for too long when it was summed up." if history else None,
            )
            new = [note for note in notes if book.enqueue(note)]
        return dg.MaterializeResult(
            value=report.summary,
            metadata={
                "dagster/row_count": len(report.summary),
                "message": dg.MetadataValue.md(f"```\n{message.title}\n\n{plain_text(message)}\n```"),
                "put into the outbox": "now" if new else "by an earlier run; it is not sent again",
            },
            check_results=[schema_result(WEEKLY_SUMMARY, report.summary)],
        )

    return weekly_summary


def weekly_within(fleet: FleetConfig) -> timedelta:
    """How long after its end a week's summary is still sent: until that of the next week is due."""
    return WEEK + timedelta(hours=fleet.daily_summary_at.hour, minutes=fleet.daily_summary_at.minute)


def week_report(key: str, store: Lake, book: Ledger, fleet: FleetConfig, now: datetime) -> WeekReport:
    """What is known at `now` of the week whose first day `key` names on the team's clock."""
    week, before = week_of_key(key, fleet.timezone), week_before(key, fleet.timezone)
    metrics = store.read(SUMMED_UP, before.start, week.end)
    values = custom_values(store, fleet, before.start, week.end)
    incidents = incidents_in(week, book.incidents(week.start))
    requests = book.optimization_requests()
    runs = {run.request_id: run for run in book.optimization_runs()}
    closed = windows_between(max(week.start, fleet.history_start_utc), min(week.end, now), fleet.window)
    return WeekReport(
        week=week,
        written_at=now,
        timezone=fleet.timezone,
        summary=summarize_week(week, before, metrics, incidents, requests, fleet.agent_names, fleet.window, now),
        scores=scores_in_parts(metrics, week, BARS_A_WEEK),
        incidents=incidents,
        optimizations=[standing_of(one, fleet, runs) for one in requests_in(requests, week.start, week.end)],
        budget=budget_at_end(requests, runs.values(), week.end, fleet),
        sources=completeness(book.health(week.start, week.end), closed),
        attention=replace(attention_now(book, now), uncomputed=uncomputed(values, week, fleet.metrics)),
        metrics=standings(values, week, before, fleet.metrics),
    )
