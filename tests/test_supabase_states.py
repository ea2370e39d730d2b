"""Reading the states of a window, and what a row must hold, against a small stand-in for PostgREST."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from perf_pipeline.tables import TASK_STATES
from resources.reading import SupabaseError
from resources.supabase_rows import quoted, task_state
from tests.builders import START, window
from tests.wire.agent_state_server import CREATED, Answer, Query, Row, StateTable, answering, resource, row

END = window().end
BEFORE = START - timedelta(days=1)
MOMENT = timedelta(microseconds=1)


@pytest.mark.parametrize(("page_rows", "row_cap"), [(50, 10), (7, 1000), (1, 1)])
def test_all_states_of_a_window_are_read_in_pages_although_many_changed_at_the_same_time(
    page_rows: int, row_cap: int
) -> None:
    outside = [row(900, START - MOMENT), row(901, END), row(902, None)]
    inside = [row(n, START + MOMENT * (n // 9)) for n in range(40)]
    with answering(StateTable(outside + inside[::-1], row_cap=row_cap)) as url:
        reading = resource(url, page_rows=page_rows).read_task_states(START, END)
    assert reading.gaps == ()
    assert TASK_STATES.problems(reading.frame) == []
    assert reading.frame["task_id"].tolist() == [row["id"] for row in inside]
    assert set(reading.frame["created_at"]) == {CREATED}


def test_a_state_names_what_its_row_leaves_out_unknown() -> None:
    with answering(StateTable([row(1, agent_name=None, status=None, created_at=None)])) as url:
        (state,) = resource(url).read_task_states(START, END).frame.to_dict("records")
    assert (state["agent"], state["status"], state["created_at"]) == ("unknown", "unknown", pd.NaT)


def test_a_task_that_changes_between_two_pages_is_there_once_as_it_was_seen_last() -> None:
    table = StateTable([row(n, START + MOMENT * n) for n in range(30)], row_cap=10)

    def answer(query: Query) -> Answer:
        page = table(query)
        if len(table.queries) == 2:  # after the first page, which follows the question for the newest row
            table.rows[3] = row(3, END - MOMENT, status="failed")
            table.rows[25] = row(25, END - 2 * MOMENT, status="failed")
            table.rows[4] = row(4, END)
        return page

    with answering(answer) as url:
        frame = resource(url).read_task_states(START, END).frame
    assert sorted(frame["task_id"]) == [f"{n:06d}" for n in range(30)]
    assert sorted(frame[frame["status"] == "failed"]["task_id"]) == ["000003", "000025"]


def test_a_table_that_is_written_to_all_the_time_is_read_to_an_end() -> None:
    table = StateTable([row(n, START + MOMENT * n) for n in range(5)])

    def answer(query: Query) -> Answer:
        number = len(table.rows)
        table.rows.append(row(number, START + MOMENT * number))
        return table(query)

    with answering(answer) as url:
        assert 5 <= len(resource(url).read_task_states(START, END).frame) <= 10


@pytest.mark.parametrize("aggregates", [True, False])
def test_a_table_to_which_rows_are_added_all_the_time_is_counted_to_an_end(aggregates: bool) -> None:
    table = StateTable([row(n) for n in range(5)], aggregates=aggregates)

    def answer(query: Query) -> Answer:
        table.rows.append(row(len(table.rows)))
        return table(query)

    with answering(answer) as url:
        assert 5 <= resource(url).read_task_counts(START, END, {}).frame["tasks_total"].sum() <= 15


def test_a_page_that_was_cut_short_on_the_way_is_not_the_last() -> None:
    table = StateTable([row(n, START + MOMENT * n) for n in range(40)], row_cap=10)

    def answer(query: Query) -> Answer:
        status, kind, rows = table(query)
        return status, kind, rows[:3] if len(table.queries) == 3 and isinstance(rows, list) else rows

    with answering(answer) as url:
        assert len(resource(url).read_task_states(START, END).frame) == 40


def test_a_window_without_changes_in_a_table_with_rows_is_no_gap() -> None:
    with answering(StateTable([row(1, BEFORE)])) as url:
        reading = resource(url).read_task_states(START, END)
    assert (len(reading.frame), reading.gaps) == (0, ())


def test_states_of_a_table_that_seems_empty_give_the_same_gap_as_its_counts() -> None:
    with answering(StateTable([])) as url:
        states, counts = (
            resource(url).read_task_states(START, END),
            resource(url).read_task_counts(START, END, {}),
        )
    assert states.frame.equals(TASK_STATES.empty())
    assert states.gaps == counts.gaps != ()


def without(column: str) -> Row:
    return {name: value for name, value in row(1).items() if name != column}


@pytest.mark.parametrize("column", ["id", "agent_name", "status", "created_at", "updated_at"])
def test_an_answer_that_lacks_a_column_names_it(column: str) -> None:
    with (
        answering(lambda _: (200, "application/json", [without(column)])) as url,
        pytest.raises(SupabaseError, match=f"lacks the column {column}: the table needs id") as caught,
    ):
        resource(url).read_task_states(START, END)
    assert not caught.value.retryable


@pytest.mark.parametrize("text", ["yesterday", "infinity", "", 1763805600, {"at": 1}])
@pytest.mark.parametrize("column", ["created_at", "updated_at"])
def test_a_time_that_is_none_names_its_column_and_row(column: str, text: str) -> None:
    with pytest.raises(SupabaseError, match=f"column {column} of agent_state holds .* row with id 000001") as caught:
        task_state(row(1) | {column: text}, "agent_state")
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "text", ["2026-03-02T10:00:00", "2026-03-02 10:00:00+00", "2026-03-02T12:00:00.000+02:00", "2026-03-02T10:00:00Z"]
)
def test_a_time_without_zone_or_with_few_digits_is_read_as_utc(text: str) -> None:
    state = task_state(row(1) | {"updated_at": text}, "agent_state")
    assert state.updated_at == START


def test_what_has_a_meaning_in_a_filter_loses_it_in_quotes() -> None:
    assert quoted('a"b\\c,d.e') == '"a\\"b\\\\c,d.e"'
