"""Simulated times for real traces: a task that really took milliseconds lasts as long as the script says, in the past.

The order and nesting of the spans are the real ones; their lengths are made up, and the same in each run. Only the
demo uses this.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import Any

from openinference.semconv.trace import SpanAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator

# Shares of a task's time between two moments of its trace. Agents spend nearly all of their time waiting for models
# and tools, while the embedded ones answer at once.
WEIGHTS = {"LLM": 100.0, "TOOL": 40.0}
OTHER_WEIGHT = 1.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class TaskTime:
    """When a task began (UTC) and how long it took, both simulated."""

    start: datetime
    latency_ms: float


class RetimingExporter(SpanExporter):
    """Holds the spans of a trace back until its root ends, then exports them all at their simulated times."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._next: TaskTime | None = None
        self._held: list[ReadableSpan] = []
        self._task_times: dict[str, TaskTime] = {}

    def schedule(self, time: TaskTime) -> None:
        """Says when the next trace took place. One trace at a time."""
        self._next = time

    def time_of(self, task_id: str) -> TaskTime:
        """When a task took place, by its AGENT span. Raises LookupError where that span was not exported."""
        if task_id not in self._task_times:
            raise LookupError(
                f"The spans of task {task_id} were not exported. OpenTelemetry's log says why: check that the folder "
                "or server of the exporter takes spans, and run the simulation again."
            )
        return self._task_times[task_id]

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            self._held.append(span)
            if span.parent is None:
                held, self._held = self._held, []
                return self._export_trace(held)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _export_trace(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._next is None:
            raise RuntimeError("No time is scheduled for this trace: call schedule() before the task runs.")
        clock = simulated_clock(spans, self._next)
        self._next = None
        retimed = [_at(span, clock) for span in spans]
        result = self._exporter.export(retimed)
        if result is SpanExportResult.SUCCESS:
            self._task_times |= {_task_id(span): _time(span) for span in retimed if _kind(span) == "AGENT"}
        return result


class SeededIds(IdGenerator):
    """Ids of traces and spans that are the same in each run with the same seed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def generate_span_id(self) -> int:
        return self._random.randrange(1, 2**64)

    def generate_trace_id(self) -> int:
        return self._random.randrange(1, 2**128)


def simulated_clock(spans: Sequence[ReadableSpan], time: TaskTime) -> dict[int, int]:
    """Maps each moment of a trace (begin and end of a span, event) to a simulated one, both in nanoseconds since 1970.

    The map rises, the first moment becomes the task's start and the last one its end. Between two moments passes a
    share of the latency that depends only on what goes on then, not on the real clock.
    """
    events = {event.timestamp for span in spans for event in span.events}
    moments = sorted(events.union(*map(_interval, spans)))
    index = {moment: position for position, moment in enumerate(moments)}
    weights = [OTHER_WEIGHT] * (len(moments) - 1)
    for span in spans:
        begin, end = _interval(span)
        for position in range(index[begin], index[end]):
            weights[position] = max(weights[position], WEIGHTS.get(_kind(span), OTHER_WEIGHT))
    start = (time.start - EPOCH) // timedelta(microseconds=1) * 1000
    scale = time.latency_ms * 1e6 / sum(weights)
    passed = accumulate(weights, initial=0.0)
    return {moment: start + round(scale * before) for moment, before in zip(moments, passed, strict=True)}


def _kind(span: ReadableSpan) -> Any:
    return (span.attributes or {}).get(SpanAttributes.OPENINFERENCE_SPAN_KIND)


def _task_id(span: ReadableSpan) -> str:
    return json.loads(str((span.attributes or {})[SpanAttributes.METADATA]))["task_id"]


def _time(span: ReadableSpan) -> TaskTime:
    begin, end = _interval(span)
    return TaskTime(EPOCH + timedelta(microseconds=begin // 1000), (end - begin) / 1e6)


def _interval(span: ReadableSpan) -> tuple[int, int]:
    if span.start_time is None or span.end_time is None:
        raise ValueError(f"The span {span.name} was exported before it ended.")
    return span.start_time, span.end_time


def _at(span: ReadableSpan, clock: Mapping[int, int]) -> ReadableSpan:
    begin, end = _interval(span)
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=[Event(event.name, event.attributes, clock[event.timestamp]) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=clock[begin],
        end_time=clock[end],
        instrumentation_scope=span.instrumentation_scope,
    )
