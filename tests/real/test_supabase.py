"""The counts of tasks and the errors, read from a real PostgREST over a real PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pandas as pd
import pytest

from perf_pipeline.tables import TASK_COUNTS, TASK_STATES
from resources.reading import Reading, SupabaseError
from resources.supabase import SupabaseResource
from tests.real.services.free_port import free_port
from tests.real.services.supabase_gateway import supabase_gateway

if TYPE_CHECKING:
    from tests.real.supabase_fixtures import SupabaseServer

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]
pytest_plugins = ["tests.real.supabase_fixtures"]

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
END = START + timedelta(minutes=30)
BEFORE = START - timedelta(days=1)
MOMENT = timedelta(microseconds=1)


@pytest.fixture(params=["supabase_server", "supabase_server_with_aggregates"], ids=["paging", "aggregates"])
def any_server(request: pytest.FixtureRequest) -> SupabaseServer:
    return request.getfixturevalue(request.param)


def read(server: SupabaseServer, *, key: str | None = None, table: str = "agent_state") -> Reading:
    return source(server, key=key, table=table).read_task_counts(START, END, {})


def source(server: SupabaseServer, *, key: str | None = None, table: str = "agent_state") -> SupabaseResource:
    return SupabaseResource(url=server.url, key=key or server.service_key, table=table)


def by_group(frame: pd.DataFrame) -> dict[tuple[str, str], tuple[int, int]]:
    columns = zip(frame["agent"], frame["status"], frame["tasks_in_window"], frame["tasks_total"], strict=True)
    return {(agent, status): (in_window, total) for agent, status, in_window, total in columns}


def test_three_thousand_tasks_are_counted_by_agent_and_status(any_server: SupabaseServer) -> None:
    any_server.add_tasks("lead_agent", "completed", BEFORE, 1500)
    any_server.add_tasks("lead_agent", "completed", START, 700)
    any_server.add_tasks("lead_agent", "failed", START, 300)
    any_server.add_tasks("mail_agent", "pending", END, 497)
    any_server.add_tasks(None, None, START, 3)
    began = time.monotonic()
    reading = read(any_server)
    print(f"3,000 tasks counted in {time.monotonic() - began:.2f} s with {len(any_server.gateway.paths)} requests")
    assert TASK_COUNTS.problems(reading.frame) == []
    assert reading.gaps == ()
    assert by_group(reading.frame) == {
        ("lead_agent", "completed"): (700, 2200),
        ("lead_agent", "failed"): (300, 300),
        ("mail_agent", "pending"): (0, 497),
        ("unknown", "unknown"): (3, 3),
    }


def test_the_window_includes_its_start_and_excludes_its_end(any_server: SupabaseServer) -> None:
    for moment in (START - MOMENT, START, END - MOMENT, END):
        any_server.add_tasks("lead_agent", "completed", moment, 1)
    assert by_group(read(any_server).frame) == {("lead_agent", "completed"): (2, 4)}


def test_rows_inserted_while_paging_do_not_disturb_the_others(supabase_server: SupabaseServer) -> None:
    supabase_server.add_tasks("lead_agent", "completed", START, 2500)
    supabase_server.gateway.after_answer = lambda: supabase_server.add_tasks("newcomer", "pending", START, 40)
    counts = by_group(read(supabase_server).frame)
    assert counts["lead_agent", "completed"] == (2500, 2500)


def test_tasks_since_an_optimization_are_those_changed_at_or_after_it(any_server: SupabaseServer) -> None:
    any_server.add_tasks("lead_agent", "completed", START - MOMENT, 1100)
    any_server.add_tasks("lead_agent", "completed", START, 1200)
    any_server.add_tasks("mail_agent", "completed", START, 3)
    any_server.add_tasks("mail_agent", "failed", END, 2)
    any_server.add_tasks("new_agent", "completed", BEFORE, 4)
    since = {"lead_agent": START, "mail_agent": START + MOMENT, "gone_agent": BEFORE}
    frame = source(any_server).read_task_counts(START, END, since).frame
    counted = frame.set_index(["agent", "status"])["tasks_since_optimization"].to_dict()
    assert counted == {
        ("lead_agent", "completed"): 1200,
        ("mail_agent", "completed"): 0,
        ("mail_agent", "failed"): 2,
        ("new_agent", "completed"): 4,
    }


def test_rows_that_were_deleted_take_nothing_from_those_since_an_optimization(any_server: SupabaseServer) -> None:
    any_server.add_tasks("lead_agent", "completed", BEFORE, 50)
    any_server.add_tasks("lead_agent", "completed", START, 12)
    any_server.connection.execute("delete from agent_state where updated_at < %s", (START,))
    (counted,) = source(any_server).read_task_counts(START, END, {"lead_agent": START}).frame.to_dict("records")
    assert (counted["tasks_total"], counted["tasks_since_optimization"]) == (12, 12)


def test_all_states_of_a_window_are_read_beyond_the_servers_cap_although_most_changed_together(
    any_server: SupabaseServer,
) -> None:
    any_server.add_tasks("lead_agent", "completed", START - MOMENT, 5)
    any_server.add_tasks("lead_agent", "in_progress", START, 1)
    any_server.add_tasks("lead_agent", "completed", START + MOMENT, 2300)
    any_server.add_tasks("mail_agent", "failed", END - MOMENT, 7)
    any_server.add_tasks("mail_agent", None, END, 5)
    reading = source(any_server).read_task_states(START, END)
    assert reading.gaps == ()
    assert TASK_STATES.problems(reading.frame) == []
    assert reading.frame.groupby(["agent", "status"]).size().to_dict() == {
        ("lead_agent", "in_progress"): 1,
        ("lead_agent", "completed"): 2300,
        ("mail_agent", "failed"): 7,
    }
    ids = any_server.connection.execute(
        "select id::text from agent_state where updated_at >= %s and updated_at < %s", (START, END)
    )
    assert set(reading.frame["task_id"]) == {task_id for (task_id,) in ids}
    assert set(reading.frame["created_at"]) == set(reading.frame["updated_at"])


def test_states_and_counts_of_a_window_agree(any_server: SupabaseServer) -> None:
    any_server.add_tasks("lead_agent", "completed", START, 1500)
    any_server.add_tasks("mail_agent", "failed", END - MOMENT, 20)
    resource = source(any_server)
    counts = resource.read_task_counts(START, END, {}).frame.set_index(["agent", "status"])["tasks_in_window"]
    states = resource.read_task_states(START, END).frame.groupby(["agent", "status"]).size()
    assert counts.to_dict() == states.to_dict()


def test_rows_that_change_between_two_pages_are_neither_lost_nor_doubled(any_server: SupabaseServer) -> None:
    """After the first page some of its rows, and some of the later ones, change within the window or leave it."""
    connection = any_server.connection
    connection.execute(
        "insert into agent_state (agent_name, status, updated_at) "
        "select 'lead_agent', 'in_progress', %s + n * interval '1 microsecond' from generate_series(0, 2499) n",
        (START,),
    )
    ordered = [row[0] for row in connection.execute("select id from agent_state order by updated_at").fetchall()]
    stays, leaves = ordered[10:20] + ordered[2000:2010], ordered[30:40] + ordered[2020:2030]

    def change_after_the_first_page() -> None:
        # The first answer of all is the newest row.
        if len(any_server.gateway.paths) != 2:
            return
        change = "update agent_state set status = 'completed', updated_at = %s where id = any(%s)"
        connection.execute(change, (END - MOMENT, stays))
        connection.execute(change, (END, leaves))

    any_server.gateway.after_answer = change_after_the_first_page
    frame = source(any_server).read_task_states(START, END).frame
    seen = frame.set_index("task_id")["status"].to_dict()
    assert len(frame) == len(seen)
    # Those that left after they were seen stand here as they were; the others are in the window that they left for.
    assert seen.keys() == {str(one) for one in ordered} - {str(one) for one in leaves[10:]}
    assert {task for task, status in seen.items() if status == "completed"} == {str(one) for one in stays}
    later = source(any_server).read_task_states(END, END + (END - START)).frame
    assert set(later["task_id"]) == {str(one) for one in leaves}


def test_a_window_without_changes_in_a_table_with_rows_is_no_gap(any_server: SupabaseServer) -> None:
    any_server.add_tasks("lead_agent", "completed", BEFORE, 3)
    reading = source(any_server).read_task_states(START, END)
    assert (len(reading.frame), reading.gaps) == (0, ())


def test_that_aggregates_are_off_is_asked_once(supabase_server: SupabaseServer) -> None:
    supabase_server.add_tasks("lead_agent", "completed", START, 1)
    resource = source(supabase_server)
    resource.read_task_counts(START, END, {})
    resource.read_task_counts(START, END, {})
    assert sum("count()" in unquote(path) for path in supabase_server.gateway.paths) == 1


def test_an_anon_key_that_row_level_security_blinds_gives_a_gap(any_server: SupabaseServer) -> None:
    any_server.add_tasks("lead_agent", "completed", START, 10)
    reading = read(any_server, key=any_server.anon_key)
    assert reading.frame.empty
    assert len(reading.gaps) == 1
    assert "service-role" in reading.gaps[0]
    states = source(any_server, key=any_server.anon_key).read_task_states(START, END)
    assert states.frame.empty
    assert states.gaps == reading.gaps


def test_a_wrong_key_names_its_variable(supabase_server: SupabaseServer) -> None:
    with pytest.raises(SupabaseError, match="SUPABASE_KEY") as caught:
        read(supabase_server, key="sb_secret_wrong")
    assert not caught.value.retryable
    assert "sb_secret_wrong" not in str(caught.value)


def test_an_expired_key_names_its_variable(supabase_server: SupabaseServer) -> None:
    with pytest.raises(SupabaseError, match=r"SUPABASE_KEY.*expired") as caught:
        read(supabase_server, key=supabase_server.expired_key)
    assert not caught.value.retryable


def test_an_unknown_table_is_named(any_server: SupabaseServer) -> None:
    with pytest.raises(SupabaseError, match="no table agent_stat ") as caught:
        read(any_server, table="agent_stat")
    assert not caught.value.retryable


def test_a_role_without_a_grant_is_told_so(supabase_server: SupabaseServer) -> None:
    with pytest.raises(SupabaseError, match="grant select") as caught:
        read(supabase_server, table="hidden_state")
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("column", "select"),
    [
        ("updated_at", "id, agent_name, status, created_at, updated_at as changed_at"),
        ("created_at", "id, agent_name, status, updated_at"),
        ("status", "id, agent_name, state_data, created_at, updated_at"),
    ],
)
def test_a_column_that_is_gone_or_renamed_is_named(supabase_server: SupabaseServer, column: str, select: str) -> None:
    with (
        view(supabase_server, select) as table,
        pytest.raises(SupabaseError, match=f"{column} does not exist") as caught,
    ):
        source(supabase_server, table=table).read_task_states(START, END)
    assert "Add the column" in str(caught.value)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ("created_at, extract(epoch from updated_at)::bigint as updated_at", "updated_at must be a timestamptz"),
        ("created_at, '2026-11-22T10:05 or so' as updated_at", "column updated_at of other_state holds .* or so'"),
        ("'infinity'::timestamptz as created_at, updated_at", "column created_at of other_state holds 'infinity'"),
    ],
)
def test_a_time_that_is_no_time_any_more_names_its_column(
    supabase_server: SupabaseServer, times: str, message: str
) -> None:
    supabase_server.add_tasks("lead_agent", "completed", START, 1)
    with view(supabase_server, f"id, agent_name, status, {times}") as table:
        resource = source(supabase_server, table=table)
        with pytest.raises(SupabaseError, match=message) as caught:
            resource.read_task_states(START, END)
    assert not caught.value.retryable


@contextmanager
def view(server: SupabaseServer, select: str) -> Iterator[str]:
    """A view over agent_state that PostgREST already knows of."""
    server.connection.execute(f"create view other_state as select {select} from agent_state")  # pyright: ignore
    server.connection.execute("grant select on other_state to service_role")
    server.connection.execute("notify pgrst, 'reload schema'")
    try:
        yield "other_state"
    finally:
        server.connection.execute("drop view other_state")
        server.connection.execute("notify pgrst, 'reload schema'")


def test_a_statement_timeout_may_pass(supabase_server: SupabaseServer) -> None:
    supabase_server.add_tasks("lead_agent", "completed", START, 1)
    with pytest.raises(SupabaseError, match="statement timeout") as caught:
        read(supabase_server, table="slow_agent_state")
    assert caught.value.retryable


def test_a_stopped_server_names_its_address_within_fifteen_seconds() -> None:
    began = time.monotonic()
    with pytest.raises(SupabaseError, match="SUPABASE_URL") as caught:
        SupabaseResource(url=f"http://127.0.0.1:{free_port()}", key="any").read_task_counts(START, END, {})
    assert caught.value.retryable
    assert time.monotonic() - began < 15


def test_a_gateway_without_postgrest_behind_it_may_recover() -> None:
    with supabase_gateway(f"http://127.0.0.1:{free_port()}", ("any",)) as gateway:
        resource = SupabaseResource(url=gateway.url, key="any")
        with pytest.raises(SupabaseError, match="SUPABASE_URL") as caught:
            resource.read_task_counts(START, END, {})
    assert caught.value.retryable
