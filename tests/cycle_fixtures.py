"""A whole installation in a folder, on an ephemeral Dagster instance, with sources that a test fills by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from perf_pipeline.definitions import build_defs
from perf_pipeline.fleet import FleetConfig, load_fleet
from perf_pipeline.jobs import MONITORING, SUMMARY, range_tags
from perf_pipeline.monitoring.windows import Window, floor_to_window, windows_between
from perf_pipeline.records import SourceHealth, TaskFeedback, TaskPayload
from perf_pipeline.tables import ANOMALIES, RAW_SPANS, TABLES, Table
from resources.lake import Lake, LakeIOManager, LakeResource
from resources.ledger import Ledger, LedgerResource
from resources.log_files import LogFilesResource
from resources.message_file import MessageFileResource
from resources.reading import PhoenixError
from resources.sources import Arrivals, ExportPlace, TaskPlace
from resources.state_files import StateFilesResource
from tests.builders import optimizable

FLEET_FILE = Path(__file__).parent.parent / "fleet.yaml"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class RecordedSpans:
    """A span source that gives what it was told to hold, and fails while it is told to."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    failure: PhoenixError | None = None
    payloads: dict[str, TaskPayload] = field(default_factory=dict)
    feedback: list[TaskFeedback] = field(default_factory=list)

    def describe(self) -> str:
        return "spans recorded by a test"

    def read_spans(self, start: datetime, end: datetime) -> Iterator[pd.DataFrame]:
        if self.failure:
            raise self.failure
        rows = [row for row in self.rows if start <= row["start_time"] < end]
        yield RAW_SPANS.conform(pd.DataFrame(rows, columns=RAW_SPANS.columns)) if rows else RAW_SPANS.empty()

    def arrivals(self, position: str | None, since: datetime, before: datetime) -> Arrivals:
        if self.failure:
            raise self.failure
        rows = [row for row in self.rows[int(position or 0) :] if since <= row["start_time"] < before]
        columns = pd.Index(["trace_id", "span_id", "start_time"])
        return Arrivals(str(len(self.rows)), pd.DataFrame(rows, columns=columns))

    def read_payloads(self, tasks: Sequence[TaskPlace]) -> Iterator[TaskPayload]:
        if self.failure:
            raise self.failure
        yield from (self.payloads[span_id] for span_id in {task.span_id for task in tasks} if span_id in self.payloads)

    def read_feedback(self, tasks: Sequence[TaskPlace]) -> list[TaskFeedback]:
        if self.failure:
            raise self.failure
        span_ids, task_ids = {task.span_id for task in tasks}, {task.task_id for task in tasks if task.task_id}
        return [said for said in self.feedback if said.span_id in span_ids or said.task_id in task_ids]

    def trace_url(self, trace_id: str) -> str | None:
        return f"https://phoenix.example/traces/{trace_id}"

    def export_place(self) -> ExportPlace:
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        return ExportPlace(InMemorySpanExporter(), "agents")

    def add_task(self, agent: str, start: datetime, *, ok: bool = True, latency_ms: float = 2000.0) -> None:
        number = len(self.rows) + 1
        self.rows.append(
            dict.fromkeys(RAW_SPANS.columns)
            | {
                "span_id": f"{number:016x}",
                "trace_id": f"{number:032x}",
                "agent": agent,
                "name": f"{agent}.forward",
                "kind": "AGENT",
                "start_time": start,
                "end_time": start + timedelta(milliseconds=latency_ms),
                "latency_ms": latency_ms,
                "status": "OK" if ok else "ERROR",
                "error_type": None if ok else "builtins.TimeoutError",
            }
        )

    def add_tasks(self, agent: str, window: Window, count: int, *, failed: int = 0) -> None:
        for number in range(count):
            self.add_task(agent, window.start + timedelta(seconds=10 * number), ok=number >= failed)


@dataclass(frozen=True)
class Installation:
    folder: Path
    fleet: FleetConfig
    spans: RecordedSpans
    resources: dict[str, object]
    definitions: dg.Definitions
    instance: dg.DagsterInstance

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"))

    @property
    def messages(self) -> list[dict[str, Any]]:
        file = self.folder / "messages.jsonl"
        return [json.loads(line) for line in file.read_text().split("\n") if line] if file.exists() else []

    def closed_windows(self, count: int) -> list[Window]:
        """The newest windows that are over, oldest first."""
        end = floor_to_window(datetime.now(UTC), self.fleet.window)
        return windows_between(end - count * self.fleet.window, end, self.fleet.window)

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        ledger = Ledger(f"sqlite:///{self.folder / 'ledger.db'}")
        try:
            yield ledger
        finally:
            ledger.close()

    def cycle(self, first: Window, last: Window | None = None) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(MONITORING)
        tags = range_tags(first.key, (last or first).key)
        return job.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False, run_config=QUIET)

    def summarize(self, day: str) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_job_def(SUMMARY)
        return job.execute_in_process(instance=self.instance, partition_key=day, raise_on_error=False, run_config=QUIET)

    def tick(self, sensor: str) -> dg.SensorExecutionData:
        context = dg.build_sensor_context(
            instance=self.instance, definitions=self.definitions, resources=self.resources
        )
        with context:
            return self.definitions.resolve_sensor_def(sensor).evaluate_tick(context)

    def complete_tasks(self, agent: str, count: int) -> None:
        with (self.folder / "inbox" / "agent_state.jsonl").open("a") as file:
            for number in range(count):
                state = {"id": f"{agent}-{number}", "agent_name": agent, "status": "completed"}
                file.write(json.dumps(state | {"updated_at": datetime.now(UTC).isoformat()}) + "\n")

    def table(self, table: Table, windows: list[Window]) -> pd.DataFrame:
        return self.lake.read(table, windows[0].start, windows[-1].end)

    def stored(self, windows: list[Window]) -> dict[str, pd.DataFrame]:
        """All tables of the windows, in an order that does not depend on how they were written."""
        return {
            name: frame.sort_values(list(table.schema.unique or [table.time_column])).reset_index(drop=True)
            for name, table in TABLES.items()
            for frame in [self.table(table, windows)]
        }

    def known(self, windows: list[Window]) -> dict[str, list[Any]]:
        """What the ledger knows, but for the time at which the sources were read."""
        with self.ledger() as book:
            health = [self._undated(reading) for reading in book.health(windows[0].start, windows[-1].end)]
            return {
                "health": health,
                "incidents": book.incidents(windows[0].start),
                "notifications": [message.key for message in book.notifications()],
                "requests": list(book.optimization_requests()),
            }

    @staticmethod
    def _undated(reading: SourceHealth) -> SourceHealth:
        return replace(reading, collected_at=reading.window_start)


@contextmanager
def installation(folder: Path, **settings: object) -> Iterator[Installation]:
    """An installation in an empty folder; `settings` stand above those of the repository's fleet.yaml."""
    (folder / "inbox").mkdir(parents=True)
    fleet = optimizable(load_fleet(FLEET_FILE)).model_copy(update=settings)
    spans = RecordedSpans()
    inbox = str(folder / "inbox")
    resources: dict[str, object] = {
        "lake": LakeResource(url=str(folder / "lake")),
        "lake_io": LakeIOManager(Lake(str(folder / "lake")), TABLES),
        "ledger": LedgerResource(url=f"sqlite:///{folder / 'ledger.db'}"),
        "span_source": spans,
        "log_source": LogFilesResource(folder=inbox),
        "task_source": StateFilesResource(folder=inbox),
        "messenger_slack": MessageFileResource(path=str(folder / "messages.jsonl")),
    }
    with dg.DagsterInstance.ephemeral() as instance:
        yield Installation(folder, fleet, spans, resources, build_defs(fleet, resources), instance)


def checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], bool]:
    """Whether each check of the run passed, by asset and check."""
    return {
        (evaluation.asset_key.to_user_string(), evaluation.check_name): evaluation.passed
        for evaluation in result.get_asset_check_evaluations()
    }


def agent_findings(installed: Installation, windows: list[Window]) -> pd.DataFrame:
    found = installed.table(ANOMALIES, windows)
    return found[found["type"] != "data_gap"]
