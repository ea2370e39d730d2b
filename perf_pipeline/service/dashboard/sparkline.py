"""A line of a few points without axes, as the coordinates of an SVG drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT, MARGIN = 96, 24, 2


def sparkline(values: Sequence[float], low: float = 0.0, high: float = 100.0) -> tuple[str, ...]:
    """The `points` of SVG polylines in a box of WIDTH × HEIGHT: a missing value breaks the line.

    A point that stands alone is a line of its own, from itself to itself, which round caps make a dot.
    """
    step = (WIDTH - 2 * MARGIN) / max(len(values) - 1, 1)
    lines: list[list[str]] = [[]]
    for position, value in enumerate(values):
        if math.isnan(value):
            lines.append([])
            continue
        share = min(max((value - low) / (high - low), 0), 1)
        lines[-1].append(f"{MARGIN + position * step:.1f},{HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN):.1f}")
    return tuple(" ".join(line if len(line) > 1 else line * 2) for line in lines if line)
