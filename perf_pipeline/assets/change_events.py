"""change_events: deployments of the window, from Railway or from a file."""

import dagster as dg

from perf_pipeline.assets.source_asset import Source, materialize_source
from perf_pipeline.assets.window_asset import window_asset, windows_of_run
from perf_pipeline.checks import source_complete_spec
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.tables import CHANGE_EVENTS
from resources.lake import LakeResource
from resources.ledger import LedgerResource
from resources.sources import LogSource


def change_events_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @window_asset(fleet, CHANGE_EVENTS, "telemetry", {"railway", "parquet"}, [source_complete_spec(CHANGE_EVENTS)])
    def change_events(
        context: dg.AssetExecutionContext,
        log_source: dg.ResourceParam[LogSource],
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        source = Source("changes", log_source.describe(), log_source.read_deployments)
        return materialize_source(source, CHANGE_EVENTS, windows_of_run(context, fleet), lake.open(), ledger)

    return change_events
