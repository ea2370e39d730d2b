"""A request is launched once at a time, again after a pause where its run died, and not for ever."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perf_pipeline.optimization.launches import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MAX_LAUNCHES,
    Launch,
    LaunchedRun,
    Launches,
    launches,
)
from perf_pipeline.records import OptimizationRequest, OptimizationRun, RequestState
from tests.run_builders import NOON, a_request, a_run

LAUNCHED_STATES = (RequestState.READY, RequestState.RUNNING)
TICK = timedelta(microseconds=1)


def ended(*minutes_ago: float, request_id: str = "r1") -> list[LaunchedRun]:
    return [LaunchedRun(request_id, NOON - timedelta(minutes=minutes)) for minutes in minutes_ago]


def decided(
    launched: list[LaunchedRun],
    *,
    now: datetime = NOON,
    run: OptimizationRun | None = None,
    request: OptimizationRequest | None = None,
) -> Launches:
    return launches([request or a_request()], {run.request_id: run} if run else {}, launched, now)


def test_a_request_that_is_ready_is_launched_at_once() -> None:
    assert decided([]) == Launches((Launch("r1", "InboundAgent", 1),), ())


@pytest.mark.parametrize("state", RequestState)
def test_only_what_is_ready_or_was_running_is_launched_or_given_up(state: RequestState) -> None:
    request = a_request(state=state)
    assert bool(decided([], request=request).due) is (state in LAUNCHED_STATES)
    assert bool(decided(ended(*[90] * MAX_LAUNCHES), request=request).given_up) is (state in LAUNCHED_STATES)


def test_a_request_is_not_launched_beside_itself() -> None:
    assert decided([*ended(600), LaunchedRun("r1", None)]) == Launches((), ())


def test_a_run_that_waits_for_its_turn_is_not_given_up_either() -> None:
    assert decided([*ended(*[600] * MAX_LAUNCHES), LaunchedRun("r1", None)]) == Launches((), ())


def test_a_run_that_died_is_launched_again_after_a_pause() -> None:
    died = [LaunchedRun("r1", NOON)]
    assert decided(died, now=NOON + FIRST_PAUSE - TICK).due == ()
    assert decided(died, now=NOON + FIRST_PAUSE).due == (Launch("r1", "InboundAgent", 2),)


@pytest.mark.parametrize(("deaths", "seconds"), [(1, 30), (2, 60), (3, 120), (7, 1920), (8, 3600), (11, 3600)])
def test_the_pause_doubles_up_to_an_hour(deaths: int, seconds: float) -> None:
    died = [LaunchedRun("r1", NOON - timedelta(hours=number)) for number in range(deaths)]
    ready = NOON + timedelta(seconds=seconds)
    assert decided(died, now=ready - TICK).due == ()
    assert [launch.number for launch in decided(died, now=ready).due] == [deaths + 1]


def test_the_pause_counts_from_the_last_death_in_whatever_order_they_are_told() -> None:
    assert decided(ended(0.5, 300)).due == ()
    assert decided(ended(300, 0.5)).due == ()
    assert decided(ended(1, 300)).due == decided(ended(300, 1)).due == (Launch("r1", "InboundAgent", 3),)


def test_an_interrupted_run_waits_until_the_ledger_says_so() -> None:
    interrupted = a_run(not_before=NOON + timedelta(minutes=2))
    assert decided(ended(60), run=interrupted).due == ()
    assert decided(ended(60), run=interrupted, now=NOON + timedelta(minutes=2)).due


def test_the_longer_of_both_waits_counts() -> None:
    soon = a_run(not_before=NOON + timedelta(seconds=1))
    assert decided([LaunchedRun("r1", NOON)], run=soon, now=NOON + timedelta(seconds=2)).due == ()
    assert decided([LaunchedRun("r1", NOON)], run=soon, now=NOON + FIRST_PAUSE).due


def test_a_request_that_was_launched_too_often_is_given_up_and_not_launched() -> None:
    assert decided(ended(*[600] * (MAX_LAUNCHES - 1))).given_up == ()
    assert decided(ended(*[600] * MAX_LAUNCHES)) == Launches((), ("r1",))
    waiting = a_run(not_before=NOON + timedelta(hours=1))
    assert decided(ended(*[600] * MAX_LAUNCHES), run=waiting) == Launches((), ("r1",))


def test_the_runs_and_launches_of_other_requests_do_not_matter() -> None:
    requests = [a_request(), a_request("r2", "AuditAgent")]
    runs = {"r2": a_run("r2", "AuditAgent", not_before=NOON + timedelta(hours=1))}
    launched = [*ended(*[60] * MAX_LAUNCHES, request_id="r3"), *ended(0, request_id="r2")]
    assert launches(requests, runs, launched, NOON) == Launches((Launch("r1", "InboundAgent", 1),), ())
    assert [one.request_id for one in launches(requests, {}, launched, NOON + timedelta(days=1)).due] == ["r1", "r2"]


ends = st.none() | st.integers(0, 200_000).map(lambda seconds: NOON - timedelta(seconds=seconds))


@given(
    launched=st.lists(st.builds(LaunchedRun, st.sampled_from(["r1", "r2"]), ends), max_size=20),
    states=st.lists(st.sampled_from(list(RequestState)), min_size=2, max_size=2),
    waits=st.none() | st.integers(-5000, 5000),
)
def test_whatever_was_launched_nothing_runs_twice_and_nothing_waits_for_ever(
    launched: list[LaunchedRun], states: list[RequestState], waits: int | None
) -> None:
    requests = [a_request("r1", state=states[0]), a_request("r2", "AuditAgent", state=states[1])]
    until = None if waits is None else NOON + timedelta(seconds=waits)
    runs = {"r1": a_run(not_before=until)}
    found = launches(requests, runs, launched, NOON)
    due = [launch.request_id for launch in found.due]
    assert not set(due) & set(found.given_up)
    assert len(set(due)) == len(due)
    for launch in found.due:
        own = [one for one in launched if one.request_id == launch.request_id]
        assert all(one.ended_at is not None for one in own)
        assert launch.number == len(own) + 1 <= MAX_LAUNCHES
    # An hour after everything has ended, each request that is to be run is launched or given up.
    over = [LaunchedRun(one.request_id, one.ended_at or NOON) for one in launched]
    later = launches(requests, runs, over, NOON + LONGEST_PAUSE + timedelta(seconds=5000))
    answered = {launch.request_id for launch in later.due} | set(later.given_up)
    assert answered == {request.id for request in requests if request.state in LAUNCHED_STATES}
