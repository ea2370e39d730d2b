"""A proxy before a local Slack API: adds what Slack checks and the local one does not, and fails when told to.

Slack takes a channel as #name, refuses unknown tokens, obeys `oldest`, and shows a message's metadata only where
`include_all_metadata` asks for it; emulate 0.11.2 does none of these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

import httpx

from tests.wire import http_server

TOKEN = "xoxb-local-slack"


@dataclass(frozen=True)
class Answer(http_server.Answer):
    """An answer as Slack gives it. As a fault it comes instead of Slack's, and the request goes no further."""

    @classmethod
    def refusal(cls, error: str, **others: Any) -> Answer:
        return cls(body=json.dumps({"ok": False, "error": error, **others}))

    @classmethod
    def rate_limit(cls, seconds: int) -> Answer:
        body = json.dumps({"ok": False, "error": "ratelimited"})
        return cls(429, body=body, headers={"Retry-After": str(seconds)})


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

    class Slack(http_server.Handler):
        def do_POST(self) -> None:
            request = self.read_request()
            form = _form(request.body.decode(), request.headers["content-type"])
            method = request.path.removeprefix("/api/")
            proxy.requests.append((method, form))
            fault = proxy.faults.pop(0) if proxy.faults else None
            if isinstance(fault, Answer):
                self.send(fault)
                return
            if fault != "drop before forwarding":
                token = request.headers.get("authorization", "").removeprefix("Bearer ")
                answer = proxy.forward(method, form, token)
                if fault is None:
                    self.send(answer)
                    return
            self.close_connection = True

    with http_server.http_server(Slack) as base_url:
        proxy.base_url = f"{base_url}/api/"
        yield proxy
