"""What the assets that read a source have in common: collect, remember the source's health, describe it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pandas as pd

from perf_pipeline.assets.window_asset import markdown
from perf_pipeline.checks import schema_result, source_complete_result
from perf_pipeline.collection import Collected, collect
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.tables import Table
from resources.lake import Lake
from resources.ledger import LedgerResource
from resources.reading import Reading


@dataclass(frozen=True)
class Source:
    """A source as an asset reads it: its name in the ledger, the system behind it, how to read a window."""

    name: str
    system: str
    read: Callable[[datetime, datetime], Reading]


def materialize_source(
    source: Source,
    table: Table,
    windows: Sequence[Window],
    lake: Lake,
    ledger: LedgerResource,
    finish: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame,
) -> dg.MaterializeResult:
    """Read the windows and record how well that went. `finish` completes the columns that the source lacks."""

    def previous(window: Window) -> pd.DataFrame | None:
        if not lake.path(table, window.start).exists():
            return None
        return lake.read(table, window.start, window.end)

    with ledger.open() as book:
        known = book.health(windows[0].start, windows[-1].end)
        collected = collect(source.name, table, windows, source.read, previous, known, datetime.now(UTC))
        book.record_health(collected.health)
    frame = finish(collected.frame)
    return dg.MaterializeResult(
        value=frame,
        metadata=_metadata(source, collected, frame),
        check_results=[schema_result(table, frame), source_complete_result(collected.problems)],
    )


def _metadata(source: Source, collected: Collected, frame: pd.DataFrame) -> dict[str, Any]:
    health = pd.DataFrame(
        [
            {
                "window": f"{reading.window_start:%Y-%m-%d %H:%M} UTC",
                "status": str(reading.status),
                "rows": reading.rows,
                "late rows": reading.late_rows,
                "read at": f"{reading.collected_at:%Y-%m-%d %H:%M:%S} UTC",
                "reason": reading.reason,
            }
            for reading in collected.health
        ]
    )
    return {
        "dagster/row_count": len(frame),
        "source": source.system,
        "late rows": collected.late_rows,
        "windows": markdown(health),
    }
