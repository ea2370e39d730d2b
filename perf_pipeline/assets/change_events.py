"""change_events: deployments of the window, from Railway or from a file."""

import dagster as dg

from perf_pipeline.assets.source_asset import Source, at_once, materialize_source, source_asset
from perf_pipeline.assets.window_asset import windows_of_run
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.tables import CHANGE_EVENTS
from resources.lake import LakeResource
from resources.ledger import LedgerResource
from resources.sources import LogSource


def change_events_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @source_asset(fleet, CHANGE_EVENTS, {"railway", "parquet"})
    def change_events(
        context: dg.AssetExecutionContext,
        log_source: dg.ResourceParam[LogSource],
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        source = Source("changes", log_source.describe(), at_once(log_source.read_deployments))
        return materialize_source(source, CHANGE_EVENTS, windows_of_run(context, fleet), lake.open(), ledger)

    return change_events
