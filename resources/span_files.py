"""Spans in files: the embedded default in the place of Phoenix, and the road for the spans of any tracer.

The files are what OpenTelemetry's file exporters write, so a collector can feed the pipeline: docs/other-tracers.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pandas as pd
from pydantic import Field

from perf_pipeline.records import TaskFeedback, TaskPayload
from resources.feedback_file import feedback_in
from resources.otlp import NOT_OTLP, Row, json_rows, nanoseconds, rows_frame, wanted_of_spans
from resources.otlp_files import Message, SpanFile, fingerprint, messages_after, span_files
from resources.otlp_protobuf import protobuf_rows
from resources.payloads import INPUT, OUTPUT, payload_of
from resources.phoenix_road import ARRIVALS_AT_ONCE
from resources.sources import Arrivals, ExportPlace, TaskPlace
from resources.span_columns import raw_spans

START = re.compile(rb'"startTimeUnixNano"\s*:\s*"?(\d+)')
SPANS_PER_PART = 20_000
CLOCKS_DIFFER_BY = timedelta(days=1)
PAYLOADS = frozenset({INPUT, OUTPUT})
NS_PER_MS = 1_000_000


class SpanFilesResource(dg.ConfigurableResource):
    """Reads windows of spans from the files of a folder whose names end as `otlp_files.SUFFIXES` says."""

    folder: str = Field(description="Folder of the span files; a folder that does not exist holds no spans.")
    agent_attributes: list[str] = Field(description="Span attributes that may name the agent, in order of preference.")
    feedback_file: str = Field(default="", description="Lines as `feedback_file.feedback_in` reads them; empty: none.")

    def describe(self) -> str:
        return f"files in {self.folder} (embedded default; set PHOENIX_ENDPOINT to read Phoenix)"

    def read_spans(self, start: datetime, end: datetime) -> Iterator[pd.DataFrame]:
        """See `sources.SpanSource`. Both bounds are aware datetimes.

        A file that was last changed more than a day before the window is left out: a span is exported after it began,
        and the day is for clocks that differ. An incomplete last message is still being written, and is left for the
        next reading. Raises PhoenixError, naming the place in its file, where a message is not OTLP.
        """
        _refuse_naive(start, end)
        rows = self._rows(start, end)
        while part := list(islice(rows, SPANS_PER_PART)):
            yield raw_spans(rows_frame(part), self.agent_attributes)

    def arrivals(self, position: str | None, since: datetime, before: datetime) -> Arrivals:
        """See `sources.SpanSource`. The position says for each file how much of its content was looked at.

        A position of another source counts as none. What stands in one message arrives together, so there may be a
        few spans more than ARRIVALS_AT_ONCE.
        """
        _refuse_naive(since, before)
        known = _states(position)
        reached: dict[str, FileState] = {}
        arrived: list[Row] = []
        for file in span_files(Path(self.folder)):
            name = ":".join(map(str, file.identity))
            state = known.get(name, UNSEEN)
            changed = (state.size, state.mtime_ns) != (file.size, file.mtime_ns)
            if changed and _may_hold_spans_since(file, since) and len(arrived) < ARRIVALS_AT_ONCE:
                state = _look_at(file, state, arrived, since, before)
            if state != UNSEEN:
                reached[name] = state
        spans = rows_frame(arrived)[["trace_id", "span_id", "start_time"]]
        return Arrivals(json.dumps(reached, separators=(",", ":")), spans)

    def read_payloads(self, tasks: Sequence[TaskPlace]) -> Iterator[TaskPayload]:
        """See `sources.SpanSource`. Raises PhoenixError as `read_spans` does."""
        if not tasks:
            return
        starts = [task.start_time for task in tasks]
        _refuse_naive(*starts)
        left = {(task.trace_id, task.span_id) for task in tasks}
        for message in self._messages_at(starts):
            for row in _rows_within(message, PAYLOADS, *_bounds(starts)):
                if (row.trace_id, row.span_id) in left:
                    left.remove((row.trace_id, row.span_id))
                    yield payload_of(row.span_id, row.attributes)
            if not left:
                return

    def read_feedback(self, tasks: Sequence[TaskPlace]) -> list[TaskFeedback]:
        """See `sources.SpanSource`. Raises PhoenixError, naming file and line, where a line is malformed."""
        return feedback_in(Path(self.feedback_file), tasks) if self.feedback_file and tasks else []

    def trace_url(self, trace_id: str) -> str | None:  # noqa: ARG002
        """None: files have no page that shows a trace."""
        return None

    def export_place(self) -> ExportPlace:
        """See `sources.SpanSource`. Files have no projects."""
        from resources.span_file_exporter import SpanFileExporter

        return ExportPlace(SpanFileExporter(Path(self.folder)), "agents")

    def _rows(self, start: datetime, end: datetime) -> Iterator[Row]:
        wanted = wanted_of_spans(self.agent_attributes)
        for file in span_files(Path(self.folder)):
            if _may_hold_spans_since(file, start):
                for message in messages_after(file):
                    yield from _rows_within(message, wanted, nanoseconds(start), nanoseconds(end))

    def _messages_at(self, starts: Sequence[datetime]) -> Iterator[Message]:
        """The messages that may hold spans that started then."""
        wanted = {at + near for at in map(_millisecond, map(nanoseconds, starts)) for near in (-1, 0, 1)}
        for file in span_files(Path(self.folder)):
            if _may_hold_spans_since(file, min(starts)):
                for message in messages_after(file):
                    found = _starts_in(message.content) if message.is_json else None
                    if found is None or not wanted.isdisjoint(map(_millisecond, found)):
                        yield message


class FileState(NamedTuple):
    """How far a file was looked at, in bytes of its content, and how it was then.

    Size and time of change are 0 where more of it was there to look at.
    """

    end: int
    fingerprint: str
    size: int
    mtime_ns: int


UNSEEN = FileState(0, "", 0, 0)


def _look_at(file: SpanFile, state: FileState, arrived: list[Row], since: datetime, before: datetime) -> FileState:
    """Append what arrived in the file, and give its new state."""
    for message in messages_after(file, state.end, state.fingerprint):
        arrived.extend(_rows_within(message, frozenset(), nanoseconds(since), nanoseconds(before)))
        state = FileState(message.end, fingerprint(message.tail), 0, 0)
        if len(arrived) >= ARRIVALS_AT_ONCE:
            return state
    return state._replace(size=file.size, mtime_ns=file.mtime_ns)


def _states(position: str | None) -> dict[str, FileState]:
    try:
        return {name: FileState(*state) for name, state in json.loads(position or "{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _rows_within(message: Message, wanted: frozenset[str], start_ns: int, end_ns: int) -> Iterator[Row]:
    if message.is_json and not _may_start_within(message.content, start_ns, end_ns):
        return
    rows = json_rows if message.is_json else protobuf_rows
    try:
        yield from rows(message.content, wanted, start_ns, end_ns)
    except NOT_OTLP as problem:
        reason = f"this is not an OTLP trace export ({type(problem).__name__}: {problem})"
        raise message.error(reason) from problem


def _may_start_within(content: bytes, start_ns: int, end_ns: int) -> bool:
    starts = _starts_in(content)
    return starts is None or any(start_ns <= start < end_ns for start in starts)


def _starts_in(content: bytes) -> Iterable[int] | None:
    """When the spans of a message in JSON start, in nanoseconds since 1970; None where it does not look like that.

    Most messages are of other times; looking for these costs a fraction of parsing the payloads.
    """
    is_whole = content.startswith(b"{") and content.endswith(b"}")
    if not is_whole or START.search(content) is None:
        return None
    return (int(start[1]) for start in START.finditer(content))


def _millisecond(time_ns: int) -> int:
    return time_ns // NS_PER_MS


def _bounds(starts: Sequence[datetime]) -> tuple[int, int]:
    """Before and after all of the times, in nanoseconds since 1970."""
    return nanoseconds(min(starts)) - NS_PER_MS, nanoseconds(max(starts)) + NS_PER_MS


def _may_hold_spans_since(file: SpanFile, start: datetime) -> bool:
    return file.mtime_ns >= nanoseconds(start - CLOCKS_DIFFER_BY)


def _refuse_naive(*times: datetime) -> None:
    if any(time.tzinfo is None for time in times):
        raise ValueError("The bounds of a window must carry a time zone.")
