"""JSON as Python programs write it, which is not always what others read."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson


def parsed_json(content: bytes) -> Any:
    """The value, with NaN and numbers without end as texts, and halves of characters as question marks.

    Raises ValueError, or RecursionError, where it is no JSON.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        # Python's own writer puts NaN and halves of characters into JSON, which others refuse.
        lenient = json.loads(content, parse_constant=str, parse_float=_float_or_text)
        return orjson.loads(json.dumps(lenient, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace"))


def _float_or_text(digits: str) -> float | str:
    return number if math.isfinite(number := float(digits)) else digits
