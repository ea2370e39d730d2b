"""An HTTP server on 127.0.0.1 that gives prepared answers, for faults that no real server can be made to show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.wire.http_server import Answer, Handler, Request, http_server


@dataclass
class ScriptedServer:
    """The running server, and the requests that it got so far."""

    base_url: str = ""
    requests: list[Request] = field(default_factory=list)


@contextmanager
def scripted_server(answer: Callable[[Request], Answer]) -> Iterator[ScriptedServer]:
    """Answers every request by calling `answer`, until the block ends."""
    script = ScriptedServer()

    class Scripted(Handler):
        def do_GET(self) -> None:
            request = self.read_request()
            script.requests.append(request)
            # A client that gave up waiting is no fault of the server's.
            with suppress(ConnectionError):
                self.send(answer(request))

        do_POST = do_GET

    with http_server(Scripted) as script.base_url:
        yield script
