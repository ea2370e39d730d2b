"""What PostgreSQL says when Phoenix's database cannot be read, as sentences that name the setting to mend."""

from __future__ import annotations

import re

from resources.postgres_address import PostgresAddress
from resources.reading import PhoenixError

SETTING = "PHOENIX_SQL_DATABASE_URL"
REFUSED_USER = re.compile(r"authentication failed|no password supplied|role .* does not exist|pg_hba\.conf")
REFUSED_OPTION = re.compile(r"invalid (connection option|URI query parameter|port number|sslmode value)")
NO_DATABASE = re.compile(r"database .* does not exist")
TIMED_OUT = re.compile(r"statement timeout")

# https://www.postgresql.org/docs/current/errcodes-appendix.html
NO_TABLE = ("42P01", "3F000")
OTHER_COLUMNS = ("42703", "42704", "42804", "42883")
NO_PERMISSION = ("42501",)
CANCELLED = ("57014",)

ANNOTATIONS = "span_annotations"
LONGEST_REASON = 300


def fault_of_opening(error: Exception, address: PostgresAddress) -> PhoenixError:
    """Why there is no connection. Libpq gives no code for it, only words."""
    where, reason = f"PostgreSQL at {address.public}", reason_of(error)
    if REFUSED_USER.search(reason):
        return PhoenixError(
            f"{where} refuses the user ({reason}): correct user and password in {SETTING}.", retryable=False
        )
    if NO_DATABASE.search(reason):
        return PhoenixError(
            f"{where} has no such database ({reason}): set {SETTING} to the address that Phoenix itself uses.",
            retryable=False,
        )
    if REFUSED_OPTION.search(reason):
        return PhoenixError(f"{SETTING} holds what PostgreSQL does not know ({reason}): correct it.", retryable=False)
    if "permission denied" in reason:
        return PhoenixError(
            f"{where} lets the user {address.user} not in ({reason}): let its administrator run GRANT CONNECT ON "
            f"DATABASE ... TO {address.user}.",
            retryable=False,
        )
    return PhoenixError(f"{where} cannot be reached ({reason}): start it, or correct {SETTING}.", retryable=True)


def fault_of_reading(error: Exception, address: PostgresAddress, timeout_seconds: float) -> PhoenixError:
    """Why a question was not answered, or not to its end."""
    where, reason = f"PostgreSQL at {address.public}", reason_of(error)
    state = getattr(error, "sqlstate", None)
    if state in NO_TABLE:
        return PhoenixError(
            f"{where} lacks a table of Phoenix's ({reason}). Is this Phoenix's database? Set {SETTING} to the address "
            "that Phoenix itself uses; where its tables lie in another schema, add ?options=-csearch_path%3D<schema>.",
            retryable=False,
        )
    if state in NO_PERMISSION:
        # A role for reading spans was made before feedback was read.
        tables = ANNOTATIONS if ANNOTATIONS in reason else "projects, traces, spans"
        return PhoenixError(
            f"{where} does not let the user {address.user} read Phoenix's tables ({reason}): let their owner run "
            f"GRANT SELECT ON {tables} TO {address.user}; and GRANT USAGE ON SCHEMA where they lie.",
            retryable=False,
        )
    if state in OTHER_COLUMNS:
        return PhoenixError(
            f"{where} holds tables that are not laid out as expected ({reason}), so Phoenix's version may be too new "
            "or too old: compare it with the versions that the README names, or choose the road query.",
            retryable=False,
        )
    if state in CANCELLED or TIMED_OUT.search(reason):
        return PhoenixError(
            f"{where} stopped a reading that took longer than {timeout_seconds:g} s ({reason}): see whether it is "
            "overloaded, or raise request_timeout_seconds.",
            retryable=True,
        )
    return PhoenixError(
        f"{where} broke off its answer ({reason}): see whether it runs, and read its log.", retryable=True
    )


def reason_of(error: Exception) -> str:
    """The server's own words, without the question that it was asked, which ADBC quotes."""
    words = str(error).partition("\n")[0].partition("Query was:")[0]
    # Everything up to the severity is about the client.
    return re.sub(r"^.*?\b(?:ERROR|FATAL|libpq\]\s*Failed to connect):\s*", "", words).strip()[:LONGEST_REASON]
