"""Phoenix servers for the real suites, one without and one with authentication, each started once a session.

A suite uses them by importing the fixtures. pytest would then run a session fixture once for each suite, so the
servers are kept in the session's stash.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.real.services.free_port import free_port
from tests.real.services.otlp_sender import SentSpan, dspy_traces, send_spans, wait_until_queryable
from tests.real.services.phoenix_server import RunningPhoenix, start_phoenix
from tests.real.services.postgrest import postgres

OPEN_SERVER = pytest.StashKey[RunningPhoenix]()
GUARDED_SERVER = pytest.StashKey[RunningPhoenix]()
MANY_SPANS = 5000


@dataclass(frozen=True)
class BusyWindow:
    """Thousands of spans that start in `[start, end)` (UTC), in a project of their own on the guarded server."""

    project: str
    start: datetime
    end: datetime
    spans: list[SentSpan]


BUSY_WINDOW = pytest.StashKey[BusyWindow]()


@pytest.fixture(scope="session")
def phoenix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunningPhoenix:
    """A server that asks for no key. Suites keep apart by the names of their projects."""
    return _server(request, tmp_path_factory, OPEN_SERVER, auth=False)


@pytest.fixture(scope="session")
def guarded_phoenix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunningPhoenix:
    """A server that asks for a key; it carries a valid one."""
    return _server(request, tmp_path_factory, GUARDED_SERVER, auth=True)


@dataclass(frozen=True)
class PhoenixOnPostgres:
    """A server that asks for no key, and its database as the superuser."""

    server: RunningPhoenix
    database_url: str


POSTGRES_SERVER = pytest.StashKey[PhoenixOnPostgres]()


@pytest.fixture(scope="session")
def phoenix_on_postgres(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PhoenixOnPostgres:
    stash = request.config.stash
    if POSTGRES_SERVER not in stash:
        with ExitStack() as stack:
            address = stack.enter_context(postgres())
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute("create database phoenix")
            url = f"{address.removesuffix('/postgres')}/phoenix"
            home = tmp_path_factory.mktemp("phoenix-on-postgres")
            server = start_phoenix(home, free_port(), free_port(), database_url=url)
            stack.callback(server.stop)
            request.config.add_cleanup(stack.pop_all().close)
        stash[POSTGRES_SERVER] = PhoenixOnPostgres(server, url)
    return stash[POSTGRES_SERVER]


@pytest.fixture(scope="session")
def busy_window(request: pytest.FixtureRequest, guarded_phoenix: RunningPhoenix) -> BusyWindow:
    """Phoenix takes in 40 to 80 spans a second: this fixture needs about two minutes."""
    stash = request.config.stash
    if BUSY_WINDOW not in stash:
        start = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
        end = start + timedelta(minutes=30)
        spans = dspy_traces(["StrategyAgent", "AuditAgent"], start, end, MANY_SPANS, seed=7)
        project, server = "many", guarded_phoenix
        send_spans(server.base_url, project, spans, server.api_key)
        wait_until_queryable(server.base_url, project, len(spans), server.api_key, seconds=500)
        stash[BUSY_WINDOW] = BusyWindow(project, start, end, spans)
    return stash[BUSY_WINDOW]


def _server(
    request: pytest.FixtureRequest,
    directories: pytest.TempPathFactory,
    key: pytest.StashKey[RunningPhoenix],
    *,
    auth: bool,
) -> RunningPhoenix:
    stash = request.config.stash
    if key not in stash:
        server = start_phoenix(directories.mktemp("phoenix"), free_port(), free_port(), auth=auth)
        request.config.add_cleanup(server.stop)
        stash[key] = server
    return stash[key]
