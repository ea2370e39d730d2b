"""An HTTP server on 127.0.0.1 that gives prepared answers, for faults that no real server can be made to show."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Request:
    """One request as the server got it. `path` holds the query string."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """One prepared answer."""

    status: int = 200
    content_type: str = "application/json"
    body: bytes = b"{}"


@dataclass
class ScriptedServer:
    """The running server, and the requests that it got so far."""

    base_url: str
    requests: list[Request] = field(default_factory=list)


@contextmanager
def scripted_server(answer: Callable[[Request], Answer]) -> Iterator[ScriptedServer]:
    """Answers every request by calling `answer`, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, self.rfile.read(length))
            script.requests.append(request)
            given = answer(request)
            # A client that gave up waiting is no fault of the server's.
            with suppress(ConnectionError):
                self.send_response(given.status)
                self.send_header("content-type", given.content_type)
                self.send_header("content-length", str(len(given.body)))
                self.end_headers()
                self.wfile.write(given.body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Keeps the tests' output free of one line a request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script = ScriptedServer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
