"""The pages: each reads what it needs of the lake and the ledger, and renders what its module makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from perf_pipeline.attention_now import attention_now
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.completeness import completeness
from perf_pipeline.monitoring.incident_analysis import worded
from perf_pipeline.monitoring.windows import Window, windows_between
from perf_pipeline.notifications.alert_layout import TraceUrl
from perf_pipeline.optimization.standing import budget_at_end
from perf_pipeline.records import Incident, IncidentState
from perf_pipeline.runs.tools import PRODUCTION
from perf_pipeline.service.dashboard.agent_page import (
    change_rows,
    failing_traces,
    incident_rows,
    slowest_traces,
    version_rows,
)
from perf_pipeline.service.dashboard.charts import Chart, ChartGrid, Mark, marks_within, page_data
from perf_pipeline.service.dashboard.data_page import gaps_of, source_maps
from perf_pipeline.service.dashboard.fleet_history import FleetHistory
from perf_pipeline.service.dashboard.fleet_page import fleet_page
from perf_pipeline.service.dashboard.freshness import Freshness, freshness
from perf_pipeline.service.dashboard.history_charts import history_charts, marks_of
from perf_pipeline.service.dashboard.incident_page import incident_page
from perf_pipeline.service.dashboard.optimization_page import optimization_page
from perf_pipeline.service.dashboard.outbox_page import outbox_page
from perf_pipeline.service.dashboard.page_cache import PageCache
from perf_pipeline.service.dashboard.rendering import Pages, security_headers
from perf_pipeline.service.dashboard.time_range import RANGES, RangeName, TimeRange
from resources.lake import Lake
from resources.ledger import Ledger

A_DAY = timedelta(hours=24)
INCIDENTS_REACH = timedelta(days=28)
MESSAGES_REACH = timedelta(days=14)
EVIDENCE_REACH = timedelta(days=3)
AROUND = timedelta(hours=12)
DATA_RANGES = {"48h": timedelta(hours=48), "14d": timedelta(days=14)}
DRAWING = ("agent.html", "incident.html")
GAPS_REACH = timedelta(days=7)
"""Longer charts do not show when spans could not be read: a point of them stands for many windows."""


class Dashboard:
    """Its methods are no coroutines: FastAPI runs them in threads, away from the event loop."""

    def __init__(
        self, book: Ledger, lake: Lake, fleet: FleetConfig, clock: Callable[[], datetime], trace_url: TraceUrl
    ) -> None:
        self._book, self._config, self._clock, self._trace_url = book, fleet, clock, trace_url
        self._pages, self._cache = Pages(fleet.timezone), PageCache()
        self.history = FleetHistory(lake)

    def fleet(self, request: Request) -> HTMLResponse:
        """Every agent's last 24 hours, open incidents, and what waits for people."""

        def values(now: datetime) -> dict[str, Any]:
            span = RANGES[RangeName.DAY].span(now, self._config.window)
            page = fleet_page(
                self.history.metrics_of_all(span, now),
                span,
                self._config.agent_names,
                self._book.incidents(span.start),
                attention_now(self._book, now),
                self._fresh(now),
                self._config.window,
                self._config.timezone,
                now,
            )
            return {"page": page}

        return self._page(request, "fleet.html", (), values)

    def agent(self, request: Request, agent: str, range: str = RangeName.DAY) -> HTMLResponse:
        """One agent's history, traces and versions."""
        chosen = RANGES.get(RangeName(range)) if range in RANGES else None
        if chosen is None:
            return self._not_found(request, f"There is no range '{range}'.")
        config = self._config
        now = self._clock()
        span = chosen.span(now, config.window)
        if config.agent(agent) is None and self.history.metrics(agent, span, chosen, now).empty:
            return self._not_found(request, f"There is no agent '{agent}' in fleet.yaml, and none was seen.")

        def values(now: datetime) -> dict[str, Any]:
            grid, charts, marks = self._charts(agent, span, chosen, now)
            incidents = [one for one in self._book.incidents(span.start) if one.agent == agent]
            changes = self.history.changes(agent, span, now)
            tasks = self.history.notable_tasks(agent, span, now)
            return {
                "agent": agent,
                "target": config.agent(agent),
                "chosen": chosen,
                "ranges": tuple(RANGES.values()),
                **_drawn(grid, charts, marks),
                "incidents": incident_rows(incidents, config.window, config.timezone, now),
                "changes": change_rows(changes),
                "slowest": slowest_traces(tasks, self._trace_url),
                "failing": failing_traces(tasks, self._trace_url),
                "versions": version_rows(
                    self._book.program_versions(agent), self._book.program_alias(agent, PRODUCTION)
                ),
                "fresh": self._fresh(now),
            }

        return self._page(request, "agent.html", (agent, chosen.name), values)

    def incidents(self, request: Request) -> HTMLResponse:
        """What is open, and what ended in the last four weeks."""

        def values(now: datetime) -> dict[str, Any]:
            known = self._book.incidents(now - INCIDENTS_REACH)
            names = {one.id: one.agent for one in known}
            rows = incident_rows(known, self._config.window, self._config.timezone, now)
            return {
                "open": [row for row in rows if row.state != str(IncidentState.RESOLVED)],
                "over": [row for row in rows if row.state == str(IncidentState.RESOLVED)],
                "names": names,
                "days": INCIDENTS_REACH.days,
            }

        return self._page(request, "incidents.html", (), values)

    def incident(self, request: Request, incident_id: str) -> HTMLResponse:
        """One incident: cause, evidence, timeline, who was told."""
        found = self._incident(incident_id)
        if found is None:
            return self._not_found(request, "There is no such incident.")
        config = self._config

        def values(now: datetime) -> dict[str, Any]:
            told = next(iter(self._book.told_incidents([found.id])), None)
            thread = next(iter(self._book.alert_threads([told.thread])), None) if told else None
            messages = [] if told is None else self._messages_of(told.thread, found.opened_at)
            end = found.last_seen + config.window
            findings = self.history.findings(found.agent, max(found.opened_at, end - EVIDENCE_REACH), end)
            page = incident_page(
                found,
                findings,
                told,
                thread,
                messages,
                self._trace_url,
                config.window,
                config.timezone,
                now,
                worded(found, self._book.incident_analyses([found.id]).get(found.id), config),
            )
            # What led to it, and what came after it, as far as the windows are at hand.
            span = Window(max(found.onset - AROUND, end - EVIDENCE_REACH), min(end + AROUND, now))
            grid, charts, marks = self._charts(found.agent, span, RANGES[RangeName.WEEK], now)
            watched = set(findings["metric"].dropna())
            shown = [one for one in charts if one.measure.metric in watched]
            return {"page": page, **_drawn(grid, shown, marks)}

        return self._page(request, "incident.html", (incident_id,), values)

    def optimizations(self, request: Request) -> HTMLResponse:
        """Requests, approvals, runs, gains and money."""

        def values(now: datetime) -> dict[str, Any]:
            requests, runs = self._book.optimization_requests(), self._book.optimization_runs()
            unfinished = [run.request_id for run in runs if run.outcome is None]
            spent = {request_id: self._book.spent_usd(request_id) for request_id in unfinished}
            budget = budget_at_end(requests, runs, now, self._config)
            page = optimization_page(requests, self._book.approvals(), runs, spent, budget, self._config)
            return {"page": page}

        return self._page(request, "optimizations.html", (), values)

    def data(self, request: Request, range: str = "48h") -> HTMLResponse:
        """Which windows could be read from which source."""
        length = DATA_RANGES.get(range)
        if length is None:
            return self._not_found(request, f"There is no range '{range}'.")

        def values(now: datetime) -> dict[str, Any]:
            config = self._config
            windows = windows_between(max(now - length, config.history_start_utc), now, config.window)
            start = windows[0].start if windows else now
            health = self._book.health(start, now)
            sources = completeness(health, windows)
            return {
                "maps": source_maps(sources, health, windows, config.timezone),
                "chosen": range,
                "ranges": tuple(DATA_RANGES),
                "fresh": self._fresh(now),
                "has_data": bool(health),
            }

        return self._page(request, "data.html", (range,), values)

    def outbox(self, request: Request) -> HTMLResponse:
        """Messages to people and what became of them."""

        def values(now: datetime) -> dict[str, Any]:
            messages = self._book.notifications(now - MESSAGES_REACH)
            return {"page": outbox_page(messages), "days": MESSAGES_REACH.days}

        return self._page(request, "outbox.html", (), values)

    def _page(
        self, request: Request, template: str, key: tuple[str, ...], values: Callable[[datetime], dict[str, Any]]
    ) -> HTMLResponse:
        now, root = self._clock(), _root(request)
        text = self._cache.page(
            (template, root, *key), now, lambda: self._pages.render(template, root, now, values(now))
        )
        return HTMLResponse(text, headers=security_headers(draws=template in DRAWING))

    def _not_found(self, request: Request, why: str) -> HTMLResponse:
        text = self._pages.render("not_found.html", _root(request), self._clock(), {"why": why})
        return HTMLResponse(text, status_code=404, headers=security_headers())

    def _charts(
        self, agent: str, span: Window, chosen: TimeRange, now: datetime
    ) -> tuple[ChartGrid, list[Chart], list[Mark]]:
        """All that is known of an agent in the span, at the times of the range's grid, and what happened meanwhile."""
        config = self._config
        grid = ChartGrid(span, chosen.every or config.window, config.timezone)
        metrics = self.history.metrics(agent, span, chosen, now)
        states = self.history.states(agent, span, chosen, now)
        incidents = [one for one in self._book.incidents(span.start) if one.agent == agent]
        changes = self.history.changes(agent, span, now)
        marks = marks_of(incidents, changes, self._span_gaps(span, now), config.window, now)
        return grid, history_charts(grid, metrics, states), marks

    def _fresh(self, now: datetime) -> Freshness:
        health = self._book.health(now - 2 * A_DAY, now)
        return freshness(health, now, self._config.window, self._config.timezone)

    def _incident(self, incident_id: str) -> Incident | None:
        known = self._book.incidents(self._config.history_start_utc)
        return next((one for one in known if one.id == incident_id), None)

    def _messages_of(self, thread: str, since: datetime) -> list[Any]:
        return [
            message
            for message in self._book.notifications(since)
            if (message.thread or message.key).rpartition("@")[0] == thread
        ]

    def _span_gaps(self, span: Window, now: datetime) -> list[tuple[datetime, datetime]]:
        if span.end - span.start > GAPS_REACH:
            return []
        windows = windows_between(max(span.start, self._config.history_start_utc), now, self._config.window)
        readings = {one.window_start: one for one in self._book.health(span.start, span.end) if one.source == "spans"}
        # Before the first window that was ever read there is nothing that a reading could lack.
        first = min(readings, default=now)
        read = [(window, readings.get(window.start)) for window in windows if window.start >= first]
        return [(gap.start, gap.end) for gap in gaps_of(read)]


def _drawn(grid: ChartGrid, charts: Sequence[Chart], marks: Sequence[Mark]) -> dict[str, Any]:
    """What the templates of charts ask for."""
    return {
        "charts": charts,
        "data": page_data(grid, charts, marks),
        "kinds": {mark.kind for mark in marks_within(grid, marks)},
    }


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")
