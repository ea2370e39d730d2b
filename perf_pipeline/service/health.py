"""Whether the service runs, and whether it can do its work: what a supervisor asks, without a token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from perf_pipeline.service.context import ServiceContext
from perf_pipeline.service.problems import Problem, ProblemDetails


class Health(BaseModel):
    status: str


def health_router(context: ServiceContext, given_up: Callable[[], str | None]) -> APIRouter:
    """`given_up` says why Socket Mode ended for good, if it did."""
    router = APIRouter(tags=["health"])
    failing: dict[int | str, dict[str, Any]] = {
        503: {"model": ProblemDetails, "description": "Not well; the detail says why"}
    }

    @router.get("/healthz", responses=failing)
    async def healthz() -> Health:
        """Whether the service runs, and takes clicks by all the ways that it was told to."""
        if reason := given_up():
            raise Problem(503, reason)
        return Health(status="ok")

    @router.get("/readyz", responses=failing)
    def readyz() -> Health:
        """Whether the ledger and the lake can be reached."""
        if not context.book.is_reachable():
            raise Problem(503, "The ledger does not answer: check the database of PERF_PIPELINE_LEDGER.")
        if not context.lake.is_reachable():
            raise Problem(503, "The lake cannot be read: check PERF_PIPELINE_LAKE.")
        return Health(status="ok")

    return router
