"""What the PostgreSQL road asks of a real database, and what it says where the database refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from resources.postgres_connection import open_postgres
from resources.reading import PhoenixError
from tests.real import phoenix_fixtures
from tests.real.phoenix_fixtures import PhoenixOnPostgres
from tests.real.postgres_road import START, a_span, add_rows, read, send, source
from tests.real.services.free_port import free_port

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]
phoenix_on_postgres = phoenix_fixtures.phoenix_on_postgres

PASSWORD = "it's a \\secret/@:#?&"


def test_a_reading_can_write_nothing(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    with (
        open_postgres(phoenix_on_postgres.database_url, 30) as connection,
        connection.snapshot() as snapshot,
        pytest.raises(PhoenixError, match="read-only"),
    ):
        snapshot.table("with gone as (delete from projects returning id) select id from gone")


def test_questions_of_one_snapshot_see_the_same_spans(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    send(phoenix_on_postgres, "snapshots", [a_span()])
    count = "select count(*) as spans from spans"
    with open_postgres(phoenix_on_postgres.database_url, 30) as connection:
        with connection.snapshot() as snapshot:
            before = snapshot.table(count).to_pylist()
            with psycopg.connect(phoenix_on_postgres.database_url) as other:
                add_rows(other, "snapshots", [START])
            assert snapshot.table(count).to_pylist() == before
        with connection.snapshot() as snapshot:
            assert snapshot.table(count).to_pylist() != before


def test_a_reading_that_is_given_up_ends_at_the_server_and_leaves_the_connection_usable(
    phoenix_on_postgres: PhoenixOnPostgres,
) -> None:
    with open_postgres(phoenix_on_postgres.database_url, 60) as connection:
        with connection.snapshot() as snapshot:
            endless = snapshot.batches("select repeat('x', 1000) as x, generate_series(1, 1000000000) as n")
            assert next(endless).num_rows > 0
            endless.close()
        with connection.snapshot() as snapshot:
            assert snapshot.table("select 1 as one").to_pylist() == [{"one": 1}]


def test_the_reading_is_named_in_the_database_s_list_of_activities(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    with open_postgres(phoenix_on_postgres.database_url, 30) as connection, connection.snapshot() as snapshot:
        mine = snapshot.table("select application_name from pg_stat_activity where pid = pg_backend_pid()")
    assert mine.to_pylist() == [{"application_name": "perf-pipeline"}]


# Faults


@pytest.fixture(scope="module")
def admin(phoenix_on_postgres: PhoenixOnPostgres) -> Iterator[psycopg.Connection]:
    """A connection that has set up the user `reader`, who needs PASSWORD and may read nothing, and other databases."""
    with psycopg.connect(phoenix_on_postgres.database_url, autocommit=True) as connection:
        quoted = sql.Literal(PASSWORD)
        connection.execute(sql.SQL("create role reader login password {}").format(quoted))
        connection.execute("create database empty")
        (rules,) = connection.execute("show hba_file").fetchone() or ("",)
        trusted = Path(rules).read_text()
        Path(rules).write_text(f"host all reader 127.0.0.1/32 scram-sha-256\n{trusted}")
        connection.execute("select pg_reload_conf()")
        yield connection


def as_reader(phoenix: PhoenixOnPostgres, password: str, database: str = "phoenix") -> str:
    user = f"reader:{quote(password, safe='')}@"
    return phoenix.database_url.replace("postgres@", user).removesuffix("phoenix") + database


def fault(phoenix: PhoenixOnPostgres, database_url: str, **settings: Any) -> PhoenixError:
    with pytest.raises(PhoenixError) as caught:
        read(source(phoenix, "default", database_url=database_url, **settings))
    assert PASSWORD not in str(caught.value)
    assert quote(PASSWORD, safe="") not in str(caught.value)
    return caught.value


def test_a_database_that_does_not_listen_may_come_back(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    error = fault(
        phoenix_on_postgres, f"postgresql://reader:{quote(PASSWORD, safe='')}@127.0.0.1:{free_port()}/phoenix"
    )
    assert error.retryable
    assert "cannot be reached" in str(error)
    assert "PHOENIX_SQL_DATABASE_URL" in str(error)


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_or_missing_password_names_the_setting(phoenix_on_postgres: PhoenixOnPostgres, password: str) -> None:
    error = fault(phoenix_on_postgres, as_reader(phoenix_on_postgres, password).replace("reader:@", "reader@"))
    assert not error.retryable
    assert "refuses the user" in str(error)
    assert "PHOENIX_SQL_DATABASE_URL" in str(error)


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize(("database", "says"), [("none", "no such database"), ("empty", "Is this Phoenix's database")])
def test_another_database_is_told_from_phoenix_s(
    phoenix_on_postgres: PhoenixOnPostgres, database: str, says: str
) -> None:
    error = fault(phoenix_on_postgres, as_reader(phoenix_on_postgres, PASSWORD, database))
    assert not error.retryable
    assert says in str(error)
    assert "PHOENIX_SQL_DATABASE_URL" in str(error)


def test_a_user_who_may_not_read_needs_the_grant_that_the_error_names(
    phoenix_on_postgres: PhoenixOnPostgres, admin: psycopg.Connection
) -> None:
    url = as_reader(phoenix_on_postgres, PASSWORD)
    error = fault(phoenix_on_postgres, url)
    assert not error.retryable
    grant = "GRANT SELECT ON projects, traces, spans TO reader;"
    assert grant in str(error)
    admin.execute(grant)
    read(source(phoenix_on_postgres, "default", database_url=url))
    admin.execute(grant.replace("GRANT", "REVOKE").replace("TO", "FROM"))


def test_tables_of_another_version_are_no_missing_spans(
    phoenix_on_postgres: PhoenixOnPostgres, admin: psycopg.Connection
) -> None:
    admin.execute("create schema other_version")
    for table in ("projects", "traces", "spans"):
        admin.execute(f"create table other_version.{table} as select * from public.{table}")
    admin.execute("alter table other_version.spans rename column attributes to properties")
    error = fault(phoenix_on_postgres, f"{phoenix_on_postgres.database_url}?options=-csearch_path%3Dother_version")
    assert not error.retryable
    assert "attributes does not exist" in str(error)
    assert "versions that the README names" in str(error)


def test_a_reading_that_takes_too_long_ends_and_may_be_tried_again(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    with (
        open_postgres(phoenix_on_postgres.database_url, 0.2) as connection,
        connection.snapshot() as snapshot,
        pytest.raises(PhoenixError, match=r"longer than 0\.2 s.*request_timeout_seconds") as caught,
    ):
        list(snapshot.batches("select g, pg_sleep(0.01)::text from generate_series(1, 1000) as g"))
    assert caught.value.retryable


def test_a_connection_that_ends_between_two_questions_may_be_tried_again(
    phoenix_on_postgres: PhoenixOnPostgres, admin: psycopg.Connection
) -> None:
    with open_postgres(phoenix_on_postgres.database_url, 30) as connection, connection.snapshot() as snapshot:
        (mine,) = snapshot.table("select pg_backend_pid() as pid").column("pid").to_pylist()
        admin.execute("select pg_terminate_backend(%s, 5000)", (mine,))
        with pytest.raises(PhoenixError, match="broke off") as caught:
            snapshot.table("select 1")
    assert caught.value.retryable
