"""What the ledger knows of the sources: how well each window could be read, and how far arrivals were looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from perf_pipeline.records import SourceHealth, SourceStatus
from resources.ledger import schema
from resources.ledger.connection import LedgerConnection


class SourceLedger(LedgerConnection):
    def record_health(self, readings: Iterable[SourceHealth]) -> None:
        self._replace(schema.source_health, [asdict(reading) for reading in readings], ["source", "window_start"])

    def record_reading(self, reading: SourceHealth, seen: SourceHealth | None) -> None:
        """Record how well a window was read. `seen` is what was known when the reading began: where the window was
        marked as lacking something since then, the mark stays, for the reading may have missed it."""
        table = schema.source_health
        insert = self._insert(table).values(asdict(reading))
        changed: dict[str, Any] = {
            name: insert.excluded[name] for name in asdict(reading) if name not in ("source", "window_start")
        }
        if seen is not None and seen.status is SourceStatus.COMPLETE:
            marked = sa.and_(table.c.status == str(SourceStatus.PARTIAL), table.c.collected_at == seen.collected_at)
            for name in ("status", "reason"):
                changed[name] = sa.case((marked, table.c[name]), else_=insert.excluded[name])
        with self._engine.begin() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["source", "window_start"], set_=changed))

    def health(self, start: datetime, end: datetime) -> list[SourceHealth]:
        """What is known of all sources for the windows that begin in `[start, end)`."""
        table = schema.source_health
        query = sa.select(table).where(table.c.window_start >= start, table.c.window_start < end)
        rows = self._all(query.order_by(table.c.window_start, table.c.source))
        return [SourceHealth(**{**row, "status": SourceStatus(row["status"])}) for row in rows]

    def arrival_position(self, source: str) -> str | None:
        """How far the arrivals of a source have been looked at; None where they never were."""
        table = schema.arrival_positions
        rows = self._all(sa.select(table.c.position).where(table.c.source == source))
        return rows[0]["position"] if rows else None

    def record_arrival_position(self, source: str, position: str, now: datetime) -> None:
        row = {"source": source, "position": position, "updated_at": now}
        self._replace(schema.arrival_positions, [row], ["source"])
