"""raw_spans: every span that started in the window, from Phoenix or from files."""

import dagster as dg

from perf_pipeline.assets.source_asset import Source, materialize_source
from perf_pipeline.assets.window_asset import window_asset, windows_of_run
from perf_pipeline.checks import source_complete_spec
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.tables import RAW_SPANS
from resources.lake import LakeResource
from resources.ledger import LedgerResource
from resources.sources import SpanSource


def raw_spans_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @window_asset(fleet, RAW_SPANS, "telemetry", {"phoenix", "parquet"}, [source_complete_spec(RAW_SPANS)])
    def raw_spans(
        context: dg.AssetExecutionContext,
        span_source: dg.ResourceParam[SpanSource],
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        source = Source("spans", span_source.describe(), span_source.read_spans)
        return materialize_source(source, RAW_SPANS, windows_of_run(context, fleet), lake.open(), ledger)

    return raw_spans
