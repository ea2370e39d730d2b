"""Charts, sparklines and the map of the data: what of a history is drawn, and what is said beside the picture."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from perf_pipeline.monitoring.completeness import completeness
from perf_pipeline.monitoring.windows import Window, windows_between
from perf_pipeline.records import (
    SourceHealth,
    SourceStatus,
)
from perf_pipeline.service.dashboard.charts import ChartGrid, Line, Mark, chart, page_data, ticks
from perf_pipeline.service.dashboard.data_page import source_maps
from perf_pipeline.service.dashboard.history_charts import history_charts
from perf_pipeline.service.dashboard.measures import measure_of
from perf_pipeline.service.dashboard.sparkline import sparkline
from perf_pipeline.tables import DETECTOR_STATES
from tests.builders import LENGTH, frame
from tests.dashboard_fixtures import LAST, readings, scored, starts

GOOD, PART, DOWN = SourceStatus.COMPLETE, SourceStatus.PARTIAL, SourceStatus.UNAVAILABLE


GRID = ChartGrid(Window(LAST - 4 * LENGTH, LAST), LENGTH, "America/New_York")


def test_a_window_without_a_row_breaks_the_line() -> None:
    rows = pd.DataFrame({"window_start": starts(4)[[0, 3]], "value": [1.0, 4.0]})
    assert np.array_equal(GRID.on_grid(rows)["value"], [1, np.nan, np.nan, 4], equal_nan=True)


def test_what_was_never_seen_is_not_drawn() -> None:
    assert chart(GRID, measure_of("cost"), [Line("seen", np.full(4, np.nan))]) is None


def test_the_sentence_says_the_newest_value_what_was_expected_and_the_extremes() -> None:
    band = np.full(4, 90.0), np.full(4, 80.0), np.full(4, 130.0)
    drawn = chart(GRID, measure_of("success_rate"), [Line("seen", np.array([90, 0, 50, np.nan]))], band)
    assert drawn is not None
    assert drawn.sentence == ("50% at 2026-11-22 06:00 EST, 90% expected (80% to 100%); from 0% to 90% in this time.")


def test_the_table_holds_the_same_figures_newest_first_on_the_teams_clock() -> None:
    drawn = chart(GRID, measure_of("latency"), [Line("seen", np.array([1.0, np.nan, 2.5, 3.0]))])
    assert drawn is not None
    assert drawn.columns == ("from", "seen")
    assert drawn.rows == (
        ("2026-11-22 06:30 EST", "3 s"),
        ("2026-11-22 06:00 EST", "2.5 s"),
        ("2026-11-22 05:00 EST", "1 s"),
    )


def test_marks_outside_of_the_time_are_left_out_and_others_cut_to_it() -> None:
    marks = [
        Mark("incident", "long", LAST - timedelta(days=3), LAST + timedelta(days=1)),
        Mark("incident", "over", LAST - timedelta(days=3), LAST - timedelta(days=2)),
        Mark("change", "then", LAST - LENGTH),
    ]
    found = page_data(GRID, [], marks)["marks"]
    assert isinstance(found, list)
    assert [mark["label"] for mark in found] == ["long", "then"]
    assert found[0]["to"] - found[0]["from"] == 4 * LENGTH.total_seconds() * 1000


def test_ticks_stand_at_round_times_of_the_teams_clock_also_when_it_is_put_back() -> None:
    put_back = datetime.fromisoformat("2026-11-01T05:00:00+00:00")
    day = Window(put_back - timedelta(hours=12), put_back + timedelta(hours=12))
    labels = [label for _, label in ticks(day, "America/New_York")]
    assert labels == ["15:00", "18:00", "21:00", "Nov 1", "03:00", "06:00", "09:00"]
    assert len({time for time, _ in ticks(day, "America/New_York")}) == len(labels)


def test_every_watched_metric_gets_a_chart_known_or_not() -> None:
    rows = [
        {"window_start": start, "agent": "A", "metric": metric, "finding": metric, "value": 1.0, "tasks": 1}
        | {"evidence_nats": 0, "phase": "quiet", "event": "nothing", "layout": "x", "memory": b""}
        for metric in ("latency", "my_metric")
        for start in starts(4)
    ]
    drawn = history_charts(GRID, scored(A=[90, 80]), frame(DETECTOR_STATES, rows))
    titles = [one.measure.title for one in drawn]
    assert titles == [
        "Score",
        "Success rate",
        "Typical latency",
        "Latency percentiles",
        "Tasks a window",
        "My metric",
    ]


def source_map(*statuses: SourceStatus | None, reason: str = "No answer.", timezone: str = "UTC"):
    windows = windows_between(LAST - len(statuses) * LENGTH, LAST, LENGTH)
    health = readings(*statuses, reason=reason)
    return source_maps(completeness(health, windows), health, windows, timezone)[0]


def test_gaps_in_a_row_with_one_reason_are_one_and_the_newest_comes_first() -> None:
    gaps = source_map(DOWN, DOWN, GOOD, PART, None).gaps
    assert [(gap.status, gap.windows, gap.reason) for gap in gaps] == [
        ("missing", "1 window", ""),
        ("partial", "1 window", "No answer."),
        ("unavailable", "2 windows", "No answer."),
    ]


def test_windows_stand_in_the_row_of_their_day_on_the_teams_clock() -> None:
    days = source_map(*[GOOD] * 40, timezone="Asia/Tokyo").days
    assert [(day.label, day.cells[0].column, day.cells[0].columns) for day in days] == [
        ("Nov 22", 2, 40),
    ]


def test_short_windows_share_a_cell_that_shows_the_worst() -> None:
    minute = timedelta(minutes=5)
    windows = windows_between(LAST - 6 * minute, LAST, minute)
    health = [
        SourceHealth("spans", window.start, DOWN if place == 3 else GOOD, "", 1, 0, LAST)
        for place, window in enumerate(windows)
    ]
    found = source_maps(completeness(health, windows), health, windows, "UTC")[0]
    assert [(cell.columns, cell.status) for cell in found.days[0].cells] == [(1, "unavailable")]


def test_a_sparkline_is_broken_where_nothing_is_known_and_stays_in_its_box() -> None:
    lines = sparkline([0, 100, math.nan, 50, 500])
    assert lines == ("2.0,22.0 25.0,2.0", "71.0,12.0 94.0,2.0")
    assert sparkline([math.nan, 50, math.nan]) == ("48.0,12.0 48.0,12.0",)
    assert sparkline([]) == ()
