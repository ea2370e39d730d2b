"""A decision to optimize is requested once, and only while it is news."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd
import pytest

from perf_pipeline.fleet import Approval
from perf_pipeline.optimization.requests import requests_from_decisions
from perf_pipeline.records import OptimizationRequest, RequestState
from perf_pipeline.tables import OPTIMIZATION_DECISIONS
from tests.builders import LENGTH, Row, frame, window

ACT_WITHIN = timedelta(hours=2)
NOW = window(0).end


def decision(agent: str = "InboundAgent", number: int = 0, decision: str = "optimize", **columns: object) -> Row:
    """A row of `optimization_decisions` for window `number`."""
    return {
        "window_start": pd.Timestamp(window(number).start),
        "agent": agent,
        "decision": decision,
        "optimizer": "BootstrapFewShot",
        "tasks_since_optimization": 10,
        "tasks_total": 50,
        "min_tasks": 10,
        "max_cost_usd": 5.0,
        "approval": "automatic",
        "reasons": "10 of 10 completed tasks\nruns on its own",
    } | columns


def requested(*rows: Row, now: datetime = NOW, known: Sequence[OptimizationRequest] = ()) -> list[OptimizationRequest]:
    return requests_from_decisions(frame(OPTIMIZATION_DECISIONS, rows), known, now, ACT_WITHIN, LENGTH)


def test_a_request_says_what_was_decided_and_when() -> None:
    (found,) = requested(decision())
    assert (found.agent, found.optimizer, found.max_cost_usd) == ("InboundAgent", "BootstrapFewShot", 5)
    assert (found.completed_tasks, found.window_start, found.requested_at) == (50, window(0).start, NOW)
    assert found.reasons == ("10 of 10 completed tasks", "runs on its own")


@pytest.mark.parametrize(
    ("approval", "state"),
    [("required", RequestState.AWAITING_APPROVAL), ("automatic", RequestState.READY)],
)
def test_a_request_waits_for_approval_where_the_policy_asks_for_it(approval: str, state: RequestState) -> None:
    (found,) = requested(decision(approval=approval))
    assert (found.approval, found.state) == (Approval(approval), state)


def test_deciding_on_the_same_window_again_gives_the_same_id() -> None:
    (first,) = requested(decision())
    (again,) = requested(decision(reasons="others", tasks_total=51), now=NOW + timedelta(minutes=1))
    assert again.id == first.id


@pytest.mark.parametrize(
    ("agent", "optimizer", "number"),
    [("AuditAgent", "BootstrapFewShot", 0), ("InboundAgent", "GEPA", 0), ("InboundAgent", "BootstrapFewShot", 1)],
)
def test_another_agent_optimizer_or_window_is_another_request(agent: str, optimizer: str, number: int) -> None:
    (other,) = requested(decision(agent, number, optimizer=optimizer), now=window(1).end)
    assert other.id != requested(decision())[0].id


@pytest.mark.parametrize("state", [state for state in RequestState if not state.is_open])
def test_a_later_window_asks_anew_though_no_task_was_added_or_rows_were_deleted(state: RequestState) -> None:
    (first,) = requested(decision())
    known = [replace(first, state=state)]
    for total in (50, 3):
        (again,) = requested(decision(number=1, tasks_total=total), now=window(1).end, known=known)
        assert again.id != first.id


def test_a_decision_on_the_window_of_the_last_request_or_on_an_earlier_one_requests_nothing() -> None:
    (last,) = requested(decision(number=1), now=window(1).end)
    known = [replace(last, state=RequestState.CANCELLED)]
    assert requested(decision(number=1, optimizer="GEPA"), now=window(1).end, known=known) == []
    assert requested(decision(number=0), now=window(1).end, known=known) == []


def test_a_decision_that_may_not_have_known_of_the_last_request_requests_nothing() -> None:
    """Window 1 had closed, and was perhaps decided on, when the request of window 0 was made and declined."""
    declined = [replace(requested(decision())[0], requested_at=window(1).end, state=RequestState.DECLINED)]
    assert requested(decision(number=1), now=window(1).end + timedelta(minutes=1), known=declined) == []
    assert len(requested(decision(number=2), now=window(2).end, known=declined)) == 1


def test_requests_of_other_agents_hold_nothing_back() -> None:
    (other,) = requested(decision("AuditAgent", number=1), now=window(1).end)
    assert len(requested(decision(), now=window(1).end, known=[other])) == 1


def test_only_the_newest_decision_of_an_agent_counts() -> None:
    assert requested(decision(number=0), decision(number=1, decision="wait"), now=window(1).end) == []
    rows = [decision(number=1, tasks_total=60), decision(number=0, decision="not_eligible", tasks_total=40)]
    assert [found.completed_tasks for found in requested(*rows, now=window(1).end)] == [60]


@pytest.mark.parametrize("other", ["wait", "not_eligible"])
def test_nothing_but_optimize_is_requested(other: str) -> None:
    rows = [decision("AuditAgent", decision=other), decision("ResearchAgent"), decision("FollowUpAgent")]
    assert [found.agent for found in requested(*rows)] == ["FollowUpAgent", "ResearchAgent"]


def test_a_decision_that_is_history_requests_nothing() -> None:
    assert len(requested(decision(), now=window(0).end + ACT_WITHIN)) == 1
    assert requested(decision(), now=window(0).end + ACT_WITHIN + timedelta(seconds=1)) == []


def test_no_decisions_request_nothing() -> None:
    assert requested() == []
