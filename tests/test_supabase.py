"""Counting the rows of agent_state, and what a refusal means, against a small stand-in for PostgREST."""

from __future__ import annotations

import threading
import traceback
from datetime import timedelta

import pytest

from perf_pipeline.tables import TASK_COUNTS
from resources.reading import SupabaseError
from resources.supabase import SupabaseResource
from resources.supabase_errors import RefusalError, explain
from tests.builders import START, window
from tests.wire import http_server
from tests.wire.agent_state_server import KEY, Answer, Query, StateTable, answering, resource, row, rows_of
from tests.wire.scripted_server import scripted_server

END = window().end
BEFORE = START - timedelta(days=1)
MOMENT = timedelta(microseconds=1)
READERS = [
    lambda source: source.read_task_counts(START, END, {}),
    lambda source: source.read_task_states(START, END),
]


@pytest.mark.parametrize("aggregates", [True, False])
def test_rows_beyond_the_servers_cap_are_counted(aggregates: bool) -> None:
    with answering(StateTable(rows_of(257), row_cap=10, aggregates=aggregates)) as url:
        frame = resource(url, page_rows=50).read_task_counts(START, END, {}).frame
    assert frame["tasks_total"].sum() == 257
    assert set(frame["agent"]) == {"lead", "unknown"}


def test_more_groups_than_the_servers_cap_are_counted() -> None:
    rows = [row(n, agent_name=f"agent-{n % 23:02d}") for n in range(46)]
    with answering(StateTable(rows, row_cap=5)) as url:
        frame = resource(url).read_task_counts(START, END, {}).frame
    assert len(frame) == 23
    assert set(frame["tasks_in_window"]) == {2}


def test_that_aggregates_are_off_is_asked_once() -> None:
    table = StateTable(rows_of(3), row_cap=10, aggregates=False)
    with answering(table) as url:
        source = resource(url)
        source.read_task_counts(START, END, {})
        source.read_task_counts(START, END, {})
    assert table.grouped == 1


@pytest.mark.parametrize("aggregates", [True, False])
def test_tasks_since_an_optimization_are_those_changed_at_or_after_it(aggregates: bool) -> None:
    moments = [BEFORE, START, START + MOMENT, None]
    agents = ["lead", "mail", "audit", "fresh"]
    rows = [
        row(10 * n + m, moment, agent_name=agent) for n, agent in enumerate(agents) for m, moment in enumerate(moments)
    ]
    since = {"lead": START, "mail": START, "audit": START + MOMENT, "gone": BEFORE}
    table = StateTable(rows, aggregates=aggregates)
    with answering(table) as url:
        frame = resource(url).read_task_counts(START, END, since).frame
    assert frame.set_index("agent")["tasks_since_optimization"].to_dict() == {
        "lead": 2,
        "mail": 2,
        "audit": 1,
        "fresh": 4,
    }
    assert set(frame["tasks_total"]) == {4}


def test_agents_that_were_optimized_together_share_a_request() -> None:
    table = StateTable(rows_of(3))
    with answering(table) as url:
        resource(url).read_task_counts(START, END, {})
        without = table.grouped
        resource(url).read_task_counts(START, END, {"a": BEFORE, "b": BEFORE, "c": START})
    # Each question takes a second request, to see that nothing comes after its only page.
    assert (without, table.grouped - without) == (2 * 2, 2 * 4)


def test_an_empty_answer_is_a_gap_and_not_proof_of_no_tasks() -> None:
    with answering(StateTable([], row_cap=10)) as url:
        reading = resource(url).read_task_counts(START, END, {})
    assert reading.frame.empty
    assert TASK_COUNTS.problems(reading.frame) == []
    assert len(reading.gaps) == 1
    assert "SUPABASE_KEY" in reading.gaps[0]


def test_a_server_that_fails_once_is_asked_again() -> None:
    table = StateTable(rows_of(3), row_cap=10)
    failures = iter([503])

    def answer(query: Query) -> Answer:
        status = next(failures, None)
        return (status, "text/html", "busy") if status else table(query)

    with answering(answer) as url:
        assert resource(url).read_task_counts(START, END, {}).frame["tasks_total"].sum() == 3


def test_a_server_that_always_gives_the_same_page_is_not_asked_for_ever() -> None:
    same = [row(1), row(2)]
    for read in READERS:
        table = StateTable([], aggregates=False)
        answers = {True: table, False: lambda _: (200, "application/json", same)}
        with (
            answering(lambda query, answers=answers: answers["count()" in query["select"][0]](query)) as url,
            pytest.raises(SupabaseError, match="same page of rows twice"),
        ):
            read(resource(url))


@pytest.mark.parametrize("column", ["agent_name", "status", "count"])
def test_groups_that_lack_a_column_name_it(column: str) -> None:
    group = {"agent_name": "lead", "status": "failed", "count": 1}
    del group[column]
    with (
        answering(lambda _: (200, "application/json", [group])) as url,
        pytest.raises(SupabaseError, match=f"lacks the column {column}"),
    ):
        resource(url).read_task_counts(START, END, {})


def test_a_count_that_is_no_number_is_refused() -> None:
    group = {"agent_name": "lead", "status": "failed", "count": "many"}
    pages = iter([[group]])
    with (
        answering(lambda _: (200, "application/json", next(pages, []))) as url,
        pytest.raises(SupabaseError, match="'many' as a count"),
    ):
        resource(url).read_task_counts(START, END, {})


@pytest.mark.parametrize(
    ("answer", "named", "retryable"),
    [
        ((401, "application/json", {"message": "Invalid API key"}), "SUPABASE_KEY", False),
        ((401, "application/json", {"code": "PGRST301", "message": "JWT expired"}), "SUPABASE_KEY", False),
        ((401, "application/json", {"code": "42501", "message": "permission denied"}), "service-role", False),
        ((404, "application/json", {"code": "42P01", "message": "no such relation"}), "agent_state", False),
        ((404, "application/json", {"code": "PGRST205", "message": "not in the cache"}), "agent_state", False),
        ((400, "application/json", {"code": "42703", "message": "no such column"}), "updated_at", False),
        ((400, "application/json", {"code": "22007", "message": "bad timestamp"}), "updated_at must be a", False),
        ((400, "application/json", {"code": "22P02", "message": "bad bigint"}), "updated_at must be a", False),
        ((500, "application/json", {"code": "57014", "message": "statement timeout"}), "statement_timeout", True),
        ((503, "application/json", {"code": "PGRST001", "message": "no connection"}), "SUPABASE_URL", True),
        ((200, "text/html", "<html>"), "SUPABASE_URL", False),
        ((404, "text/html", "<html>"), "SUPABASE_URL", False),
        ((302, "text/html", ""), "SUPABASE_URL", False),
        ((200, "application/json", {"rows": []}), "SUPABASE_URL", False),
        ((200, "application/json", ""), "SUPABASE_URL", False),
        ((200, "application/json", '[{"id": 1'), "SUPABASE_URL", False),
        ((200, "application/json", [["a", "list"]]), "lacks the column", False),
        ((500, "application/json", {"code": "XX000", "message": "internal"}), "XX000", True),
    ],
)
def test_a_refusal_names_what_to_change(answer: Answer, named: str, retryable: bool) -> None:
    with answering(lambda _: answer) as url:
        for read in READERS:
            with pytest.raises(SupabaseError, match=named) as caught:
                read(resource(url))
            assert caught.value.retryable is retryable
            assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["line\nbreak", "two words", "kéy"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(SupabaseError, match="SUPABASE_KEY") as caught:
        SupabaseResource(url="http://127.0.0.1:9", key=key).read_task_counts(START, END, {})
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["https://[bad", "https://me:pass-word@[bad", "http://me:pass-word@host:99999", "http://me:pass-word@", "host", ""],
)
def test_an_address_that_is_none_is_named_by_its_setting_and_not_quoted(url: str) -> None:
    for read in READERS:
        with pytest.raises(SupabaseError, match="SUPABASE_URL is not an address") as caught:
            read(SupabaseResource(url=url, key=KEY))
        assert not caught.value.retryable
        assert "pass-word" not in "".join(traceback.format_exception(caught.value))


def test_a_password_in_the_address_is_never_shown() -> None:
    with answering(lambda _: (404, "text/html", "<html>")) as url:
        source = resource(url.replace("//", "//me:pass-word@"))
        with pytest.raises(SupabaseError, match="SUPABASE_URL") as caught:
            source.read_task_counts(START, END, {})
    assert "pass-word" not in str(caught.value) + source.describe()


def test_an_answer_that_cannot_be_unpacked_is_worth_another_try() -> None:
    broken = http_server.Answer(body=b"no gzip", headers={"Content-Encoding": "gzip"})
    with (
        scripted_server(lambda _: broken) as server,
        pytest.raises(SupabaseError, match="could not be reached") as caught,
    ):
        resource(server.base_url).read_task_counts(START, END, {})
    assert caught.value.retryable


@pytest.mark.parametrize("aggregates", [True, False])
def test_half_a_character_in_a_name_becomes_a_question_mark(aggregates: bool) -> None:
    rows = [row(1, agent_name="a\ud83d", status="é\ud83d"), row(2, agent_name="a?", status="é?")]
    with answering(StateTable(rows, aggregates=aggregates)) as url:
        counts = resource(url).read_task_counts(START, END, {}).frame
        states = resource(url).read_task_states(START, END).frame
    assert counts[["agent", "status", "tasks_total"]].to_numpy().tolist() == [["a?", "é?", 2]]
    assert set(states["agent"]) == {"a?"}


def test_the_key_is_not_in_the_resources_repr() -> None:
    assert KEY not in repr(resource("http://127.0.0.1:9"))


def test_the_server_that_does_not_answer_in_time_is_worth_another_try() -> None:
    release = threading.Event()

    def answer(_: Query) -> Answer:
        release.wait(10)
        return 200, "application/json", []

    with answering(answer) as url:
        with pytest.raises(SupabaseError, match=r"0\.2 seconds") as caught:
            resource(url, request_timeout_seconds=0.2).read_task_counts(START, END, {})
        release.set()
    assert caught.value.retryable


@pytest.mark.parametrize("aggregates", [True, False])
def test_missing_and_literal_unknown_agents_share_one_row(aggregates: bool) -> None:
    rows = [row(1, agent_name=None), row(2, agent_name="unknown"), row(3, status=None)]
    with answering(StateTable(rows, aggregates=aggregates)) as url:
        frame = resource(url).read_task_counts(START, END, {}).frame
    assert TASK_COUNTS.problems(frame) == []
    totals = {(row["agent"], row["status"]): row["tasks_total"] for row in frame.to_dict("records")}
    assert totals == {("unknown", "completed"): 2, ("lead", "unknown"): 1}


def test_an_unknown_code_is_passed_on() -> None:
    assert "PGRST999" in str(explain(RefusalError(400, "PGRST999", "new"), "http://host", "agent_state"))
