"""The incidents that the ledger remembers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from perf_pipeline.fleet_model import Severity
from perf_pipeline.records import Incident, IncidentState
from resources.ledger import schema
from resources.ledger.connection import LedgerConnection, plain
from resources.ledger.incident_update import incident_update


class IncidentLedger(LedgerConnection):
    def record_incidents(self, incidents: Iterable[Incident]) -> None:
        """Record incidents as they are now. What another process knows better stays: see `incident_update`."""
        with self._engine.begin() as connection:
            for incident in incidents:
                insert = self._insert(schema.incidents).values(plain(asdict(incident)))
                changed = incident_update(schema.incidents.c, insert.excluded)
                connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=changed))

    def incidents(self, since: datetime, *, state: IncidentState | None = None) -> list[Incident]:
        """Incidents that were last seen, or ended, at or after `since`, or are not over yet; oldest first."""
        table = schema.incidents
        until = sa.func.coalesce(table.c.resolved_at, table.c.last_seen)
        wanted = (until >= since) | (table.c.state != str(IncidentState.RESOLVED))
        return self._incidents_where(wanted & (table.c.state == str(state)) if state else wanted)

    def incident(self, incident_id: str) -> Incident | None:
        return next(iter(self._incidents_where(schema.incidents.c.id == incident_id)), None)

    def _incidents_where(self, wanted: sa.ColumnElement[bool]) -> list[Incident]:
        table = schema.incidents
        query = sa.select(table).where(wanted).order_by(table.c.onset, table.c.id)
        return [_incident(row) for row in self._all(query)]


def _incident(row: dict[str, Any]) -> Incident:
    return Incident(
        **{
            **row,
            "also": tuple(row["also"]),
            "severity": Severity(row["severity"]),
            "state": IncidentState(row["state"]),
            "example_traces": tuple(row["example_traces"]),
        }
    )
