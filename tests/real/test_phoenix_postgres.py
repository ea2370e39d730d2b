"""The PostgreSQL road on a real Phoenix over PostgreSQL: the same rows as from its REST interface, and all of them."""

from __future__ import annotations

import json
import random
from datetime import timedelta

import pandas as pd
import psycopg
import pytest

from benchmarks.seed_phoenix import multiply
from resources import phoenix_postgres
from resources.postgres_connection import open_postgres
from resources.reading import PhoenixError
from tests.real import phoenix_fixtures
from tests.real.phoenix_fixtures import PhoenixOnPostgres
from tests.real.postgres_road import END, START, a_span, read, send, source
from tests.real.services.otlp_sender import dspy_traces

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]
phoenix_on_postgres = phoenix_fixtures.phoenix_on_postgres


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
