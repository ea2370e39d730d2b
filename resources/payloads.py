"""What went into a task and what came out, from its span's attributes `input.value` and `output.value`.

OpenInference writes both as JSON texts. What does not belong here: how a source finds the span.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perf_pipeline.records import TaskPayload
from resources.lenient_json import parsed_json

INPUT = "input.value"
OUTPUT = "output.value"

NAMED_ARGUMENTS = ("kwargs", "input_args")
"""Under which name a call's fields lie where it took them as `**kwargs`, or as dspy.ReAct does."""


def payload_of(span_id: str, attributes: Mapping[str, Any]) -> TaskPayload:
    """The payload of a span with these attributes; None for what is missing, no JSON, or no JSON object."""
    inputs = _object_in(attributes.get(INPUT))
    return TaskPayload(span_id, None if inputs is None else _fields(inputs), _object_in(attributes.get(OUTPUT)))


def _object_in(value: object) -> dict[str, Any] | None:
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return None
    try:
        # A text cut off in the middle of a character cannot be encoded as it is.
        found = parsed_json(value.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _fields(inputs: dict[str, Any]) -> dict[str, Any] | None:
    """The inputs by field, out of what a tracer wrote of a call's arguments.

    None where some were given by position: nobody knows to which fields they belong.
    """
    positional = inputs.get("args", [])
    others = [name for name in inputs if name != "args"]
    if not isinstance(positional, list) or len(others) != 1 or others[0] not in NAMED_ARGUMENTS:
        return inputs
    named = inputs[others[0]]
    if not isinstance(named, dict):
        return inputs
    return None if positional else named
