"""Spans in files: the embedded default in the place of Phoenix.

The files are what OpenTelemetry's file exporters write: one OTLP/JSON ExportTraceServiceRequest a line, with
hexadecimal ids and times in nanoseconds. So a collector with a `file` exporter can feed the pipeline, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import dagster as dg
from pydantic import Field

from resources.json_lines import Line, complete_lines
from resources.otlp import Row, nanoseconds, span_rows, spans_frame
from resources.reading import PhoenixError, Reading

START = re.compile(rb'"startTimeUnixNano"\s*:\s*"?(\d+)')


class SpanFilesResource(dg.ConfigurableResource):
    """Reads windows of spans from `*.jsonl` in a folder."""

    folder: str = Field(description="Folder of the span files; a folder that does not exist holds no spans.")
    agent_attributes: list[str] = Field(description="Span attributes that may name the agent, in order of preference.")

    def describe(self) -> str:
        return f"files in {self.folder} (embedded default; set PHOENIX_ENDPOINT to read Phoenix)"

    def read_spans(self, start: datetime, end: datetime) -> Reading:
        """The spans that started in [start, end), as a frame of `raw_spans` ordered by start.

        A last line without a newline is still being written, and is left for the next reading. Raises PhoenixError,
        naming file and line, where a line is not OTLP/JSON.
        """
        return Reading(spans_frame(self._rows(nanoseconds(start), nanoseconds(end))))

    def trace_url(self, trace_id: str) -> str | None:  # noqa: ARG002
        """None: files have no page that shows a trace."""
        return None

    def _rows(self, start_ns: int, end_ns: int) -> Iterator[Row]:
        for path in sorted(Path(self.folder).glob("*.jsonl")):
            for line in complete_lines(path):
                if _may_start_within(line, start_ns, end_ns):
                    yield from self._line_rows(line, start_ns, end_ns)

    def _line_rows(self, line: Line, start_ns: int, end_ns: int) -> list[Row]:
        try:
            return list(span_rows(json.loads(line.content), tuple(self.agent_attributes), start_ns, end_ns))
        except (KeyError, TypeError, AttributeError, ValueError) as problem:
            reason = f"this is not an OTLP trace export in JSON ({type(problem).__name__}: {problem})"
            raise line.error(PhoenixError, reason) from problem


def _may_start_within(line: Line, start_ns: int, end_ns: int) -> bool:
    # Most lines belong to other windows; looking for the times costs a tenth of parsing the payloads.
    starts = START.findall(line.content)
    whole = line.content.startswith(b"{") and line.content.endswith(b"}")
    return not starts or not whole or any(start_ns <= int(start) < end_ns for start in starts)
