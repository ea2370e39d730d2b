"""POST /slack/interactions: clicks on buttons, as Slack's signed requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.service.problems import Problem, problems
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

BODY_WITHIN_SECONDS = 5.0
"""Who a request is from is known only once its body is there, so nobody may take long over it."""

NOT_RECORDED = "This could not be recorded: click again."

_log = logging.getLogger(__name__)


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
        self.router = APIRouter(tags=["slack"])
        self.router.add_api_route(
            "/slack/interactions",
            self.interactions,
            methods=["POST"],
            status_code=200,
            response_class=Response,
            responses=problems(408, 409, 503),
            openapi_extra={
                "requestBody": {
                    "description": "Slack's form, whose field payload holds JSON",
                    "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}},
                }
            },
        )

    async def interactions(self, request: Request) -> Response:
        """What a person clicked in Slack. Signed by Slack, not older than five minutes, and never taken twice."""
        if self._signature is None:
            raise Problem(503, "SLACK_SIGNING_SECRET is not set, so this service cannot tell Slack's requests.")
        body = await _body(request)
        try:
            signature = self._signature.check(body, request.headers, self._clock())
            clicks = clicks_of_form(body)
            await _wait_a_while(self._start(self._take(signature, clicks)))
        except ForgedRequest as error:
            raise Problem(401, str(error)) from error
        except UnknownInteraction as error:
            raise Problem(400, str(error)) from error
        return Response(status_code=200)

    async def finish(self) -> None:
        """Wait for what is still being done, replies included."""
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _take(self, signature: str, clicks: list[Click]) -> None:
        """Raises UnknownInteraction or Problem, and nothing else."""
        try:
            replies = await asyncio.to_thread(self._do, signature, clicks)
        except (Problem, UnknownInteraction):
            raise
        except Exception as error:  # noqa: BLE001 - whatever failed, the person waits for an answer
            # The text of a database's error quotes the signature and what was clicked.
            _log.error(
                "A click in Slack could not be recorded (%s); who clicked is asked to click again. Check the database "
                "of PERF_PIPELINE_LEDGER.",
                type(error).__name__,
            )
            self._reply([(click.response_url, NOT_RECORDED) for click in clicks])
            raise Problem(500, "The service failed: its log says why.") from None
        self._reply(replies)

    def _reply(self, replies: Replies) -> None:
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


async def _wait_a_while(work: asyncio.Task[None]) -> None:
    try:
        # Shielded: a person's answer is not given up because it took long.
        await asyncio.wait_for(asyncio.shield(work), ANSWER_WITHIN_SECONDS)
    except TimeoutError:
        work.add_done_callback(_refused_late)


def _refused_late(work: asyncio.Task[Any]) -> None:
    """Slack has its answer already. Asking for the error keeps asyncio from logging it with its trace."""
    error = None if work.cancelled() else work.exception()
    if isinstance(error, UnknownInteraction):
        _log.warning("An interaction in Slack was left alone. %s", error)


async def _body(request: Request) -> bytes:
    body = b""
    try:
        async with asyncio.timeout(BODY_WITHIN_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY:
                    raise Problem(413, f"The request is larger than {MAX_BODY} bytes.")
    except TimeoutError:
        raise Problem(408, f"The request was not sent within {BODY_WITHIN_SECONDS:g} s.") from None
    except ClientDisconnect:
        raise Problem(400, "The connection ended before the request did.") from None
    return body
