"""How the ledger's address becomes a connection: limits of time, and what the address says itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from resources.ledger.connection import _engine

ADDRESS = "postgresql://perf:secret@db.example/perf"


def connecting(url: str) -> Mapping[str, Any]:
    engine = _engine(url)
    _, arguments = engine.dialect.create_connect_args(engine.url)
    return arguments


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_postgresql_is_waited_for_only_so_long(scheme: str) -> None:
    arguments = connecting(ADDRESS.replace("postgresql", scheme))
    assert (arguments["connect_timeout"], arguments["options"]) == ("5", "-c statement_timeout=20000")
    assert (arguments["host"], arguments["user"], arguments["password"]) == ("db.example", "perf", "secret")


def test_what_the_address_says_itself_stays_and_comes_first() -> None:
    query = "?connect_timeout=60&sslmode=require&options=-csearch_path%3Dperf%20-cstatement_timeout%3D1000"
    arguments = connecting(ADDRESS + query)
    assert (arguments["connect_timeout"], arguments["sslmode"]) == ("60", "require")
    assert arguments["options"] == "-c statement_timeout=20000 -csearch_path=perf -cstatement_timeout=1000"


def test_a_sqlite_gets_no_options_of_postgresql() -> None:
    engine = _engine("sqlite://")
    assert engine.url == sa.make_url("sqlite://")
