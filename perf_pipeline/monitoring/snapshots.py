"""Which stored memory may be taken up again. It works like make: what is older than what it was made from is stale."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime


def usable_snapshot(
    metrics_written: Mapping[datetime, datetime], states_written: Mapping[datetime, datetime], before: datetime
) -> datetime | None:
    """The newest window before `before` whose stored state still follows from the stored metrics; None for none.

    Both mappings give when a window was last written, by its start. A state follows from its own window's metrics
    and from the state of the window before it, so it must not be older than either; the first window that breaks
    this, or that was filled later and has no state, ends what can be used.
    """
    usable = None
    for window in sorted({*metrics_written, *states_written}):
        if window >= before:
            break
        made, source = states_written.get(window), metrics_written.get(window)
        if made is None or source is None or made < source:
            break
        if usable is not None and made < states_written[usable]:
            break
        usable = window
    return usable


def stale_windows(
    sources_written: Mapping[datetime, datetime], results_written: Mapping[datetime, datetime]
) -> list[datetime]:
    """The windows whose result is missing or older than its source, oldest first."""
    return sorted(
        window
        for window, written in sources_written.items()
        if window not in results_written or results_written[window] < written
    )
