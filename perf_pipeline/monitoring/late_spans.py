"""Which windows must be read again, because spans of theirs arrived after they had been read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.monitoring.windows import floor_to_window
from perf_pipeline.records import SourceHealth, SourceStatus


@dataclass(frozen=True)
class LateSpans:
    """How many spans each window lacks, by its start, and which other windows hold tasks that these belong to."""

    missing: Mapping[datetime, int]
    callers: frozenset[datetime]

    @property
    def total(self) -> int:
        return sum(self.missing.values())


def find_late_spans(
    arrived: pd.DataFrame, stored: pd.DataFrame, read: Sequence[SourceHealth], window: timedelta
) -> LateSpans:
    """Compare spans that arrived with those that are stored; both have trace_id, span_id and start_time (UTC).

    `stored` needs to hold the spans of the arrived traces only. A window that was never read is left out: it is still
    to be read, with all that has arrived by then. A caller is a span of the same trace that began before.
    """
    starts = {reading.window_start for reading in read}
    key = ["trace_id", "span_id"]
    known = pd.MultiIndex.from_frame(stored[key])
    new = arrived[~pd.MultiIndex.from_frame(arrived[key]).isin(known)].drop_duplicates(key)
    new = new.assign(window=[floor_to_window(start, window) for start in new["start_time"]])
    new = new[new["window"].isin(list(starts))]
    joined = stored.merge(new[["trace_id", "start_time"]], on="trace_id", suffixes=("", "_late"))
    earlier = joined.loc[joined["start_time"] < joined["start_time_late"], "start_time"]
    missing = {start.to_pydatetime(): int(count) for start, count in new["window"].value_counts().items()}  # pyright: ignore[reportAttributeAccessIssue]
    callers = {floor_to_window(start.to_pydatetime(), window) for start in earlier}
    return LateSpans(missing, frozenset((callers & starts) - missing.keys()))


def owed_readings(late: LateSpans, read: Sequence[SourceHealth], system: str, now: datetime) -> list[SourceHealth]:
    """The health of the windows that are to be read again; those that are owed a reading anyway are left out."""
    owed = []
    for reading in read:
        count = late.missing.get(reading.window_start, 0)
        if reading.status is not SourceStatus.COMPLETE or not (count or reading.window_start in late.callers):
            continue
        what = f"{count} span(s) of this window" if count else "Spans of tasks that began in this window"
        reason = f"{what} reached {system} after it had been read (seen {now:%Y-%m-%d %H:%M} UTC): it is read again."
        owed.append(replace(reading, status=SourceStatus.PARTIAL, reason=reason))
    return owed
