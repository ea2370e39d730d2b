"""A stored memory may be taken up again only if nothing that it rests on was written after it."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perf_pipeline.monitoring.snapshots import stale_windows, usable_snapshot
from tests.builders import START, window


def written(times: dict[int, float]) -> dict[datetime, datetime]:
    """When windows were written, in minutes after START."""
    return {window(number).start: START + timedelta(minutes=minutes) for number, minutes in times.items()}


def usable(metrics: dict[int, float], states: dict[int, float], before: int = 9) -> int | None:
    found = usable_snapshot(written(metrics), written(states), window(before).start)
    return None if found is None else (found - START) // timedelta(minutes=30)


@pytest.mark.parametrize(
    ("metrics", "states", "expected"),
    [
        ({0: 1, 1: 3, 2: 5}, {0: 2, 1: 4, 2: 6}, 2),
        ({0: 1, 1: 1, 2: 1}, {0: 1, 1: 1, 2: 1}, 2),
        ({0: 1, 1: 7, 2: 5}, {0: 2, 1: 4, 2: 6}, 0),
        ({0: 1, 1: 7, 2: 5}, {0: 2, 1: 8, 2: 6}, 1),
        ({0: 1, 1: 7, 2: 5}, {0: 2, 2: 6}, 0),
        ({0: 1, 2: 5}, {0: 2, 2: 6}, 2),
        ({0: 9, 1: 3}, {0: 2, 1: 4}, None),
        ({0: 1}, {}, None),
        ({1: 3}, {0: 2, 1: 4}, None),
        ({}, {}, None),
    ],
    ids=[
        "the newest",
        "written in the same moment",
        "a window was read again, and its state is older",
        "its state was made again, and the next one is older",
        "a window was filled later",
        "windows that do not exist are no violation",
        "the oldest is stale already",
        "nothing was stored",
        "a state whose metrics are gone",
        "an empty lake",
    ],
)
def test_the_first_stale_window_ends_what_can_be_used(
    metrics: dict[int, float], states: dict[int, float], expected: int | None
) -> None:
    assert usable(metrics, states) == expected


def test_only_windows_before_the_run_count() -> None:
    assert usable({0: 1, 1: 3}, {0: 2, 1: 4}, before=1) == 0
    assert usable({0: 1, 1: 9}, {0: 2, 1: 4}, before=1) == 0


times = st.dictionaries(st.integers(0, 6), st.integers(0, 9), max_size=7)


@given(times, times)
def test_all_windows_up_to_the_usable_one_follow_from_what_they_rest_on(
    metrics: dict[int, float], states: dict[int, float]
) -> None:
    found = usable(metrics, states)
    valid = [number for number in sorted({*metrics, *states}) if found is not None and number <= found]
    assert all(metrics[number] <= states[number] for number in valid)
    assert all(states[one] <= states[other] for one, other in pairwise(valid))


def test_a_result_that_is_missing_or_older_than_its_source_is_stale() -> None:
    found = stale_windows(written({0: 1, 1: 5, 2: 5, 3: 5}), written({0: 2, 1: 5, 2: 4}))
    assert found == [window(2).start, window(3).start]
