"""Handmade spans, and their way into Phoenix: OTLP over HTTP with protobuf bodies, as an exporter sends them."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATUS_CODES = {
    "UNSET": Status.STATUS_CODE_UNSET,
    "OK": Status.STATUS_CODE_OK,
    "ERROR": Status.STATUS_CODE_ERROR,
}


@dataclass(frozen=True)
class SentSpan:
    """One span as it is sent. `start` is an aware datetime; identities are hex digits, as Phoenix returns them."""

    trace_id: str
    span_id: str
    name: str
    start: datetime
    parent_id: str | None = None
    kind: str | None = "CHAIN"
    duration: timedelta | None = timedelta(seconds=1)
    status: str = "OK"
    status_message: str = ""
    exception_type: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


def send_spans(base_url: str, project: str, spans: Sequence[SentSpan], api_key: str = "", batch: int = 250) -> None:
    """Sends the spans, and waits where the server's queue is full. They become readable some time afterwards."""
    headers = {"content-type": "application/x-protobuf"}
    if api_key:
        headers["authorization"] = f"Bearer {api_key}"
    with httpx.Client(base_url=base_url, headers=headers, timeout=60) as client:
        for first in range(0, len(spans), batch):
            body = _export_request(project, spans[first : first + batch])
            deadline = time.monotonic() + 120
            while (answer := client.post("/v1/traces", content=body)).status_code == 503:
                if time.monotonic() > deadline:
                    raise TimeoutError("Phoenix's queue stayed full for two minutes.")
                time.sleep(0.5)
            answer.raise_for_status()


def wait_until_queryable(base_url: str, project: str, count: int, api_key: str = "", seconds: float = 60) -> None:
    """Returns when the project holds `count` spans. Raises TimeoutError with the number that it holds instead."""
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    query = "query($name: String!) { getProjectByName(name: $name) { recordCount } }"
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=base_url, headers=headers, timeout=60) as client:
        while True:
            answer = client.post("/graphql", json={"query": query, "variables": {"name": project}})
            answer.raise_for_status()
            found = answer.json()["data"]["getProjectByName"]
            held = found["recordCount"] if found else 0
            if held >= count:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{held} of {count} spans are queryable after {seconds:.0f} s.")
            time.sleep(0.2)


def dspy_traces(agents: Sequence[str], start: datetime, end: datetime, count: int, seed: int) -> list[SentSpan]:
    """`count` spans of traces as an instrumented DSPy fleet makes them, each starting in [start, end)."""
    chance = random.Random(seed)
    longest = timedelta(seconds=10)
    spans: list[SentSpan] = []
    while len(spans) < count:
        began = start + (end - longest - start) * chance.random()
        spans.extend(_dspy_trace(chance, chance.choice(agents), began))
    return spans[:count]


def _dspy_trace(chance: random.Random, agent: str, start: datetime) -> list[SentSpan]:
    trace_id = chance.randbytes(16).hex()
    failed = chance.random() < 0.08
    inherited = {
        "session.id": f"session-{chance.randrange(500)}",
        "metadata": json.dumps({"agent_name": agent, "task_id": chance.randbytes(4).hex(), "program_version": "v1"}),
    }

    def span(name: str, kind: str, after_ms: float, parent: SentSpan | None, **attributes: Any) -> SentSpan:
        exception = "litellm.exceptions.RateLimitError" if failed and kind in ("AGENT", "CHAIN", "LLM") else None
        return SentSpan(
            trace_id=trace_id,
            span_id=chance.randbytes(8).hex(),
            parent_id=parent.span_id if parent else None,
            name=name,
            kind=kind,
            start=start + timedelta(milliseconds=after_ms),
            duration=timedelta(microseconds=chance.randrange(2_000, 8_000_000)),
            status="ERROR" if exception else "OK",
            status_message="RateLimitError: 429 Too many requests" if exception else "",
            exception_type=exception,
            attributes={**inherited, "input.value": "What does the lead ask about? " * 20, **attributes},
        )

    root = span(agent, "AGENT", 0, None, **{"agent.name": agent})
    module = span("ChainOfThought.forward", "CHAIN", 5, root)
    adapter = span("ChatAdapter.__call__", "CHAIN", 6, module)
    prompt_tokens, completion_tokens = chance.randrange(300, 3000), chance.randrange(50, 800)
    usage = {
        "llm.model_name": "gpt-4o-mini",
        "llm.provider": "openai",
        "llm.token_count.prompt": prompt_tokens,
        "llm.token_count.completion": completion_tokens,
        "llm.cost.total": prompt_tokens * 1.5e-7 + completion_tokens * 6e-7,
    }
    call = span("LM.__call__", "LLM", 7, adapter, **usage)
    tool = span("search_crm.__call__", "TOOL", 900, root)
    return [call, adapter, module, tool, root]


def _export_request(project: str, spans: Sequence[SentSpan]) -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.extend(_key_values({"openinference.project.name": project, "service.name": "fleet"}))
    scope = resource.scope_spans.add()
    scope.scope.name = "openinference.instrumentation.dspy"
    scope.spans.extend(_as_protobuf(span) for span in spans)
    return request.SerializeToString()


def _as_protobuf(span: SentSpan) -> Span:
    end = span.start + span.duration if span.duration is not None else None
    message = Span(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_id or ""),
        name=span.name,
        start_time_unix_nano=_nanoseconds(span.start),
        end_time_unix_nano=_nanoseconds(end) if end else 0,
        status=Status(code=STATUS_CODES[span.status], message=span.status_message),
    )
    kind = {"openinference.span.kind": span.kind} if span.kind else {}
    message.attributes.extend(_key_values({**kind, **span.attributes}))
    if span.exception_type:
        event = message.events.add(name="exception", time_unix_nano=_nanoseconds(end or span.start))
        event.attributes.extend(
            _key_values({"exception.type": span.exception_type, "exception.message": span.status_message})
        )
    return message


def _nanoseconds(when: datetime) -> int:
    return (when - EPOCH) // timedelta(microseconds=1) * 1000


def _key_values(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in attributes.items()]


def _any_value(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[_any_value(item) for item in value]))
        case _:
            return AnyValue(string_value=str(value))
