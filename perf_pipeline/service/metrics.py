"""GET /metrics: the pipeline and its agents as Prometheus sees them, in OpenMetrics.

Figures of agents are those of the newest complete window, so they are gauges; latencies are a gauge histogram of its
tasks, with a trace for each bucket. What only grows, such as what optimizers spent, is a counter.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Depends, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from perf_pipeline.fleet_model import Severity
from perf_pipeline.records import IncidentState, NotificationState, RequestState, Scope, SourceStatus
from perf_pipeline.service.context import ServiceContext
from perf_pipeline.service.latency_histogram import latency_histogram
from perf_pipeline.service.problems import problems
from perf_pipeline.service.remembered import remembered
from perf_pipeline.standing_now import agent_rows, missing_windows
from perf_pipeline.tables import AGENT_TASKS, OPTIMIZATION_DECISIONS

PREFIX = "perf_pipeline"
MESSAGES_OF = timedelta(days=7)
LATENCIES = AGENT_TASKS.view("agent", "start_time", "trace_id", "latency_ms")


def metrics_router(context: ServiceContext) -> APIRouter:
    router = APIRouter(tags=["health"], dependencies=[Depends(context.gate.require(Scope.READ))])
    registry = CollectorRegistry()
    registry.register(PipelineCollector(context))
    exposition = remembered(lambda: generate_latest(registry), context.remember_seconds)

    @router.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {
                "description": "OpenMetrics text",
                "content": {"application/openmetrics-text": {"schema": {"type": "string"}}},
            },
            **problems(),
        },
    )
    def metrics() -> Response:
        """The pipeline and its agents for Prometheus; not older than a few seconds."""
        return Response(exposition(), headers={"content-type": CONTENT_TYPE_LATEST})

    return router


class PipelineCollector(Collector):
    """All metrics, computed when they are asked for."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context

    def describe(self) -> list[Metric]:
        """Nothing: else registering would compute them all."""
        return []

    def collect(self) -> Iterator[Metric]:
        now = self._context.clock()
        yield from self._agents(now)
        yield self._incidents(now)
        yield from self._optimizers()
        yield from self._pipeline(now)
        yield self._outbox(now)

    def _agents(self, now: datetime) -> Iterator[Metric]:
        context = self._context
        rows = agent_rows(context.history.rows(now), context.fleet, (), now)
        known = [row for row in rows if row["window_start"] is not None]
        for name, (said, value_of) in AGENT_FIGURES.items():
            family = GaugeMetricFamily(f"{PREFIX}_{name}", said, labels=["agent"])
            for row in known:
                value = value_of(row)
                if value is not None:
                    family.add_metric([row["agent"]], value)
            yield family
        newest = max((datetime.fromisoformat(row["window_start"]) for row in known), default=None)
        tasks = context.lake.read(LATENCIES, newest, newest + context.fleet.window) if newest else LATENCIES.empty()
        said = f"Durations of the tasks {OF_WINDOW}"
        yield latency_histogram(f"{PREFIX}_agent_latency_seconds", said, tasks.dropna(subset=["latency_ms"]))

    def _incidents(self, now: datetime) -> Metric:
        ongoing = [one for one in self._context.book.incidents(now) if one.state is not IncidentState.RESOLVED]
        counts = Counter((one.agent, one.severity) for one in ongoing)
        family = GaugeMetricFamily(
            f"{PREFIX}_open_incidents", "Incidents that are not over, by agent or source", labels=["agent", "severity"]
        )
        for agent in dict.fromkeys([*self._context.fleet.agent_names, *(one.agent for one in ongoing)]):
            for severity in Severity:
                family.add_metric([agent, str(severity)], counts[(agent, severity)])
        return family

    def _optimizers(self) -> Iterator[Metric]:
        book = self._context.book
        spend: dict[tuple[str, str], float] = defaultdict(float)
        for run in book.optimization_runs():
            # Of a run that goes on, the sum stands in the ledger's calls.
            spend[(run.agent, run.optimizer)] += run.spent_usd if run.finished_at else book.spent_usd(run.request_id)
        spent = CounterMetricFamily(
            f"{PREFIX}_optimizer_spend_usd", "US dollars that optimizers were billed", labels=["agent", "optimizer"]
        )
        for labels, usd in sorted(spend.items()):
            spent.add_metric(list(labels), usd)
        yield spent
        states = Counter(request.state for request in book.optimization_requests())
        yield _by_state("optimization_requests", "Requests to optimize", {one: states[one] for one in RequestState})

    def _pipeline(self, now: datetime) -> Iterator[Metric]:
        context, fleet = self._context, self._context.fleet
        since = max(now - fleet.catch_up, fleet.history_start_utc)
        health = context.book.health(since, now)
        decided = context.lake.written(OPTIMIZATION_DECISIONS, since, now)
        closed = [start for start in decided if start + fleet.window <= now]
        if decided:
            age = (now - max(decided.values())).total_seconds()
            yield _gauge("last_success_age_seconds", "Since a cycle last came to its end", max(age, 0.0))
        if closed:
            lag = (now - max(closed) - fleet.window).total_seconds()
            yield _gauge("window_lag_seconds", "Since the close of the newest window that a cycle was done for", lag)
        missing = missing_windows(health, decided, fleet, now)
        yield _gauge("missing_windows", "Closed windows of catch_up_hours with something left to do", len(missing))
        status = StateSetMetricFamily(
            f"{PREFIX}_source_status", "How each source could be read for its newest window", labels=["source"]
        )
        for reading in {one.source: one for one in health}.values():
            status.add_metric([reading.source], {str(state): state is reading.status for state in SourceStatus})
        yield status

    def _outbox(self, now: datetime) -> Metric:
        counts = Counter(note.state for note in self._context.book.notifications(now - MESSAGES_OF))
        return _by_state(
            "outbox_messages", "Messages of the last 7 days", {one: counts[one] for one in NotificationState}
        )


def _success(row: dict[str, Any]) -> float | None:
    rate = row["success_rate"]
    return None if rate is None else rate / 100


OF_WINDOW = "of the newest complete window"
AGENT_FIGURES: dict[str, tuple[str, Callable[[dict[str, Any]], float | None]]] = {
    "agent_tasks": (f"Tasks {OF_WINDOW}", lambda row: row["tasks"]),
    "agent_success_ratio": (f"Tasks that succeeded / tasks, {OF_WINDOW}", _success),
    "agent_errors": (f"Errors that began in the tasks {OF_WINDOW}", lambda row: row["error_count"]),
    "agent_score": ("Performance score, 0 to 100, of the newest window with tasks", lambda row: row["score"]),
    "agent_day_cost_usd": ("Cost of a day's model calls, as far as known", lambda row: row["cost_usd_of_a_day"]),
    "agent_day_tasks": ("Tasks of a day", lambda row: row["tasks_of_a_day"]),
}
"""Name, help and value of each gauge of an agent, out of a row of `standing_now.agent_rows`."""


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", said, value=value)


def _by_state(name: str, said: str, counts: dict[Any, int]) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", said, labels=["state"])
    for state, count in counts.items():
        family.add_metric([str(state)], count)
    return family
