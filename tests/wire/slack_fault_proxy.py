"""A proxy before a local Slack API: adds what Slack checks and the local one does not, and fails when told to.

What Slack does and emulate 0.11.2 does not, and this proxy adds:
- it takes a channel as #name, and refuses unknown tokens;
- it obeys `oldest`, and shows a message's metadata only where `include_all_metadata` asks for it;
- it gives a thread page by page, and answers thread_not_found for one that is not there;
- it refuses blocks that show a file which it does not know, or has not scanned yet: `scans` is how often;
- it names only some of those who reacted unless `full` asks for all.
Uploads go through the proxy too: it puts its own address in place of the local Slack's.

What neither does: Slack lists a thread's answer with `reply_broadcast` in the channel as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.wire import http_server

TOKEN = "xoxb-local-slack"
"""The bot's, with every scope."""

DOCUMENTED_TOKEN = "xoxb-documented-scopes"
"""The bot's, with the scopes that SlackResource documents and no other."""

CHAT_ONLY_TOKEN = "xoxb-chat-only"
"""The bot's, without the scopes for pictures and reactions."""

TOKENS = (TOKEN, DOCUMENTED_TOKEN, CHAT_ONLY_TOKEN)
UPLOAD = "upload"
"""What the upload of a file's bytes is called among the methods."""


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

    @classmethod
    def refused_picture(cls) -> Answer:
        error = "invalid slack file [json-pointer:/blocks/1/slack_file]"
        return cls.refusal("invalid_blocks", errors=[error], response_metadata={"messages": [f"[ERROR] {error}"]})


Fault = Answer | Literal["drop before forwarding", "drop after forwarding", "500 after forwarding"]
"""What "after forwarding" spoils, Slack has done."""


@dataclass
class FaultProxy:
    """`faults` are used up one a request, `faults_of` one a request to that method; without one, the request is
    forwarded to `upstream` (.../api/).

    `page_limit` is the most that a page holds, whatever was asked for: Slack gives fewer where it likes to.
    `names_at_most` is how many of those who reacted are named even where all are asked for.
    """

    upstream: str | None = None
    faults: list[Fault] = field(default_factory=list)
    faults_of: dict[str, list[Fault]] = field(default_factory=dict)
    refuses_blocks: bool = False
    scans: int = 0
    page_limit: int | None = None
    names_at_most: int | None = None
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    upload_headers: list[dict[str, str]] = field(default_factory=list)
    base_url: str = ""
    _scans_left: dict[str, int] = field(default_factory=dict)

    def requests_to(self, method: str) -> list[dict[str, Any]]:
        return [form for name, form in self.requests if name == method]

    def next_fault(self, method: str) -> Fault | None:
        waiting = self.faults_of.get(method) or self.faults
        return waiting.pop(0) if waiting else None

    def forward(self, method: str, form: dict[str, Any], token: str | None) -> Answer:
        if token not in TOKENS:
            return Answer.refusal("invalid_auth")
        if self.refuses_blocks and "blocks" in form:
            return Answer.refusal("invalid_blocks")
        if not all(self._can_show(block) for block in form.get("blocks", [])):
            return Answer.refused_picture()
        assert self.upstream is not None, "This proxy has no Slack behind it: give it a fault for each request."
        sent = dict(form)
        if "channel" in sent:
            sent["channel"] = sent["channel"].removeprefix("#")
        if "limit" in sent and self.page_limit is not None:
            sent["limit"] = self.page_limit
        response = httpx.post(self.upstream + method, json=sent, headers={"Authorization": f"Bearer {token}"})
        answer = response.json()
        if answer["ok"]:
            self._as_slack_answers(method, sent, answer)
        return Answer(response.status_code, body=json.dumps(answer))

    def upload(self, path: str, content: bytes) -> Answer:
        assert self.upstream is not None, "This proxy has no Slack behind it."
        address = urlsplit(self.upstream)
        response = httpx.post(f"{address.scheme}://{address.netloc}{path}", content=content)
        return Answer(response.status_code, "text/plain", response.content)

    def _as_slack_answers(self, method: str, form: dict[str, Any], answer: dict[str, Any]) -> None:
        """Turns an answer of the local Slack into Slack's, in place."""
        if method == "conversations.history":
            answer["messages"] = [_as_asked(message, form) for message in _new_enough(answer["messages"], form)]
        elif method == "conversations.replies":
            messages = [_as_asked(message, form) for message in answer["messages"]]
            if not any(message["ts"] == form["ts"] for message in messages):
                answer.clear()
                answer.update(ok=False, error="thread_not_found")
                return
            answers = _new_enough([message for message in messages if message["ts"] != form["ts"]], form)
            everything = [*(message for message in messages if message["ts"] == form["ts"]), *answers]
            begin = int(form.get("cursor") or 0)
            end = begin + int(form.get("limit", 1000))
            following = str(end) if end < len(everything) else ""
            answer.update(messages=everything[begin:end], response_metadata={"next_cursor": following})
        elif method == "files.getUploadURLExternal":
            answer["upload_url"] = f"{self.base_url.removesuffix('/api/')}{urlsplit(answer['upload_url']).path}"
        elif method == "files.completeUploadExternal":
            for file in answer["files"]:
                self._scans_left[file["id"]] = self.scans
                file["mimetype"] = file["filetype"] = file["pretty_type"] = ""
        elif method == "reactions.get":
            shown = self.names_at_most if form.get("full") == "1" else 1
            for reaction in answer["message"]["reactions"]:
                reaction["users"] = reaction["users"][:shown]

    def _can_show(self, block: dict[str, Any]) -> bool:
        if "slack_file" not in block:
            return True
        file_id = block["slack_file"]["id"]
        left = self._scans_left.get(file_id)
        self._scans_left.update({file_id: left - 1} if left else {})
        return left == 0


def _form(body: str, content_type: str) -> dict[str, Any]:
    return json.loads(body or "{}") if content_type.startswith("application/json") else dict(parse_qsl(body))


def _new_enough(messages: list[dict[str, Any]], form: dict[str, Any]) -> list[dict[str, Any]]:
    return [message for message in messages if message["ts"] >= form.get("oldest", "0")]


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
            if request.path.startswith("/upload/"):
                proxy.upload_headers.append(request.headers)
                self.answer(UPLOAD, {"bytes": request.body}, lambda: proxy.upload(request.path, request.body))
                return
            form = _form(request.body.decode(), request.headers.get("content-type", ""))
            method = request.path.removeprefix("/api/")
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            self.answer(method, form, lambda: proxy.forward(method, form, token))

        def answer(self, method: str, form: dict[str, Any], forward: Callable[[], Answer]) -> None:
            proxy.requests.append((method, form))
            fault = proxy.next_fault(method)
            if isinstance(fault, Answer):
                self.send(fault)
                return
            answer = None if fault == "drop before forwarding" else forward()
            if answer is None or fault == "drop after forwarding":
                self.close_connection = True
            else:
                self.send(answer if fault is None else Answer(500))

    with http_server.http_server(Slack) as base_url:
        proxy.base_url = f"{base_url}/api/"
        yield proxy
