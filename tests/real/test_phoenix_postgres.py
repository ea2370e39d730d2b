"""The PostgreSQL road on a real Phoenix over PostgreSQL: the same rows as from its REST interface, and all of them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import psycopg
import pytest
from psycopg import sql

from benchmarks.seed_phoenix import multiply
from perf_pipeline.tables import RAW_SPANS
from resources import phoenix_postgres
from resources.phoenix import PhoenixResource
from resources.postgres_connection import open_postgres
from resources.reading import PhoenixError
from tests.real import phoenix_fixtures
from tests.real.phoenix_fixtures import PhoenixOnPostgres
from tests.real.services.free_port import free_port
from tests.real.services.otlp_sender import SentSpan, dspy_traces, send_spans, wait_until_queryable

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]
phoenix_on_postgres = phoenix_fixtures.phoenix_on_postgres

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)
AGENT_ATTRIBUTES = ["agent.name", "metadata.agent_name", "metadata.agent", "agent_name", "an'odd \"name\\{"]
PASSWORD = "it's a \\secret/@:#?&"
NUMBERS = iter(range(1, 1_000_000))


def a_span(start: datetime = START, **fields: Any) -> SentSpan:
    number = next(NUMBERS)
    known = {"trace_id": f"{number:032x}", "span_id": f"{number:016x}", "name": "work", "start": start}
    return SentSpan(**(known | fields))


def send(phoenix: PhoenixOnPostgres, project: str, spans: Sequence[SentSpan], held_before: int = 0) -> None:
    send_spans(phoenix.server.base_url, project, spans)
    wait_until_queryable(phoenix.server.base_url, project, held_before + len(spans))


def source(phoenix: PhoenixOnPostgres, project: str, **settings: Any) -> PhoenixResource:
    known: dict[str, Any] = {
        "endpoint": phoenix.server.base_url,
        "project": project,
        "agent_attributes": AGENT_ATTRIBUTES,
        "road": "postgres",
        "database_url": phoenix.database_url,
    }
    return PhoenixResource(**(known | settings))


def read(source: PhoenixResource, start: datetime = START, end: datetime = END) -> pd.DataFrame:
    """The window's raw_spans, by span_id."""
    spans = pd.concat([RAW_SPANS.empty(), *source.read_spans(start, end)])
    return spans.sort_values("span_id").reset_index(drop=True)


def assert_roads_agree(phoenix: PhoenixOnPostgres, project: str, count: int) -> pd.DataFrame:
    rows = read(source(phoenix, project))
    assert len(rows) == count
    pd.testing.assert_frame_equal(rows, read(source(phoenix, project, road="rest")))
    return rows


def test_a_fleet_s_spans_are_read_as_by_rest(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    send(phoenix_on_postgres, "fleet", dspy_traces(["StrategyAgent", "AuditAgent"], START, END, 200, seed=7))
    rows = assert_roads_agree(phoenix_on_postgres, "fleet", 200)
    assert rows["error_type"].notna().any()
    assert rows["cost_usd"].notna().any()


ODD_VALUES = (True, False, 7, 7.0, 2.5, 1e-7, 2**53 + 1, -3, "7", "2.50", "true", "null", "", " ", "x\\y", '"x"', "ä\n")
ODD_LISTS = (["a", "b"], [1], [])


def test_odd_values_are_read_as_by_rest(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    names = ("agent.name", "session.id", "llm.model_name", "llm.token_count.prompt", "llm.cost.total", "task.id")
    values = (*ODD_VALUES, *ODD_LISTS)
    metadata = [
        "no object",
        "[1]",
        "7",
        '{"agent": {"x": 1}, "agent_name": null, "task_id": 5}',
        '{"task.id": "dotted"}',
    ]
    spans = [
        *(a_span(attributes=dict.fromkeys(names, value)) for value in values),
        *(a_span(attributes={"metadata": value}) for value in metadata),
        *(a_span(attributes={"an'odd \"name\\{": value}) for value in ("x", 5)),
    ]
    send(phoenix_on_postgres, "odd", spans)
    rows = assert_roads_agree(phoenix_on_postgres, "odd", len(spans))
    assert {"True", "7", "2.5", "2.50", "1e-07", str(2**53 + 1), "x\\y", '"x"', "ä\n", "x", "5"} <= set(
        rows["agent"].dropna()
    )


def test_a_name_that_is_both_leaf_and_node_is_read_as_by_rest(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    chance = random.Random(3)
    names = ["agent", "agent.name", "agent.name.first", "metadata", "metadata.agent", "metadata.task_id", "llm"]
    names += ["llm.token_count", "llm.token_count.prompt", "llm.cost", "llm.cost.total", "gen_ai.usage"]
    names += ["gen_ai.usage.input_tokens", "session", "session.id", "error", "error.type"]
    held = {"metadata": json.dumps({"agent": "inner", "task_id": 5, "a.b": 1})}
    spans = [
        a_span(attributes={name: held.get(name, chance.choice(["x", 7])) for name in names if chance.random() < 0.5})
        for _ in range(100)
    ]
    send(phoenix_on_postgres, "leaf-and-node", spans)
    rows = assert_roads_agree(phoenix_on_postgres, "leaf-and-node", 100)
    assert rows[["agent", "prompt_tokens", "cost_usd", "task_id"]].notna().any().all()


def test_sparse_and_failed_spans_are_read_as_by_rest(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    root = a_span(kind="AGENT")
    spans = [
        root,
        a_span(trace_id=root.trace_id, parent_id=root.span_id, kind=None),
        a_span(duration=None),
        a_span(duration=timedelta(seconds=-1)),
        a_span(kind="tool", name="search.__call__"),
        a_span(kind="of-a-later-version"),
        a_span(name="", status="UNSET"),
        a_span(status="ERROR"),
        a_span(status="ERROR", exception_type="litellm.exceptions.RateLimitError"),
        a_span(status="ERROR", exception_type="KeyError", status_message="ValueError: no"),
        a_span(status="OK", exception_type="HandledError"),
    ]
    send(phoenix_on_postgres, "sparse", spans)
    rows = assert_roads_agree(phoenix_on_postgres, "sparse", len(spans))
    assert set(rows["error_type"].dropna()) == {"RateLimitError", "ValueError"}


def test_the_last_of_several_exceptions_counts(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    send(phoenix_on_postgres, "exceptions", [a_span(status="ERROR", exception_type="FirstError") for _ in range(3)])
    last = {"name": "exception", "timestamp": START.isoformat(), "attributes": {"exception.type": "a.LastError"}}
    blank = {**last, "attributes": {"exception.type": ""}}
    bare = {"name": "note", "timestamp": START.isoformat(), "attributes": {}}
    with psycopg.connect(phoenix_on_postgres.database_url) as connection:
        mine = (
            "select s.id from spans s join traces t on t.id = s.trace_rowid join projects p on p.id = t.project_rowid "
            "where p.name = 'exceptions' order by s.span_id"
        )
        ids = [row[0] for row in connection.execute(mine)]
        for row, events in zip(ids[1:], ([last, blank, bare], [bare]), strict=True):
            put = "update spans set events = case when %s then events else '[]' end || %s::jsonb where id = %s"
            connection.execute(put, (len(events) > 1, json.dumps(events), row))
    rows = assert_roads_agree(phoenix_on_postgres, "exceptions", 3)
    assert list(rows["error_type"].astype(object).where(rows["error_type"].notna(), None)) == [
        "FirstError",
        "LastError",
        None,
    ]


def test_a_window_holds_its_start_and_not_its_end(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    instant = timedelta(microseconds=1)
    send(phoenix_on_postgres, "bounds", [a_span(start) for start in (START - instant, START, END - instant, END)])
    rows = read(source(phoenix_on_postgres, "bounds"))
    assert list(rows["start_time"]) == [pd.Timestamp(START), pd.Timestamp(END - instant)]
    assert read(source(phoenix_on_postgres, "bounds"), END + instant, END + timedelta(hours=1)).empty


def test_a_project_is_found_by_its_name_and_by_its_id(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    send(phoenix_on_postgres, "it's mine", [a_span()])
    with open_postgres(phoenix_on_postgres.database_url, 30) as connection, connection.snapshot() as snapshot:
        (row,) = (
            project["id"]
            for project in snapshot.table("select * from projects").to_pylist()
            if project["name"] == "it's mine"
        )
    identity = phoenix_postgres._global_id("Project", row)
    assert len(read(source(phoenix_on_postgres, "it's mine"))) == len(read(source(phoenix_on_postgres, identity))) == 1
    assert len(read(source(phoenix_on_postgres, identity, road="rest"))) == 1


def test_an_unknown_project_is_an_error_that_names_the_known(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    with pytest.raises(PhoenixError, match=r"no project 'defualt'.*default.*PHOENIX_PROJECT_NAME") as caught:
        read(source(phoenix_on_postgres, "defualt"))
    assert not caught.value.retryable


@pytest.mark.parametrize("scheme", ["postgresql+asyncpg", "postgresql+psycopg", "postgresql"])
def test_every_form_of_the_address_that_phoenix_takes_is_taken(
    phoenix_on_postgres: PhoenixOnPostgres, scheme: str
) -> None:
    url = (
        phoenix_on_postgres.database_url.replace("postgresql", scheme, 1)
        + "?sslmode=disable&options=-c%20search_path%3Dpublic"
    )
    read(source(phoenix_on_postgres, "default", database_url=url))


# Arrivals


@dataclass(frozen=True)
class Late:
    """A project, and a connection that writes spans into it past Phoenix's queue."""

    phoenix: PhoenixOnPostgres
    project: str
    connection: psycopg.Connection

    def source(self, **settings: Any) -> PhoenixResource:
        return source(self.phoenix, self.project, **settings)

    def add(self, *starts: datetime) -> list[str]:
        return add_rows(self.connection, self.project, starts)


def add_rows(connection: psycopg.Connection, project: str, starts: Sequence[datetime]) -> list[str]:
    """Writes spans into the tables as Phoenix does, without its queue; their span_ids."""
    names = [f"{next(NUMBERS):016x}" for _ in starts]
    one = (
        "insert into spans (trace_rowid, span_id, name, span_kind, start_time, end_time, attributes, events, "
        "status_code, status_message, cumulative_error_count, cumulative_llm_token_count_prompt, "
        "cumulative_llm_token_count_completion) "
        "select min(t.id), %s, 'late', 'CHAIN', %s, %s, '{}', '[]', 'OK', '', 0, 0, 0 "
        "from traces t join projects p on p.id = t.project_rowid where p.name = %s"
    )
    for name, start in zip(names, starts, strict=True):
        connection.execute(one, (name, start, start, project))
    return names


@pytest.fixture
def late(phoenix_on_postgres: PhoenixOnPostgres) -> Iterator[Late]:
    """A new project that holds one span of the day before."""
    project = f"late-{next(NUMBERS)}"
    send(phoenix_on_postgres, project, [a_span(START - timedelta(days=1))])
    with psycopg.connect(phoenix_on_postgres.database_url, autocommit=True) as connection:
        yield Late(phoenix_on_postgres, project, connection)


def test_without_a_position_all_that_started_in_the_range_has_arrived(late: Late) -> None:
    names = late.add(START - timedelta(microseconds=1), START, END - timedelta(microseconds=1), END)
    arrivals = late.source().arrivals(None, START, END)
    assert list(arrivals.spans["span_id"]) == names[1:3]
    assert list(arrivals.spans["start_time"]) == [pd.Timestamp(START), pd.Timestamp(END - timedelta(microseconds=1))]
    assert set(arrivals.spans["trace_id"]) == set(
        late.source().arrivals(None, START - timedelta(days=2), END).spans["trace_id"]
    )


def test_after_a_position_what_arrived_since_is_named_whenever_it_started(late: Late) -> None:
    late.add(START)
    position = late.source().arrivals(None, START, END).position
    names = late.add(START + timedelta(minutes=20), START)
    assert set(names) <= set(late.source().arrivals(position, START, END).spans["span_id"])


def test_a_span_whose_transaction_ends_after_a_later_one_is_not_missed(late: Late) -> None:
    with psycopg.connect(late.phoenix.database_url) as slow:
        names = add_rows(slow, late.project, [START])
        late.add(START)
        first = late.source().arrivals(None, START, END)
        assert names[0] not in set(first.spans["span_id"])
        slow.commit()
    assert names[0] in set(late.source().arrivals(first.position, START, END).spans["span_id"])


def test_more_than_fits_is_named_in_several_answers(late: Late, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phoenix_postgres, "ARRIVALS_AT_ONCE", 3)
    monkeypatch.setattr(phoenix_postgres, "IDS_LOOKED_BACK", 1)
    names = late.add(*[START] * 8)
    position, seen = None, []
    for _ in range(5):
        arrivals = late.source().arrivals(position, START, END)
        assert len(arrivals.spans) <= 3
        position = arrivals.position
        seen += list(arrivals.spans["span_id"])
    assert list(dict.fromkeys(seen)) == names


def test_a_position_leads_on_by_the_other_roads_too(late: Late) -> None:
    names = late.add(START, START)
    by_postgres = late.source().arrivals(None, START, END)
    by_rest = late.source(road="rest").arrivals(None, START, END)
    assert by_postgres.position == by_rest.position
    more = late.add(START)
    assert set(more) <= set(late.source(road="rest").arrivals(by_postgres.position, START, END).spans["span_id"])
    assert {*more, *names} >= set(late.source().arrivals(by_rest.position, START, END).spans["span_id"]) >= set(more)


@pytest.mark.parametrize("position", ["", "unreadable", phoenix_postgres._global_id("Span", 10**9)])
def test_a_position_of_another_database_begins_anew(late: Late, position: str) -> None:
    names = late.add(START)
    assert list(late.source().arrivals(position, START, END).spans["span_id"]) == names


def test_nothing_arrived_is_an_empty_table_with_a_position(late: Late) -> None:
    arrivals = late.source().arrivals(None, START, END)
    assert arrivals.spans.empty
    assert list(arrivals.spans.columns) == ["trace_id", "span_id", "start_time"]
    names = late.add(START)
    assert names[0] in set(late.source().arrivals(arrivals.position, START, END).spans["span_id"])


# What the road asks of the database


def test_a_reading_can_write_nothing(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    with (
        open_postgres(phoenix_on_postgres.database_url, 30) as connection,
        connection.snapshot() as snapshot,
        pytest.raises(PhoenixError, match="read-only"),
    ):
        snapshot.table("with gone as (delete from projects returning id) select id from gone")


def test_questions_of_one_snapshot_see_the_same_spans(late: Late) -> None:
    count = "select count(*) as spans from spans"
    with open_postgres(late.phoenix.database_url, 30) as connection:
        with connection.snapshot() as snapshot:
            before = snapshot.table(count).to_pylist()
            late.add(START)
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


# Benchmarks


def test_multiplied_spans_are_read_like_sent_ones_and_more_can_be_sent(phoenix_on_postgres: PhoenixOnPostgres) -> None:
    sent = dspy_traces(["StrategyAgent"], START, END, 20, seed=3)
    send(phoenix_on_postgres, "many", sent)
    assert multiply(phoenix_on_postgres.database_url, "many", 55) == 60
    assert multiply(phoenix_on_postgres.database_url, "many", 120) == 120
    send(phoenix_on_postgres, "many", [a_span()], held_before=120)
    rows = assert_roads_agree(phoenix_on_postgres, "many", 121)
    assert rows["span_id"].is_unique
    assert rows["trace_id"].nunique() == 4 * 6 + 1
    assert rows.loc[rows["parent_id"].notna(), "parent_id"].isin(rows["span_id"]).all()
