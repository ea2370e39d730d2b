"""Which windows must be read again, because spans of theirs arrived after they had been read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.monitoring.windows import floor_to_window
from perf_pipeline.records import SourceHealth, SourceStatus


def find_late_spans(
    arrived: pd.DataFrame, stored: pd.DataFrame, read: Sequence[SourceHealth], window: timedelta
) -> dict[datetime, int]:
    """How many of the arrived spans each window lacks, by its start.

    Both frames have trace_id, span_id and start_time (UTC); `stored` needs to hold the spans of the arrived traces
    only. A window that was never read is left out: it is still to be read, with all that has arrived by then.
    """
    starts = {reading.window_start for reading in read}
    key = ["trace_id", "span_id"]
    known = pd.MultiIndex.from_frame(stored[key])
    new = arrived[~pd.MultiIndex.from_frame(arrived[key]).isin(known)].drop_duplicates(key)
    counts = pd.Series([floor_to_window(start.to_pydatetime(), window) for start in new["start_time"]]).value_counts()
    return {start: int(count) for start, count in counts.items() if start in starts}  # pyright: ignore[reportReturnType]


def owed_for_late_spans(
    missing: Mapping[datetime, int], read: Sequence[SourceHealth], system: str, now: datetime
) -> list[SourceHealth]:
    """The health of the windows that lack so many spans; those that are owed a reading anyway are left out."""
    seen = f"reached {system} after it had been read (seen {now:%Y-%m-%d %H:%M} UTC): it is read again."
    return [
        replace(reading, status=SourceStatus.PARTIAL, reason=f"{missing[reading.window_start]} span(s) of it {seen}")
        for reading in read
        if reading.status is SourceStatus.COMPLETE and reading.window_start in missing
    ]


def owed_for_late_steps(
    began: Collection[datetime], read: Sequence[SourceHealth], late: datetime
) -> list[SourceHealth]:
    """The health of the windows in which tasks began that got late spans in the window that starts at `late`."""
    where = f"that of {late:%Y-%m-%d %H:%M} UTC"
    reason = f"Tasks that began in this window got late spans in {where}: they are summed up again."
    return [
        replace(reading, status=SourceStatus.PARTIAL, reason=reason)
        for reading in read
        if reading.status is SourceStatus.COMPLETE and reading.window_start in began
    ]
