"""Windows cut time into equal pieces, without gap or overlap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.monitoring.windows import floor_to_window, window_of_key, windows_between, windows_due
from tests.builders import LENGTH, START, window

lengths = st.sampled_from([minutes for minutes in range(1, 61) if 60 % minutes == 0]).map(
    lambda minutes: timedelta(minutes=minutes)
)
instants = st.datetimes(
    datetime(1990, 1, 1),
    datetime(2090, 1, 1),
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@settings(deadline=None)
@given(instants, lengths)
def test_every_instant_is_in_exactly_one_window(instant: datetime, length: timedelta) -> None:
    around = windows_between(instant - 3 * length, instant + 3 * length, length)
    assert [found.start for found in around if found.start <= instant < found.end] == [floor_to_window(instant, length)]


@settings(deadline=None)
@given(instants, st.timedeltas(timedelta(0), timedelta(days=2)), lengths)
def test_windows_between_two_times_touch_each_other_and_leave_out_only_what_is_cut(
    start: datetime, span: timedelta, length: timedelta
) -> None:
    found = windows_between(start, start + span, length)
    assert all(one.end == other.start for one, other in pairwise(found))
    assert all(start <= one.start and one.end <= start + span and one.end - one.start == length for one in found)
    if found:
        assert found[0].start - start < length
        assert start + span - found[-1].end < length
    else:
        assert span < 2 * length


@settings(deadline=None)
@given(instants, lengths)
def test_the_key_of_a_window_leads_back_to_it(instant: datetime, length: timedelta) -> None:
    found = windows_between(instant, instant + 2 * length, length)[0]
    assert window_of_key(found.key, length) == found


def test_a_key_reads_as_the_start_in_utc() -> None:
    assert window_of_key("2026-03-02-10:00", LENGTH) == window(0)
    assert window(1).key == "2026-03-02-10:30"


def test_a_span_of_no_length_holds_no_window() -> None:
    assert windows_between(START, START, LENGTH) == []
    assert windows_between(START, START - LENGTH, LENGTH) == []


@pytest.mark.parametrize(
    ("lateness", "due"),
    [(0, [-1]), (1, [-2, -1]), (3, [-4, -3, -2, -1])],
)
def test_a_tick_is_due_the_window_that_closes_and_those_read_again(lateness: int, due: list[int]) -> None:
    early = datetime(2026, 1, 1, tzinfo=UTC)
    assert windows_due(START, LENGTH, lateness, early) == [window(number) for number in due]
    assert windows_due(START + timedelta(minutes=7), LENGTH, lateness, early) == [window(number) for number in due]


def test_no_window_before_the_beginning_of_history_is_due() -> None:
    assert windows_due(START, LENGTH, 3, window(-2).start) == [window(-2), window(-1)]
    assert windows_due(START, LENGTH, 3, START) == []
