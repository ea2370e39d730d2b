"""A proxy before a local Slack API: adds what Slack checks and the local one does not, and fails when told to.

Slack takes a channel as #name, refuses unknown tokens, obeys `oldest`, and shows a message's metadata only where
`include_all_metadata` asks for it; emulate 0.11.2 does none of these.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl

import httpx

TOKEN = "xoxb-local-slack"


@dataclass
class Answer:
    """An answer that comes instead of Slack's; the request goes no further."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = "{}"
    content_type: str = "application/json"

    @classmethod
    def refusal(cls, error: str, **others: Any) -> Answer:
        return cls(200, body=json.dumps({"ok": False, "error": error, **others}))

    @classmethod
    def rate_limit(cls, seconds: int) -> Answer:
        return cls(429, {"Retry-After": str(seconds)}, json.dumps({"ok": False, "error": "ratelimited"}))


Drop = Literal["drop before forwarding", "drop after forwarding"]


@dataclass
class FaultProxy:
    """`faults` are used up one a request; without one, the request is forwarded to `upstream` (.../api/).

    `page_limit` is the most that a page holds, whatever was asked for: Slack gives fewer where it likes to.
    """

    upstream: str | None = None
    faults: list[Answer | Drop] = field(default_factory=list)
    refuses_blocks: bool = False
    page_limit: int | None = None
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    base_url: str = ""

    def requests_to(self, method: str) -> list[dict[str, Any]]:
        return [form for name, form in self.requests if name == method]

    def forward(self, method: str, form: dict[str, Any], token: str | None) -> Answer:
        if token != TOKEN:
            return Answer.refusal("invalid_auth")
        if self.refuses_blocks and "blocks" in form:
            return Answer.refusal("invalid_blocks")
        assert self.upstream is not None, "This proxy has no Slack behind it: give it a fault for each request."
        sent = dict(form)
        if "channel" in sent:
            sent["channel"] = sent["channel"].removeprefix("#")
        if "limit" in sent and self.page_limit is not None:
            sent["limit"] = self.page_limit
        response = httpx.post(self.upstream + method, json=sent, headers={"Authorization": f"Bearer {token}"})
        answer = response.json()
        if method == "conversations.history" and answer["ok"]:
            answer["messages"] = [_as_asked(m, form) for m in answer["messages"] if m["ts"] >= form.get("oldest", "0")]
        return Answer(response.status_code, body=json.dumps(answer))


def _form(body: str, content_type: str) -> dict[str, Any]:
    return json.loads(body) if content_type.startswith("application/json") else dict(parse_qsl(body))


def _as_asked(message: dict[str, Any], form: dict[str, Any]) -> dict[str, Any]:
    shown = form.get("include_all_metadata") == "1"
    return {name: value for name, value in message.items() if shown or name != "metadata"}


@contextmanager
def fault_proxy(upstream: str | None = None) -> Iterator[FaultProxy]:
    """Serves a proxy on a free port of 127.0.0.1; `upstream` is the base URL of the Slack API behind it, if any."""
    proxy = FaultProxy(upstream)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = _form(body, self.headers["Content-Type"])
            method = self.path.removeprefix("/api/")
            proxy.requests.append((method, form))
            fault = proxy.faults.pop(0) if proxy.faults else None
            if fault == "drop before forwarding":
                return
            if isinstance(fault, Answer):
                self._answer(fault)
                return
            answer = proxy.forward(method, form, (self.headers["Authorization"] or "").removeprefix("Bearer "))
            if fault != "drop after forwarding":
                self._answer(answer)

        def _answer(self, answer: Answer) -> None:
            body = answer.body.encode()
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Type": answer.content_type}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Keeps the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    proxy.base_url = f"http://127.0.0.1:{server.server_address[1]}/api/"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
