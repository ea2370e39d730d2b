"""Errors as problem+json (RFC 9457): what was wrong, for the person who must act, and never a stack trace."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException


class Problem(Exception):
    """What the service refuses, with the HTTP status that it answers."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def problem_response(status: int, detail: str) -> JSONResponse:
    content = {"type": "about:blank", "status": status, "detail": detail}
    # Who is refused may still be sending. An open connection would be held for as long as that goes on.
    headers = {"Connection": "close"}
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def answer_with_problems(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def refused(_request: Request, error: Problem) -> JSONResponse:
        return problem_response(error.status, str(error))

    @app.exception_handler(HTTPException)
    async def not_served(_request: Request, error: HTTPException) -> JSONResponse:
        return problem_response(error.status_code, f"{error.detail}.")

    @app.exception_handler(RequestValidationError)
    async def not_valid(_request: Request, error: RequestValidationError) -> JSONResponse:
        places = ", ".join(".".join(str(part) for part in one["loc"]) for one in error.errors())
        return problem_response(422, f"The request does not fit: look at {places}.")

    @app.exception_handler(Exception)
    async def failed(_request: Request, _error: Exception) -> JSONResponse:
        return problem_response(500, "The service failed: its log says why.")
