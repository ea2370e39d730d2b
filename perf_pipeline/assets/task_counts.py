"""task_counts: rows of agent_state by agent and status, from Supabase or from a file."""

from datetime import datetime

import dagster as dg

from perf_pipeline.assets.source_asset import Source, at_once, materialize_source, source_asset
from perf_pipeline.assets.window_asset import windows_of_run
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.optimization.policy import latest_optimizations
from perf_pipeline.tables import TASK_COUNTS
from resources.lake import LakeResource
from resources.ledger import LedgerResource
from resources.reading import Reading
from resources.sources import TaskSource


def task_counts_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @source_asset(fleet, TASK_COUNTS, {"supabase", "parquet"})
    def task_counts(
        context: dg.AssetExecutionContext,
        task_source: dg.ResourceParam[TaskSource],
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        with ledger.open() as book:
            since = latest_optimizations(book.optimization_requests())

        def read(start: datetime, end: datetime) -> Reading:
            return task_source.read_task_counts(start, end, since)

        source = Source("tasks", task_source.describe(), at_once(read))
        return materialize_source(source, TASK_COUNTS, windows_of_run(context, fleet), lake.open(), ledger)

    return task_counts
