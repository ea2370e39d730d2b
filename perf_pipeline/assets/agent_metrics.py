"""agent_metrics: tasks summed up per agent and window, with what was expected, score and trend."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import ibis
import pandas as pd

from perf_pipeline.assets.window_asset import markdown, window_asset, windows_of_run
from perf_pipeline.checks import FLEET_AT_WORK, advisory_spec, fleet_at_work_result, schema_result
from perf_pipeline.detector_memory import memory_before
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.expectations import add_expectations
from perf_pipeline.monitoring.metrics import fill_windows, metrics_from_tasks
from perf_pipeline.monitoring.planned_changes import count_planned_changes, first_uses, new_versions
from perf_pipeline.monitoring.score import TREND_REACH, add_scores
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.tables import AGENT_METRICS, AGENT_TASKS, CHANGE_EVENTS
from resources.lake import Lake, LakeResource
from resources.ledger import LedgerResource

TREND_COLUMNS = ("agent", "window_start", "score", "complete")

VERSIONS_LOOKBACK = timedelta(days=1)
"""A program version that an agent did not use for so long is a new one."""


def agent_metrics_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @window_asset(
        fleet,
        AGENT_METRICS,
        "performance",
        {"duckdb", "parquet"},
        [advisory_spec(AGENT_METRICS, FLEET_AT_WORK, "In every complete window at least one agent did something.")],
        deps=[CHANGE_EVENTS.name],
    )
    def agent_metrics(
        context: dg.AssetExecutionContext,
        agent_tasks: pd.DataFrame,
        raw_logs: pd.DataFrame,
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        windows = windows_of_run(context, fleet)
        first = windows[0].start
        with ledger.open() as book:
            health = book.health(first, windows[-1].end)
        observed = metrics_from_tasks(ibis.memtable(agent_tasks), fleet.window).to_pandas()
        incomplete = incomplete_windows(windows, health, datetime.now(UTC))
        table = fill_windows(observed, raw_logs, fleet.agent_names, windows, incomplete)
        store = lake.open()
        table["planned_changes"] = _planned_changes(table, agent_tasks, store, windows, fleet)
        history = store.read(AGENT_METRICS.view(*TREND_COLUMNS), first - TREND_REACH * fleet.window, first)
        expected = add_expectations(table, memory_before(first, store, fleet), fleet)
        frame = AGENT_METRICS.conform(add_scores(expected, history, fleet))
        newest = frame[frame["window_start"] == frame["window_start"].max()]
        shown = ["agent", "score", "trend", "tasks", "success_rate", "baseline_success_rate", "error_count"]
        return dg.MaterializeResult(
            value=frame,
            metadata={
                "dagster/row_count": len(frame),
                "tasks": int(frame["tasks"].sum()),
                "incomplete windows": len(incomplete),
                "newest window": markdown(newest[[*shown, "latency_p50_ms", "latency_p95_ms"]]),
            },
            check_results=[schema_result(AGENT_METRICS, frame), fleet_at_work_result(frame)],
        )

    return agent_metrics


def _planned_changes(
    table: pd.DataFrame, tasks: pd.DataFrame, store: Lake, windows: list[Window], fleet: FleetConfig
) -> pd.Series:
    first, last = windows[0].start, windows[-1].end
    connection = store.connect()
    earlier = store.scan(connection, AGENT_TASKS, first - VERSIONS_LOOKBACK, first)
    versions = new_versions(first_uses(ibis.memtable(tasks)).to_pandas(), first_uses(earlier).to_pandas())
    return count_planned_changes(table, store.read(CHANGE_EVENTS, first, last), versions, fleet.window)


def incomplete_windows(windows: list[Window], health: list[SourceHealth], now: datetime) -> set[Window]:
    """The windows that are still open, or whose spans were not read in full since they closed."""
    read_at = {
        reading.window_start: reading.collected_at
        for reading in health
        if reading.source == "spans" and reading.status is SourceStatus.COMPLETE
    }
    return {
        window for window in windows if window.end > now or not window.end <= read_at.get(window.start, window.start)
    }
