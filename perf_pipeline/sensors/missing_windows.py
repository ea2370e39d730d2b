"""missing_windows: windows that should have been materialized and were not, or not completely, are requested.

Dagster does not catch up ticks that a schedule missed, and a source may have been down when a window closed.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from perf_pipeline.assets.window_asset import MAX_WINDOWS_A_RUN
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.jobs import MONITORING, range_tags
from perf_pipeline.monitoring.catch_up import (
    CycleRun,
    attempts_of,
    filled_windows,
    stretches,
    windows_to_catch_up,
)
from perf_pipeline.monitoring.windows import window_of_key, windows_between
from perf_pipeline.tables import OPTIMIZATION_DECISIONS
from resources.lake import LakeResource
from resources.ledger import LedgerResource

FINISHED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


def missing_windows_sensor(fleet: FleetConfig) -> dg.SensorDefinition:
    @dg.sensor(
        name="missing_windows",
        job_name=MONITORING,
        minimum_interval_seconds=60,
        description="Requests closed windows that were never materialized, or not on all that their sources hold.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, lake: LakeResource, ledger: LedgerResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now = datetime.now(UTC)
        since = max(now - fleet.catch_up, fleet.history_start_utc)
        expected = windows_between(since, now - fleet.catch_up_after, fleet.window)
        if not expected:
            yield dg.SkipReason("No window has closed yet.")
            return
        start, end = expected[0].start, expected[-1].end
        with ledger.open() as book:
            health = book.health(start, end)
        decided = lake.open().written(OPTIMIZATION_DECISIONS, start, end)
        filled = filled_windows(expected, health, decided, now, fleet.lateness, fleet.catch_up_after)
        runs = cycle_runs(context.instance, since, fleet)
        in_flight, attempts = attempts_of(runs)
        due = windows_to_catch_up(expected, filled, in_flight, attempts, now, limit=MAX_WINDOWS_A_RUN)
        if not due:
            yield dg.SkipReason(
                f"All {len(expected)} windows of the last {fleet.catch_up_hours:g} h are done or tried."
            )
        for stretch in stretches(due):
            tries = max((attempts[window].count for window in stretch if window in attempts), default=0)
            yield dg.RunRequest(
                run_key=f"catch-up-{stretch[0].key}-{stretch[-1].key}-attempt-{tries + 1}",
                tags=range_tags(stretch[0].key, stretch[-1].key),
            )

    return sensor


def cycle_runs(instance: dg.DagsterInstance, since: datetime, fleet: FleetConfig) -> list[CycleRun]:
    """The monitoring runs created since, as far as they name windows."""
    records = instance.get_run_records(dg.RunsFilter(job_name=MONITORING, created_after=since))
    runs = []
    for record in records:
        tags = record.dagster_run.tags
        first = tags.get("dagster/asset_partition_range_start", tags.get("dagster/partition"))
        last = tags.get("dagster/asset_partition_range_end", first)
        if first is None or last is None:
            continue
        windows = windows_between(
            window_of_key(first, fleet.window).start, window_of_key(last, fleet.window).end, fleet.window
        )
        over = record.dagster_run.status in FINISHED
        ended = datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC) if over else None
        runs.append(CycleRun(tuple(windows), ended))
    return runs
