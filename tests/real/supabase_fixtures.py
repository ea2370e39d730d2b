"""A Supabase of the tests' own: PostgreSQL, PostgREST, the gateway, keys, and a connection to write rows with.

Load it with `pytest_plugins = ["tests.real.supabase_fixtures"]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import jwt
import psycopg
import pytest

from tests.real.services.postgrest import JWT_SECRET, postgres, postgrest
from tests.real.services.supabase_gateway import SupabaseGateway, supabase_gateway


@dataclass(frozen=True)
class SupabaseServer:
    """Where it is, keys for it, and a connection that writes to agent_state past row-level security."""

    gateway: SupabaseGateway
    service_key: str = field(repr=False)
    anon_key: str = field(repr=False)
    expired_key: str = field(repr=False)
    connection: psycopg.Connection

    @property
    def url(self) -> str:
        return self.gateway.url

    def add_tasks(self, agent: str | None, status: str | None, updated_at: datetime, count: int) -> None:
        """Writes `count` rows with this agent, status and time."""
        self.connection.execute(
            "insert into agent_state (agent_name, status, created_at, updated_at) "
            "select %s, %s, %s, %s from generate_series(1, %s)",
            (agent, status, updated_at, updated_at, count),
        )


def key_for(role: str, *, lasts: timedelta) -> str:
    claims = {"role": role, "iss": "supabase", "exp": datetime.now(UTC) + lasts}
    return jwt.encode(claims, JWT_SECRET, algorithm="HS256")


@contextmanager
def serving(database: str, *, aggregates: bool) -> Iterator[SupabaseServer]:
    """A server over the cluster at `database`, its agent_state empty."""
    service_key = key_for("service_role", lasts=timedelta(days=1))
    anon_key = key_for("anon", lasts=timedelta(days=1))
    # PostgREST forgives 30 seconds of difference between clocks.
    expired_key = key_for("service_role", lasts=-timedelta(minutes=5))
    with (
        postgrest(database, aggregates=aggregates) as upstream,
        supabase_gateway(upstream, (service_key, anon_key, expired_key)) as gateway,
        psycopg.connect(database, autocommit=True) as connection,
    ):
        connection.execute("truncate agent_state")
        yield SupabaseServer(gateway, service_key, anon_key, expired_key, connection)


@pytest.fixture(scope="session")
def supabase_database() -> Iterator[str]:
    """The address of a PostgreSQL cluster with Supabase's roles and an empty agent_state."""
    with postgres() as address:
        yield address


@pytest.fixture
def supabase_server(supabase_database: str) -> Iterator[SupabaseServer]:
    """A server with aggregates off, as Supabase has them by default."""
    with serving(supabase_database, aggregates=False) as server:
        yield server


@pytest.fixture
def supabase_server_with_aggregates(supabase_database: str) -> Iterator[SupabaseServer]:
    with serving(supabase_database, aggregates=True) as server:
        yield server
