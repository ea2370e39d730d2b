"""Makes a Phoenix large: multiplies the traces of a project within its database, by SQL.

Phoenix takes in 50 to 80 spans a second, so a window of a million spans cannot be sent. This copies the spans that were
sent, in the database itself, with new identities and task ids and at the same times: a project with 5,000 spans in one
window of 30 minutes becomes one with a million in the same window. Costs and annotations are not copied.

    python -m benchmarks.seed_phoenix /path/to/phoenix.db --spans 100000
    python -m benchmarks.seed_phoenix postgresql://postgres@localhost:5432/phoenix --spans 1000000
"""

from __future__ import annotations

import math
from typing import Annotated

import sqlalchemy as sa
import typer

TRACES = "select id from traces where project_rowid in (select id from projects where name = :project)"
CHANGED_COLUMNS = ("id", "trace_rowid", "trace_id", "span_id", "parent_id", "attributes", "project_session_rowid")
SUFFIX_DIGITS = 4
MOST_COPIES = 16**SUFFIX_DIGITS // 2
COPIES_OF_THE_FIRST = (
    f"substr(trace_id, 1, 32 - {SUFFIX_DIGITS}) = "
    f"(select substr(trace_id, {SUFFIX_DIGITS + 1}) from traces where id = (select min(id) from ({TRACES}) as own))"
)
"""Traces made by earlier runs, whose numbers are used."""

WITH_TASK_ID = {
    "sqlite": "json_replace(attributes, '$.metadata.task_id', "
    "json_extract(attributes, '$.metadata.task_id') || :suffix)",
    "postgresql": "coalesce(jsonb_set(attributes, '{metadata,task_id}', "
    "to_jsonb((attributes #>> '{metadata,task_id}') || :suffix), false), attributes)",
}
"""The attributes with a task id of the copy's own where there is one, in each database's words."""


def multiply(database: str, project: str, spans: int) -> int:
    """Copies the project's traces until it holds at least `spans` spans; how many it holds then.

    `database` is a SQLAlchemy address or the path of Phoenix's SQLite file; `project` a name. A copy is whole, so the
    last one may go over `spans`. Raises ValueError for a project without spans, and for more than 32,768 copies.
    """
    engine = sa.create_engine(_address(database))
    try:
        with engine.begin() as connection:
            held = _count(connection, project)
            if not held:
                raise ValueError(f"Project {project!r} holds no spans: send it some before they are multiplied.")
            copies = max(0, math.ceil(spans / held) - 1)
            if copies > MOST_COPIES:
                raise ValueError(f"{copies} copies of {held} spans are more than {MOST_COPIES}: send more spans first.")
            _copy(connection, project, copies)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # PostgreSQL would do so by itself before long. Phoenix never does it in SQLite.
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("analyze"))
            return _count(connection, project)
    finally:
        engine.dispose()


def _copy(connection: sa.Connection, project: str, copies: int) -> None:
    last_trace = _number(connection, "select max(id) from traces")
    last_span = _number(connection, "select max(id) from spans")
    of_trace, of_span = _copied_columns(connection, "traces"), _copied_columns(connection, "spans")
    originals = f"{TRACES} and id <= :last_trace"
    traces = sa.text(
        f"insert into traces (id, trace_id, {of_trace}) "
        f"select id + :trace_step, {_renamed('trace_id')}, {of_trace} from traces where id in ({originals})"
    )
    spans = sa.text(
        f"insert into spans (id, trace_rowid, span_id, parent_id, attributes, {of_span}) "
        f"select id + :span_step, trace_rowid + :trace_step, {_renamed('span_id')}, {_renamed('parent_id')}, "
        f"{WITH_TASK_ID[connection.dialect.name]}, {of_span} from spans where trace_rowid in ({originals})"
    )
    used = _number(connection, f"select count(*) from traces where {COPIES_OF_THE_FIRST}", project=project)
    for number in range(1, copies + 1):
        named = {"project": project, "last_trace": last_trace, "trace_step": last_trace * number}
        named |= {"suffix": f"{used + number:0{SUFFIX_DIGITS}x}"}
        connection.execute(traces, named)
        connection.execute(spans, named | {"span_step": last_span * number})
    if connection.dialect.name == "postgresql":
        # The copies' ids were not drawn from the sequences, which would give them out again.
        for name in ("traces", "spans"):
            connection.execute(
                sa.text(f"select setval(pg_get_serial_sequence('{name}', 'id'), (select max(id) from {name}))")
            )


def _renamed(column: str) -> str:
    """The identity with its first digits replaced by the copy's number, at its end: as long as before, and new."""
    return f"substr({column}, {SUFFIX_DIGITS + 1}) || :suffix"


def _copied_columns(connection: sa.Connection, table: str) -> str:
    names = [column["name"] for column in sa.inspect(connection).get_columns(table)]
    return ", ".join(name for name in names if name not in CHANGED_COLUMNS)


def _count(connection: sa.Connection, project: str) -> int:
    return _number(connection, f"select count(*) from spans where trace_rowid in ({TRACES})", project=project)


def _number(connection: sa.Connection, query: str, **values: str) -> int:
    return connection.execute(sa.text(query), values).scalar_one() or 0


def _address(database: str) -> sa.URL:
    url = sa.make_url(database if "://" in database else f"sqlite:///{database}")
    return url.set(drivername="postgresql+psycopg") if url.get_backend_name() == "postgresql" else url


def main(
    database: Annotated[str, typer.Argument(help="Path of phoenix.db, or a PostgreSQL address")],
    spans: Annotated[int, typer.Option(help="How many spans the project shall hold at least")],
    project: Annotated[str, typer.Option(help="Name of the project")] = "fleet",
) -> None:
    """Multiply the traces of a Phoenix project within its database."""
    print(f"{project} holds {multiply(database, project, spans):,} spans.")


if __name__ == "__main__":
    typer.run(main)
