"""agent_metrics: tasks summed up per agent and window, with what was expected, score and trend."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import ibis
import pandas as pd

from perf_pipeline.assets.window_asset import markdown, window_asset, windows_of_run
from perf_pipeline.checks import FLEET_AT_WORK, advisory_spec, fleet_at_work_result, schema_result
from perf_pipeline.detector_memory import memory_before
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.metric_history import custom_values
from perf_pipeline.monitoring.custom_metrics import with_custom_metrics
from perf_pipeline.monitoring.disagreements import COUNTS, Evidence, count_disagreements_by_window
from perf_pipeline.monitoring.expectations import add_expectations
from perf_pipeline.monitoring.metrics import fill_windows, metrics_from_tasks
from perf_pipeline.monitoring.planned_changes import count_planned_changes, first_uses, new_versions
from perf_pipeline.monitoring.score import TREND_REACH, add_scores
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.tables import AGENT_METRICS, AGENT_TASKS, CHANGE_EVENTS, CUSTOM_METRICS, RAW_SPANS, TASK_STATES
from resources.lake import Lake, LakeResource
from resources.ledger import LedgerResource

TREND_COLUMNS = ("agent", "window_start", "score", "complete")

RAN = AGENT_TASKS.view("agent", "start_time", "end_time", "ok", "span_ok", "error_count")
"""When tasks ran, and how they ended."""

VERSIONS_LOOKBACK = timedelta(days=1)
"""A program version that an agent did not use for so long is a new one."""


def agent_metrics_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @window_asset(
        fleet,
        AGENT_METRICS,
        "performance",
        {"duckdb", "parquet"},
        [advisory_spec(AGENT_METRICS, FLEET_AT_WORK, "In every complete window at least one agent did something.")],
        deps=[CHANGE_EVENTS.name, CUSTOM_METRICS.name, TASK_STATES.name],
    )
    def agent_metrics(
        context: dg.AssetExecutionContext,
        agent_tasks: pd.DataFrame,
        raw_logs: pd.DataFrame,
        lake: LakeResource,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        windows = windows_of_run(context, fleet)
        first, longest = windows[0].start, timedelta(hours=fleet.longest_task_hours)
        with ledger.open() as book:
            health = book.health(first - longest - fleet.window, windows[-1].end)
        observed = metrics_from_tasks(ibis.memtable(agent_tasks), fleet.window).to_pandas()
        incomplete = incomplete_windows(windows, health, datetime.now(UTC))
        table = fill_windows(observed, raw_logs, fleet.agent_names, windows, incomplete)
        store = lake.open()
        table["planned_changes"] = _planned_changes(table, agent_tasks, store, windows, fleet)
        evidence = _evidence(agent_tasks, raw_logs, store, windows, health, fleet)
        table = count_disagreements_by_window(table, windows, evidence)
        table = with_custom_metrics(table, custom_values(store, fleet, first, windows[-1].end), fleet.metrics)
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
                **{name.replace("_", " "): _known_sum(frame[name]) for name in COUNTS},
                "newest window": markdown(newest[[*shown, "latency_p50_ms", "latency_p95_ms"]]),
            },
            check_results=[schema_result(AGENT_METRICS, frame), fleet_at_work_result(frame)],
        )

    return agent_metrics


def _evidence(
    tasks: pd.DataFrame,
    logs: pd.DataFrame,
    store: Lake,
    windows: list[Window],
    health: list[SourceHealth],
    fleet: FleetConfig,
) -> Evidence:
    first, last, longest = windows[0].start, windows[-1].end, timedelta(hours=fleet.longest_task_hours)
    earlier = store.read(RAN, first - longest, first)
    states = store.read(TASK_STATES, first, last)
    spans = store.scan(store.connect(), RAW_SPANS, first - longest, last + fleet.lateness)
    ids = spans.filter(spans.task_id.notnull()).select("task_id").distinct().to_pandas() if len(states) else None
    known = [part for part in (earlier, tasks[RAN.columns]) if len(part)]
    return Evidence(
        tasks=pd.concat(known, ignore_index=True) if known else earlier,
        states=states,
        logs=logs,
        traced=() if ids is None else ids["task_id"].tolist(),
        health=health,
        longest=longest,
        lateness=fleet.lateness,
    )


def _known_sum(counts: pd.Series) -> str:
    return "not known yet" if counts.isna().all() else f"{int(counts.sum()):,}"


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
