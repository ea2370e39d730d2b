"""A Phoenix over SQLite is multiplied without a server: what the copies are."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from benchmarks.seed_phoenix import multiply


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Phoenix's tables, as far as they matter: two traces of two spans in `fleet`, and one in another project."""
    path = tmp_path / "phoenix.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            """
            create table projects (id integer primary key, name text);
            create table traces (id integer primary key, project_rowid int, trace_id text unique,
                project_session_rowid int, start_time text);
            create table spans (id integer primary key, trace_rowid int, span_id text unique, parent_id text,
                name text, attributes text);
            insert into projects values (1, 'default'), (2, 'fleet');
            """
        )
        for trace, project in ((1, 1), (2, 2), (3, 2)):
            connection.execute("insert into traces values (?, ?, ?, null, 'then')", (trace, project, f"{trace:032x}"))
            root, child = f"{2 * trace:016x}", f"{2 * trace + 1:016x}"
            task = json.dumps({"metadata": {"task_id": f"task-{trace}"}})
            rows = [(2 * trace, trace, root, None, "root", task), (2 * trace + 1, trace, child, root, "child", "{}")]
            connection.executemany("insert into spans values (?, ?, ?, ?, ?, ?)", rows)
    return path


def rows(database: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(database) as connection:
        return connection.execute(query).fetchall()


def test_a_project_is_copied_until_it_holds_enough(database: Path) -> None:
    assert multiply(str(database), "fleet", 10) == 12
    assert multiply(str(database), "fleet", 12) == 12
    assert rows(database, "select count(*) from spans join traces t on t.id = trace_rowid where project_rowid = 1") == [
        (2,)
    ]


def test_a_copy_has_identities_and_tasks_of_its_own_and_the_shape_of_its_trace(database: Path) -> None:
    multiply(str(database), "fleet", 8)
    multiply(str(database), "fleet", 16)
    children = (
        "select c.name, p.name from spans c join spans p on p.span_id = c.parent_id and p.trace_rowid = c.trace_rowid"
    )
    assert rows(database, children) == [("child", "root")] * (1 + 8)
    assert rows(database, "select distinct length(span_id) from spans") == [(16,)]
    assert rows(database, "select distinct length(trace_id), start_time from traces") == [(32, "then")]
    tasks = "select count(distinct json_extract(attributes, '$.metadata.task_id')) from spans"
    assert rows(database, tasks) == [(1 + 8,)]
    assert rows(database, "select distinct attributes from spans where name = 'child'") == [("{}",)]


def test_a_project_without_spans_is_an_error(database: Path) -> None:
    with pytest.raises(ValueError, match="'fleeet' holds no spans"):
        multiply(str(database), "fleeet", 10)


def test_more_copies_than_there_are_numbers_for_are_an_error(database: Path) -> None:
    with pytest.raises(ValueError, match="more than 32768"):
        multiply(str(database), "fleet", 4 * 40_000)
