"""raw_spans: every span that started in the window, from Phoenix or from files."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from perf_pipeline.arrivals import note_late_spans, note_late_steps
from perf_pipeline.assets.source_asset import Source, materialize_source, source_asset
from perf_pipeline.assets.window_asset import windows_of_run
from perf_pipeline.checks import CLOCKS_AGREE, advisory_spec, clocks_agree_result
from perf_pipeline.collection import Keeps
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.span_faults import find_span_faults
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.tables import RAW_SPANS
from resources.lake import Lake, LakeResource
from resources.ledger import Ledger, LedgerResource
from resources.reading import Reading, SourceError
from resources.sources import SpanSource


def raw_spans_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    clocks_agree = advisory_spec(RAW_SPANS, CLOCKS_AGREE, "Spans end after they start, and start after their callers.")

    @source_asset(fleet, RAW_SPANS, {"phoenix", "parquet"}, [clocks_agree])
    def raw_spans(
        context: dg.AssetExecutionContext,
        span_source: dg.ResourceParam[SpanSource],
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        def read(start: datetime, end: datetime) -> Iterator[Reading]:
            return (Reading(part) for part in span_source.read_spans(start, end))

        def when_added(book: Ledger, window: Window) -> None:
            note_late_steps(window, store, book, fleet, windows)

        windows = windows_of_run(context, fleet)
        store = lake.open()
        late, failure = _note_late_spans(span_source, store, ledger, fleet)
        source = Source("spans", span_source.describe(), read, Keeps.FROM_FEWER)
        result = materialize_source(source, RAW_SPANS, windows, store, ledger, [failure], when_added)
        spans = store.scan(store.connect(), RAW_SPANS, windows[0].start, windows[-1].end)
        faults = find_span_faults(spans, datetime.now(UTC))
        return result._replace(
            metadata={
                **(result.metadata or {}),
                "late spans noticed": late.total(),
                "windows that lack them": len(late),
                "spans that end before they start": faults.backwards,
                "spans that start before their caller": faults.before_caller,
            },
            check_results=[*(result.check_results or []), clocks_agree_result(faults)],
        )

    return raw_spans


def _note_late_spans(
    source: SpanSource, lake: Lake, ledger: LedgerResource, fleet: FleetConfig
) -> tuple[Counter[datetime], str]:
    """What was found, and why it could not be looked for. A source that is down now is asked again by the next run."""
    with ledger.open() as book:
        try:
            return note_late_spans(source, lake, book, fleet, datetime.now(UTC)), ""
        except SourceError as error:
            return Counter(), str(error)
