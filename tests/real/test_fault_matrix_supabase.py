"""A real PostgREST under every fault of the matrix, through the assets that read agent_state."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perf_pipeline.assets.task_counts import task_counts_asset
from perf_pipeline.assets.task_states import task_states_asset
from perf_pipeline.monitoring.windows import floor_to_window, windows_between
from perf_pipeline.tables import TASK_COUNTS, TASK_STATES
from resources.supabase import SupabaseResource
from tests.fault_cells import FLEET, FaultCell, PlannedFault, WatchedTable, faults_of_any_server
from tests.real.supabase_fixtures import serving
from tests.wire.fault_proxy import changed_answer, changed_request, fault_proxy, with_json
from tests.wire.http_server import Request

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]
pytest_plugins = ["tests.real.supabase_fixtures"]

PAGE_ROWS, LOWER_LIMIT = 30, 7
TASKS_IN_WINDOW = {("InboundAgent", "completed"): 40, ("InboundAgent", "failed"): 20, ("AuditAgent", "pending"): 31}
OLD_TASKS = 50


def with_lower_limit(request: Request) -> Request:
    return replace(request, path=re.sub(r"\blimit=\d+", f"limit={LOWER_LIMIT}", request.path))


def is_later_page(request: Request) -> bool:
    return "id=gt." in request.path or "or=" in request.path


def with_fewer_rows(answer: Any) -> Any:
    return answer[:LOWER_LIMIT] if isinstance(answer, list) else answer


def with_renamed_columns(answer: Any) -> Any:
    return json.loads(json.dumps(answer).replace('"status"', '"state"'))


def without_times(answer: Any) -> Any:
    return [row | {"updated_at": "yesterday"} for row in answer] if isinstance(answer, list) else answer


FAULTS = [
    *faults_of_any_server(
        {
            "down": "check SUPABASE_URL and that the project is running",
            "401": "did not accept SUPABASE_KEY .*: set it to a key",
            "404": "set SUPABASE_URL to https://",
            "429": "try again later",
            "500": "SUPABASE_URL|try again later",
            "slow": "try again later, raise request_timeout_seconds",
            "html": "set SUPABASE_URL to https://",
            "cut": "check SUPABASE_URL and that the project is running",
        }
    ),
    PlannedFault(
        "limits below those asked for", lambda proxy: proxy.misbehave(changed_request(with_lower_limit)), None
    ),
    PlannedFault(
        "one truncated page",
        lambda proxy: proxy.misbehave(changed_answer(with_json(with_fewer_rows)), times=1, only=is_later_page),
        None,
    ),
    PlannedFault(
        "renamed columns",
        lambda proxy: proxy.misbehave(changed_answer(with_json(with_renamed_columns))),
        r"lacks the column status: the table needs",
    ),
    PlannedFault(
        "times that are none",
        lambda proxy: proxy.misbehave(changed_answer(with_json(without_times))),
        "make the column a timestamptz",
    ),
]


@pytest.fixture(scope="module")
def prepared(supabase_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultCell]:
    """A proxy before a server whose rows changed in one of two windows, or long before them."""
    end = floor_to_window(datetime.now(UTC), FLEET.window)
    known, fresh = windows_between(end - 2 * FLEET.window, end, FLEET.window)
    with serving(supabase_database, aggregates=False) as server, fault_proxy(server.url) as proxy:
        server.add_tasks("StrategyAgent", "completed", known.start - timedelta(days=2), OLD_TASKS)
        for window in (known, fresh):
            for number, ((agent, status), count) in enumerate(TASKS_IN_WINDOW.items()):
                server.add_tasks(agent, status, window.start + number * timedelta(minutes=5), count)

        counts = [(agent, status, count, 2 * count) for (agent, status), count in TASKS_IN_WINDOW.items()]
        counts.append(("StrategyAgent", "completed", 0, OLD_TASKS))
        states = {}
        for window in (known, fresh):
            found = server.connection.execute(
                "select id::text, status from agent_state where updated_at >= %s and updated_at < %s",
                (window.start, window.end),
            )
            states[window] = [tuple(row) for row in found]

        def source(timeout_seconds: float) -> SupabaseResource:
            return SupabaseResource(
                url=proxy.url, key=server.service_key, page_rows=PAGE_ROWS, request_timeout_seconds=timeout_seconds
            )

        counted = ["agent", "status", "tasks_in_window", "tasks_total"]
        tables = [
            WatchedTable(task_counts_asset, TASK_COUNTS, "tasks", counted, {known: counts, fresh: counts}),
            WatchedTable(task_states_asset, TASK_STATES, "task states", ["task_id", "status"], states),
        ]
        folder = tmp_path_factory.mktemp("prepared")
        cell = FaultCell(folder, proxy, "task_source", source, known, fresh, tables, [server.service_key])
        cell.prepare()
        yield cell


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"supabase-{fault}")
def test_a_faulty_supabase_costs_no_row_and_is_never_called_complete(
    prepared: FaultCell, fault: PlannedFault, tmp_path: Path
) -> None:
    prepared.copied_to(tmp_path).run(fault)
