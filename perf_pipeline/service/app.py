"""The service as a FastAPI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import JSONResponse

from perf_pipeline.records import Scope
from perf_pipeline.service.agents import agents_router
from perf_pipeline.service.context import ServiceContext
from perf_pipeline.service.description import describe
from perf_pipeline.service.health import health_router
from perf_pipeline.service.incidents import incidents_router
from perf_pipeline.service.login import login_router
from perf_pipeline.service.metrics import metrics_router
from perf_pipeline.service.optimizations import optimizations_router
from perf_pipeline.service.pipeline import PipelineRoutes
from perf_pipeline.service.problems import answer_with_problems, problems
from perf_pipeline.service.programs import programs_router
from perf_pipeline.service.request_limits import RequestLimits
from perf_pipeline.service.slack_requests import SlackRequests
from resources.slack_interactions import ClickReplies, SlackSignature


def create_app(
    context: ServiceContext,
    signature: SlackSignature | None = None,
    replies: ClickReplies | None = None,
    given_up: Callable[[], str | None] = lambda: None,
    agents_secret: str | None = None,
    pages: Sequence[APIRouter] = (),
) -> FastAPI:
    """The application over an open installation.

    Without `signature`, Slack's requests are refused; `replies` tells where replies to clicks may go, `given_up` why
    Socket Mode ended for good, if it did; `agents_secret` lets agent processes read their programs; `pages` are the
    routes of the dashboard.
    """
    slack = SlackRequests(context.book, context.fleet, signature, replies or ClickReplies(), context.clock)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await slack.finish()

    # The pages in which FastAPI shows the description load their scripts from elsewhere.
    app = FastAPI(
        title="perf-pipeline",
        version=version("perf-pipeline"),
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    answer_with_problems(app)
    describe(app)
    app.add_middleware(RequestLimits)
    routers = (
        health_router(context, given_up),
        login_router(context),
        slack.router,
        PipelineRoutes(context).router,
        agents_router(context),
        incidents_router(context),
        optimizations_router(context),
        metrics_router(context),
        programs_router(context, agents_secret),
        *pages,
    )
    for router in routers:
        app.include_router(router)

    anybody_known = Depends(context.gate.require(*Scope))

    @app.get("/openapi.json", tags=["health"], responses=problems(), dependencies=[anybody_known])
    def openapi() -> JSONResponse:
        """This description."""
        return JSONResponse(app.openapi())

    return app
