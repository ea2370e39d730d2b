"""Limits of time on a real PostgreSQL: a locked ledger ends the wait, and a migration is never cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import LiteralString

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from resources.ledger import Ledger, connection
from tests.real.services.postgrest import postgres

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
LIMIT_SECONDS = 0.2
WAITING = """
    select 1 from pg_stat_activity
    where wait_event_type = 'Lock' and query like %s and clock_timestamp() - query_start > make_interval(secs => %s)
"""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(connection, "STATEMENT_TIMEOUT_SECONDS", LIMIT_SECONDS)
    with postgres() as url:
        yield url


def let_wait_beyond_the_limit(address: str, statement: str, ended: Callable[[], bool]) -> None:
    """Returns once the statement has waited for a lock for several times the limit, or what it is part of ended."""
    with psycopg.connect(address, autocommit=True) as watching:
        while not ended() and not watching.execute(WAITING, (statement, 5 * LIMIT_SECONDS)).fetchone():
            time.sleep(0.01)


@pytest.mark.parametrize(
    ("lock", "waiting"),
    [
        ("select pg_advisory_xact_lock(7245001)", "SELECT pg_advisory_lock%"),
        ("create table alembic_version (version_num int)", "%CREATE TABLE alembic_version%"),
    ],
    ids=["waiting for its turn", "at work"],
)
def test_a_migration_may_take_as_long_as_it_needs(address: str, lock: LiteralString, waiting: str) -> None:
    with ThreadPoolExecutor(1) as pool, psycopg.connect(address) as other:
        other.execute(lock)
        opening = pool.submit(Ledger, address)
        let_wait_beyond_the_limit(address, waiting, opening.done)
        other.rollback()
        book = opening.result(60)
    assert book.notifications() == []
    book.close()


def test_a_ledger_that_is_locked_is_an_error_before_long_and_serves_again_after(address: str) -> None:
    book = Ledger(address)
    with psycopg.connect(address) as other:
        other.execute("lock table slack_requests")
        with pytest.raises(OperationalError, match="statement timeout"):
            book.see_slack_request("v0=1", NOW)
        other.rollback()
    assert book.see_slack_request("v0=1", NOW)
    book.close()
