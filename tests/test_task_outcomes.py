"""A task failed where its spans or its own row of agent_state say so."""

from __future__ import annotations

from typing import Any

import ibis
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.monitoring.task_outcomes import Disagreements, count_disagreements, with_task_states
from perf_pipeline.tables import AGENT_TASKS, TASK_STATES
from tests.builders import START, Row, frame, task

ENGINE = ibis.duckdb.connect()


def state(status: str, task_id: str = "1", agent: str = "InboundAgent", at: float = 60.0) -> Row:
    """A row of `task_states` that changed `at` seconds after START."""
    changed = pd.Timestamp(START) + pd.Timedelta(seconds=at)
    return {"task_id": task_id, "agent": agent, "status": status, "updated_at": changed}


def outcomes(tasks: list[Row], states: list[Row]) -> pd.DataFrame:
    known = ENGINE.create_table("agent_tasks", frame(AGENT_TASKS, tasks), overwrite=True)
    changed = ENGINE.create_table("task_states", frame(TASK_STATES, states), overwrite=True)
    found = with_task_states(known, changed).to_pandas()
    assert AGENT_TASKS.problems(AGENT_TASKS.conform(found)) == []
    return found.sort_values("start_time", ignore_index=True)


def outcome(one: Row, *states: Row) -> dict[str, Any]:
    """How the task ended, None for what is missing."""
    columns = ["ok", "task_status", "error_type", "error_message"]
    (row,) = outcomes([one], list(states))[columns].astype(object).to_dict("records")
    return {str(name): None if pd.isna(value) else value for name, value in row.items()}


def test_a_row_that_says_failed_overrules_spans_without_an_error() -> None:
    assert outcome(task(task_id="1"), state("failed")) == {
        "ok": False,
        "task_status": "failed",
        "error_type": None,
        "error_message": "agent_state says failed",
    }


@pytest.mark.parametrize("status", ["completed", "failed", "in_progress"])
def test_no_row_overrules_a_failed_span(status: str) -> None:
    failed = task(task_id="1", ok=False, error_type="TimeoutError", error_message="TimeoutError: late")
    assert outcome(failed, state(status)) == {
        "ok": False,
        "task_status": status,
        "error_type": "TimeoutError",
        "error_message": "TimeoutError: late",
    }


def test_a_failed_span_without_a_message_is_not_said_to_be_failed_by_agent_state() -> None:
    assert outcome(task(task_id="1", ok=False), state("failed"))["error_message"] is None


@pytest.mark.parametrize("status", ["completed", "pending", "in_progress"])
def test_a_row_that_does_not_say_failed_leaves_a_good_task_as_it_is(status: str) -> None:
    assert outcome(task(task_id="1"), state(status)) == {
        "ok": True,
        "task_status": status,
        "error_type": None,
        "error_message": None,
    }


def test_the_latest_row_of_a_task_holds() -> None:
    recovered = [state("failed", at=10), state("completed", at=4000), state("in_progress", at=5)]
    assert outcome(task(task_id="1"), *recovered)["ok"]
    assert not outcome(task(task_id="1"), *recovered, state("failed", at=4001))["ok"]


def test_a_helper_called_under_the_tasks_id_does_not_fail_with_it() -> None:
    tasks = [task("InboundAgent", at=0, task_id="1"), task("ResearchAgent", at=1, task_id="1")]
    found = outcomes(tasks, [state("failed")])
    assert found["ok"].tolist() == [False, True]
    assert found["task_status"].tolist() == ["failed", "failed"]


@pytest.mark.parametrize("task_id", ["2", None])
def test_a_task_without_a_row_keeps_what_its_spans_say(task_id: str | None) -> None:
    assert outcome(task(task_id=task_id), state("failed")) == {
        "ok": True,
        "task_status": None,
        "error_type": None,
        "error_message": None,
    }


def test_what_the_two_systems_disagree_on_is_counted() -> None:
    tasks = [
        task(at=0, task_id="0"),
        task(at=1, task_id="1"),
        task(at=2, task_id="2", ok=False),
        task(at=3, task_id="3", ok=False),
        task(at=4, ok=False),
    ]
    states = [
        state(status, str(number)) for number, status in enumerate(["completed", "failed", "completed", "failed"])
    ]
    assert count_disagreements(outcomes(tasks, states)) == Disagreements(1, 1)
    assert count_disagreements(outcomes([], [])) == Disagreements(0, 0)


rows = st.lists(
    st.builds(
        state,
        st.sampled_from(["completed", "failed", "in_progress"]),
        st.sampled_from(["0", "1", "2"]),
        st.sampled_from(["InboundAgent", "AuditAgent"]),
        st.integers(0, 30).map(float),
    ),
    unique_by=lambda row: (row["task_id"], row["updated_at"]),
    max_size=8,
)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.booleans(), min_size=3, max_size=3), rows)
def test_no_task_is_lost_doubled_or_mended_by_its_rows(spans_ok: list[bool], states: list[Row]) -> None:
    tasks = [task(at=number, ok=ok, task_id=str(number)) for number, ok in enumerate(spans_ok)]
    found = outcomes(tasks, states)
    assert found["task_id"].tolist() == ["0", "1", "2"]
    assert found["span_ok"].tolist() == spans_ok
    assert not (found["ok"] & ~found["span_ok"]).any()
