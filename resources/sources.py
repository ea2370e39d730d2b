"""What the pipeline asks of the outside, whichever system answers: Phoenix or files, Railway or files, ..."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from perf_pipeline.records import TaskFeedback, TaskPayload
from resources.reading import Reading

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter


@dataclass(frozen=True)
class Arrivals:
    """Spans that a source received after a position, whenever they started.

    `spans` has the columns trace_id, span_id and start_time (UTC), at least one row for each span that arrived;
    `position` is where the next question goes on, in words of the source's own.
    """

    position: str
    spans: pd.DataFrame


@dataclass(frozen=True)
class ExportPlace:
    """Where spans of the product's own go, and the project that they belong to there."""

    exporter: SpanExporter
    project: str


@dataclass(frozen=True)
class TaskPlace:
    """Where a task's topmost span is. `start_time` is aware; `task_id` is the id of its row in agent_state."""

    span_id: str
    trace_id: str
    start_time: datetime
    task_id: str | None = None


class SpanSource(Protocol):
    def describe(self) -> str:
        """The system in use, for people."""
        ...

    def read_spans(self, start: datetime, end: datetime) -> Iterator[pd.DataFrame]:
        """All spans that started in `[start, end)`, as parts of `tables.RAW_SPANS`, in no order.

        A part is small enough for memory. A span that was exported twice may be in two of them. Raises PhoenixError,
        also between two parts: then the window was not read.
        """
        ...

    def arrivals(self, position: str | None, since: datetime, before: datetime) -> Arrivals:
        """What arrived after the position and started in `[since, before)`; without a position, all of these.

        Not more than fits into memory: what is left out comes after the new position. Raises PhoenixError.
        """
        ...

    def read_payloads(self, tasks: Sequence[TaskPlace]) -> Iterator[TaskPayload]:
        """What went into the tasks and came out, for each whose span is found, once, in no order.

        Raises PhoenixError, also between two of them: then not all were read.
        """
        ...

    def read_feedback(self, tasks: Sequence[TaskPlace]) -> list[TaskFeedback]:
        """All that people, judges and programs said about the tasks, in no order. Raises PhoenixError.

        A score is as it was given, which for names of other people's making need not be from 0 to 1.
        """
        ...

    def trace_url(self, trace_id: str) -> str | None:
        """Where a person can look at a trace; None where there is no such place."""
        ...

    def export_place(self) -> ExportPlace:
        """Where to trace to, so that the spans are read from here like the agents'."""
        ...


class LogSource(Protocol):
    def describe(self) -> str: ...

    def read_logs(self, start: datetime, end: datetime) -> Reading:
        """All log lines of `[start, end)`, as `tables.RAW_LOGS`. Raises RailwayError."""
        ...

    def read_deployments(self, start: datetime, end: datetime) -> Reading:
        """All deployments of `[start, end)`, as `tables.CHANGE_EVENTS`. Raises RailwayError."""
        ...


class TaskSource(Protocol):
    def describe(self) -> str: ...

    def read_task_counts(self, start: datetime, end: datetime, since: Mapping[str, datetime]) -> Reading:
        """Rows of agent_state by agent and status, as `tables.TASK_COUNTS`. Raises SupabaseError.

        `since` says when an agent was last optimized, as an aware time; an agent that it lacks never was.
        """
        ...

    def read_task_states(self, start: datetime, end: datetime) -> Reading:
        """Rows of agent_state that changed last in `[start, end)`, as `tables.TASK_STATES`. Raises SupabaseError."""
        ...
