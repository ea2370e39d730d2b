"""The counts of tasks and the errors, read from a real PostgREST over a real PostgreSQL."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pandas as pd
import pytest

from perf_pipeline.tables import TASK_COUNTS
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
    return source(server, key=key, table=table).read_task_counts(START, END)


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


def test_that_aggregates_are_off_is_asked_once(supabase_server: SupabaseServer) -> None:
    supabase_server.add_tasks("lead_agent", "completed", START, 1)
    resource = source(supabase_server)
    resource.read_task_counts(START, END)
    resource.read_task_counts(START, END)
    assert sum("count()" in unquote(path) for path in supabase_server.gateway.paths) == 1


def test_an_anon_key_that_row_level_security_blinds_gives_a_gap(any_server: SupabaseServer) -> None:
    any_server.add_tasks("lead_agent", "completed", START, 10)
    reading = read(any_server, key=any_server.anon_key)
    assert reading.frame.empty
    assert len(reading.gaps) == 1
    assert "service-role" in reading.gaps[0]


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


def test_a_statement_timeout_may_pass(supabase_server: SupabaseServer) -> None:
    supabase_server.add_tasks("lead_agent", "completed", START, 1)
    with pytest.raises(SupabaseError, match="statement timeout") as caught:
        read(supabase_server, table="slow_agent_state")
    assert caught.value.retryable


def test_a_stopped_server_names_its_address_within_fifteen_seconds() -> None:
    began = time.monotonic()
    with pytest.raises(SupabaseError, match="SUPABASE_URL") as caught:
        SupabaseResource(url=f"http://127.0.0.1:{free_port()}", key="any").read_task_counts(START, END)
    assert caught.value.retryable
    assert time.monotonic() - began < 15


def test_a_gateway_without_postgrest_behind_it_may_recover() -> None:
    with supabase_gateway(f"http://127.0.0.1:{free_port()}", ("any",)) as gateway:
        resource = SupabaseResource(url=gateway.url, key="any")
        with pytest.raises(SupabaseError, match="SUPABASE_URL") as caught:
            resource.read_task_counts(START, END)
    assert caught.value.retryable
