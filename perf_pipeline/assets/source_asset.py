"""What the assets that read a source have in common: collect, remember the source's health, describe it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pandas as pd

from perf_pipeline.assets.window_asset import markdown, window_asset
from perf_pipeline.checks import refused_result, source_complete_result, source_complete_spec
from perf_pipeline.collection import CollectedWindow, Keeps, Read, collect
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.tables import Table
from resources.lake import Lake
from resources.ledger import Ledger, LedgerResource
from resources.reading import Reading


@dataclass(frozen=True)
class Source:
    """A source as an asset reads it: its name in the ledger, the system behind it, how to read a window."""

    name: str
    system: str
    read: Read
    keeps: Keeps = Keeps.NOTHING


def source_asset(
    fleet: FleetConfig, table: Table, kinds: set[str], checks: Sequence[dg.AssetCheckSpec] = ()
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` for a table that is read from outside. It writes its partitions itself, part by part."""
    return window_asset(
        fleet, table, "telemetry", kinds, [source_complete_spec(table), *checks], dagster_type=dg.Nothing
    )


def at_once(
    read: Callable[[datetime, datetime], Reading], finish: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame
) -> Read:
    """A source that gives a window in one part; `finish` completes the columns that the source lacks."""

    def read_parts(start: datetime, end: datetime) -> Iterator[Reading]:
        reading = read(start, end)
        yield replace(reading, frame=finish(reading.frame))

    return read_parts


def materialize_source(
    source: Source,
    table: Table,
    windows: Sequence[Window],
    lake: Lake,
    ledger: LedgerResource,
    failures: Sequence[str] = (),
    when_added: Callable[[Ledger, Window], None] = lambda _ledger, _window: None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dg.MaterializeResult:
    """Read the windows into the lake and record how well that went, window by window.

    `failures` are sentences about the source that concern no single window. `when_added` is called for a window that
    got new rows, before its health is recorded: what it does is done again if the process dies in between.
    """
    with ledger.open() as book:
        known = [row for row in book.health(windows[0].start, windows[-1].end) if row.source == source.name]
        seen = {row.window_start: row for row in known}
        collected = []
        readings = collect(source.name, table, windows, source.read, lake, known, clock, source.keeps)
        for window, reading in zip(windows, readings, strict=True):
            if reading.added_rows:
                when_added(book, window)
            book.record_reading(reading.health, seen.get(window.start))
            collected.append(reading)
    problems = [*failures, *(problem for window in collected for problem in window.problems)]
    return dg.MaterializeResult(
        metadata=_metadata(source, collected),
        check_results=[
            refused_result([window.refused for window in collected if window.refused]),
            source_complete_result([problem for problem in dict.fromkeys(problems) if problem]),
        ],
    )


def _metadata(source: Source, collected: Sequence[CollectedWindow]) -> dict[str, Any]:
    health = pd.DataFrame(
        [
            {
                "window": f"{window.health.window_start:%Y-%m-%d %H:%M} UTC",
                "status": str(window.health.status),
                "rows": window.health.rows,
                "late rows": window.health.late_rows,
                "duplicates": window.duplicates,
                "read at": f"{window.health.collected_at:%Y-%m-%d %H:%M:%S} UTC",
                "reason": " ".join(window.problems),
            }
            for window in collected
        ]
    )
    return {
        "dagster/row_count": sum(window.health.rows for window in collected),
        "source": source.system,
        "late rows": sum(window.health.late_rows for window in collected),
        "duplicates left out": sum(window.duplicates for window in collected),
        "windows": markdown(health),
    }
