"""agent_tasks: spans summed up to tasks, and what agent_state says of them."""

from datetime import timedelta

import dagster as dg
import ibis
import pandas as pd

from perf_pipeline.assets.trace_links import trace_link
from perf_pipeline.assets.window_asset import markdown, window_asset, windows_of_run
from perf_pipeline.checks import (
    AGENTS_KNOWN,
    SPANS_OWNED,
    advisory_spec,
    agents_known_result,
    schema_result,
    spans_owned_result,
)
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.cause_words import short_error
from perf_pipeline.monitoring.ownership import count_unowned, own_spans, spans_of_traces
from perf_pipeline.monitoring.task_outcomes import count_disagreements, with_task_states
from perf_pipeline.monitoring.tasks import tasks_from_spans
from perf_pipeline.tables import AGENT_TASKS, RAW_SPANS, TASK_STATES
from resources.lake import LakeResource
from resources.sources import SpanSource

SHOWN_FAILURES = 10


def agent_tasks_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    # A task's spans may lie in the windows around its own: its children after it, its callers before it.
    neighbours = dg.TimeWindowPartitionMapping(
        start_offset=-fleet.lateness_windows,
        end_offset=fleet.lateness_windows,
        allow_nonexistent_upstream_partitions=True,
    )
    # A task's row changes when the task ends, which may be in a later window.
    following = dg.TimeWindowPartitionMapping(
        end_offset=fleet.lateness_windows, allow_nonexistent_upstream_partitions=True
    )

    @window_asset(
        fleet,
        AGENT_TASKS,
        "performance",
        {"duckdb", "parquet"},
        [
            advisory_spec(AGENT_TASKS, AGENTS_KNOWN, "Every agent with tasks is listed in fleet.yaml."),
            advisory_spec(AGENT_TASKS, SPANS_OWNED, "Nearly every span belongs to an agent's task."),
        ],
        deps=[
            dg.AssetDep(RAW_SPANS.name, partition_mapping=neighbours),
            dg.AssetDep(TASK_STATES.name, partition_mapping=following),
        ],
    )
    def agent_tasks(
        context: dg.AssetExecutionContext, span_source: dg.ResourceParam[SpanSource], lake: LakeResource
    ) -> dg.MaterializeResult:
        windows = windows_of_run(context, fleet)
        start, end = windows[0].start, windows[-1].end
        store = lake.open()
        longest = timedelta(hours=fleet.longest_task_hours)
        spans = store.scan(store.connect(), RAW_SPANS, start - longest, end + longest)
        # In memory, because Ibis joins no tables of two engines, and where no spans are stored it picks its own.
        states = ibis.memtable(store.read(TASK_STATES, start, end + longest))
        owned = own_spans(spans_of_traces(spans, start, end))
        outcomes = with_task_states(tasks_from_spans(owned, start, end), states).to_pandas()
        disagreements = count_disagreements(outcomes)
        frame = AGENT_TASKS.conform(outcomes)
        total, unowned, waiting = count_unowned(owned, start, end)
        per_agent = frame.groupby("agent", as_index=False).agg(
            tasks=("ok", "size"), failed=("ok", lambda ok: int((~ok).sum())), errors=("error_count", "sum")
        )
        return dg.MaterializeResult(
            value=frame,
            metadata={
                "dagster/row_count": len(frame),
                "spans": total,
                "spans without an agent": unowned,
                "spans whose task has not ended": waiting,
                "failed by agent_state only": disagreements.failed_by_state_only,
                "span failed, agent_state completed": disagreements.completed_by_state_only,
                "tasks by agent": markdown(per_agent),
                "latest failed tasks": markdown(_failed(frame, span_source)),
            },
            check_results=[
                schema_result(AGENT_TASKS, frame),
                agents_known_result(list(frame["agent"].unique()), fleet),
                spans_owned_result(unowned, total),
            ],
        )

    return agent_tasks


def _failed(tasks: pd.DataFrame, spans: SpanSource) -> pd.DataFrame:
    """The latest failed tasks, for people."""
    failed = tasks[~tasks["ok"]].sort_values("start_time", ascending=False).head(SHOWN_FAILURES)
    return pd.DataFrame(
        {
            "began": failed["start_time"].dt.strftime("%Y-%m-%d %H:%M:%S UTC"),
            "agent": failed["agent"],
            "error": failed["error_type"].map(short_error, na_action="ignore"),
            "trace": [trace_link(spans, trace) for trace in failed["trace_id"]],
        }
    )
