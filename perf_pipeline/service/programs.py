"""What agent processes read that cannot reach the lake: which version to run, and its file."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import JSONResponse

from perf_pipeline.service.problems import Problem
from resources.ledger import Ledger
from resources.program_files import ProgramFiles
from resources.program_source import Pointer, ProgramSourceError


def programs_router(book: Ledger, files: ProgramFiles, token: str | None) -> APIRouter:
    """Routes for the ledger's aliases and the versions that were registered. With a `token`, nothing is answered
    without it: demonstrations hold what customers wrote."""
    router = APIRouter(prefix="/programs", dependencies=[Depends(_bearer(token))] if token else [])

    @router.get("/{agent}/versions/{version}")
    def version(agent: str, version: str) -> Response:
        """The file of a version, for an agent to check against the hash of its alias."""
        if book.program_version(agent, version) is None:
            raise Problem(404, "There is no such version of the agent.")
        try:
            return Response(files.programs.artifact(agent, version), media_type="application/json")
        except ProgramSourceError as error:
            raise Problem(503, "The version's file cannot be read now.") from error

    @router.get("/{agent}/{alias}")
    def alias(agent: str, alias: str, if_none_match: str | None = Header(default=None)) -> Response:
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


def _bearer(token: str) -> Callable[[Request], None]:
    def check(request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise Problem(401, "Send the token of PERF_PIPELINE_PROGRAMS_TOKEN as 'Authorization: Bearer …'.")

    return check
