"""What the pipeline asks of the outside, whichever system answers: Phoenix or files, Railway or files, ..."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from resources.reading import Reading


@dataclass(frozen=True)
class PostedMessage:
    """Where a message stands: the channel's identity and the message's own, which replies refer to."""

    channel: str
    ts: str


class SpanSource(Protocol):
    def describe(self) -> str:
        """The system in use, for people."""
        ...

    def read_spans(self, start: datetime, end: datetime) -> Reading:
        """All spans that started in `[start, end)`, as `tables.RAW_SPANS`. Raises PhoenixError."""
        ...

    def trace_url(self, trace_id: str) -> str | None:
        """Where a person can look at a trace; None where there is no such place."""
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

    def read_task_counts(self, start: datetime, end: datetime) -> Reading:
        """Rows of agent_state by agent and status, as `tables.TASK_COUNTS`. Raises SupabaseError."""
        ...


class Messenger(Protocol):
    def describe(self) -> str: ...

    def post(self, text: str, blocks: list[dict[str, Any]], key: str) -> PostedMessage:
        """Post a message with its key. Raises SlackError."""
        ...

    def find(self, key: str, since: datetime) -> PostedMessage | None:
        """The message that was posted with the key at or after `since`, if there is one. Raises SlackError."""
        ...
