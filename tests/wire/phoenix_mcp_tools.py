"""Tools that answer as Phoenix's MCP tools do, from spans in memory."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from resources.phoenix_mcp_tools import SpanTools
from resources.phoenix_positions import span_number


def span_of(number: int, start: datetime) -> dict[str, Any]:
    return {
        "id": base64.b64encode(f"Span:{number}".encode()).decode(),
        "name": "work",
        "context": {"trace_id": f"{number:032x}", "span_id": f"{number:016x}"},
        "span_kind": "AGENT",
        "parent_id": None,
        "start_time": start.isoformat(),
        "end_time": (start + timedelta(seconds=1)).isoformat(),
        "status_code": "OK",
        "status_message": "",
        "attributes": {"agent.name": "StrategyAgent"},
        "events": [],
    }


class PhoenixTools:
    """Tools that answer as Phoenix's do, from a list of spans in the order of their arrival.

    `page` is the most that one answer holds; before each answer `happens` is called, so that spans can arrive.
    """

    def __init__(self, tools: SpanTools, spans: list[dict[str, Any]], page: int = 3) -> None:
        self.tools = tools
        self.spans = spans
        self.page = page
        self.happens: Callable[[], None] = lambda: None

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        assert tool == self.tools.get_spans
        self.happens()
        start, end = (arguments.get(name) for name in (self.tools.start, self.tools.end))
        found = [
            span
            for span in self.spans
            if (start is None or start <= span["start_time"]) and (end is None or span["start_time"] < end)
        ]
        if self.tools.span_ids and self.tools.span_ids in arguments:
            found = [span for span in found if span["context"]["span_id"] in arguments[self.tools.span_ids]]
        upwards = arguments.get("order") == "asc" and self.tools.sorts
        found = found if upwards else found[::-1]
        if "cursor" in arguments:
            first = span_number(arguments["cursor"])
            found = [span for span in found if (span_number(span["id"]) - first) * (1 if upwards else -1) >= 0]
        size = min(self.page, arguments["limit"])
        rest = found[size:]
        return {self.tools.spans: found[:size], self.tools.next_cursor: rest[0]["id"] if rest else None}
