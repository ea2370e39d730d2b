"""The address of Phoenix's database: every form that Phoenix takes, and no secret in what people see."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from resources.postgres_address import postgres_address
from resources.postgres_faults import fault_of_opening, fault_of_reading, reason_of
from resources.reading import PhoenixError


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+asyncpg", "postgresql+psycopg", "postgres"])
def test_every_scheme_names_the_same_database(scheme: str) -> None:
    address = postgres_address(f"{scheme}://reader:secret@db.internal:6543/phoenix?sslmode=require")
    assert conninfo_to_dict(address.connection_string) == {
        "host": "db.internal",
        "port": "6543",
        "user": "reader",
        "password": "secret",
        "dbname": "phoenix",
        "sslmode": "require",
    }
    assert address.public == "db.internal:6543/phoenix"
    assert "secret" not in repr(address)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_every_password_reaches_the_client_as_it_is(password: str) -> None:
    escaped = "".join(f"%{ord(character):02X}" for character in password)
    address = postgres_address(f"postgresql://reader:{escaped}@db/phoenix")
    assert conninfo_to_dict(address.connection_string)["password"] == password


def test_host_and_user_may_stand_in_the_query() -> None:
    address = postgres_address("postgresql:///phoenix?host=/var/run/postgresql&user=reader&password=secret")
    assert address.public == "/var/run/postgresql:5432/phoenix"
    assert address.user == "reader"
    assert conninfo_to_dict(address.connection_string)["password"] == "secret"


def test_an_abstract_socket_in_the_query_may_begin_with_an_at_sign() -> None:
    assert postgres_address("postgresql:///phoenix?host=@sockets").public == "@sockets:5432/phoenix"


def test_an_option_of_the_address_comes_before_our_own() -> None:
    address = postgres_address("postgresql://db/phoenix?application_name=theirs", application_name="ours", port=1)
    options = conninfo_to_dict(address.connection_string)
    assert (options["application_name"], options["port"]) == ("theirs", "1")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "set PHOENIX_SQL_DATABASE_URL"),
        ("secret", "is not an address"),
        ("postgresql://reader:12@secret:port/phoenix", "is not an address"),
        ("postgresql://user:p@secret@host/phoenix", "write them as %40 and %2F"),
        ("postgresql://us/er:secret@host/phoenix", "write them as %40 and %2F"),
        ("postgresql://us/er:secret@host", "write them as %40 and %2F"),
        ("sqlite:////data/phoenix.db", "sqlite database.*choose the road query"),
    ],
)
def test_what_is_no_postgresql_is_an_error_that_shows_the_form_and_nothing_of_the_value(url: str, says: str) -> None:
    with pytest.raises(PhoenixError, match=says) as caught:
        postgres_address(url)
    assert not caught.value.retryable
    assert "PHOENIX_SQL_DATABASE_URL" in str(caught.value)
    assert "postgresql://user:password@host:5432/phoenix" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            'IO: [libpq] Failed to connect: connection to server at "db", port 5432 failed: Connection refused\n\tIs',
            'connection to server at "db", port 5432 failed: Connection refused',
        ),
        (
            'NOT_FOUND: Failed to prepare query: ERROR:  relation "spans" does not exist\nLINE 1: select\nQuery was: x',
            'relation "spans" does not exist',
        ),
        ("[libpq] Execution error [PGRES_FATAL_ERROR]: FATAL:  shutting down Query was: select 1", "shutting down"),
        ("something else", "something else"),
    ],
)
def test_the_reason_is_the_server_s_and_leaves_the_question_out(words: str, reason: str) -> None:
    assert reason_of(RuntimeError(words)) == reason


@pytest.mark.parametrize(
    ("words", "says", "retryable"),
    [
        ("FATAL:  permission denied for database phoenix", "GRANT CONNECT", False),
        ('[libpq] Failed to connect: invalid connection option "ssl"', "correct it", False),
        ("FATAL:  the database system is starting up", "cannot be reached", True),
        ("FATAL:  sorry, too many clients already", "cannot be reached", True),
    ],
)
def test_a_connection_that_is_refused_says_what_to_mend(words: str, says: str, retryable: bool) -> None:
    fault = fault_of_opening(RuntimeError(words), postgres_address("postgresql://reader:secret@db/phoenix"))
    assert says in str(fault)
    assert "secret" not in str(fault)
    assert fault.retryable == retryable


def test_a_fault_without_a_known_code_may_pass() -> None:
    error = OSError("[libpq] Execution error: ERROR:  canceling statement due to conflict with recovery")
    fault = fault_of_reading(error, postgres_address("postgresql://reader:secret@db/phoenix"), 300)
    assert fault.retryable
    assert "db:5432/phoenix broke off its answer (canceling statement due to conflict with recovery)" in str(fault)


def test_the_road_loads_without_the_database_s_client() -> None:
    program = "import sys, resources.phoenix_postgres as _; print([n for n in sys.modules if n.startswith('adbc')])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
