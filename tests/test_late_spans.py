"""However exports, windows, outages and restarts interleave, a span is counted once, in the window of its start."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from perf_pipeline.arrivals import note_late_spans, note_late_steps
from perf_pipeline.assets.source_asset import Source, materialize_source
from perf_pipeline.collection import Keeps
from perf_pipeline.fleet import FleetConfig, load_fleet
from perf_pipeline.monitoring.catch_up import filled_windows, windows_to_catch_up
from perf_pipeline.monitoring.late_spans import find_late_spans, owed_for_late_spans, owed_for_late_steps
from perf_pipeline.monitoring.windows import Window, floor_to_window, windows_between, windows_due
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.tables import OPTIMIZATION_DECISIONS, RAW_SPANS
from resources.lake import Lake
from resources.ledger import Ledger
from resources.reading import PhoenixError, Reading
from tests.cycle_fixtures import FLEET_FILE, RecordedSpans

BEGIN = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
LENGTH = timedelta(minutes=30)
DOWN = PhoenixError("Phoenix is down.", retryable=True)
KEY = ["trace_id", "span_id"]


class Killed(BaseException):
    """The process ends here; nothing after it happens."""


@dataclass
class Lifetime:
    """How many side effects a process still does before it is killed; None for a process that is not."""

    effects: int | None = None

    def effect(self, work: Callable[..., Any], *arguments: Any) -> Any:
        if self.effects == 0:
            raise Killed
        result = work(*arguments)
        if self.effects is not None:
            self.effects -= 1
        return result


class MortalLedger(Ledger):
    """A ledger of a process that may be killed before any of its writes."""

    life: Lifetime

    def record_health(self, readings: Any) -> None:
        self.life.effect(super().record_health, readings)

    def record_reading(self, reading: SourceHealth, seen: SourceHealth | None) -> None:
        self.life.effect(super().record_reading, reading, seen)

    def record_arrival_position(self, source: str, position: str, now: datetime) -> None:
        self.life.effect(super().record_arrival_position, source, position, now)


@dataclass
class Process:
    """A run of the pipeline's first steps on a folder, which may be killed anywhere."""

    folder: Path
    source: RecordedSpans
    config: FleetConfig
    life: Lifetime = field(default_factory=Lifetime)
    summed: dict[datetime, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = MortalLedger(f"sqlite:///{self.folder / 'ledger.db'}")

    @contextmanager
    def open(self) -> Iterator[Ledger]:
        self.ledger.life = self.life
        yield self.ledger

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"))

    def run(self, windows: list[Window], now: datetime) -> None:
        """What the assets of a run do, as far as spans are concerned."""
        with suppress(PhoenixError), self.open() as ledger:
            note_late_spans(self.source, self.lake, ledger, self.config, now)

        def read(start: datetime, end: datetime) -> Iterator[Reading]:
            return (Reading(part) for part in self.source.read_spans(start, end))

        def when_added(ledger: Ledger, window: Window) -> None:
            note_late_steps(window, self.lake, ledger, self.config, windows)

        source = Source("spans", self.source.describe(), read, Keeps.FROM_FEWER)
        materialize_source(
            source,
            RAW_SPANS,
            windows,
            self.lake,
            self,  # pyright: ignore[reportArgumentType]
            when_added=when_added,
            clock=lambda: now,
        )
        for window in windows:
            self.life.effect(self.sum_up, window)
        for window in windows:
            self.life.effect(self.decide, window, now)

    def sum_up(self, window: Window) -> None:
        """In the place of agent_tasks: what the window's tasks were made of."""
        self.summed[window.start] = self.span_ids(window)

    def decide(self, window: Window, now: datetime) -> None:
        """In the place of optimization_decisions, the end of a cycle."""
        self.lake.write(OPTIMIZATION_DECISIONS, window.start, OPTIMIZATION_DECISIONS.empty())
        path = self.lake.path(OPTIMIZATION_DECISIONS, window.start)
        os.utime(str(path), (now.timestamp(), now.timestamp()))

    def span_ids(self, window: Window) -> list[str]:
        return sorted(self.lake.read(RAW_SPANS, window.start, window.end)["span_id"])

    def windows_owed(self, now: datetime) -> list[Window]:
        """What the sensor would request."""
        since = max(now - self.config.catch_up, self.config.history_start_utc)
        expected = windows_between(max(since, BEGIN), now - self.config.catch_up_after, LENGTH)
        if not expected:
            return []
        start, end = expected[0].start, expected[-1].end
        with self.open() as ledger:
            health = ledger.health(start, end)
        decided = self.lake.written(OPTIMIZATION_DECISIONS, start, end)
        filled = filled_windows(expected, health, decided, now, self.config.lateness, self.config.catch_up_after)
        return windows_to_catch_up(expected, filled, set(), {}, now, limit=96)


class EverySpanOnce(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.home = tempfile.TemporaryDirectory()
        self.source = RecordedSpans()
        self.config = load_fleet(FLEET_FILE)
        self.now = BEGIN + timedelta(hours=3)
        self.process = Process(Path(self.home.name), self.source, self.config)

    @rule(minutes_ago=st.integers(0, 180), count=st.integers(1, 3))
    def export(self, minutes_ago: int, count: int) -> None:
        """Spans are exported now that started some time ago."""
        for number in range(count):
            start = max(self.now - timedelta(minutes=minutes_ago, seconds=number), BEGIN)
            self.source.add_task("AuditAgent", start)

    @rule(data=st.data())
    def export_again(self, data: st.DataObject) -> None:
        if self.source.rows:
            self.source.rows.append(data.draw(st.sampled_from(self.source.rows)))

    @rule(minutes=st.integers(1, 50))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(effects=st.none() | st.integers(0, 6))
    def schedule_ticks(self, effects: int | None) -> None:
        self.run(windows_due(self.now, LENGTH, self.config.lateness_windows, BEGIN), effects)

    @rule(effects=st.none() | st.integers(0, 8))
    def sensor_ticks(self, effects: int | None) -> None:
        if owed := self.process.windows_owed(self.now):
            self.run(owed, effects)

    @rule(down=st.booleans())
    def outage(self, down: bool) -> None:
        self.source.failure = DOWN if down else None

    def run(self, windows: list[Window], effects: int | None) -> None:
        # No two runs happen at the same moment.
        self.now += timedelta(seconds=1)
        self.process.life = Lifetime(effects)
        with suppress(Killed):
            self.process.run(windows, self.now)
        self.process.life = Lifetime()

    def teardown(self) -> None:
        try:
            self.everything_is_counted_in_the_end()
        finally:
            self.process.ledger.close()
            self.home.cleanup()

    def everything_is_counted_in_the_end(self) -> None:
        self.source.failure = None
        # The tick after the last window has closed, and then as many sensor ticks as it takes.
        self.now = floor_to_window(self.now, LENGTH) + LENGTH
        for _ in range(3):
            self.run(windows_due(self.now, LENGTH, self.config.lateness_windows, BEGIN), None)
            self.now += LENGTH
        for _ in range(5):
            if owed := self.process.windows_owed(self.now):
                self.run(owed, None)
            self.now += timedelta(minutes=6)
        assert self.process.windows_owed(self.now) == []
        for window in windows_between(BEGIN, floor_to_window(self.now, LENGTH) - LENGTH, LENGTH):
            sent = {row["span_id"] for row in self.source.rows if window.start <= row["start_time"] < window.end}
            assert self.process.span_ids(window) == sorted(sent)
            assert self.process.summed[window.start] == sorted(sent)


TestEverySpanOnce = EverySpanOnce.TestCase
TestEverySpanOnce.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)


def spans(*named: tuple[str, str, int]) -> pd.DataFrame:
    """Spans by trace, identity and minutes after BEGIN."""
    rows = [(trace, span, pd.Timestamp(BEGIN) + pd.Timedelta(minutes=minutes)) for trace, span, minutes in named]
    frame = pd.DataFrame(rows, columns=pd.Index([*KEY, "start_time"]))
    return frame.astype({"trace_id": "str", "span_id": "str", "start_time": "datetime64[us, UTC]"})


def read(*minutes: int, status: SourceStatus = SourceStatus.COMPLETE) -> list[SourceHealth]:
    """Windows that were read, by the minutes after BEGIN at which they start."""
    starts = [BEGIN + timedelta(minutes=start) for start in minutes]
    return [SourceHealth("spans", start, status, "", 1, 0, start + 2 * LENGTH) for start in starts]


def test_an_arrived_span_that_is_stored_is_not_late() -> None:
    assert find_late_spans(spans(("a", "1", 5)), spans(("a", "1", 5)), read(0, 30), LENGTH) == {}


def test_a_span_that_arrived_twice_is_missing_once() -> None:
    assert find_late_spans(spans(("a", "1", 5), ("a", "1", 5)), spans(), read(0), LENGTH) == {BEGIN: 1}


def test_a_window_that_was_never_read_is_not_owed_another_reading() -> None:
    assert find_late_spans(spans(("a", "1", 35)), spans(), read(0), LENGTH) == {}


@pytest.mark.parametrize("status", [SourceStatus.PARTIAL, SourceStatus.UNAVAILABLE])
def test_a_window_that_is_owed_a_reading_anyway_keeps_its_reason(status: SourceStatus) -> None:
    assert owed_for_late_spans({BEGIN: 1}, read(0, status=status), "Phoenix", BEGIN) == []
    assert owed_for_late_steps({BEGIN}, read(0, status=status), BEGIN + LENGTH) == []


def test_a_window_with_late_spans_says_how_many_came_and_that_it_is_read_again() -> None:
    [owed] = owed_for_late_spans({BEGIN: 2}, read(0, 30), "Phoenix at http://p", BEGIN + timedelta(hours=2))
    assert owed.status is SourceStatus.PARTIAL
    assert owed.reason == (
        "2 span(s) of it reached Phoenix at http://p after it had been read (seen 2026-03-02 02:00 UTC): it is read "
        "again."
    )


def test_a_window_whose_tasks_got_late_spans_elsewhere_says_where() -> None:
    [owed] = owed_for_late_steps({BEGIN}, read(0, 30), BEGIN + 2 * LENGTH)
    assert (owed.window_start, owed.status) == (BEGIN, SourceStatus.PARTIAL)
    assert "late spans in that of 2026-03-02 01:00 UTC" in owed.reason
