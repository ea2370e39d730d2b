"""POST /slack/interactions: clicks on buttons, as Slack's signed requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.service.problems import Problem
from perf_pipeline.service.slack_clicks import Replies, do_clicks, send_replies
from resources.ledger import Ledger
from resources.slack_interactions import (
    Click,
    ClickReplies,
    ForgedRequest,
    SlackSignature,
    UnknownInteraction,
    clicks_of_form,
)

MAX_BODY = 1_000_000
"""Bytes. Slack sends the whole message along with a click, and one of ours is far smaller."""

ANSWER_WITHIN_SECONDS = 2.0
"""Slack shows people an error after three seconds. What takes longer goes on, and its reply comes when it is done."""


class SlackRequests:
    """The route, and the work that it has begun and that must be let finish: see `finish`."""

    def __init__(
        self,
        book: Ledger,
        fleet: FleetConfig,
        signature: SlackSignature | None,
        replies: ClickReplies,
        clock: Callable[[], datetime],
    ) -> None:
        self._book, self._fleet = book, fleet
        self._signature, self._replies, self._clock = signature, replies, clock
        self._running: set[asyncio.Task[Any]] = set()
        self.router = APIRouter()
        self.router.add_api_route("/slack/interactions", self.interactions, methods=["POST"], status_code=200)

    async def interactions(self, request: Request) -> Response:
        """What a person clicked in Slack. Signed by Slack, not older than five minutes, and never taken twice."""
        if self._signature is None:
            raise Problem(503, "SLACK_SIGNING_SECRET is not set, so this service cannot tell Slack's requests.")
        body = await _body(request)
        try:
            signature = self._signature.check(body, request.headers, self._clock())
            clicks = clicks_of_form(body)
            work = self._start(self._take(signature, clicks))
            # Shielded: a person's answer is not given up because it took long.
            await asyncio.wait_for(asyncio.shield(work), ANSWER_WITHIN_SECONDS)
        except ForgedRequest as error:
            raise Problem(401, str(error)) from error
        except UnknownInteraction as error:
            raise Problem(400, str(error)) from error
        except TimeoutError:
            pass
        return Response(status_code=200)

    async def finish(self) -> None:
        """Wait for what is still being done, replies included."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _take(self, signature: str, clicks: list[Click]) -> None:
        replies = await asyncio.to_thread(self._do, signature, clicks)
        self._start(asyncio.to_thread(send_replies, self._replies, replies))

    def _do(self, signature: str, clicks: list[Click]) -> Replies:
        now = self._clock()
        if not self._book.see_slack_request(signature, now):
            raise Problem(409, "This request was taken before. A request of Slack's counts once.")
        return do_clicks(self._book, self._fleet, clicks, now)

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise Problem(413, f"The request is larger than {MAX_BODY} bytes.")
    return body
