"""The service as a FastAPI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from fastapi import APIRouter, FastAPI

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.service.problems import Problem, answer_with_problems
from perf_pipeline.service.slack_requests import SlackRequests
from resources.ledger import Ledger
from resources.slack_interactions import ClickReplies, SlackSignature


def create_app(
    book: Ledger,
    fleet: FleetConfig,
    clock: Callable[[], datetime],
    signature: SlackSignature | None = None,
    replies: ClickReplies | None = None,
    given_up: Callable[[], str | None] = lambda: None,
    programs: APIRouter | None = None,
    dashboard: APIRouter | None = None,
) -> FastAPI:
    """The application over an open ledger. Without `signature`, Slack's requests are refused; `clock` tells the time
    (aware), `replies` where replies to clicks may go, `given_up` why Socket Mode ended for good, if it did; `programs`
    are the routes for agent processes, and `dashboard` the pages for people, where they are served."""
    slack = SlackRequests(book, fleet, signature, replies or ClickReplies(), clock)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await slack.finish()

    app = FastAPI(title="perf-pipeline", summary="Watches a fleet of LLM agents and improves it.", lifespan=lifespan)
    answer_with_problems(app)
    app.include_router(slack.router)
    if programs is not None:
        app.include_router(programs)
    if dashboard is not None:
        app.include_router(dashboard)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the service runs, and takes clicks by all the ways that it was told to."""
        if reason := given_up():
            raise Problem(503, reason)
        return {"status": "ok"}

    return app
