"""What the simulated fleet did, as the truth for the end-to-end suite: its tasks, its spans, its log lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from perf_pipeline.demo.script import DemoScript, SimulatedTask, simulate
from perf_pipeline.monitoring.windows import Window, windows_between
from tests.real.services.otlp_sender import wait_until_queryable
from tests.real.services.phoenix_server import RunningPhoenix
from tests.wire.railway_server import FakeRailway, deployment, log

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FATAL_CHANGE = "Move InboundAgent to simulated-2"


@dataclass(frozen=True)
class Story:
    """`spans` are those that Phoenix took."""

    script: DemoScript
    tasks: list[SimulatedTask]
    spans: list[ReadableSpan]

    @property
    def windows(self) -> list[Window]:
        return windows_between(self.script.start, self.script.end, self.script.window)

    def tasks_of(self, agent: str, window_start: datetime) -> list[SimulatedTask]:
        return [task for task in self.tasks if (task.agent, task.window_start) == (agent, window_start)]

    @property
    def failed(self) -> list[SimulatedTask]:
        return [task for task in self.tasks if not task.ok]


def live(server: RunningPhoenix, script: DemoScript, inbox: Path) -> Story:
    """Lets the DSPy fleet live the script, traced to the server; returns when Phoenix holds all its spans."""
    headers = {"authorization": f"Bearer {server.api_key}"}
    exporter = RecordingExporter(OTLPSpanExporter(endpoint=f"{server.base_url}/v1/traces", headers=headers))
    tasks = simulate(script, exporter, inbox, lambda _done, _all: None)
    wait_until_queryable(server.base_url, script.project, len(exporter.spans), server.api_key, seconds=120)
    return Story(script, tasks, exporter.spans)


def railway_of(story: Story) -> FakeRailway:
    """Every task left a line, an error line where it failed, and a deployment came before the incident.

    Lines name their agent in the message or in an attribute, by turns; one error names nobody.
    """
    fake = FakeRailway()
    fake.logs = [_line(task, in_message=number % 2 == 0) for number, task in enumerate(story.tasks)]
    fake.logs.append(log(_ns(story.script.start + story.script.window / 3), "Out of memory", severity="error"))
    change = {"commitHash": "b" * 40, "commitMessage": f"{FATAL_CHANGE}\n\nBody", "branch": "main"}
    fake.deployments = [
        deployment("deployment-1", story.script.start - timedelta(days=1), "a"),
        deployment("deployment-2", story.script.deployed_at, "b", status="SUCCESS", meta=change),
    ]
    return fake


def end_of(task: SimulatedTask) -> datetime:
    return task.start + timedelta(milliseconds=task.latency_ms)


def _line(task: SimulatedTask, *, in_message: bool) -> dict[str, Any]:
    outcome = "finished" if task.ok else "failed"
    named = (
        {"message": f"{task.agent} {outcome} a task"}
        if in_message
        else {
            "message": f"A task {outcome}",
            "attributes": [{"key": "agent", "value": f'"{task.agent}"'}],
        }
    )
    return log(_ns(end_of(task)), severity="info" if task.ok else "error", **named)


def _ns(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


class RecordingExporter(SpanExporter):
    """Passes spans on to another exporter and keeps those that it took."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.spans.extend(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


@dataclass
class SentFigures:
    """What the spans of one task say, its nested tasks not counted in."""

    spans: int = 0
    error_spans: int = 0
    errors_begun: int = 0
    tokens: int = 0


def figures_by_task(spans: Sequence[ReadableSpan]) -> dict[str, SentFigures]:
    """The figures of each task by the span_id (16 hex digits) of its AGENT span, from OpenTelemetry's own spans.

    An error begins at an ERROR span none of whose children in the same task is one.
    """
    by_id = {_id(span): span for span in spans}
    owner = {span_id: _owner(span, by_id) for span_id, span in by_id.items()}
    failing_parents = {
        (owner[span_id], f"{span.parent.span_id:016x}")
        for span_id, span in by_id.items()
        if span.parent and not span.status.is_ok
    }
    figures: dict[str, SentFigures] = {}
    for span_id, span in by_id.items():
        task = figures.setdefault(owner[span_id], SentFigures())
        attributes = span.attributes or {}
        task.spans += 1
        task.error_spans += not span.status.is_ok
        task.errors_begun += not span.status.is_ok and (owner[span_id], span_id) not in failing_parents
        task.tokens += sum(int(str(attributes.get(f"llm.token_count.{part}", 0))) for part in ("prompt", "completion"))
    return figures


def _owner(span: ReadableSpan, by_id: dict[str, ReadableSpan]) -> str:
    while (span.attributes or {}).get("openinference.span.kind") != "AGENT":
        if span.parent is None:
            raise LookupError(f"No AGENT span stands above {span.name}.")
        span = by_id[f"{span.parent.span_id:016x}"]
    return _id(span)


def _id(span: ReadableSpan) -> str:
    if span.context is None:
        raise LookupError(f"The span {span.name} has no context.")
    return f"{span.context.span_id:016x}"
