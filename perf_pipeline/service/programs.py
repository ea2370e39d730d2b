"""What agent processes read that cannot reach the lake: which version to run, and its file."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from perf_pipeline.optimization_rows import program_rows
from perf_pipeline.records import Scope
from perf_pipeline.service.context import ServiceContext
from perf_pipeline.service.models import ProgramVersionModel
from perf_pipeline.service.problems import Problem, problems
from resources.program_source import Pointer, ProgramSourceError

AgentName = Annotated[str, Path(description="Name of the agent", examples=["InboundAgent"])]


class PointerModel(BaseModel):
    """Which version an agent is to run; null for the program as it stands in the code."""

    version: str | None
    sequence: int
    sha256: str | None


def programs_router(context: ServiceContext, agents_secret: str | None = None) -> APIRouter:
    """Routes for the ledger's aliases and the versions that were registered: demonstrations hold what customers wrote.
    `agents_secret` is a token for these routes alone, which agent processes share (PERF_PIPELINE_PROGRAMS_TOKEN)."""
    book, files = context.book, context.files
    may_read = Depends(context.gate.require(Scope.READ, or_secret=agents_secret))
    router = APIRouter(prefix="/programs", tags=["programs"], dependencies=[may_read])

    @router.get("", response_model=list[ProgramVersionModel], responses=problems())
    def versions() -> list[ProgramVersionModel]:
        """The versions of all agents' programs, oldest first, and which of them run."""
        return [ProgramVersionModel(**row) for row in program_rows(book)]

    @router.get(
        "/{agent}/versions/{version}",
        responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}, **problems(404, 503)},
        response_class=Response,
    )
    def version(agent: AgentName, version: str) -> Response:
        """The file of a version, for an agent to check against the hash of its alias."""
        if book.program_version(agent, version) is None:
            raise Problem(404, "There is no such version of the agent.")
        try:
            return Response(files.programs.artifact(agent, version), media_type="application/json")
        except ProgramSourceError as error:
            raise Problem(503, "The version's file cannot be read now.") from error

    @router.get(
        "/{agent}/{alias}",
        response_model=PointerModel,
        responses={304: {"description": "The ETag that was sent still holds"}, **problems(404)},
    )
    def alias(agent: AgentName, alias: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        """Which version the agent is to run. The ETag changes with each move of the alias."""
        known = book.program_alias(agent, alias)
        if known is None:
            raise Problem(404, "No version of the agent was promoted.")
        etag = f'"{known.sequence}"'
        if if_none_match == etag:
            return Response(status_code=304, headers={"etag": etag})
        registered = book.program_version(agent, known.version) if known.version else None
        pointer = Pointer(known.version, known.sequence, registered.sha256 if registered else None)
        return JSONResponse(pointer.content(), headers={"etag": etag})

    return router
