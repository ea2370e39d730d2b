"""The service on a free port, over a real ledger, with a server in the place of Slack's addresses for replies."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.service.app import create_app
from perf_pipeline.service.authentication import Gate
from perf_pipeline.service.context import ServiceContext
from perf_pipeline.service.opened import service_context
from resources.ledger import Ledger
from resources.slack_interactions import ClickReplies, SlackSignature
from tests.approval_builders import NOON, SECRET
from tests.real.services.free_port import free_port
from tests.wire.http_server import Answer, Handler, http_server


@dataclass
class Service:
    """`now` is what the service's clock says, `replies` what people who clicked were told."""

    url: str
    replies_to: str
    now: Any = NOON
    replies: list[dict[str, Any]] = field(default_factory=list)

    def post(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        return httpx.post(f"{self.url}/slack/interactions", content=body, headers=headers)

    def reply(self, count: int = 1) -> str:
        """The text of the reply of this number, once it is there."""
        for _ in range(500):
            if len(self.replies) >= count:
                return self.replies[count - 1]["text"]
            time.sleep(0.01)
        raise AssertionError(f"There are {len(self.replies)} replies, not {count}.")


NO_DAGSTER = "http://127.0.0.1:9"


def context_of(
    book: Ledger,
    fleet: FleetConfig,
    clock: Callable[[], datetime],
    lake_url: str = "memory://no-lake",
    gate: Gate | None = None,
    dagster_url: str = NO_DAGSTER,
) -> ServiceContext:
    """A service that remembers nothing, so that a test sees what is."""
    return service_context(book, fleet, lake_url, dagster_url, gate or Gate(book, clock), clock, remember_seconds=0)


@contextmanager
def running(app: FastAPI, port: int) -> Iterator[str]:
    """The address of an application that is served on a port of this machine."""
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def service(book: Ledger, fleet: FleetConfig, secret: str | None = SECRET) -> Iterator[Service]:
    port = free_port()
    found = Service(f"http://127.0.0.1:{port}", "")

    class Replies(Handler):
        def do_POST(self) -> None:
            found.replies.append(json.loads(self.read_request().body))
            self.send(Answer(body="ok"))

    with http_server(Replies) as replies_to:
        found.replies_to = f"{replies_to}/"
        signature = SlackSignature(secret) if secret else None
        app = create_app(context_of(book, fleet, lambda: found.now), signature, ClickReplies(found.replies_to))
        with running(app, port):
            yield found
