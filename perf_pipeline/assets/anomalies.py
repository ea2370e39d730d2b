"""anomalies: findings of the window with their causes, and the incidents that they belong to."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import pandas as pd

from perf_pipeline.assets.detector_states import VERDICTS
from perf_pipeline.assets.trace_links import trace_link
from perf_pipeline.assets.window_asset import markdown, window_asset, windows_of_run
from perf_pipeline.checks import schema_result
from perf_pipeline.detector_memory import LOOKBACK
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.data_gaps import find_data_gaps
from perf_pipeline.monitoring.findings import findings_from_states
from perf_pipeline.monitoring.incident_analysis import to_analyse
from perf_pipeline.monitoring.incidents import incidents_from_findings, judged_windows, reconcile
from perf_pipeline.monitoring.root_cause import BASELINE, TASKS, anomalies_frame
from perf_pipeline.monitoring.snapshots import stale_windows
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import Incident
from perf_pipeline.tables import AGENT_TASKS, ANOMALIES, CHANGE_EVENTS, DETECTOR_STATES
from resources.lake import Lake, LakeResource
from resources.ledger import Ledger, LedgerResource
from resources.sources import SpanSource


def anomalies_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    # What ended longer ago than this can neither go on nor come back.
    lookback = timedelta(days=fleet.detection.new_normal_days, hours=fleet.detection.reopen_within_hours)

    @window_asset(
        fleet,
        ANOMALIES,
        "performance",
        {"pandas", "parquet"},
        deps=[DETECTOR_STATES.name, AGENT_TASKS.name, CHANGE_EVENTS.name],
    )
    def anomalies(
        context: dg.AssetExecutionContext,
        span_source: dg.ResourceParam[SpanSource],
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        windows = windows_of_run(context, fleet)
        first = windows[0].start
        store = lake.open()
        # A window that was read again changes what its followers' detectors knew, and so what they found.
        stale = stale_windows(
            store.written(DETECTOR_STATES, first - lookback, first), store.written(ANOMALIES, first - lookback, first)
        )
        with ledger.open() as book:
            every = findings_of_windows([*stale, *(window.start for window in windows)], store, book, fleet, lookback)
            for start in stale:
                store.write(ANOMALIES, start, every[every["window_start"] == start])
            frame = every[every["window_start"] >= first].reset_index(drop=True)
            incidents = incidents_now(frame, windows, store, book, fleet, lookback)
            known = book.incident_analyses([incident.id for incident in incidents])
            # Before the incidents are known, or an alert would not wait for the words that it is told in.
            book.await_analyses(to_analyse(incidents, known, fleet, datetime.now(UTC)))
            book.record_incidents(incidents)
        current = [incident for incident in incidents if incident.last_seen >= first]
        return dg.MaterializeResult(
            value=frame,
            metadata={
                "dagster/row_count": len(frame),
                "incidents touched": len(current),
                "earlier windows brought up to date": len(stale),
                "findings": markdown(_for_people(frame, span_source)),
            },
            check_results=[schema_result(ANOMALIES, frame)],
        )

    return anomalies


def findings_of_windows(
    starts: Sequence[datetime], store: Lake, book: Ledger, fleet: FleetConfig, lookback: timedelta
) -> pd.DataFrame:
    """The rows of `tables.ANOMALIES` in the windows that begin at `starts`, which are in order of time."""
    oldest, end = starts[0], starts[-1] + fleet.window
    connection = store.connect()
    states = store.scan(connection, VERDICTS, oldest, end)
    told = states.filter((states.phase != "quiet") | (states.event != "nothing"))
    found = VERDICTS.conform(told.to_pandas())
    onset = max(found["onset"].min().to_pydatetime(), oldest - lookback) if found["onset"].notna().any() else oldest
    agents = list(found["agent"].unique())
    history = store.scan(connection, VERDICTS, min(onset, oldest), end)
    past = VERDICTS.conform(history.filter(history.agent.isin(agents)).to_pandas()) if agents else found
    tasks = store.scan(connection, TASKS, min(onset, oldest) - BASELINE, end)
    gaps = [gap for gap in find_data_gaps(book.health(oldest, end)) if gap.window_start in set(starts)]
    return anomalies_frame(
        [*findings_from_states(past, starts, fleet), *gaps],
        TASKS.conform(tasks.filter(tasks.agent.isin(agents)).to_pandas()) if agents else TASKS.empty(),
        store.read(CHANGE_EVENTS, min(onset, oldest) - BASELINE, end),
        fleet.window,
    )


def incidents_now(
    frame: pd.DataFrame,
    windows: Sequence[Window],
    store: Lake,
    book: Ledger,
    fleet: FleetConfig,
    lookback: timedelta,
) -> list[Incident]:
    """The incidents around the run's windows, whose findings `frame` is about to be stored."""
    first, last = windows[0].start, windows[-1].end
    since, until = first - lookback, last + lookback
    # An incident that came back again and again reaches back further.
    known = book.incidents(since)
    since = max(min([since, *(incident.opened_at for incident in known)]), first - LOOKBACK)
    found = _with_current(store.read(ANOMALIES, since, until), frame, first, last)
    told = [*store.written(ANOMALIES, since, until), *(window.start for window in windows)]
    judged = judged_windows(told, book.health(since, until))
    within = timedelta(hours=fleet.detection.reopen_within_hours)
    computed = incidents_from_findings(found, judged, within)
    return reconcile(computed, known, judged, (since, until), within)


def _with_current(stored: pd.DataFrame, current: pd.DataFrame, first: datetime, last: datetime) -> pd.DataFrame:
    """The stored history with the run's own windows, which it is about to replace, as they are now."""
    others = stored[(stored["window_start"] < first) | (stored["window_start"] >= last)]
    frames = [frame for frame in (others, current) if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else current


def _for_people(frame: pd.DataFrame, spans: SpanSource) -> pd.DataFrame:
    shown = frame[["window_start", "agent", "type", "state", "severity", "details", "root_cause"]].copy()
    shown["window_start"] = shown["window_start"].dt.strftime("%Y-%m-%d %H:%M UTC")
    links = [" ".join(trace_link(spans, trace) for trace in traces.split()) for traces in frame["example_traces"]]
    return shown.assign(traces=links)
