"""optimization_decisions: for each agent, whether to optimize it now, and why or why not."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd

from perf_pipeline.assets.window_asset import markdown, window_asset, windows_of_run
from perf_pipeline.checks import schema_result
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.optimization.policy import (
    CompletedTasks,
    Decision,
    committed_this_month,
    decide,
    latest_optimizations,
    spent_by_request,
)
from perf_pipeline.records import IncidentState, SourceHealth, SourceStatus
from perf_pipeline.tables import ANOMALIES, OPTIMIZATION_DECISIONS
from resources.ledger import LedgerResource


def optimization_decisions_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @window_asset(fleet, OPTIMIZATION_DECISIONS, "decisions", {"parquet"}, deps=[ANOMALIES.name])
    def optimization_decisions(
        context: dg.AssetExecutionContext,
        agent_metrics: pd.DataFrame,
        task_counts: pd.DataFrame,
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        windows = windows_of_run(context, fleet)
        now = datetime.now(UTC)
        with ledger.open() as book:
            requests = book.optimization_requests()
            approvals = book.approvals()
            runs = book.optimization_runs()
            health = book.health(windows[0].start, windows[-1].end)
            failing = any(
                incident.family == "data" and incident.agent == "source:spans"
                for incident in book.incidents(now, state=IncidentState.OPEN)
            )
        local_now = now.astimezone(ZoneInfo(fleet.timezone))
        committed = committed_this_month(requests, local_now, spent_by_request(runs))
        optimized = latest_optimizations(requests)
        rows = []
        for window in windows:
            completed = completed_tasks(task_counts, window, health, optimized)
            decisions = decide(fleet, completed, requests, committed, failing, now, approvals, runs)
            rows += [_row(window, decision) for decision in decisions]
        frame = OPTIMIZATION_DECISIONS.conform(pd.DataFrame(rows))
        newest = frame[frame["window_start"] == frame["window_start"].max()]
        unlisted = sorted(set(agent_metrics["agent"]) - set(fleet.agent_names))
        return dg.MaterializeResult(
            value=frame,
            metadata={
                "dagster/row_count": len(frame),
                "to optimize": int((newest["decision"] == "optimize").sum()),
                "agents without a policy": ", ".join(unlisted) or "none",
                "newest window": markdown(newest[["agent", "decision", "optimizer", "max_cost_usd", "reasons"]]),
            },
            check_results=[schema_result(OPTIMIZATION_DECISIONS, frame)],
        )

    return optimization_decisions


def completed_tasks(
    counts: pd.DataFrame, window: Window, health: Sequence[SourceHealth], optimized: Mapping[str, datetime]
) -> dict[str, CompletedTasks] | None:
    """Each agent's completed tasks as they were when the window was read; None where they were not, or not
    completely: a table whose rows a key may not see looks like an empty one.

    `optimized` says when an agent was last optimized (UTC). Nothing that was counted before that came after it.
    """
    read_at = next(
        (
            reading.collected_at
            for reading in health
            if (reading.source, reading.window_start) == ("tasks", window.start)
            and reading.status is SourceStatus.COMPLETE
        ),
        None,
    )
    completed = counts[(counts["window_start"] == window.start) & (counts["status"] == "completed")]
    if read_at is None or completed["tasks_since_optimization"].isna().any():
        return None
    return {
        row["agent"]: CompletedTasks(
            int(row["tasks_total"]),
            int(row["tasks_since_optimization"]) if optimized.get(row["agent"], read_at) <= read_at else 0,
        )
        for row in completed.to_dict("records")
    }


def _row(window: Window, decision: Decision) -> dict[str, object]:
    return {
        "window_start": window.start,
        "agent": decision.agent,
        "decision": str(decision.decision),
        "optimizer": decision.optimizer,
        "tasks_since_optimization": decision.tasks_since_optimization,
        "tasks_total": decision.tasks_total,
        "min_tasks": decision.min_tasks,
        "max_cost_usd": decision.max_cost_usd,
        "approval": str(decision.approval),
        "reasons": "\n".join(decision.reasons),
    }
