"""What agent_state says reaches the tasks and the decisions of a whole cycle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import RequestState
from perf_pipeline.tables import AGENT_METRICS, AGENT_TASKS, OPTIMIZATION_DECISIONS, TASK_COUNTS, TASK_STATES
from tests.builders import request
from tests.cycle_fixtures import Installation, installation


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path / "installation") as running:
        yield running


def add_task(installed: Installation, task_id: str, start: datetime, *, ok: bool = True) -> None:
    installed.spans.add_task("InboundAgent", start, ok=ok)
    installed.spans.rows[-1]["task_id"] = task_id


def append_state(installed: Installation, task_id: str, status: str, updated_at: datetime) -> None:
    state = {"id": task_id, "agent_name": "InboundAgent", "status": status, "updated_at": updated_at.isoformat()}
    with (installed.folder / "inbox" / "agent_state.jsonl").open("a") as file:
        file.write(json.dumps(state) + "\n")


def tasks(installed: Installation, windows: list[Window]) -> pd.DataFrame:
    return installed.table(AGENT_TASKS, windows).set_index("task_id")


def test_a_task_that_failed_in_agent_state_only_is_a_failure_of_its_own_window(installed: Installation) -> None:
    windows = installed.closed_windows(2)
    began = windows[0].end - timedelta(seconds=1)
    for number in range(3):
        add_task(installed, str(number), began, ok=number != 2)
    append_state(installed, "0", "completed", began)
    append_state(installed, "1", "failed", windows[1].start + timedelta(minutes=1))
    append_state(installed, "2", "completed", windows[1].start)

    result = installed.cycle(windows[0], windows[1])

    assert result.success
    assert tasks(installed, windows)["ok"].to_dict() == {"0": True, "1": False, "2": False}
    metrics = installed.table(AGENT_METRICS, windows[:1]).set_index("agent").loc["InboundAgent"]
    assert (metrics["tasks"], metrics["successes"]) == (3, 1)
    assert [len(installed.table(TASK_STATES, [window])) for window in windows] == [1, 2]
    (materialized,) = [
        event.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key and event.asset_key.to_user_string() == "agent_tasks" and event.partition == windows[0].key
    ]
    assert materialized.metadata["failed by agent_state only"].value == 1
    assert materialized.metadata["span failed, agent_state completed"].value == 1


def test_the_next_cycle_learns_what_agent_state_said_after_the_window_had_closed(installed: Installation) -> None:
    windows = installed.closed_windows(2)
    add_task(installed, "0", windows[0].end - timedelta(seconds=1))
    assert installed.cycle(windows[0]).success
    assert tasks(installed, windows[:1])["ok"].to_dict() == {"0": True}
    assert tasks(installed, windows[:1])["task_status"].isna().all()

    append_state(installed, "0", "failed", windows[1].start)
    assert installed.cycle(windows[0], windows[1]).success
    assert tasks(installed, windows[:1])["ok"].to_dict() == {"0": False}
    assert tasks(installed, windows[:1])["task_status"].to_dict() == {"0": "failed"}


@pytest.mark.parametrize(("state", "since"), [(RequestState.FINISHED, 2), (RequestState.CANCELLED, 5)])
def test_the_threshold_counts_what_changed_since_the_latest_request_that_was_not_cancelled(
    installed: Installation, state: RequestState, since: int
) -> None:
    (window,) = installed.closed_windows(1)
    requested_at = datetime.now(UTC) - timedelta(days=3)
    with installed.ledger() as book:
        book.request_optimization(request("InboundAgent", state, completed_tasks=40, requested_at=requested_at))
    for number, hours in enumerate([-2, -1, -1, 0, 1]):
        append_state(installed, str(number), "completed", requested_at + timedelta(hours=hours))

    assert installed.cycle(window).success

    (counted,) = installed.table(TASK_COUNTS, [window]).to_dict("records")
    assert (counted["tasks_total"], counted["tasks_since_optimization"]) == (5, since)
    decided = installed.table(OPTIMIZATION_DECISIONS, [window]).set_index("agent").loc["InboundAgent"]
    assert (decided["tasks_total"], decided["tasks_since_optimization"]) == (5, since)
