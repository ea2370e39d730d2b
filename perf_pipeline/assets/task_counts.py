"""task_counts: rows of agent_state by agent and status, from Supabase or from a file."""

import dagster as dg

from perf_pipeline.assets.source_asset import Source, materialize_source
from perf_pipeline.assets.window_asset import window_asset, windows_of_run
from perf_pipeline.checks import source_complete_spec
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.tables import TASK_COUNTS
from resources.lake import LakeResource
from resources.ledger import LedgerResource
from resources.sources import TaskSource


def task_counts_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @window_asset(fleet, TASK_COUNTS, "telemetry", {"supabase", "parquet"}, [source_complete_spec(TASK_COUNTS)])
    def task_counts(
        context: dg.AssetExecutionContext,
        task_source: dg.ResourceParam[TaskSource],
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        source = Source("tasks", task_source.describe(), task_source.read_task_counts)
        return materialize_source(source, TASK_COUNTS, windows_of_run(context, fleet), lake.open(), ledger)

    return task_counts
