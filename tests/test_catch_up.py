"""Every window is filled at last, and a source that is down is not hammered."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.monitoring.catch_up import (
    CycleRun,
    WindowAttempts,
    attempts_of,
    filled_windows,
    stretches,
    windows_to_catch_up,
)
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import SourceStatus
from tests.builders import LENGTH, START, health, window

NOW = window(20).start
MINUTE = timedelta(minutes=1)
LATENESS = LENGTH
GRACE = timedelta(minutes=5)
CAUGHT_UP_AT = window(0).end + GRACE


def test_missing_windows_are_requested_oldest_first_and_bounded() -> None:
    expected = [window(number) for number in (5, 1, 3, 2, 4)]
    assert windows_to_catch_up(expected, {window(2)}, set(), {}, NOW, limit=3) == [window(1), window(3), window(4)]


numbers = st.sets(st.integers(0, 9))


@settings(deadline=None)
@given(numbers, numbers, numbers, st.integers(0, 10))
def test_exactly_the_gaps_nobody_works_on_are_requested(
    expected: set[int], filled: set[int], in_flight: set[int], limit: int
) -> None:
    found = windows_to_catch_up(
        map(window, expected), set(map(window, filled)), set(map(window, in_flight)), {}, NOW, limit
    )
    assert found == [window(number) for number in sorted(expected - filled - in_flight)][:limit]


@pytest.mark.parametrize(
    ("tries", "wait"),
    [(1, MINUTE), (2, 2 * MINUTE), (3, 4 * MINUTE), (6, 32 * MINUTE), (7, 60 * MINUTE), (500, 60 * MINUTE)],
)
def test_the_wait_after_a_failure_doubles_up_to_an_hour(tries: int, wait: timedelta) -> None:
    attempts = {window(0): WindowAttempts(tries, NOW)}

    def due(at: datetime) -> list[Window]:
        return windows_to_catch_up([window(0)], set(), set(), attempts, at, limit=1)

    assert due(NOW + wait - timedelta(seconds=1)) == []
    assert due(NOW + wait) == [window(0)]


def test_a_window_that_waits_does_not_hold_up_the_others() -> None:
    attempts = {window(0): WindowAttempts(5, NOW)}
    assert windows_to_catch_up([window(0), window(1)], set(), set(), attempts, NOW, limit=1) == [window(1)]


def filled(
    decided_after: timedelta | None = timedelta(0),
    status: SourceStatus = SourceStatus.COMPLETE,
    read_after: timedelta = MINUTE,
    now: datetime = CAUGHT_UP_AT,
    lateness: timedelta = LATENESS,
) -> bool:
    """Whether window 0 is done, where its cycle ended so long after its spans had been read."""
    reading = health(status=status, read_after=read_after)
    decided = {} if decided_after is None else {window(0).start: reading.collected_at + decided_after}
    return filled_windows([window(0)], [reading], decided, now, lateness, GRACE) == {window(0)}


def test_a_window_is_filled_once_its_spans_are_complete_and_its_cycle_ended() -> None:
    assert filled()
    assert not filled(decided_after=None)
    assert not filled(status=SourceStatus.PARTIAL)
    assert not filled(status=SourceStatus.UNAVAILABLE)


def test_a_window_read_only_while_it_was_open_is_not_filled() -> None:
    assert not filled(read_after=-MINUTE)
    assert filled(read_after=timedelta(0))


def test_a_window_is_read_once_more_after_the_time_for_late_spans() -> None:
    after = window(0).end + LATENESS + GRACE
    assert filled(read_after=MINUTE, now=after - MINUTE)
    assert not filled(read_after=MINUTE, now=after)
    assert filled(read_after=LATENESS, now=after)
    assert filled(read_after=MINUTE, now=after, lateness=timedelta(0))


def test_a_cycle_that_was_killed_after_it_had_read_the_spans_again_is_owed() -> None:
    assert not filled(decided_after=-MINUTE)


def test_a_window_without_a_reading_of_its_spans_is_not_filled() -> None:
    others = [health(source, 0) for source in ("logs", "tasks", "changes")]
    assert filled_windows([window(0)], others, {START: NOW}, NOW, LATENESS, GRACE) == set()


@pytest.mark.parametrize("source", ["logs", "tasks", "task states", "changes"])
@pytest.mark.parametrize(
    ("status", "is_filled"),
    [(SourceStatus.UNAVAILABLE, False), (SourceStatus.PARTIAL, True), (SourceStatus.COMPLETE, True)],
)
def test_a_window_is_owed_while_any_source_did_not_answer_for_it(
    source: str, status: SourceStatus, is_filled: bool
) -> None:
    readings = [health(), health(source, 0, status=status)]
    found = filled_windows([window(0)], readings, {START: CAUGHT_UP_AT}, CAUGHT_UP_AT, LATENESS, GRACE)
    assert found == ({window(0)} if is_filled else set())


def test_runs_that_have_not_ended_are_in_flight_and_the_others_are_counted() -> None:
    ended = [NOW, NOW + MINUTE]
    runs = [
        CycleRun((window(0), window(1)), ended[1]),
        CycleRun((window(1),), ended[0]),
        CycleRun((window(1), window(2)), None),
    ]
    for order in (runs, runs[::-1]):
        in_flight, attempts = attempts_of(order)
        assert in_flight == {window(1), window(2)}
        assert attempts == {window(0): WindowAttempts(1, ended[1]), window(1): WindowAttempts(2, ended[1])}


@settings(deadline=None)
@given(numbers)
def test_stretches_join_neighbours_and_lose_no_window(chosen: set[int]) -> None:
    windows = [window(number) for number in sorted(chosen)]
    found = stretches(windows)
    assert [one for stretch in found for one in stretch] == windows
    assert all(one.end == other.start for stretch in found for one, other in pairwise(stretch))
    assert all(one[-1].end < other[0].start for one, other in pairwise(found))
