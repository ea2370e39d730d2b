"""How a source is read: what could not be read never replaces what could, and a failure is never hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pandas as pd

from perf_pipeline.assets.agent_metrics import incomplete_windows
from perf_pipeline.collection import CollectedWindow, Read, collect
from perf_pipeline.monitoring.windows import Window, windows_between
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.tables import RAW_LOGS
from resources.lake import Lake
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


def giving(counts: dict[Window, int | str], gaps: tuple[str, ...] = ()) -> Read:
    """A source that has so many lines in each window, given in parts of two, or fails in the words given instead."""

    def read(start: datetime, end: datetime) -> Iterator[Reading]:
        window = Window(start, end)
        found = counts[window]
        if isinstance(found, str):
            raise RailwayError(found, retryable=True)
        frame = lines(window, found)
        yield Reading(frame.head(2), gaps)
        for first in range(2, found, 2):
            yield Reading(frame.iloc[first : first + 2])

    return read


@dataclass(frozen=True)
class Outcome:
    """What became of the windows' health, why rows may be missing, and the rows that are stored now."""

    collected: list[CollectedWindow]
    frame: pd.DataFrame

    @property
    def health(self) -> list[SourceHealth]:
        return [window.health for window in self.collected]

    @property
    def problems(self) -> list[list[str]]:
        return [window.problems for window in self.collected]

    @property
    def late_rows(self) -> int:
        return sum(health.late_rows for health in self.health)


def reading(
    read: Read,
    windows: list[Window],
    *,
    stored: dict[Window, int] | None = None,
    known: list[SourceHealth] | None = None,
    now: datetime = LATER,
) -> Outcome:
    lake = Lake(f"memory://{uuid4().hex}/lake")
    for window, count in (stored or {}).items():
        lake.write(RAW_LOGS, window.start, lines(window, count))
    collected = list(collect("spans", RAW_LOGS, windows, read, lake, known or [], lambda: now))
    return Outcome(collected, lake.read(RAW_LOGS, NINE, LATER))


def healthy(window: Window, rows: int, at: datetime, **changes: Any) -> SourceHealth:
    facts: dict[str, Any] = {"status": SourceStatus.COMPLETE, "reason": "", "rows": rows, "late_rows": 0}
    return SourceHealth(source="spans", window_start=window.start, collected_at=at, **(facts | changes))


def test_a_source_that_answers_in_full_is_complete() -> None:
    collected = reading(giving({FIRST: 2, SECOND: 3}), [FIRST, SECOND])
    assert len(collected.frame) == 5
    assert collected.health == [healthy(FIRST, 2, LATER), healthy(SECOND, 3, LATER)]
    assert collected.problems == [[], []]


def test_a_source_without_rows_is_complete_all_the_same() -> None:
    collected = reading(giving({FIRST: 0}), [FIRST])
    pd.testing.assert_frame_equal(collected.frame, RAW_LOGS.empty())
    assert collected.health == [healthy(FIRST, 0, LATER)]


def test_a_source_that_knows_of_gaps_is_partial_and_says_why() -> None:
    collected = reading(giving({FIRST: 2}, ("Lines were dropped.", "A page was cut.")), [FIRST])
    [health] = collected.health
    assert (health.status, health.reason) == (SourceStatus.PARTIAL, "Lines were dropped. A page was cut.")
    assert collected.problems == [[health.reason]]


def test_one_window_that_fails_does_not_keep_the_others_from_being_read() -> None:
    collected = reading(giving({FIRST: "Railway is down.", SECOND: 3}), [FIRST, SECOND])
    assert len(collected.frame) == 3
    assert [health.status for health in collected.health] == [SourceStatus.UNAVAILABLE, SourceStatus.COMPLETE]
    assert collected.problems == [["Railway is down."], []]


def test_a_failed_rereading_keeps_rows_and_health_and_is_still_reported() -> None:
    known = [healthy(FIRST, 4, FIRST.end)]
    collected = reading(giving({FIRST: "Railway is down."}), [FIRST], stored={FIRST: 4}, known=known)
    assert len(collected.frame) == 4
    assert collected.health == known
    assert collected.problems == [["Railway is down."]]


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


def test_a_reading_that_fails_half_way_leaves_what_was_there() -> None:
    def read(start: datetime, end: datetime) -> Iterator[Reading]:
        yield Reading(lines(Window(start, end), 9))
        raise RailwayError("Railway broke off.", retryable=True)

    collected = reading(read, [FIRST], stored={FIRST: 4}, known=[healthy(FIRST, 4, FIRST.end)])
    assert len(collected.frame) == 4
    assert collected.problems == [["Railway broke off."]]


def test_a_gap_that_a_later_part_tells_of_keeps_a_complete_reading_too() -> None:
    def read(start: datetime, end: datetime) -> Iterator[Reading]:
        yield Reading(lines(Window(start, end), 2))
        yield Reading(lines(Window(start, end), 1), ("Lines were dropped.",))

    known = [healthy(FIRST, 4, FIRST.end)]
    collected = reading(read, [FIRST], stored={FIRST: 4}, known=known)
    assert (len(collected.frame), collected.health) == (4, known)
    assert collected.problems == [["Lines were dropped."]]


def test_rows_outside_the_window_are_no_answer_to_what_was_asked() -> None:
    def read(start: datetime, end: datetime) -> Iterator[Reading]:  # noqa: ARG001 (a source that ignores its times)
        yield Reading(pd.concat([lines(FIRST, 1), lines(SECOND, 1)]))

    collected = reading(read, [FIRST])
    assert collected.frame.empty
    assert [health.status for health in collected.health] == [SourceStatus.UNAVAILABLE]
    assert "1 of 2 rows that lie outside the window" in collected.collected[0].refused


def test_rows_that_do_not_fit_their_table_are_refused_and_named() -> None:
    def read(start: datetime, end: datetime) -> Iterator[Reading]:
        yield Reading(lines(Window(start, end), 1).assign(severity=None))

    collected = reading(read, [FIRST], stored={FIRST: 4}, known=[healthy(FIRST, 4, FIRST.end)])
    assert len(collected.frame) == 4
    assert "raw_logs.severity" in collected.collected[0].refused


def test_the_health_is_told_only_when_the_rows_are_in_their_place() -> None:
    lake = Lake(f"memory://{uuid4().hex}/lake")
    told = collect("spans", RAW_LOGS, [FIRST, SECOND], giving({FIRST: 3, SECOND: 1}), lake, [], lambda: LATER)
    for window in told:
        assert lake.count(RAW_LOGS, window.health.window_start) == window.health.rows
