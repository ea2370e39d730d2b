"""optimization_decisions: for each agent, whether to optimize it now, and why or why not."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd

from perf_pipeline.assets.window_asset import markdown, window_asset, windows_of_run
from perf_pipeline.checks import schema_result
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_analysts import PERFORMANCE_AGENT
from perf_pipeline.monitoring.fleet_facts import facts_of_decision
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.optimization.policy import (
    Choice,
    CompletedTasks,
    Decision,
    committed_this_month,
    decide,
    latest_optimizations,
    spent_by_request,
)
from perf_pipeline.records import Incident, IncidentState, SourceHealth, SourceStatus
from perf_pipeline.tables import ANOMALIES, OPTIMIZATION_DECISIONS
from resources.ledger import Ledger, LedgerResource
from resources.sources import SpanSource


def optimization_decisions_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @window_asset(fleet, OPTIMIZATION_DECISIONS, "decisions", {"parquet"}, deps=[ANOMALIES.name])
    def optimization_decisions(
        context: dg.AssetExecutionContext,
        agent_metrics: pd.DataFrame,
        task_counts: pd.DataFrame,
        span_source: dg.ResourceParam[SpanSource],
        ledger: LedgerResource,
    ) -> dg.MaterializeResult:
        windows = windows_of_run(context, fleet)
        now = datetime.now(UTC)
        with ledger.open() as book:
            requests = book.optimization_requests()
            approvals = book.approvals()
            runs = book.optimization_runs()
            health = book.health(windows[0].start, windows[-1].end)
            open_incidents = book.incidents(now, state=IncidentState.OPEN)
            own_tasks = completed_analyses(book, latest_optimizations(requests), fleet)
        failing = any(incident.family == "data" and incident.agent == "source:spans" for incident in open_incidents)
        local_now = now.astimezone(ZoneInfo(fleet.timezone))
        committed = committed_this_month(requests, local_now, spent_by_request(runs))
        optimized = latest_optimizations(requests)
        rows = []
        for window in windows:
            completed = completed_tasks(task_counts, window, health, optimized)
            completed = completed if completed is None else completed | own_tasks
            decisions = decide(fleet, completed, requests, committed, failing, now, approvals, runs)
            if window == windows[-1] and window.end + fleet.act_within >= now:
                decisions = with_advice(decisions, agent_metrics, open_incidents, ledger, span_source, fleet)
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


def with_advice(
    decisions: Sequence[Decision],
    metrics: pd.DataFrame,
    incidents: Sequence[Incident],
    ledger: LedgerResource,
    spans: SpanSource,
    fleet: FleetConfig,
) -> list[Decision]:
    """The decisions, those to optimize with what a language model says of them as a last reason. None is changed."""
    newest = metrics[metrics["window_start"] == metrics["window_start"].max()]
    asked = {
        one.agent: facts_of_decision(one.agent, one.reasons, newest, incidents)
        for one in decisions
        if one.decision is Choice.OPTIMIZE and one.agent != PERFORMANCE_AGENT
    }
    if fleet.analysts.model is None or not asked:
        return list(decisions)
    from perf_pipeline.analysts.asking import analyst_tools
    from perf_pipeline.analysts.comments import advice_on

    with ledger.open() as book:
        advice = advice_on(asked, analyst_tools(book, fleet, spans))
    return [
        replace(one, reasons=(*one.reasons, advice[one.agent].text))
        if one.agent in advice and advice[one.agent].text
        else one
        for one in decisions
    ]


def completed_analyses(
    book: Ledger, optimized: Mapping[str, datetime], fleet: FleetConfig
) -> dict[str, CompletedTasks]:
    """The analysts' own completed tasks: agent_state has no rows of them."""
    if PERFORMANCE_AGENT not in fleet.agent_names:
        return {}
    since = book.written_analyses(optimized.get(PERFORMANCE_AGENT))
    return {PERFORMANCE_AGENT: CompletedTasks(book.written_analyses(), since)}


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
