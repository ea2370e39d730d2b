"""What a window's spans say about the clocks that wrote them, as Ibis expressions that run on any engine."""

# Ibis gives every column of a table one type, so a checker knows no operation on numbers, texts or times.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

TOLERANCE = timedelta(seconds=1)
"""Clocks of machines that are kept in time by NTP differ by less."""


@dataclass(frozen=True)
class SpanFaults:
    """How many spans end before they start, start before their caller did, or started after they were read."""

    backwards: int
    before_caller: int
    ahead: int

    @property
    def problems(self) -> list[str]:
        """What is wrong and what it means, a sentence each."""
        named = (
            (self.backwards, "end before they start: they count as tasks and errors, but have no latency"),
            (self.before_caller, "start more than a second before the span that called them: compare the clocks"),
            (self.ahead, "started in the future when they were read: a clock there is ahead of ours"),
        )
        return [f"{count} span(s) {what}." for count, what in named if count]


def find_span_faults(spans: ir.Table, read_at: datetime) -> SpanFaults:
    """`spans` are rows of `tables.RAW_SPANS`; `read_at` is when they were read (aware)."""
    callers = spans.select(caller_trace="trace_id", caller_span="span_id", caller_start="start_time")
    early = spans.join(callers, [spans.trace_id == callers.caller_trace, spans.parent_id == callers.caller_span])
    tolerance = ibis.interval(seconds=int(TOLERANCE.total_seconds()))
    counts = spans.aggregate(
        backwards=spans.count(where=spans.end_time < spans.start_time),
        ahead=spans.count(where=spans.start_time > ibis.literal(read_at + TOLERANCE)),
    ).execute()
    before_caller = early.filter(early.start_time + tolerance < early.caller_start).count().execute()
    return SpanFaults(int(counts["backwards"][0]), int(before_caller), int(counts["ahead"][0]))
