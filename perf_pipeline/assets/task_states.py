"""task_states: the rows of agent_state that changed in the window, from Supabase or from a file."""

import dagster as dg

from perf_pipeline.assets.source_asset import Source, at_once, materialize_source, source_asset
from perf_pipeline.assets.window_asset import windows_of_run
from perf_pipeline.collection import Keeps
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.tables import TASK_STATES
from resources.lake import LakeResource
from resources.ledger import LedgerResource
from resources.sources import TaskSource


def task_states_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @source_asset(fleet, TASK_STATES, {"supabase", "parquet"})
    def task_states(
        context: dg.AssetExecutionContext,
        task_source: dg.ResourceParam[TaskSource],
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        source = Source("task states", task_source.describe(), at_once(task_source.read_task_states), Keeps.EVERYTHING)
        return materialize_source(source, TASK_STATES, windows_of_run(context, fleet), lake.open(), ledger)

    return task_states
