"""An agent is optimized when it reached its threshold and no guard stands in the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.fleet import Approval
from perf_pipeline.fleet_people import ApprovalsConfig, Approver
from perf_pipeline.optimization.policy import (
    Choice,
    CompletedTasks,
    Decision,
    committed_this_month,
    decide,
    latest_optimizations,
)
from perf_pipeline.records import ApprovalRecord, ApprovalState, OptimizationRequest, OptimizationRun, RequestState
from tests.builders import START, optimizable, request, shipped_fleet
from tests.run_builders import a_run

FLEET = optimizable(shipped_fleet())
NOW = START + timedelta(days=10)
LONG_AGO = START - timedelta(days=30)
OPEN_STATES = [state for state in RequestState if state.is_open]


def decision(
    agent: str = "InboundAgent",
    tasks: int | None = 10,
    total: int = 100,
    requests: list[OptimizationRequest] | None = None,
    committed: float = 0,
    failing: bool = False,
    approvals: Sequence[ApprovalRecord] = (),
    runs: Sequence[OptimizationRun] = (),
) -> Decision:
    """What is decided on an agent that is alone in its fleet; `tasks` are those since its last optimization,
    None where they could not be read."""
    alone = FLEET.model_copy(update={"agents": tuple(one for one in FLEET.agents if one.name == agent)})
    counts = None if tasks is None else {agent: CompletedTasks(total, tasks)}
    (found,) = decide(alone, counts, requests or [], committed, failing, NOW, approvals, runs)
    return found


def test_every_agent_of_the_fleet_is_decided_on_in_its_order() -> None:
    found = decide(FLEET, {}, [], 0, False, NOW)
    assert [one.agent for one in found] == list(FLEET.agent_names)
    assert {one.decision for one in found} == {Choice.NOT_ELIGIBLE}


@pytest.mark.parametrize(
    ("agent", "min_tasks", "optimizer", "max_cost", "approval", "consent"),
    [
        ("StrategyAgent", 20, "GEPA", 30, Approval.REQUIRED, "GEPA for at most $30, asks for approval"),
        ("InboundAgent", 10, "BootstrapFewShot", 5, Approval.AUTOMATIC, "BootstrapFewShot for at most $5, runs on"),
        ("AuditAgent", 10, "BootstrapFewShot", 5, Approval.AUTOMATIC, "BootstrapFewShot for at most $5, runs on"),
    ],
)
def test_the_shipped_thresholds_are_those_of_the_seeds(
    agent: str, min_tasks: int, optimizer: str, max_cost: float, approval: Approval, consent: str
) -> None:
    below, reached = decision(agent, min_tasks - 1), decision(agent, min_tasks)
    assert (below.decision, reached.decision) == (Choice.NOT_ELIGIBLE, Choice.OPTIMIZE)
    assert (reached.optimizer, reached.max_cost_usd, reached.approval) == (optimizer, max_cost, approval)
    assert below.reasons == (f"{min_tasks - 1} completed tasks since the last optimization, {min_tasks} are needed",)
    assert reached.reasons[1].startswith(consent)


def test_a_decision_that_nobody_can_approve_says_so() -> None:
    listed = FLEET.model_copy(update={"approvals": ApprovalsConfig(approvers=(Approver(name="ana"),))})
    counts = {"StrategyAgent": CompletedTasks(100, 20), "InboundAgent": CompletedTasks(100, 20)}
    for fleet, says in ((FLEET, True), (listed, False)):
        found = {one.agent: one.reasons[1] for one in decide(fleet, counts, [], 0, False, NOW) if len(one.reasons) > 1}
        assert ("list people under approvals.approvers in fleet.yaml" in found["StrategyAgent"]) is says
        assert found["InboundAgent"].endswith("runs on its own")


def test_only_tasks_since_the_last_optimization_count() -> None:
    below, reached = decision(tasks=9, total=49), decision(tasks=10, total=50)
    assert (below.decision, below.tasks_since_optimization, below.tasks_total) == (Choice.NOT_ELIGIBLE, 9, 49)
    assert (reached.decision, reached.tasks_since_optimization, reached.tasks_total) == (Choice.OPTIMIZE, 10, 50)


@pytest.mark.parametrize("total", [3, 40, 10_000])
def test_rows_that_were_deleted_since_the_last_optimization_do_not_hold_the_next_one_back(total: int) -> None:
    past = request(completed_tasks=40, requested_at=LONG_AGO)
    assert decision(tasks=10, total=total, requests=[past]).decision is Choice.OPTIMIZE
    assert decision(tasks=9, total=total, requests=[past]).decision is Choice.NOT_ELIGIBLE


def test_the_latest_request_is_when_an_agent_was_optimized_in_whatever_order_they_come() -> None:
    requests = [
        request(requested_at=START),
        request(requested_at=LONG_AGO),
        request("AuditAgent", RequestState.READY, requested_at=LONG_AGO),
        request("AuditAgent", RequestState.CANCELLED, requested_at=START),
        request("StrategyAgent", RequestState.CANCELLED, requested_at=START),
    ]
    expected = {"InboundAgent": START, "AuditAgent": LONG_AGO}
    assert latest_optimizations(requests) == latest_optimizations(requests[::-1]) == expected


NOTHING = [state for state in RequestState if state.came_to_nothing]


@pytest.mark.parametrize("state", NOTHING)
def test_a_request_that_came_to_nothing_neither_optimized_nor_cost_anything(state: RequestState) -> None:
    recent = request(state=state, requested_at=NOW - timedelta(hours=1))
    assert latest_optimizations([recent]) == {}
    assert committed_this_month([recent], NOW) == 0


def refusal(state: RequestState, ended: timedelta) -> tuple[OptimizationRequest, ApprovalRecord]:
    """A request that people turned down, or let expire, `ended` ago; it had been made two days before that."""
    made = NOW - ended - timedelta(days=2)
    turned_down = request(state=state, requested_at=made)
    end = ApprovalState(str(state))
    answered = ("ana", "button", NOW - ended) if end is ApprovalState.DECLINED else (None, None, None)
    return turned_down, ApprovalRecord(turned_down.id, "f", end, made, NOW - ended, *answered)


@pytest.mark.parametrize(
    ("state", "words"),
    [(RequestState.DECLINED, "was declined by ana"), (RequestState.EXPIRED, "expired unanswered")],
)
def test_what_was_turned_down_or_expired_is_not_asked_again_at_once(state: RequestState, words: str) -> None:
    day = timedelta(hours=FLEET.cool_down_hours)
    recent, its_approval = refusal(state, day - timedelta(minutes=1))
    waits = waits_for(decision(tasks=10, requests=[recent], approvals=[its_approval]))
    assert waits == f"the last request {words}; it is not asked again before 2026-03-12 10:01 UTC"
    old, its_approval = refusal(state, day)
    assert decision(tasks=10, requests=[old], approvals=[its_approval]).decision is Choice.OPTIMIZE


@pytest.mark.parametrize("state", [RequestState.CANCELLED, RequestState.REFUSED, RequestState.FAILED])
def test_a_request_that_came_to_nothing_was_no_optimization_and_is_not_made_again_at_once(state: RequestState) -> None:
    ended = request(state=state, completed_tasks=40, requested_at=NOW - timedelta(hours=1))
    run = a_run(ended.id, said="12 labelled tasks are too few.", finished_at=NOW - timedelta(minutes=50))
    waiting = decision(tasks=10, requests=[ended], runs=[run])
    assert "12 labelled tasks are too few" in waits_for(waiting)
    later = replace(run, finished_at=NOW - timedelta(hours=FLEET.cool_down_hours + 1))
    assert decision(tasks=10, requests=[ended], runs=[later]).decision is Choice.OPTIMIZE


def test_requests_of_other_agents_do_not_count() -> None:
    other = request("AuditAgent", RequestState.RUNNING, completed_tasks=10, requested_at=NOW)
    assert decision(tasks=10, requests=[other]).decision is Choice.OPTIMIZE


def waits_for(found: Decision) -> str:
    assert found.decision is Choice.WAIT
    assert len(found.reasons) == 2
    return found.reasons[1]


def test_task_counts_that_could_not_be_read_are_not_a_count_of_none() -> None:
    found = decision(tasks=None)
    assert found.decision is Choice.WAIT
    assert found.reasons == ("the task counts could not be read completely, so the threshold cannot be checked",)
    assert (found.tasks_since_optimization, found.tasks_total) == (None, None)


def test_an_open_data_incident_holds_an_optimization_back() -> None:
    assert "source is failing" in waits_for(decision(failing=True))
    assert decision(tasks=9, failing=True).decision is Choice.NOT_ELIGIBLE


@pytest.mark.parametrize("state", OPEN_STATES)
def test_an_agent_has_one_optimization_at_a_time(state: RequestState) -> None:
    open_request = request(state=state, completed_tasks=10, requested_at=LONG_AGO)
    assert "in flight" in waits_for(decision(tasks=100, requests=[open_request]))
    assert "in flight" in waits_for(decision(tasks=10, requests=[open_request]))


def test_an_older_request_that_is_still_open_is_in_flight_too() -> None:
    requests = [
        request(state=RequestState.AWAITING_APPROVAL, requested_at=LONG_AGO),
        request(completed_tasks=5, requested_at=START),
    ]
    assert "awaiting approval" in waits_for(decision(tasks=100, requests=requests))


def test_an_optimized_agent_cools_down() -> None:
    def after(age: timedelta) -> Decision:
        return decision(tasks=10, requests=[request(requested_at=NOW - age)])

    day = timedelta(hours=FLEET.cool_down_hours)
    assert waits_for(after(day - timedelta(minutes=1))) == "cooling down until 2026-03-12 10:01 UTC"
    assert after(day).decision is Choice.OPTIMIZE


def test_the_months_budget_is_not_exceeded() -> None:
    budget = FLEET.monthly_budget_usd
    assert decision(committed=budget - 5).decision is Choice.OPTIMIZE
    assert waits_for(decision(committed=budget - 4.99)) == (
        "$5 more would exceed the month's budget of $200 ($195.01 committed)"
    )


def test_agents_decided_on_together_share_what_is_left_of_the_budget() -> None:
    counts = dict.fromkeys(FLEET.agent_names, CompletedTasks(100, 100))
    found = {one.agent: one.decision for one in decide(FLEET, counts, [], 188, False, NOW)}
    chosen = [agent for agent, choice in found.items() if choice is Choice.OPTIMIZE]
    assert chosen == ["InboundAgent", "FollowUpAgent"]
    assert found["StrategyAgent"] is Choice.WAIT


def test_every_guard_that_stands_in_the_way_is_named() -> None:
    found = decision(tasks=100, requests=[request(requested_at=NOW)], committed=500, failing=True)
    assert len(found.reasons) == 4


states = st.builds(
    dict,
    tasks=st.none() | st.integers(0, 120),
    requests=st.lists(
        st.builds(
            request,
            state=st.sampled_from(RequestState),
            completed_tasks=st.integers(0, 120),
            requested_at=st.integers(0, 60 * 24).map(lambda hours: NOW - timedelta(hours=hours)),
        ),
        max_size=4,
    ),
    committed=st.floats(0, 220),
    failing=st.booleans(),
)


@settings(deadline=None)
@given(
    st.sampled_from(["StrategyAgent", "InboundAgent"]),
    states,
    st.sampled_from(["unread", "failing", "committed", "in flight", "cooling down"]),
    st.sampled_from(OPEN_STATES),
)
def test_one_more_guard_never_lets_an_optimization_through(
    agent: str, state: dict, guard: str, open_state: RequestState
) -> None:
    state["requests"] = [request(agent, one.state, one.completed_tasks, one.requested_at) for one in state["requests"]]
    before = decision(agent, **state)
    guarded = (
        state
        | {
            "unread": {"tasks": None},
            "failing": {"failing": True},
            "committed": {"committed": state["committed"] + 100},
            "in flight": {"requests": [*state["requests"], request(agent, open_state, requested_at=NOW)]},
            "cooling down": {"requests": [*state["requests"], request(agent, requested_at=NOW)]},
        }[guard]
    )
    after = decision(agent, **guarded)
    assert before.decision is Choice.OPTIMIZE or after.decision is not Choice.OPTIMIZE
    if guard != "committed":
        assert after.decision is not Choice.OPTIMIZE


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=7, max_size=7), st.floats(0, 250))
def test_decisions_never_commit_more_than_the_budget(tasks: list[int], committed: float) -> None:
    counts = {agent: CompletedTasks(100, count) for agent, count in zip(FLEET.agent_names, tasks, strict=True)}
    found = decide(FLEET, counts, [], committed, False, NOW)
    chosen = sum(one.max_cost_usd for one in found if one.decision is Choice.OPTIMIZE)
    assert chosen == 0 or committed + chosen <= FLEET.monthly_budget_usd


def test_the_month_is_that_of_the_teams_clock() -> None:
    requests = [
        request(requested_at=datetime(2026, 2, 28, 23, 30, tzinfo=UTC), max_cost_usd=1),
        request(requested_at=datetime(2026, 3, 31, 21, 59, tzinfo=UTC), max_cost_usd=2),
        request(requested_at=datetime(2026, 3, 31, 22, 1, tzinfo=UTC), max_cost_usd=4),
        request(requested_at=datetime(2025, 3, 15, tzinfo=UTC), max_cost_usd=8),
        request(state=RequestState.CANCELLED, requested_at=datetime(2026, 3, 15, tzinfo=UTC), max_cost_usd=16),
    ]
    march = datetime(2026, 3, 31, 23, 0, tzinfo=ZoneInfo("Europe/Berlin"))
    assert committed_this_month(requests, march) == 3
    assert committed_this_month(requests, march.astimezone(UTC)) == 6
    assert committed_this_month([], march) == 0
