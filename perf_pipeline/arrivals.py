"""Late spans are noticed by the order in which the source received them: their windows are owed another reading."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.late_spans import LateSpans, find_late_spans, owed_readings
from perf_pipeline.tables import RAW_SPANS
from resources.lake import Lake
from resources.ledger import Ledger
from resources.sources import SpanSource

NOTHING_LATE = LateSpans({}, frozenset())


def note_late_spans(source: SpanSource, lake: Lake, ledger: Ledger, fleet: FleetConfig, now: datetime) -> LateSpans:
    """Look at what arrived since the last time, and mark the windows of the last `catch_up_hours` that lack it.

    To be called before the windows of a run are read, while no other run reads: what arrives later is found by the
    next run, and what a run killed in between has found is found again. Raises PhoenixError.
    """
    # Another server or road counts its arrivals in another way.
    place = f"spans: {source.describe()}"
    since = max(now - fleet.catch_up, fleet.history_start_utc)
    read = [reading for reading in ledger.health(since, now) if reading.source == "spans"]
    before = max((reading.window_start + fleet.window for reading in read), default=since)
    position = ledger.arrival_position(place)
    missing: Counter[datetime] = Counter()
    callers: frozenset[datetime] = frozenset()
    while True:
        arrivals = source.arrivals(position, since, before)
        if len(arrivals.spans):
            late = find_late_spans(
                arrivals.spans, _stored(lake, arrivals.spans, fleet, since, before), read, fleet.window
            )
            ledger.record_health(owed_readings(late, read, source.describe(), now))
            missing.update(late.missing)
            callers |= late.callers
        ledger.record_arrival_position(place, arrivals.position, now)
        if arrivals.position == position or not len(arrivals.spans):
            return LateSpans(missing, callers - missing.keys())
        position = arrivals.position


def _stored(lake: Lake, arrived: pd.DataFrame, fleet: FleetConfig, since: datetime, before: datetime) -> pd.DataFrame:
    """The stored spans of the arrived traces, back to where the longest of their tasks may have begun."""
    import ibis

    longest = timedelta(hours=fleet.longest_task_hours)
    spans = lake.scan(lake.connect(), RAW_SPANS, since - longest, before)
    traces = ibis.memtable(arrived[["trace_id"]].drop_duplicates())
    return spans.semi_join(traces, "trace_id").select("trace_id", "span_id", "start_time").to_pandas()
