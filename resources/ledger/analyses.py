"""What language models said of incidents, and which incidents wait for that."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa

from perf_pipeline.records import IncidentAnalysis
from resources.ledger import schema
from resources.ledger.connection import LedgerConnection


class AnalysisLedger(LedgerConnection):
    def await_analyses(self, analyses: Iterable[IncidentAnalysis]) -> None:
        """Note that these are asked for, in the place of what was known of the same incidents."""
        self._replace(schema.incident_analyses, [asdict(one) for one in analyses], ["incident_id"])

    def awaited_analyses(self) -> list[IncidentAnalysis]:
        """Those that nobody has answered or given up, oldest first."""
        table = schema.incident_analyses
        query = sa.select(table).where(table.c.written_by.is_(None), table.c.trouble == "")
        return [IncidentAnalysis(**row) for row in self._all(query.order_by(table.c.due_at, table.c.incident_id))]

    def settle_analysis(self, analysis: IncidentAnalysis) -> bool:
        """Record an answer, or why there is none. False, and nothing changes, where it was asked for anew, or settled
        by another process."""
        table = schema.incident_analyses
        row = asdict(analysis)
        known = [table.c[name] == row[name] for name in ("incident_id", "digest", "attempts")]
        unsettled = [table.c.written_by.is_(None), table.c.trouble == ""]
        return self._update_one(sa.update(table).where(*known, *unsettled).values(row))

    def incident_analyses(self, incident_ids: Collection[str]) -> dict[str, IncidentAnalysis]:
        """By incident."""
        table = schema.incident_analyses
        query = sa.select(table).where(table.c.incident_id.in_(incident_ids))
        return {row["incident_id"]: IncidentAnalysis(**row) for row in self._all(query)}

    def written_analyses(self, since: datetime | None = None) -> int:
        """How many a model has written, ever or at `since` (aware) or later."""
        table = schema.incident_analyses
        query = sa.select(sa.func.count().label("number")).where(table.c.written_by.is_not(None))
        if since is not None:
            query = query.where(table.c.written_at >= since)
        return int(self._all(query)[0]["number"])
