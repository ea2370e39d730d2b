"""raw_logs: every log line of the window, from Railway or from files, with the agent that it is about."""

import dagster as dg

from perf_pipeline.assets.source_asset import Source, at_once, materialize_source, source_asset
from perf_pipeline.assets.window_asset import windows_of_run
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.logs import name_agents
from perf_pipeline.tables import RAW_LOGS
from resources.lake import LakeResource
from resources.ledger import LedgerResource
from resources.sources import LogSource


def raw_logs_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @source_asset(fleet, RAW_LOGS, {"railway", "parquet"})
    def raw_logs(
        context: dg.AssetExecutionContext,
        log_source: dg.ResourceParam[LogSource],
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        read = at_once(log_source.read_logs, lambda logs: name_agents(logs, fleet.agent_names))
        source = Source("logs", log_source.describe(), read)
        return materialize_source(source, RAW_LOGS, windows_of_run(context, fleet), lake.open(), ledger)

    return raw_logs
