"""What a metric of fleet.yaml may give: a finite number, or nothing."""

from __future__ import annotations

import math
from decimal import Decimal
from numbers import Real


class MetricError(Exception):
    """A metric cannot be computed. The message is a sentence for the person who wrote it."""


def number_of(given: object) -> float | None:
    """None where nothing was given. Raises MetricError for anything but a finite number."""
    if given is None:
        return None
    # True is a number to Python, but a metric that gives it was meant otherwise.
    if isinstance(given, bool) or not isinstance(given, Real | Decimal):
        raise MetricError(f"It gives a {type(given).__name__}, where a number is needed.")
    number = float(given)
    if not math.isfinite(number):
        raise MetricError(f"It gives {number}, which is no finite number: leave such cases out.")
    return number
