"""raw_logs: every log line of the window, from Railway or from files, with the agent that it is about."""

import dagster as dg

from perf_pipeline.assets.source_asset import Source, materialize_source
from perf_pipeline.assets.window_asset import window_asset, windows_of_run
from perf_pipeline.checks import source_complete_spec
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.logs import name_agents
from perf_pipeline.tables import RAW_LOGS
from resources.lake import LakeResource
from resources.ledger import LedgerResource
from resources.sources import LogSource


def raw_logs_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @window_asset(fleet, RAW_LOGS, "telemetry", {"railway", "parquet"}, [source_complete_spec(RAW_LOGS)])
    def raw_logs(
        context: dg.AssetExecutionContext,
        log_source: dg.ResourceParam[LogSource],
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        source = Source("logs", log_source.describe(), log_source.read_logs)
        return materialize_source(
            source,
            RAW_LOGS,
            windows_of_run(context, fleet),
            lake.open(),
            ledger,
            finish=lambda logs: name_agents(logs, fleet.agent_names),
        )

    return raw_logs
