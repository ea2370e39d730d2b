"""daily_summary: a day of the team's clock, summed up per agent and put into the outbox."""

from datetime import UTC, datetime

import dagster as dg

from perf_pipeline.assets.window_asset import FRAME, LAKE_IO, column_schema
from perf_pipeline.checks import schema_result, schema_spec
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.monitoring.daily import day_of_key, findings_of, summarize_day
from perf_pipeline.notifications.outbox import to_targets
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.notifications.routing import targets_of
from perf_pipeline.notifications.summary_messages import daily_summary_message
from perf_pipeline.partitions import days_partitions
from perf_pipeline.tables import AGENT_METRICS, ANOMALIES, DAILY_SUMMARY, OPTIMIZATION_DECISIONS
from resources.lake import LakeResource
from resources.ledger import LedgerResource


def daily_summary_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    # A day of the team's clock begins and ends within the days around it that Dagster counts in UTC.
    days_around = dg.TimeWindowPartitionMapping(
        start_offset=-1, end_offset=1, allow_nonexistent_upstream_partitions=True
    )

    @dg.asset(
        name=DAILY_SUMMARY.name,
        description=DAILY_SUMMARY.description,
        group_name="decisions",
        kinds={"slack", "parquet"},
        owners=[fleet.owner],
        partitions_def=days_partitions(fleet),
        io_manager_key=LAKE_IO,
        dagster_type=FRAME,
        metadata={"dagster/column_schema": column_schema(DAILY_SUMMARY)},
        check_specs=[schema_spec(DAILY_SUMMARY)],
        deps=[
            dg.AssetDep(table.name, partition_mapping=days_around)
            for table in (AGENT_METRICS, ANOMALIES, OPTIMIZATION_DECISIONS)
        ],
    )
    def daily_summary(
        context: dg.AssetExecutionContext, lake: LakeResource, ledger: LedgerResource
    ) -> dg.MaterializeResult:
        now = datetime.now(UTC)
        day = day_of_key(context.partition_key, fleet.timezone)
        store = lake.open()
        found = findings_of(day, store.read(ANOMALIES, day.start, day.end))
        with ledger.open() as book:
            frame = summarize_day(
                day,
                store.read(AGENT_METRICS, day.start, day.end),
                found,
                book.optimization_requests(),
                fleet.agent_names,
            )
            over = now >= day.end
            key = context.partition_key
            message = daily_summary_message(key if over else f"{key} (so far)", frame, found)
            history = now > day.end + fleet.summary_within
            notes = to_targets(
                # A day that is not over has a key of its own, or its summary so far would take the place of the whole.
                f"daily-summary:{key}" if over else f"daily-summary:{key}:so-far",
                NotificationKind.DAILY_SUMMARY,
                message,
                targets_of(fleet.notifications, NotificationKind.DAILY_SUMMARY),
                now,
                withheld="The day was over for too long when it was summed up." if history else None,
            )
            new = [note for note in notes if book.enqueue(note)]
        return dg.MaterializeResult(
            value=frame,
            metadata={
                "dagster/row_count": len(frame),
                "message": dg.MetadataValue.md(f"```\n{message.title}\n\n{plain_text(message)}\n```"),
                "put into the outbox": "now" if new else "by an earlier run; it is not sent again",
            },
            check_results=[schema_result(DAILY_SUMMARY, frame)],
        )

    return daily_summary
