"""What every request is held to before a route sees it: size, time, and headers that keep browsers careful."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perf_pipeline.service.problems import problem_response

MAX_BODY = 64_000
"""Bytes. What people and programs send here are a few fields."""

BODY_WITHIN_SECONDS = 5.0

OWN_LIMITS = ("/slack/interactions",)
"""Routes that read their bodies by limits of their own."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Where a route did not set them itself."""


class RequestLimits:
    """ASGI middleware. A body that is too large, or too slow, is a problem before its end is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["path"] in OWN_LIMITS:
            await self._app(scope, receive, send_with_headers)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdigit() or int(declared) > MAX_BODY:
            await problem_response(413, TOO_LARGE)(scope, receive, send_with_headers)
            return
        await self._app(scope, _limited(receive), send_with_headers)


TOO_LARGE = f"The request is larger than {MAX_BODY} bytes."


def _limited(receive: Receive) -> Receive:
    size, ended = 0, False
    deadline = asyncio.get_running_loop().time() + BODY_WITHIN_SECONDS

    async def limited() -> Message:
        nonlocal size, ended
        if ended:
            # Only whether the client goes away is left to be heard.
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"The request was not sent within {BODY_WITHIN_SECONDS:g} s.") from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        size += len(message.get("body", b""))
        ended = not message.get("more_body", False)
        if size > MAX_BODY:
            raise HTTPException(413, TOO_LARGE)
        return message

    return limited
