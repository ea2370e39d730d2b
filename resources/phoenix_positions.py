"""Positions in the order in which Phoenix received its spans: its own ids of spans, "Span:17" in base64."""

from __future__ import annotations

import base64
import binascii

from resources.reading import PhoenixError

IDS_LOOKED_BACK = 1000
"""An id is given when a span is written, and seen when its transaction ends: a span may appear after one with a larger
id. Phoenix writes at most 100 spans in a transaction, so this is enough for ten servers that write at once."""


def span_number(span_id: str) -> int:
    """The number in Phoenix's own id of a span: it grows in the order of arrival. Raises PhoenixError."""
    try:
        return int(base64.b64decode(span_id, validate=True).removeprefix(b"Span:"))
    except (ValueError, TypeError, binascii.Error) as error:
        raise PhoenixError(
            f"{span_id!r} is not an id of Phoenix's spans, so what arrived after it cannot be told: its version may be "
            "too new; read by another road (fleet.yaml's sources.phoenix_road).",
            retryable=False,
        ) from error


def first_number_to_look_at(position: str | None, newest: str) -> int:
    """The number of the span from which to look on: somewhat before the position; 0 means from the first one.

    In a database that was set up anew ids begin again, so a position beyond the newest span means nothing.
    """
    if not position or (reached := span_number(position)) > span_number(newest):
        return 0
    return max(reached - IDS_LOOKED_BACK, 0)


def span_cursor(number: int) -> str | None:
    """The cursor of a page that begins with the span of that number, there or not; None for the first page."""
    return base64.b64encode(f"Span:{number}".encode()).decode() if number else None
