"""Windows around moments: the way to single spans where a source can be asked for nothing but windows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

NEAR = timedelta(seconds=1)
"""Moments this near to each other share a window: to read what lies between costs less than another request."""

MARGIN = timedelta(milliseconds=1)
"""For sources that keep times less exactly than others."""

Times = tuple[datetime, datetime]


def narrow_windows(moments: Iterable[datetime]) -> list[Times]:
    """Windows [start, end) in order, not more than moments, none within another, that together hold every moment."""
    windows: list[Times] = []
    for moment in sorted(moments):
        if windows and moment - windows[-1][1] <= NEAR:
            windows[-1] = (windows[-1][0], moment + MARGIN)
        else:
            windows.append((moment - MARGIN, moment + MARGIN))
    return windows
