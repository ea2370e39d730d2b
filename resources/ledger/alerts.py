"""What people were told of incidents, who looks after them, and what they do not want to hear."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from perf_pipeline.fleet_model import Severity
from perf_pipeline.records import (
    AlertThread,
    Incident,
    IncidentState,
    Learned,
    Notification,
    Silence,
    Telling,
    ToldIncident,
)
from resources.ledger import schema
from resources.ledger.incidents import IncidentLedger
from resources.ledger.outbox import OutboxLedger


class AlertLedger(IncidentLedger, OutboxLedger):
    def tell(self, telling: Telling) -> bool:
        """Put messages into the outbox and remember what they tell, or neither.

        False, and nothing changes, where one of the messages is known, or people know something else of an incident
        than was thought: then another process has told it.
        """
        with self._engine.connect() as connection, connection.begin() as transaction:
            is_new = self._enqueue_all(connection, telling.notifications)
            if not is_new or not all(self._learn(connection, learned) for learned in telling.learned):
                transaction.rollback()
                return False
            if telling.thread is not None:
                self._put(connection, schema.alert_threads, [asdict(telling.thread)], ["id"])
            if telling.more_targets_of is not None:
                thread = telling.more_targets_of
                table = schema.alert_threads
                # The acknowledgement is left as it is: somebody may have given it since the thread was read.
                update = sa.update(table).where(table.c.id == thread.id).values(targets=list(thread.targets))
                connection.execute(update)
            return True

    def _learn(self, connection: sa.Connection, learned: Learned) -> bool:
        table = schema.told_incidents
        after = asdict(learned.after)
        if learned.before is None:
            insert = self._insert(table).values(after).on_conflict_do_nothing()
            return connection.execute(insert.returning(table.c.incident_id)).first() is not None
        as_before = [table.c[name] == value for name, value in asdict(learned.before).items()]
        return connection.execute(sa.update(table).where(*as_before).values(after)).rowcount == 1

    def incidents_to_tell(self, since: datetime) -> list[Incident]:
        """Incidents that were seen at or after `since`, that are not over, or whose end people do not know of yet;
        oldest first."""
        incidents, told = schema.incidents, schema.told_incidents
        end_unknown = sa.select(told.c.incident_id).where(
            told.c.state != str(IncidentState.RESOLVED), told.c.withheld.is_(False)
        )
        wanted = sa.or_(
            incidents.c.last_seen >= since,
            incidents.c.state != str(IncidentState.RESOLVED),
            incidents.c.id.in_(end_unknown),
        )
        return self._incidents_where(wanted)

    def told_incidents(self, incident_ids: Iterable[str]) -> list[ToldIncident]:
        """What people know of these incidents; one that they know nothing of is missing."""
        table = schema.told_incidents
        rows = self._all(sa.select(table).where(table.c.incident_id.in_(list(incident_ids))))
        return [_told(row) for row in rows]

    def alert_threads(self, ids: Iterable[str]) -> list[AlertThread]:
        table = schema.alert_threads
        rows = self._all(sa.select(table).where(table.c.id.in_(list(ids))).order_by(table.c.told_at, table.c.id))
        return [AlertThread(**{**row, "targets": tuple(row["targets"])}) for row in rows]

    def acknowledge(self, thread_id: str, person: str, now: datetime, messages: Sequence[Notification]) -> bool:
        """Note who looks after a thread, and put `messages`, which say so, into the outbox.

        False, and nothing changes, where somebody does already, or the thread is not known.
        """
        table = schema.alert_threads
        update = sa.update(table).where(table.c.id == thread_id, table.c.acknowledged_at.is_(None))
        with self._engine.begin() as connection:
            changed = connection.execute(update.values(acknowledged_by=person, acknowledged_at=now))
            if changed.rowcount != 1:
                return False
            self._enqueue_all(connection, messages)
            return True

    def add_silence(self, silence: Silence) -> bool:
        """False, and nothing changes, where its id is known."""
        return self._insert_new(schema.silences, asdict(silence))

    def silences(self, now: datetime) -> list[Silence]:
        """Those that have not ended."""
        table = schema.silences
        rows = self._all(sa.select(table).where(table.c.ends_at > now).order_by(table.c.starts_at, table.c.id))
        return [Silence(**row) for row in rows]

    def end_silence(self, silence_id: str, now: datetime) -> bool:
        """False where there is none of this id that has not ended."""
        table = schema.silences
        running = sa.update(table).where(table.c.id == silence_id, table.c.ends_at > now)
        return self._update_one(running.values(ends_at=now))


def _told(row: dict[str, Any]) -> ToldIncident:
    return ToldIncident(**{**row, "severity": Severity(row["severity"]), "state": IncidentState(row["state"])})
