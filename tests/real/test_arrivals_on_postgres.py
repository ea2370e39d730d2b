"""What the PostgreSQL road names as arrived: nothing is missed, whichever transaction ends first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pandas as pd
import psycopg
import pytest

from resources import phoenix_postgres
from tests.real import phoenix_fixtures
from tests.real.phoenix_fixtures import PhoenixOnPostgres
from tests.real.postgres_road import END, NUMBERS, START, Late, a_span, add_rows, send

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]
phoenix_on_postgres = phoenix_fixtures.phoenix_on_postgres


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
