"""Errors as problem+json (RFC 9457): what was wrong, for the person who must act, and never a stack trace."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

LOGIN = "/login"


class ProblemDetails(BaseModel):
    """What was wrong, and what to do about it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "about:blank",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "There is no agent of this name: see GET /agents.",
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str


class Problem(Exception):
    """What the service refuses, with the HTTP status that it answers."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})


class NotAuthenticated(Problem):
    """Nobody knows who asks. A browser that wants a page is shown where to log in."""

    def __init__(self, detail: str) -> None:
        super().__init__(401, detail, {"WWW-Authenticate": "Bearer"})


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route's description says of the problems that it answers."""
    return {
        status: {"model": ProblemDetails, "description": HTTPStatus(status).phrase}
        for status in (400, *statuses, 401, 403, 413, 422, 429)
    }


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    # Who is refused may still be sending. An open connection would be held for as long as that goes on.
    return JSONResponse(
        content, status, {**(headers or {}), "Connection": "close"}, media_type="application/problem+json"
    )


def _methods_at(app: FastAPI, path: str) -> list[str]:
    """The router itself names only those of the first route that fits."""
    fitting = [route for route in iter_route_contexts(app.routes) if route.path_regex.match(path)]
    return sorted({method for route in fitting for method in route.methods or ()})


def answer_with_problems(app: FastAPI) -> None:
    @app.exception_handler(NotAuthenticated)
    async def unknown(request: Request, error: NotAuthenticated) -> Response:
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(LOGIN, 303)
        return problem_response(error.status, str(error), error.headers)

    @app.exception_handler(Problem)
    async def refused(_request: Request, error: Problem) -> JSONResponse:
        return problem_response(error.status, str(error), error.headers)

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods_at(app, request.url.path))
        return problem_response(error.status_code, f"{error.detail.removesuffix('.')}.", headers)

    @app.exception_handler(RequestValidationError)
    async def not_valid(_request: Request, error: RequestValidationError) -> JSONResponse:
        places = ", ".join(".".join(str(part) for part in one["loc"]) for one in error.errors())
        return problem_response(422, f"The request does not fit: look at {places}.")

    @app.exception_handler(Exception)
    async def failed(_request: Request, _error: Exception) -> JSONResponse:
        return problem_response(500, "The service failed: its log says why.")
