"""The ledger: what must never happen twice or be forgotten, in SQLite or PostgreSQL through SQLAlchemy.

Every change of state is a guarded update (`... WHERE state = expected`), so of two processes only one wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from filelock import FileLock
from pydantic import Field
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.event import listens_for

from perf_pipeline.fleet import Approval, Severity
from perf_pipeline.records import (
    Incident,
    IncidentState,
    Notification,
    NotificationState,
    OptimizationRequest,
    RequestState,
    SourceHealth,
    SourceStatus,
)
from resources import ledger_schema as schema
from resources.incident_update import incident_update

MIGRATIONS = Path(__file__).parent / "migrations"


class Ledger:
    """One installation's ledger. Opening it brings its tables up to date."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        _migrate(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    # Source health

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

    # Incidents

    def record_incidents(self, incidents: Iterable[Incident]) -> None:
        """Record incidents as they are now. What another process knows better stays: see `incident_update`."""
        with self._engine.begin() as connection:
            for incident in incidents:
                insert = self._insert(schema.incidents).values(_plain(asdict(incident)))
                changed = incident_update(schema.incidents.c, insert.excluded)
                connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=changed))

    def incidents(self, since: datetime, *, state: IncidentState | None = None) -> list[Incident]:
        """Incidents that were last seen at or after `since`, or are not over yet; oldest first."""
        table = schema.incidents
        query = sa.select(table).where((table.c.last_seen >= since) | (table.c.state != str(IncidentState.RESOLVED)))
        if state:
            query = query.where(table.c.state == str(state))
        return [_incident(row) for row in self._all(query.order_by(table.c.onset, table.c.id))]

    # Outbox

    def enqueue(self, notification: Notification) -> bool:
        """Put a message into the outbox. False, and nothing changes, where its key was used before."""
        return self._insert_new(schema.notifications, asdict(notification))

    def release(self, notification: Notification) -> bool:
        """Put a message that was withheld, because it was history, into the outbox after all: it is news again."""
        table = schema.notifications
        row = asdict(notification)
        values = {name: row[name] for name in ("text", "blocks", "created_at", "state", "note")}
        withheld = (table.c.key == notification.key) & (table.c.state == str(NotificationState.WITHHELD))
        return self._update_one(sa.update(table).where(withheld).values(values))

    def notifications(self, since: datetime | None = None) -> list[Notification]:
        table = schema.notifications
        query = sa.select(table).order_by(table.c.created_at, table.c.key)
        if since:
            query = query.where(table.c.created_at >= since)
        return [_notification(row) for row in self._all(query)]

    def deliverable(self, now: datetime, claims_before: datetime) -> list[Notification]:
        """Messages to send: those that wait and are due, and those claimed before `claims_before` by a sender
        that has not been heard of since."""
        table = schema.notifications
        due = sa.and_(
            table.c.state == str(NotificationState.PENDING),
            sa.or_(table.c.not_before.is_(None), table.c.not_before <= now),
        )
        abandoned = sa.and_(table.c.state == str(NotificationState.CLAIMED), table.c.claimed_at < claims_before)
        query = sa.select(table).where(sa.or_(due, abandoned)).order_by(table.c.created_at, table.c.key)
        return [_notification(row) for row in self._all(query)]

    def claim(self, notification: Notification, claimant: str, now: datetime) -> bool:
        """Take a message for sending. False where another sender took it first."""
        table = schema.notifications
        same_claim = (
            table.c.claimed_by.is_(None)
            if notification.claimed_by is None
            else table.c.claimed_by == notification.claimed_by
        )
        return self._update_one(
            sa.update(table)
            .where(table.c.key == notification.key, table.c.state == str(notification.state), same_claim)
            .values(
                state=str(NotificationState.CLAIMED),
                claimed_by=claimant,
                claimed_at=now,
                attempts=table.c.attempts + 1,
            )
        )

    def settle(
        self,
        key: str,
        claimant: str,
        state: NotificationState,
        *,
        sent_at: datetime | None = None,
        channel: str | None = None,
        message_ts: str | None = None,
        not_before: datetime | None = None,
        note: str | None = None,
    ) -> bool:
        """Say what became of a claimed message. False where the claim is no longer the claimant's."""
        table = schema.notifications
        return self._update_one(
            sa.update(table)
            .where(
                table.c.key == key,
                table.c.state == str(NotificationState.CLAIMED),
                table.c.claimed_by == claimant,
            )
            .values(
                state=str(state),
                # A message that goes back to waiting keeps who had it: what it posted may still have arrived.
                sent_at=sent_at,
                channel=channel,
                message_ts=message_ts,
                not_before=not_before,
                note=note,
            )
        )

    # Optimization requests

    def request_optimization(self, request: OptimizationRequest) -> bool:
        """Record a request. False where it is known, or another of the same agent is open."""
        return self._insert_new(schema.optimization_requests, asdict(request))

    def optimization_requests(self) -> list[OptimizationRequest]:
        table = schema.optimization_requests
        return [_request(row) for row in self._all(sa.select(table).order_by(table.c.requested_at, table.c.id))]

    # How rows are read and written

    def _all(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _insert_new(self, table: sa.Table, row: dict[str, Any]) -> bool:
        insert = self._insert(table).values(_plain(row)).on_conflict_do_nothing()
        with self._engine.begin() as connection:
            return connection.execute(insert.returning(*table.primary_key)).first() is not None

    def _replace(self, table: sa.Table, rows: Sequence[dict[str, Any]], key: Sequence[str]) -> None:
        with self._engine.begin() as connection:
            for row in rows:
                values = _plain(row)
                changed = {name: value for name, value in values.items() if name not in key}
                insert = self._insert(table).values(values)
                connection.execute(insert.on_conflict_do_update(index_elements=list(key), set_=changed))

    def _update_one(self, statement: sa.Update) -> bool:
        with self._engine.begin() as connection:
            return connection.execute(statement).rowcount == 1

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        return postgresql.insert(table) if self._engine.dialect.name == "postgresql" else sqlite.insert(table)


class LedgerResource(dg.ConfigurableResource):
    """Where the ledger is: an SQLAlchemy address. It may hold a password, so it comes from the environment."""

    url: str = Field(repr=False, description="An SQLAlchemy address, such as sqlite:////var/lib/perf/ledger.db")

    @contextmanager
    def open(self) -> Iterator[Ledger]:
        ledger = Ledger(self.url)
        try:
            yield ledger
        finally:
            ledger.close()


def _engine(url: str) -> sa.Engine:
    address = sa.make_url(url)
    if address.drivername in ("postgres", "postgresql"):
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() != "sqlite":
        return sa.create_engine(address, pool_pre_ping=True)
    path = address.database
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(address, connect_args={"timeout": 30})

    @listens_for(engine, "connect")
    def _share_with_other_processes(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")

    @listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # On its own, Python's driver begins no transaction before CREATE TABLE: half of a migration would stay.
        connection.exec_driver_sql("BEGIN")

    return engine


def _migrate(engine: sa.Engine) -> None:
    """Bring the tables up to date. Processes that start together take turns."""
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    head = ScriptDirectory.from_config(config).get_current_head()

    def is_current(connection: sa.Connection) -> bool:
        return MigrationContext.configure(connection).get_current_revision() == head

    with engine.connect() as connection:
        if is_current(connection):
            return
    with _one_at_a_time(engine), engine.begin() as connection:
        if not is_current(connection):
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


@contextmanager
def _one_at_a_time(engine: sa.Engine) -> Iterator[None]:
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT pg_advisory_lock(7245001)"))
            try:
                yield
            finally:
                connection.execute(sa.text("SELECT pg_advisory_unlock(7245001)"))
    elif engine.url.database:
        with FileLock(f"{engine.url.database}.lock"):
            yield
    else:
        yield


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in row.items()}


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


def _notification(row: dict[str, Any]) -> Notification:
    known = {field.name for field in fields(Notification)}
    values = {name: value for name, value in row.items() if name in known}
    return Notification(**{**values, "state": NotificationState(row["state"])})


def _request(row: dict[str, Any]) -> OptimizationRequest:
    return OptimizationRequest(
        **{
            **row,
            "approval": Approval(row["approval"]),
            "state": RequestState(row["state"]),
            "reasons": tuple(row["reasons"]),
        }
    )
