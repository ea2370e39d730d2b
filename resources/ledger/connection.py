"""How the ledger reaches its database: an engine that processes share, and tables that are brought up to date."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock
from filelock import Timeout as FileLockTimeout
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.event import listens_for
from sqlalchemy.exc import SQLAlchemyError

MIGRATIONS = Path(__file__).parent / "migrations"

CONNECT_TIMEOUT_SECONDS = 5
STATEMENT_TIMEOUT_SECONDS = 20.0
"""Of PostgreSQL, waiting for locks included; SQLite waits 30 s for another process that writes. Migrations may take as
long as they need."""


class LedgerConnection:
    """What the parts of the ledger have in common. Opening it brings its tables up to date."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        _migrate(self._engine)

    def revision(self) -> str | None:
        """The migration that its tables are at."""
        from alembic.runtime.migration import MigrationContext

        with self._engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def close(self) -> None:
        self._engine.dispose()

    def is_reachable(self) -> bool:
        """Whether the database answers now."""
        try:
            with self._engine.connect() as connection:
                connection.execute(sa.select(1))
        except SQLAlchemyError:
            return False
        return True

    @contextmanager
    def exclusive(self, name: str) -> Iterator[bool]:
        """Whether this process alone holds `name`, for as long as the block runs. The death of the process frees it.

        `name` is of letters, digits, hyphens and underscores.
        """
        database = self._engine.url.database
        if self._engine.dialect.name == "postgresql":
            with self._engine.connect() as connection:
                number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
                held = connection.execute(sa.select(sa.func.pg_try_advisory_lock(number))).scalar_one()
                # The lock belongs to the session: without this the transaction would stay open for as long.
                connection.commit()
                try:
                    yield held
                finally:
                    if held:
                        connection.execute(sa.select(sa.func.pg_advisory_unlock(number)))
                        connection.commit()
            return
        if not database:
            yield True
            return
        lock = FileLock(f"{database}.{name}.lock")
        try:
            lock.acquire(blocking=False)
        except FileLockTimeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _all(self, query: sa.Select[*tuple[Any, ...]]) -> list[dict[str, Any]]:
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _insert_new(self, table: sa.Table, row: dict[str, Any]) -> bool:
        insert = self._insert(table).values(plain(row)).on_conflict_do_nothing()
        with self._engine.begin() as connection:
            return connection.execute(insert.returning(*table.primary_key)).first() is not None

    def _replace(self, table: sa.Table, rows: Sequence[dict[str, Any]], key: Sequence[str]) -> None:
        with self._engine.begin() as connection:
            self._put(connection, table, rows, key)

    def _put(
        self, connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]], key: Sequence[str]
    ) -> None:
        for row in rows:
            values = plain(row)
            changed = {name: value for name, value in values.items() if name not in key}
            insert = self._insert(table).values(values)
            connection.execute(insert.on_conflict_do_update(index_elements=list(key), set_=changed))

    def _update_one(self, statement: sa.Update) -> bool:
        with self._engine.begin() as connection:
            return connection.execute(statement).rowcount == 1

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        return postgresql.insert(table) if self._engine.dialect.name == "postgresql" else sqlite.insert(table)


def _engine(url: str) -> sa.Engine:
    address = sa.make_url(url)
    if address.drivername in ("postgres", "postgresql"):
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() != "sqlite":
        return sa.create_engine(_with_time_limits(address), pool_pre_ping=True)
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


def _with_time_limits(address: sa.URL) -> sa.URL:
    """The same address with limits of time, where it does not name its own."""
    if address.get_driver_name() != "psycopg":
        return address
    limit = f"-c statement_timeout={round(STATEMENT_TIMEOUT_SECONDS * 1000)}"
    # Among options the last one wins. `connect_args` would replace those of the address, a search path for example.
    options = " ".join([limit, *address.normalized_query.get("options", ())])
    limits = {"connect_timeout": str(CONNECT_TIMEOUT_SECONDS)}
    return address.set(query={**limits, **address.query, "options": options})


def _without_time_limit(connection: sa.Connection) -> None:
    """Until the end of the transaction."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


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
        _without_time_limit(connection)
        if not is_current(connection):
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


@contextmanager
def _one_at_a_time(engine: sa.Engine) -> Iterator[None]:
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            _without_time_limit(connection)
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


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in row.items()}
