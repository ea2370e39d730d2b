"""What stands before PostgREST at Supabase: the prefix /rest/v1 and the check of the apikey header."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

PREFIX = "/rest/v1"
PASSED_ON = ("accept", "authorization", "prefer", "range", "content-type", "content-profile", "accept-profile")


@dataclass
class SupabaseGateway:
    """A running gateway. `paths` lists what it passed on, `after_answer` is called after each of these answers."""

    url: str
    paths: list[str] = field(default_factory=list)
    after_answer: Callable[[], None] | None = None


@contextmanager
def supabase_gateway(upstream: str, keys: Collection[str]) -> Iterator[SupabaseGateway]:
    """Passes requests under /rest/v1 to `upstream` where their apikey is one of `keys`; answers 401 otherwise."""
    gateway = SupabaseGateway("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.headers.get("apikey") not in keys:
                self._answer(401, "application/json", b'{"message":"Invalid API key"}')
            elif not self.path.startswith(f"{PREFIX}/"):
                self._answer(404, "application/json", b'{"message":"no Route matched with those values"}')
            else:
                self._pass_on(self.path.removeprefix(PREFIX))

        def _pass_on(self, path: str) -> None:
            headers = {name: value for name, value in self.headers.items() if name.lower() in PASSED_ON}
            try:
                answer = httpx.get(upstream + path, headers=headers, timeout=60)
            except httpx.ConnectError:
                self._answer(502, "text/html", b"<html>Bad Gateway</html>")
                return
            gateway.paths.append(path)
            if gateway.after_answer:
                gateway.after_answer()
            self._answer(answer.status_code, answer.headers.get("content-type", "application/json"), answer.content)

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: ARG002
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    gateway.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield gateway
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
