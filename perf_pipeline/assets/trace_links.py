"""Traces in the metadata that people read: a link where the span source has a place to look at them."""

from __future__ import annotations

from resources.sources import SpanSource


def trace_link(spans: SpanSource, trace_id: str) -> str:
    """Markdown: the first eight digits, as a link where there is one."""
    url = spans.trace_url(trace_id)
    return f"[{trace_id[:8]}]({url})" if url else trace_id[:8]
