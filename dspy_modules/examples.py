"""Examples as DSPy takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import dspy

Example: TypeAlias = dspy.Example


def as_example(inputs: Mapping[str, Any], expected: Mapping[str, Any]) -> Example:
    """An example whose inputs are those of the task, and whose other fields are the right answer."""
    return dspy.Example(**inputs, **expected).with_inputs(*inputs)
