"""A table of metrics is checked before it is replayed, and a replay says what production would have said."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.monitoring.backtest import (
    FINDING_COLUMNS,
    MetricsError,
    changes_of_state,
    finding_states,
    findings_in,
    metrics_table,
    window_of,
)
from perf_pipeline.monitoring.findings import FindingState
from tests.builders import LENGTH, shipped_fleet
from tests.metric_tables import DAY, Change, Law, agents, with_planned_change

FLEET = shipped_fleet()


def rows(**columns: Sequence[object]) -> pd.DataFrame:
    """Three windows of an agent as a file would give them: text, or what pandas made of it."""
    return pd.DataFrame(
        {
            "agent": ["A", "A", "A"],
            "window_start": ["2026-11-22T09:00:00Z", "2026-11-22T09:30:00Z", "2026-11-22T10:00:00Z"],
            "tasks": [4, 5, 6],
            "successes": [4, 4, 6],
        }
        | columns
    )


# What a table must be


@pytest.mark.parametrize("missing", ["agent", "window_start", "tasks", "successes"])
def test_a_column_that_must_be_there_is_named(missing: str) -> None:
    with pytest.raises(MetricsError, match=rf"lacks the column\(s\) {missing}\."):
        metrics_table(rows().drop(columns=missing))


def test_all_missing_columns_are_named_at_once() -> None:
    with pytest.raises(MetricsError, match=r"tasks, successes"):
        metrics_table(rows().drop(columns=["tasks", "successes"]))


def test_a_table_without_rows_is_refused() -> None:
    with pytest.raises(MetricsError, match="no rows"):
        metrics_table(rows()[:0])


TIMES = ["2026-11-22T09:00:00Z", "2026-11-22T09:30:00Z"]


@pytest.mark.parametrize(
    ("columns", "row", "reason"),
    [
        ({"window_start": [*TIMES, "yesterday"]}, 3, "window_start is not a time .*'yesterday'"),
        ({"window_start": [None, *TIMES]}, 1, "window_start is not a time"),
        ({"window_start": [TIMES[0], "2026-11-22T09:30:01Z", TIMES[1]]}, 2, "window_start is not on a whole minute"),
        ({"tasks": [4, -5, 6], "successes": [0, 0, 0]}, 2, "tasks is negative .*'-5'"),
        ({"successes": [-1, 4, 6]}, 1, "successes is negative"),
        ({"error_count": [0, 0, -2]}, 3, "error_count is negative"),
        ({"cost_usd": [0.1, -0.1, 0.1]}, 2, "cost_usd is negative"),
        ({"latency_log_sd": [0.1, 0.2, -0.1]}, 3, "latency_log_sd is negative"),
        ({"successes": [4, 6, 6]}, 2, "successes is larger than tasks"),
        ({"tasks": [4, None, 6]}, 2, "tasks is missing"),
        ({"tasks": [4, "many", 6]}, 2, "tasks is not a number .*'many'"),
        ({"log_errors": [1, 2, "inf"]}, 3, "log_errors is not a number"),
        ({"window_start": [*TIMES, TIMES[0]]}, 3, "appears a second time: .*A at 2026-11-22T09:00:00Z"),
        ({"window_start": [*TIMES, "2026-11-22T10:00:00+01:00"]}, 3, "appears a second time"),
    ],
)
def test_what_is_wrong_is_refused_with_its_row_and_reason(columns: dict[str, list[object]], row: int, reason: str):
    with pytest.raises(MetricsError, match=rf"^Row {row}: {reason}"):
        metrics_table(rows(**columns))


def test_the_first_of_several_wrong_rows_is_named() -> None:
    with pytest.raises(MetricsError, match=r"^Row 2:"):
        metrics_table(rows(successes=[4, 9, 9]))


def test_a_long_wrong_value_is_shown_in_part() -> None:
    with pytest.raises(MetricsError) as refused:
        metrics_table(rows(window_start=[*TIMES, "x" * 5000]))
    assert len(str(refused.value)) < 250


def test_times_are_read_as_utc_whatever_their_zone() -> None:
    mixed = ["2026-11-22T09:00:00Z", "2026-11-22T10:30:00+01:00", "2026-11-22 10:00:00"]
    read = metrics_table(rows(window_start=mixed))
    assert read["window_start"].tolist() == [
        pd.Timestamp(f"2026-11-22T{time}Z") for time in ("09:00", "09:30", "10:00")
    ]


def test_numbers_written_as_text_are_read_and_empty_ones_are_not_measured() -> None:
    read = metrics_table(rows(tasks=["4", " 5", "6"], cost_usd=["0.5", "", None]))
    assert read["tasks"].tolist() == [4, 5, 6]
    assert read["cost_usd"].tolist()[0] == 0.5
    assert read["cost_usd"].isna().tolist() == [False, True, True]


def test_a_logarithm_may_be_negative() -> None:
    read = metrics_table(rows(latency_log_mean=[-1.0, 0.0, 1.0]))
    assert read["latency_log_mean"].tolist() == [-1, 0, 1]


def test_planned_changes_are_read_and_where_none_is_given_there_was_none() -> None:
    read = metrics_table(rows(planned_changes=["1", "", "0"]))
    assert read["planned_changes"].fillna(0).tolist() == [1, 0, 0]
    with pytest.raises(MetricsError, match=r"^Row 1: planned_changes is not a number"):
        metrics_table(rows(planned_changes=["a deployment", "", ""]))


def test_columns_that_nobody_asked_for_are_left_out() -> None:
    assert "colour" not in metrics_table(rows(colour=["red", "blue", "red"]))


@pytest.mark.parametrize(
    ("minutes", "length"),
    [((0, 30, 90), 30), ((0, 15, 60), 15), ((0, 60, 180), 60), ((0,), 30), ((0, 1440), 60), ((10, 40), 10)],
)
def test_the_length_of_the_windows_is_what_all_times_are_multiples_of(minutes: tuple[int, ...], length: int) -> None:
    starts = [pd.Timestamp("2026-11-22T00:00Z") + pd.Timedelta(minutes=minute) for minute in minutes]
    assert window_of(pd.DataFrame({"window_start": starts}), usual_minutes=30) == length


# What is found


BEGINS = (60, 110, 160)
"""Windows in which the incidents of `history` begin."""


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    """Two agents, of which the first has three incidents; the second is healthy."""
    law = Law(tasks=12.0, traffic_dispersion=0.05)
    fall, slowdown, outage = BEGINS
    trouble = [
        Change(fall, fall + 16, success_points=60),
        Change(slowdown, slowdown + 16, latency=3.0),
        Change(outage, outage + 12, success_points=90),
    ]
    unlucky = agents(law, range(200), 91, changes=trouble)
    healthy = agents(law, range(200), 92).assign(agent="healthy")
    return pd.concat([unlucky, healthy], ignore_index=True).drop(columns=["score", "complete"])


@pytest.fixture(scope="module")
def found(history: pd.DataFrame) -> pd.DataFrame:
    return findings_in(metrics_table(history), FLEET)


def number(times: pd.Series, history: pd.DataFrame) -> list[int]:
    return ((times - history["window_start"].min()) // LENGTH).astype(int).tolist()


def test_each_incident_has_one_row(found: pd.DataFrame) -> None:
    assert found.columns.tolist() == FINDING_COLUMNS
    assert found["agent"].unique().tolist() == ["agent-00"]
    assert found["type"].tolist() == ["success_drop", "latency_increase", "success_drop"]
    assert set(found["state"]) == {"open"}


def test_a_row_stands_in_the_window_at_whose_close_its_incident_opened(
    found: pd.DataFrame, history: pd.DataFrame
) -> None:
    opened, onset = number(found["window_start"], history), number(found["onset"], history)
    for begins, opens, since in zip(BEGINS, opened, onset, strict=True):
        assert begins <= opens <= begins + 4
        assert abs(since - begins) <= 1
    states = finding_states(metrics_table(history), FLEET)
    first = states[states["state"] == FindingState.OPEN].groupby("opened")["window_start"].min()
    assert set(found["window_start"]) <= set(first)


def test_an_incident_has_the_worst_severity_that_it_reached(found: pd.DataFrame) -> None:
    assert found["severity"].tolist()[0] in ("high", "critical")
    assert found["severity"].tolist()[2] == "critical"


def test_changes_of_state_tell_the_life_of_each_finding(history: pd.DataFrame) -> None:
    told = changes_of_state(metrics_table(history), FLEET)
    drops = told[(told["agent"] == "agent-00") & (told["type"] == "success_drop")]["state"].tolist()
    assert drops.count("resolved") >= 2
    assert "recovering" in drops
    assert told["window_start"].is_monotonic_increasing


def test_a_quiet_history_gives_an_empty_table_with_its_columns(history: pd.DataFrame) -> None:
    quiet = history[history["agent"] == "healthy"]
    empty = findings_in(metrics_table(quiet), FLEET)
    assert empty.empty
    assert empty.columns.tolist() == FINDING_COLUMNS


def test_a_table_with_nothing_but_tasks_and_successes_is_enough(history: pd.DataFrame, found: pd.DataFrame) -> None:
    bare = history[["agent", "window_start", "tasks", "successes"]]
    told = findings_in(metrics_table(bare), FLEET)
    of_success = found[found["type"] == "success_drop"].reset_index(drop=True)
    pd.testing.assert_frame_equal(told, of_success)


def test_a_planned_change_in_the_table_begins_a_new_regime() -> None:
    poor_but_for_a_day = [Change(-4 * DAY, 0, success_points=40.0), Change(DAY, 2 * DAY, success_points=40.0)]
    table = agents(Law(success=0.95), range(-4 * DAY, 2 * DAY), 94, changes=poor_but_for_a_day)
    table = table[["agent", "window_start", "tasks", "successes"]]
    unplanned, planned = (findings_in(metrics_table(one), FLEET) for one in (table, with_planned_change(table, 0)))
    # The fall back to the old level is one from that of the new version.
    assert planned["type"].tolist() == ["success_drop"]
    assert unplanned.empty


def test_the_order_of_the_rows_does_not_matter(history: pd.DataFrame, found: pd.DataFrame) -> None:
    shuffled = history.sample(frac=1, random_state=93).reset_index(drop=True)
    pd.testing.assert_frame_equal(findings_in(metrics_table(shuffled), FLEET), found)


@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_what_was_found_in_a_prefix_is_what_the_whole_table_found_by_then(
    history: pd.DataFrame, found: pd.DataFrame, data: st.DataObject
) -> None:
    around = st.sampled_from(BEGINS).flatmap(lambda begins: st.integers(begins - 2, begins + 20))
    cut = history["window_start"].min() + data.draw(around) * LENGTH
    prefix = findings_in(metrics_table(history[history["window_start"] < cut]), FLEET)
    keys = ["agent", "window_start", "type", "onset"]
    expected = found.loc[found["window_start"] < cut, keys].reset_index(drop=True)
    assert prefix[keys].to_dict("records") == expected.to_dict("records")


def test_agents_are_judged_each_for_itself_but_for_what_is_expected_of_newcomers(
    history: pd.DataFrame, found: pd.DataFrame
) -> None:
    alone = findings_in(metrics_table(history[history["agent"] == "agent-00"]), FLEET)
    assert alone["type"].tolist() == found["type"].tolist()
    assert abs(np.array(number(alone["window_start"], history)) - number(found["window_start"], history)).max() <= 1
