"""An HTTP proxy on 127.0.0.1 before a server, that misbehaves when told: for all requests, the next few, or some.

A fault is a function of the `Exchange` that it spoils. Some keep the request from the server, others ask the server
and spoil what it said.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.wire.http_server import Answer, Handler, Request, http_server

HOP_BY_HOP = ("accept-encoding", "connection", "content-encoding", "content-length", "host", "keep-alive")
HOP_BY_HOP += ("transfer-encoding", "date", "server")
UPSTREAM_SECONDS = 60


@dataclass(frozen=True)
class Exchange:
    """One request on its way. `forward` asks the server behind the proxy; its answer is not compressed."""

    request: Request
    forward: Callable[[Request], Answer]
    _handler: Handler

    def send(self, answer: Answer) -> None:
        self._handler.send(answer)

    def break_off(self, answer: Answer, framing: dict[str, str], sent: bytes) -> None:
        """The head of the answer, these bytes, and the end of the connection."""
        self._handler.send_head(answer, framing)
        self._handler.wfile.write(sent)
        self.hang_up()

    def hang_up(self) -> None:
        self._handler.close_connection = True


Fault = Callable[[Exchange], None]
Predicate = Callable[[Request], bool]


def any_request(_: Request) -> bool:
    return True


def instead(answer: Answer) -> Fault:
    """This answer; the server is not asked."""
    return lambda exchange: exchange.send(answer)


def refusal(status: int, message: str, **headers: str) -> Fault:
    """An answer of this status with a JSON message, as gateways give it."""
    return instead(Answer(status, body=json.dumps({"message": message}), headers=headers))


def html(exchange: Exchange) -> None:
    """A page for people with a status of success, as login pages and single-page applications give it."""
    exchange.send(Answer(200, "text/html; charset=utf-8", "<!DOCTYPE html><html><title>Sign in</title></html>"))


def silent_for(seconds: float) -> Fault:
    """No answer for so long, and then none at all."""

    def wait(exchange: Exchange) -> None:
        time.sleep(seconds)
        exchange.hang_up()

    return wait


def cut_with_length(exchange: Exchange) -> None:
    """Half of the answer, after the whole of it was promised."""
    answer = exchange.forward(exchange.request)
    promised = {"Content-Length": str(len(answer.payload) or 1)}
    exchange.break_off(answer, promised, answer.payload[: len(answer.payload) // 2])


def cut_in_chunks(exchange: Exchange) -> None:
    """Half of the answer as one chunk, and no chunk that ends it."""
    answer = exchange.forward(exchange.request)
    half = answer.payload[: len(answer.payload) // 2]
    exchange.break_off(answer, {"Transfer-Encoding": "chunked"}, f"{len(half):x}\r\n".encode() + half + b"\r\n")


def changed_request(change: Callable[[Request], Request]) -> Fault:
    """The server's answer to another request, such as one that a server's own limits make of it."""
    return lambda exchange: exchange.send(exchange.forward(change(exchange.request)))


def changed_answer(change: Callable[[Answer], Answer]) -> Fault:
    return lambda exchange: exchange.send(change(exchange.forward(exchange.request)))


def with_json(change: Callable[[Any], Any]) -> Callable[[Answer], Answer]:
    """The answer with its JSON body changed."""
    return lambda answer: replace(answer, body=json.dumps(change(json.loads(answer.payload))))


@dataclass
class FaultProxy:
    """The running proxy. `requests` are those that reached it, whatever became of them."""

    upstream: str
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    _client: httpx.Client = field(default_factory=lambda: httpx.Client(verify=False, timeout=UPSTREAM_SECONDS))
    _serving: ExitStack = field(default_factory=ExitStack)
    _is_down: bool = False
    _fault: Fault | None = None
    _times: float = 0
    _only: Predicate = any_request

    def misbehave(self, fault: Fault, *, times: float = float("inf"), only: Predicate = any_request) -> None:
        """From now on, spoil the next `times` of the requests for which `only` holds. It replaces an earlier fault."""
        self._fault, self._times, self._only = fault, times, only

    def go_down(self) -> None:
        """Refuse connections. The port stays the proxy's in so far as nobody else happens to be given it."""
        self._serving.close()
        self._is_down = True

    def heal(self) -> None:
        """Forward every request again, at the same address."""
        self._fault = None
        if self._is_down:
            self.serve(urlsplit(self.url).port or 0)

    def serve(self, port: int = 0) -> None:
        def respond(handler: Handler) -> None:
            request = handler.read_request()
            self.requests.append(request)
            exchange = Exchange(request, self._forward, handler)
            try:
                (self._next_fault(request) or _pass_on)(exchange)
            except (ConnectionError, httpx.HTTPError):
                # The client gave up, or the server behind the proxy did: so does the proxy.
                exchange.hang_up()

        class Proxy(Handler):
            do_GET = do_POST = do_DELETE = respond

        self.url = self._serving.enter_context(http_server(Proxy, port))
        self._is_down = False

    def close(self) -> None:
        self._serving.close()
        self._client.close()

    def _next_fault(self, request: Request) -> Fault | None:
        if not self._fault or self._times < 1 or not self._only(request):
            return None
        self._times -= 1
        return self._fault

    def _forward(self, request: Request) -> Answer:
        headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
        found = self._client.request(
            request.method,
            self.upstream + request.path,
            headers=headers | {"accept-encoding": "identity"},
            content=request.body,
        )
        kept = {name: value for name, value in found.headers.items() if name not in (*HOP_BY_HOP, "content-type")}
        return Answer(found.status_code, found.headers.get("content-type", ""), found.content, kept)


def _pass_on(exchange: Exchange) -> None:
    exchange.send(exchange.forward(exchange.request))


@contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """Serves a proxy on a free port; `upstream` is the server's address without path and without a slash at its end."""
    proxy = FaultProxy(upstream)
    try:
        proxy.serve()
        yield proxy
    finally:
        proxy.close()
