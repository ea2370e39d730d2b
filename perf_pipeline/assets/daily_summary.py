"""daily_summary: a day of the team's clock, summed up per agent and put into the outbox."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pandas as pd

from perf_pipeline.assets.score_chart import agents_to_draw, score_chart
from perf_pipeline.assets.window_asset import FRAME, LAKE_IO, column_schema
from perf_pipeline.attention_now import attention_now
from perf_pipeline.checks import schema_result, schema_spec
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.metric_history import custom_values
from perf_pipeline.monitoring.completeness import completeness
from perf_pipeline.monitoring.daily import day_of_key, findings_of, summarize_day
from perf_pipeline.monitoring.fleet_facts import facts_of_day
from perf_pipeline.monitoring.incident_times import incidents_in
from perf_pipeline.monitoring.metric_standings import standings, uncomputed
from perf_pipeline.monitoring.score_series import scores_in_parts
from perf_pipeline.monitoring.windows import Window, windows_between
from perf_pipeline.notifications.daily_message import BARS_A_DAY, DayReport, Insight, daily_summary_message
from perf_pipeline.notifications.outbox import to_targets
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.notifications.routing import targets_of
from perf_pipeline.optimization.standing import budget_at_end, latest_requests, standing_of
from perf_pipeline.partitions import days_partitions
from perf_pipeline.tables import AGENT_METRICS, ANOMALIES, CUSTOM_METRICS, DAILY_SUMMARY, OPTIMIZATION_DECISIONS
from resources.lake import Lake, LakeResource
from resources.ledger import Ledger, LedgerResource
from resources.sources import SpanSource


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
            for table in (CUSTOM_METRICS, AGENT_METRICS, ANOMALIES, OPTIMIZATION_DECISIONS)
        ],
    )
    def daily_summary(
        context: dg.AssetExecutionContext,
        span_source: dg.ResourceParam[SpanSource],
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        now, key = datetime.now(UTC), context.partition_key
        with ledger.open() as book:
            report, metrics = day_report(key, lake.open(), book, fleet, now)
            day, frame = report.day, report.summary
            report = replace(report, insight=insight(report, book, span_source, fleet))
            message = daily_summary_message(report)
            picture = score_chart(metrics, frame, report.incidents, day, fleet.timezone, fleet.window, now)
            history = now > day.end + fleet.summary_within
            notes = to_targets(
                summary_key(report),
                NotificationKind.DAILY_SUMMARY,
                message,
                targets_of(fleet.notifications, NotificationKind.DAILY_SUMMARY),
                now,
                picture=picture,
                withheld="The day was over for too long when it was summed up." if history else None,
            )
            new = [note for note in notes if book.enqueue(note)]
        return dg.MaterializeResult(
            value=frame,
            metadata={
                "dagster/row_count": len(frame),
                "insight": _of_insight(report.insight),
                "message": dg.MetadataValue.md(f"```\n{message.title}\n\n{plain_text(message)}\n```"),
                "put into the outbox": "now" if new else "by an earlier run; it is not sent again",
            },
            check_results=[schema_result(DAILY_SUMMARY, frame)],
        )

    return daily_summary


def _of_insight(insight: Insight | None) -> str:
    if insight is None:
        return "no model was asked"
    return f"by {insight.model}" if insight.text else f"none: {insight.trouble}"


def summary_key(report: DayReport) -> str:
    """A day that is not over has a key of its own, or its summary so far would take the place of the whole."""
    so_far = ":so-far" if report.written_at < report.day.end else ""
    return f"daily-summary:{report.name}{so_far}"


def insight(report: DayReport, book: Ledger, spans: SpanSource, fleet: FleetConfig) -> Insight | None:
    """What a language model makes of the day, unless the summary was put into the outbox before."""
    targets = targets_of(fleet.notifications, NotificationKind.DAILY_SUMMARY)
    facts = facts_of_day(report.summary, report.incidents)
    keys = [f"{summary_key(report)}@{target}" for target in targets]
    if fleet.analysts.model is None or not facts or book.notifications_by_key(keys):
        return None
    from perf_pipeline.analysts.asking import analyst_tools
    from perf_pipeline.analysts.comments import insight_of_day

    comment = insight_of_day(report.name, facts, analyst_tools(book, fleet, spans))
    return Insight(comment.text, fleet.models[fleet.analysts.model].model, comment.trouble)


def day_report(
    key: str, store: Lake, book: Ledger, fleet: FleetConfig, now: datetime
) -> tuple[DayReport, pd.DataFrame]:
    """What is known at `now` of the day that `key` names on the team's clock, and its rows of `AGENT_METRICS`."""
    day = day_of_key(key, fleet.timezone)
    metrics = store.read(AGENT_METRICS, day.start, day.end)
    found = findings_of(day, store.read(ANOMALIES, day.start, day.end))
    incidents = incidents_in(day, book.incidents(day.start))
    requests = book.optimization_requests()
    runs = {run.request_id: run for run in book.optimization_runs()}
    before = Window(day.start - timedelta(days=1), day.start)
    values = custom_values(store, fleet, before.start, day.end)
    summary = summarize_day(day, metrics, found, incidents, requests, fleet.agent_names)
    closed = windows_between(max(day.start, fleet.history_start_utc), min(day.end, now), fleet.window)
    report = DayReport(
        name=key,
        day=day,
        written_at=now,
        timezone=fleet.timezone,
        window=fleet.window,
        summary=summary,
        scores=scores_in_parts(metrics, day, BARS_A_DAY),
        anomalies=found,
        incidents=incidents,
        optimizations=[standing_of(one, fleet, runs) for one in latest_requests(requests, day.start, day.end).values()],
        budget=budget_at_end(requests, runs.values(), day.end, fleet),
        sources=completeness(book.health(day.start, day.end), closed),
        attention=replace(attention_now(book, now), uncomputed=uncomputed(values, day, fleet.metrics)),
        drawn=agents_to_draw(summary),
        metrics=standings(values, day, before, fleet.metrics),
    )
    return report, metrics
