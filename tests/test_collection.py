"""How a source is read: what could not be read never replaces what could, and a failure is never hidden."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from perf_pipeline.assets.agent_metrics import incomplete_windows
from perf_pipeline.collection import Collected, collect
from perf_pipeline.monitoring.windows import Window, windows_between
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.tables import RAW_LOGS
from resources.reading import RailwayError, Reading

NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)
LENGTH = timedelta(minutes=30)
FIRST, SECOND = windows_between(NINE, NINE + 2 * LENGTH, LENGTH)
LATER = NINE + timedelta(hours=2)


def lines(window: Window, count: int) -> pd.DataFrame:
    rows: list[dict[str, Any]] = [
        {"timestamp": window.start, "severity": "info", "message": f"{number}", "attributes": "{}"}
        for number in range(count)
    ]
    return RAW_LOGS.conform(pd.DataFrame(rows, columns=RAW_LOGS.columns))


def giving(counts: dict[Window, int | str], gaps: tuple[str, ...] = ()) -> Callable[[datetime, datetime], Reading]:
    """A source that has so many lines in each window, or fails in the words given instead."""

    def read(start: datetime, end: datetime) -> Reading:
        found = counts[Window(start, end)]
        if isinstance(found, str):
            raise RailwayError(found, retryable=True)
        return Reading(lines(Window(start, end), found), gaps)

    return read


def reading(
    read: Callable[[datetime, datetime], Reading],
    windows: list[Window],
    *,
    stored: dict[Window, int] | None = None,
    known: list[SourceHealth] | None = None,
    now: datetime = LATER,
) -> Collected:
    kept = {window: lines(window, count) for window, count in (stored or {}).items()}
    return collect("spans", RAW_LOGS, windows, read, kept.get, known or [], now)


def healthy(window: Window, rows: int, at: datetime, **changes: Any) -> SourceHealth:
    facts: dict[str, Any] = {"status": SourceStatus.COMPLETE, "reason": "", "rows": rows, "late_rows": 0}
    return SourceHealth(source="spans", window_start=window.start, collected_at=at, **(facts | changes))


def test_a_source_that_answers_in_full_is_complete() -> None:
    collected = reading(giving({FIRST: 2, SECOND: 3}), [FIRST, SECOND])
    assert len(collected.frame) == 5
    assert collected.health == [healthy(FIRST, 2, LATER), healthy(SECOND, 3, LATER)]
    assert collected.problems == []


def test_a_source_without_rows_is_complete_all_the_same() -> None:
    collected = reading(giving({FIRST: 0}), [FIRST])
    pd.testing.assert_frame_equal(collected.frame, RAW_LOGS.empty())
    assert collected.health == [healthy(FIRST, 0, LATER)]


def test_a_source_that_knows_of_gaps_is_partial_and_says_why() -> None:
    collected = reading(giving({FIRST: 2}, ("Lines were dropped.", "A page was cut.")), [FIRST])
    [health] = collected.health
    assert (health.status, health.reason) == (SourceStatus.PARTIAL, "Lines were dropped. A page was cut.")
    assert collected.problems == [health.reason]


def test_one_window_that_fails_does_not_keep_the_others_from_being_read() -> None:
    collected = reading(giving({FIRST: "Railway is down.", SECOND: 3}), [FIRST, SECOND])
    assert len(collected.frame) == 3
    assert [health.status for health in collected.health] == [SourceStatus.UNAVAILABLE, SourceStatus.COMPLETE]
    assert collected.problems == ["Railway is down."]


def test_a_reason_that_several_windows_share_is_given_once() -> None:
    collected = reading(giving({FIRST: "Railway is down.", SECOND: "Railway is down."}), [FIRST, SECOND])
    assert collected.problems == ["Railway is down."]


def test_a_failed_rereading_keeps_rows_and_health_and_is_still_reported() -> None:
    known = [healthy(FIRST, 4, FIRST.end)]
    collected = reading(giving({FIRST: "Railway is down."}), [FIRST], stored={FIRST: 4}, known=known)
    assert len(collected.frame) == 4
    assert collected.health == known
    assert collected.problems == ["Railway is down."]


def test_rows_read_while_the_window_was_open_do_not_count_as_complete_when_its_reading_fails() -> None:
    known = [healthy(FIRST, 4, FIRST.end - timedelta(minutes=20))]
    collected = reading(giving({FIRST: "Railway is down."}), [FIRST], stored={FIRST: 4}, known=known)
    assert len(collected.frame) == 4
    assert [health.status for health in collected.health] == [SourceStatus.UNAVAILABLE]
    assert incomplete_windows([FIRST], collected.health, LATER) == {FIRST}


def test_lost_rows_are_not_taken_for_complete() -> None:
    known = [healthy(FIRST, 4, FIRST.end)]
    collected = reading(giving({FIRST: "Railway is down."}), [FIRST], stored={}, known=known)
    assert [(health.status, health.rows) for health in collected.health] == [(SourceStatus.UNAVAILABLE, 0)]


def test_rows_that_came_after_the_window_was_read_are_late_and_add_up() -> None:
    first = reading(giving({FIRST: 4}), [FIRST], now=FIRST.end)
    assert first.late_rows == 0
    second = reading(giving({FIRST: 6}), [FIRST], stored={FIRST: 4}, known=first.health)
    assert second.late_rows == 2
    third = reading(giving({FIRST: 7}), [FIRST], stored={FIRST: 6}, known=second.health)
    assert third.late_rows == 3
    again = reading(giving({FIRST: 7}), [FIRST], stored={FIRST: 7}, known=third.health)
    assert again.late_rows == 3


def test_rows_that_came_while_the_window_was_open_are_not_late() -> None:
    known = [healthy(FIRST, 4, FIRST.end - timedelta(seconds=1))]
    assert reading(giving({FIRST: 6}), [FIRST], stored={FIRST: 4}, known=known).late_rows == 0


def test_the_health_of_another_source_means_nothing() -> None:
    known = [healthy(FIRST, 4, FIRST.end, late_rows=9)]
    other = [SourceHealth("logs", h.window_start, h.status, h.reason, 4, 9, h.collected_at) for h in known]
    assert reading(giving({FIRST: 6}), [FIRST], stored={FIRST: 4}, known=other).late_rows == 0


def test_a_window_is_incomplete_until_it_was_read_in_full_after_its_end() -> None:
    def incomplete(health: list[SourceHealth], now: datetime = LATER) -> bool:
        return incomplete_windows([FIRST], health, now) == {FIRST}

    assert not incomplete([healthy(FIRST, 1, FIRST.end)])
    assert incomplete([healthy(FIRST, 1, FIRST.end - timedelta(seconds=1))])
    assert incomplete([healthy(FIRST, 1, FIRST.end, status=SourceStatus.PARTIAL)])
    assert incomplete([healthy(FIRST, 1, FIRST.start)], now=FIRST.start)
    assert incomplete([healthy(SECOND, 1, SECOND.end)])
    assert incomplete([])
