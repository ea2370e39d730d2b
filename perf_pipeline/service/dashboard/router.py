"""The routes of the dashboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from fastapi import APIRouter
from fastapi.params import Depends
from fastapi.responses import HTMLResponse

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.notifications.alert_layout import TraceUrl
from perf_pipeline.service.dashboard.pages import Dashboard
from perf_pipeline.service.dashboard.static_files import static_router
from resources.lake import Lake
from resources.ledger import Ledger


def dashboard_router(
    book: Ledger,
    lake: Lake,
    fleet: FleetConfig,
    clock: Callable[[], datetime],
    trace_url: TraceUrl,
    read: Sequence[Depends] = (),
    warm: bool = True,
) -> APIRouter:
    """Pages under `/` and `/dashboard/`, their static files under `/static/`.

    `clock` tells the time (aware), `trace_url` where a trace can be looked at. `read` are dependencies that let a
    reader in or raise; static files need none. With `warm`, three months of history are read into memory at once.
    """
    dashboard = Dashboard(book, lake, fleet, clock, trace_url)
    if warm:
        dashboard.history.warm_in_background(clock)
    pages = APIRouter(dependencies=list(read), default_response_class=HTMLResponse, include_in_schema=False)
    pages.add_api_route("/", dashboard.fleet)
    pages.add_api_route("/dashboard/agents/{agent:path}", dashboard.agent)
    pages.add_api_route("/dashboard/incidents", dashboard.incidents)
    pages.add_api_route("/dashboard/incidents/{incident_id}", dashboard.incident)
    pages.add_api_route("/dashboard/optimizations", dashboard.optimizations)
    pages.add_api_route("/dashboard/data", dashboard.data)
    pages.add_api_route("/dashboard/outbox", dashboard.outbox)
    router = APIRouter()
    router.include_router(pages)
    router.include_router(static_router())
    return router
