"""An OpenAI-compatible server on 127.0.0.1 that answers with the embedded model, and misbehaves as it is told.

It keeps its own count of what a provider would bill, whatever the client learns of it. Its tokens are the embedded
model's: four characters each.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dspy_modules.embedded_model import CHARACTERS_PER_TOKEN, MALFORMED_ANSWER, count_tokens, reply
from dspy_modules.embedded_prompt import Message
from tests.wire.http_server import Answer, Handler, http_server

MODEL = "simulated-1"

Body = Mapping[str, Any]
"""What a client posts: model, messages, max_tokens, ..."""


@dataclass(frozen=True)
class Refusal:
    """An error instead of the work: it is not billed."""

    status: int
    message: str
    retry_after_seconds: float | None = None

    def answer(self) -> Answer:
        headers = {} if self.retry_after_seconds is None else {"Retry-After": f"{self.retry_after_seconds:g}"}
        return _error(self.status, self.message, headers)


@dataclass(frozen=True)
class Hang:
    """Silence for so long, then the work and its answer: it is billed, even where the client is gone by then."""

    seconds: float


@dataclass(frozen=True)
class Says:
    """A text of the test's own, as the model's whole answer."""

    text: str


Fault = (
    Refusal
    | Hang
    | Says
    | Literal["drop before the work", "drop after the work", "no usage", "malformed JSON", "unreadable text"]
)
"""All but a refusal and a drop before the work is billed. An unreadable text is one that no adapter can parse."""

Plan = Callable[[int, Body], Fault | None]
"""The fault of a request, by its number, from 1 on, and its body. It is called by many threads."""

BAD_REQUEST = Refusal(400, "The request is not acceptable.")
UNAUTHORIZED = Refusal(401, "Incorrect API key provided.")
SERVER_ERROR = Refusal(500, "The server had an error while processing the request.")


def rate_limit(retry_after_seconds: float) -> Refusal:
    return Refusal(429, "Rate limit reached for requests.", retry_after_seconds)


def no_faults(number: int, body: Body) -> Fault | None:  # noqa: ARG001
    return None


@dataclass(frozen=True)
class Call:
    """A request for a completion, as it stands on the bill. Without a bill it has no tokens.

    A call is delivered if the client was sent the whole of an answer, be it an error or malformed.
    """

    number: int
    model: str
    is_billed: bool = False
    is_delivered: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass
class ModelServer:
    """The running server. `plan` may be replaced while it runs."""

    plan: Plan = no_faults
    base_url: str = ""
    _calls: dict[int, Call] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def calls(self) -> tuple[Call, ...]:
        """All requests for completions so far, in the order of their arrival."""
        with self._lock:
            return tuple(self._calls.values())

    @property
    def billed(self) -> tuple[Call, ...]:
        return tuple(call for call in self.calls if call.is_billed)

    def begin(self, model: str) -> Call:
        with self._lock:
            call = Call(len(self._calls) + 1, model)
            self._calls[call.number] = call
            return call

    def note(self, call: Call) -> None:
        with self._lock:
            self._calls[call.number] = call


@dataclass(frozen=True)
class Completion:
    text: str
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int

    def usage(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


def complete(body: Body, text: str | None = None) -> Completion:
    """The model's work, within max_tokens; `text` is said instead of its own."""
    messages = [_message(message) for message in body["messages"]]
    said = reply(messages) if text is None else text
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    sent = sum(count_tokens(message["content"]) for message in messages)
    if limit is None or count_tokens(said) <= limit:
        return Completion(said, "stop", sent, count_tokens(said))
    return Completion(said[: limit * CHARACTERS_PER_TOKEN], "length", sent, limit)


@contextmanager
def model_server(plan: Plan = no_faults) -> Iterator[ModelServer]:
    """Serves on a free port of 127.0.0.1 until the block ends; `base_url` ends in /v1."""
    served = ModelServer(plan)

    class OpenAi(Handler):
        def do_GET(self) -> None:
            request = self.read_request()
            if request.path == "/v1/models":
                self.send(Answer(body=json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]})))
            else:
                self.send(_error(404, f"There is nothing at {request.path}."))

        def do_POST(self) -> None:
            request = self.read_request()
            if request.path != "/v1/chat/completions":
                self.send(_error(404, f"There is nothing at {request.path}."))
                return
            body = json.loads(request.body)
            call = served.begin(body["model"])
            fault = served.plan(call.number, body)
            if isinstance(fault, Refusal):
                self._deliver(call, fault.answer())
            elif fault == "drop before the work":
                self.close_connection = True
            else:
                self._work(call, body, fault)

        def _work(self, call: Call, body: Body, fault: Fault | None) -> None:
            if isinstance(fault, Hang):
                time.sleep(fault.seconds)
            said = fault.text if isinstance(fault, Says) else None
            completion = complete(body, MALFORMED_ANSWER if fault == "unreadable text" else said)
            billed = replace(
                call,
                is_billed=True,
                prompt_tokens=completion.prompt_tokens,
                completion_tokens=completion.completion_tokens,
            )
            if fault == "drop after the work":
                served.note(billed)
                self.close_connection = True
                return
            text = json.dumps(_completion_object(billed, completion, with_usage=fault != "no usage"))
            self._deliver(billed, Answer(body=text[: len(text) // 2] if fault == "malformed JSON" else text))

        def _deliver(self, call: Call, answer: Answer) -> None:
            # Noted before it is sent: a client that has its answer finds it on the bill.
            served.note(replace(call, is_delivered=not self._client_is_gone()))
            try:
                self.send(answer)
            except ConnectionError:
                served.note(call)
                self.close_connection = True

        def _client_is_gone(self) -> bool:
            """A closed connection reads as empty; one whose client waits has nothing to read yet."""
            try:
                return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
            except BlockingIOError:
                return False
            except ConnectionError:
                return True

    with http_server(OpenAi) as address:
        served.base_url = f"{address}/v1"
        yield served


def _completion_object(call: Call, completion: Completion, *, with_usage: bool) -> dict[str, Any]:
    message = {"role": "assistant", "content": completion.text}
    return {
        "id": f"chatcmpl-{call.number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": call.model,
        "choices": [{"index": 0, "message": message, "finish_reason": completion.finish_reason}],
        **({"usage": completion.usage()} if with_usage else {}),
    }


def _message(message: Mapping[str, Any]) -> Message:
    parts: str | Sequence[Mapping[str, Any]] = message["content"] or ""
    text = parts if isinstance(parts, str) else "".join(part.get("text", "") for part in parts)
    return {"role": "system" if message["role"] == "developer" else message["role"], "content": text}


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    body = {"error": {"message": message, "type": "simulated_error", "param": None, "code": None}}
    return Answer(status, body=json.dumps(body), headers=headers or {})
