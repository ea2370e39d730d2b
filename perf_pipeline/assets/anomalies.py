"""anomalies: findings of the window with their causes, and the incidents that they belong to."""

from datetime import timedelta

import dagster as dg
import pandas as pd

from perf_pipeline.assets.trace_links import trace_link
from perf_pipeline.assets.window_asset import markdown, window_asset, windows_of_run
from perf_pipeline.checks import schema_result
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.detection import find_anomalies, find_data_gaps
from perf_pipeline.monitoring.incidents import incidents_from_findings, judged_windows, reconcile
from perf_pipeline.monitoring.root_cause import CHANGE_LOOKBACK, anomalies_frame
from perf_pipeline.tables import AGENT_METRICS, AGENT_TASKS, ANOMALIES, CHANGE_EVENTS
from resources.lake import LakeResource
from resources.ledger import LedgerResource
from resources.sources import SpanSource

INCIDENT_LOOKBACK = timedelta(days=2)


def anomalies_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @window_asset(fleet, ANOMALIES, "performance", {"scipy", "parquet"}, deps=[AGENT_TASKS.name, CHANGE_EVENTS.name])
    def anomalies(
        context: dg.AssetExecutionContext,
        agent_metrics: pd.DataFrame,
        span_source: dg.ResourceParam[SpanSource],
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        windows = windows_of_run(context, fleet)
        first, last = windows[0].start, windows[-1].end
        store = lake.open()
        with ledger.open() as book:
            gaps = find_data_gaps(book.health(first, last))
            frame = anomalies_frame(
                [*find_anomalies(agent_metrics, fleet), *gaps],
                store.read(AGENT_TASKS, first - CHANGE_LOOKBACK, last),
                store.read(CHANGE_EVENTS, first - CHANGE_LOOKBACK, last),
                fleet.window,
            )
            since, until = first - INCIDENT_LOOKBACK, last + INCIDENT_LOOKBACK
            findings = _with_current(store.read(ANOMALIES, since, until), frame, first, last)
            metrics = _with_current(store.read(AGENT_METRICS, since, until), agent_metrics, first, last)
            judged = judged_windows(metrics, book.health(since, until))
            incidents = reconcile(incidents_from_findings(findings, judged), book.incidents(since), judged, since)
            book.record_incidents(incidents)
        current = [incident for incident in incidents if incident.last_seen >= first]
        return dg.MaterializeResult(
            value=frame,
            metadata={
                "dagster/row_count": len(frame),
                "incidents touched": len(current),
                "findings": markdown(_for_people(frame, span_source)),
            },
            check_results=[schema_result(ANOMALIES, frame)],
        )

    return anomalies


def _with_current(stored: pd.DataFrame, current: pd.DataFrame, first: object, last: object) -> pd.DataFrame:
    """The stored history with the run's own windows, which it is about to replace, as they are now."""
    others = stored[(stored["window_start"] < first) | (stored["window_start"] >= last)]
    frames = [frame for frame in (others, current) if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else current


def _for_people(frame: pd.DataFrame, spans: SpanSource) -> pd.DataFrame:
    shown = frame[["window_start", "agent", "type", "severity", "details", "root_cause"]].copy()
    shown["window_start"] = shown["window_start"].dt.strftime("%Y-%m-%d %H:%M UTC")
    links = [" ".join(trace_link(spans, trace) for trace in traces.split()) for traces in frame["example_traces"]]
    return shown.assign(traces=links)
