"""What the servers of ours have in common: requests and answers as data, and a thread that serves on 127.0.0.1."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Request:
    """One request as the server got it. `path` holds the query string; names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """One answer; its length and its content type become headers by themselves."""

    status: int = 200
    content_type: str = "application/json"
    body: bytes | str = b"{}"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def payload(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else self.body


class Handler(BaseHTTPRequestHandler):
    """Reads whole requests and sends whole answers. A server derives from it and writes do_GET, do_POST, ..."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def read_request(self) -> Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, self.path, headers, self.rfile.read(int(headers.get("content-length", 0))))

    def send(self, answer: Answer) -> None:
        self.send_head(answer, {"Content-Length": str(len(answer.payload))})
        self.wfile.write(answer.payload)

    def send_head(self, answer: Answer, framing: dict[str, str]) -> None:
        """The status and the headers. `framing` says how the body that follows is delimited."""
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Type": answer.content_type, **framing}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the tests' output free of one line a request."""


class _Server(ThreadingHTTPServer):
    # Many clients connect at the same moment; the default of five waiting ones would have the others reset.
    request_queue_size = 512
    daemon_threads = True


@contextmanager
def http_server(handler: type[Handler], port: int = 0) -> Iterator[str]:
    """The server's address without a slash at its end, until the block ends; port 0 is any free one."""
    server = _Server(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
