"""Late spans are noticed by the order in which the source received them: their windows are owed another reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.late_spans import find_late_spans, owed_for_late_spans, owed_for_late_steps
from perf_pipeline.monitoring.windows import Window, floor_to_window
from perf_pipeline.records import SourceHealth
from perf_pipeline.tables import RAW_SPANS
from resources.lake import Lake
from resources.ledger import Ledger
from resources.sources import SpanSource


def note_late_spans(
    source: SpanSource, lake: Lake, ledger: Ledger, fleet: FleetConfig, now: datetime
) -> Counter[datetime]:
    """Look at what arrived since the last time, and mark the windows of the last `catch_up_hours` that lack it; how
    many spans each of them lacks, by its start.

    To be called before the windows of a run are read, while no other run reads: what arrives later is found by the
    next run, and what a run killed in between has found is found again. Raises PhoenixError.
    """
    # Another server or road counts its arrivals in another way.
    place = f"spans: {source.describe()}"
    since = max(now - fleet.catch_up, fleet.history_start_utc)
    read = _readings_of_spans(ledger, since, now)
    before = max((reading.window_start + fleet.window for reading in read), default=since)
    position = ledger.arrival_position(place)
    missing: Counter[datetime] = Counter()
    while True:
        arrivals = source.arrivals(position, since, before)
        if len(arrivals.spans):
            stored = _stored(lake, arrivals.spans, since, before)
            late = find_late_spans(arrivals.spans, stored, read, fleet.window)
            ledger.record_health(owed_for_late_spans(late, read, source.describe(), now))
            missing.update(late)
        ledger.record_arrival_position(place, arrivals.position, now)
        if arrivals.position == position or not len(arrivals.spans):
            return missing
        position = arrivals.position


def note_late_steps(added: Window, lake: Lake, ledger: Ledger, fleet: FleetConfig, others: Collection[Window]) -> None:
    """Spans were added to a window: mark the windows around it whose tasks they belong to, but for `others`, which the
    run sums up itself. To be called before the window's own health is recorded.

    A task that is stored already has its topmost span stored: the trace's, or one of an agent within it.
    """
    connection = lake.connect()
    longest = timedelta(hours=fleet.longest_task_hours)
    traces = lake.scan(connection, RAW_SPANS, added.start, added.end).select("trace_id").distinct()
    around = lake.scan(connection, RAW_SPANS, added.start - longest, added.end + longest)
    topmost = around.filter(around.parent_id.isnull() | (around.kind == "AGENT"))
    starts = topmost.semi_join(traces, "trace_id").select("start_time").to_pandas()["start_time"]
    owning = {floor_to_window(start.to_pydatetime(), fleet.window) for start in starts.unique()}
    owning -= {added.start, *(window.start for window in others)}
    read = _readings_of_spans(ledger, added.start - longest - fleet.window, added.end + longest)
    ledger.record_health(owed_for_late_steps(owning, read, added.start))


def _readings_of_spans(ledger: Ledger, start: datetime, end: datetime) -> list[SourceHealth]:
    return [reading for reading in ledger.health(start, end) if reading.source == "spans"]


def _stored(lake: Lake, arrived: pd.DataFrame, since: datetime, before: datetime) -> pd.DataFrame:
    """The stored spans of the arrived traces."""
    import ibis

    first = arrived["start_time"].min().to_pydatetime()
    spans = lake.scan(lake.connect(), RAW_SPANS, max(since, first) - timedelta(hours=1), before)
    traces = ibis.memtable(arrived[["trace_id"]].drop_duplicates())
    return spans.semi_join(traces, "trace_id").select("trace_id", "span_id", "start_time").to_pandas()
