"""Where Phoenix's PostgreSQL is, out of the address that Phoenix itself takes: for the client, and for people."""

from __future__ import annotations

from dataclasses import dataclass, field

from resources.reading import PhoenixError

SHAPE = "it must look like postgresql://user:password@host:5432/phoenix."


@dataclass(frozen=True)
class PostgresAddress:
    """`public` is host, port and database, for people; `connection_string` holds the password."""

    public: str
    user: str
    connection_string: str = field(repr=False)


def postgres_address(url: str, **options: str | int) -> PostgresAddress:
    """The address in an URL such as postgresql+asyncpg://user:password@host/phoenix?sslmode=require.

    `options` are further options of libpq; those in the URL's query come before them. Raises PhoenixError.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    if not url.strip():
        raise PhoenixError(
            f"The road postgres needs the address of Phoenix's database: set PHOENIX_SQL_DATABASE_URL; {SHAPE}",
            retryable=False,
        )
    try:
        parsed = make_url(url.strip())
    except (ArgumentError, ValueError):
        # Their words may quote a part of the password.
        raise PhoenixError(f"PHOENIX_SQL_DATABASE_URL is not an address: {SHAPE}", retryable=False) from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise PhoenixError(
            f"PHOENIX_SQL_DATABASE_URL names a {parsed.get_backend_name()} database, and the road postgres reads "
            f"PostgreSQL only: choose the road query, or set the address of Phoenix's PostgreSQL; {SHAPE}",
            retryable=False,
        )
    named = {
        "host": parsed.host,
        "port": parsed.port,
        "user": parsed.username,
        "password": parsed.password,
        "dbname": parsed.database,
    }
    # The parser takes an @ or a / within the password for the end of it, and the rest for the host or the database.
    if "@" in f"{parsed.host}{parsed.database}":
        raise PhoenixError(
            "PHOENIX_SQL_DATABASE_URL has an @ in its host or database, so its user or password seems to hold an @ or "
            f"a / as it is: write them as %40 and %2F there; {SHAPE}",
            retryable=False,
        )
    query = {name: value if isinstance(value, str) else ",".join(value) for name, value in parsed.query.items()}
    parts = options | {name: value for name, value in named.items() if value is not None} | query
    return PostgresAddress(
        public=f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}".rstrip("/"),
        user=str(parts.get("user", "")),
        connection_string=" ".join(f"{name}={_quoted(value)}" for name, value in parts.items()),
    )


def _quoted(value: object) -> str:
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
