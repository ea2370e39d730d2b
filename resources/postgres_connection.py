"""A PostgreSQL that is only read: one snapshot a reading, answers as Arrow, faults as sentences.

ADBC makes Arrow columns of PostgreSQL's binary COPY, without a Python object for each value.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from resources.postgres_address import PostgresAddress, postgres_address
from resources.postgres_faults import fault_of_opening, fault_of_reading

if TYPE_CHECKING:
    import pyarrow as pa

CONNECT_TIMEOUT_SECONDS = 10
OPTIONS: dict[str, str | int] = {
    "application_name": "perf-pipeline",
    "client_encoding": "UTF8",
    # A peer that is gone without a word is noticed after about a minute.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
SNAPSHOT = "begin transaction isolation level repeatable read read only"


@contextmanager
def open_postgres(url: str, timeout_seconds: float) -> Iterator[PostgresConnection]:
    """A connection to the database that Phoenix's own setting names. Raises PhoenixError."""
    from adbc_driver_manager import Error
    from adbc_driver_postgresql import dbapi

    # Whole seconds, and 0 would be none.
    connect_timeout = max(1, round(min(CONNECT_TIMEOUT_SECONDS, timeout_seconds)))
    address = postgres_address(url, **OPTIONS, connect_timeout=connect_timeout)
    try:
        connection = dbapi.connect(address.connection_string, autocommit=True)
    except Error as error:
        raise fault_of_opening(error, address) from error
    try:
        yield PostgresConnection(connection, address, timeout_seconds)
    finally:
        with suppress(Error):
            connection.close()


class PostgresConnection:
    """An open connection. Every method raises PhoenixError."""

    def __init__(self, connection: Any, address: PostgresAddress, timeout_seconds: float) -> None:
        self._connection = connection
        self._timeout_seconds = timeout_seconds
        self.address = address

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Questions that all see the database as it is at the first of them, and can change nothing.

        None may take longer than the connection's timeout, what the reader of its answer takes included.
        """
        snapshot = Snapshot(self._connection, self.address, self._timeout_seconds)
        try:
            snapshot.begin()
            yield snapshot
        finally:
            snapshot.end()


class Snapshot:
    """See `PostgresConnection.snapshot`."""

    def __init__(self, connection: Any, address: PostgresAddress, timeout_seconds: float) -> None:
        self._connection = connection
        self._address = address
        self._timeout_seconds = timeout_seconds

    def begin(self) -> None:
        with self._faults(), self._connection.cursor() as cursor:
            cursor.execute(SNAPSHOT)
            cursor.execute(f"set local statement_timeout = {max(1, round(self._timeout_seconds * 1000))}")
            cursor.execute("set local standard_conforming_strings = on")
            # To compile a hundred small expressions takes longer than it saves.
            cursor.execute("set local jit = off")

    def end(self) -> None:
        from adbc_driver_manager import Error

        # Where the connection is gone, so is the transaction.
        with suppress(Error), self._connection.cursor() as cursor:
            cursor.execute("rollback")

    def table(self, query: str) -> pa.Table:
        """The whole answer."""
        with self._faults(), self._connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetch_arrow_table()

    def batches(self, query: str) -> Generator[pa.RecordBatch, None, None]:
        """The answer in batches of about 16 MB, of which two are held at once. Close it, if not read to its end."""
        from adbc_driver_manager import Error

        with self._connection.cursor() as cursor:
            with self._faults():
                cursor.execute(query)
                reader = cursor.fetch_record_batch()
            # While one batch is in use, the next is fetched.
            with ThreadPoolExecutor(1) as ahead:
                coming = ahead.submit(next, reader, None)
                try:
                    while (batch := self._result(coming)) is not None:
                        coming = ahead.submit(next, reader, None)
                        yield batch
                except GeneratorExit:
                    # Else the rest of the answer would be fetched before the next question.
                    with suppress(Error):
                        cursor.adbc_cancel()
                    raise

    def _result(self, coming: Future[Any]) -> Any:
        with self._faults():
            return coming.result()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        import pyarrow as pa
        from adbc_driver_manager import Error

        try:
            yield
        except (Error, OSError, pa.ArrowException) as error:
            raise fault_of_reading(error, self._address, self._timeout_seconds) from error
