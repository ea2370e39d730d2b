"""A memory is plain numbers: stored and taken up anywhere, a replay goes on as if it had never stopped."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.monitoring.detectors.fleet_memory import FleetMemory, no_memory, restored, stored
from perf_pipeline.monitoring.detectors.memory import RECORD, layout
from tests.builders import metrics_row
from tests.metric_tables import (
    Change,
    Law,
    agents,
    events,
    memory_after,
    metrics,
    some_detectors,
    watch,
    with_planned_change,
)

DETECTORS = some_detectors()
WINDOWS = 70


@cache
def eventful_table() -> pd.DataFrame:
    """Three agents, one of which joins later, with gaps, an incident, and windows that were not read well."""
    known = agents(
        Law(day_amplitude=0.8), range(WINDOWS), 81, count=2, changes=[Change(40, 50, success_points=60, latency=3.0)]
    )
    late = agents(Law(success=0.7), range(20, WINDOWS), 82).assign(agent="Newcomer")
    table = pd.concat([known, late], ignore_index=True)
    table["complete"] = np.random.default_rng(83).random(len(table)) > 0.05
    gap = table["window_start"].isin(table["window_start"].unique()[34:37])
    return table[~gap].reset_index(drop=True)


@cache
def whole_replay() -> FleetMemory:
    return memory_after(eventful_table())


def assert_same(one: FleetMemory, other: FleetMemory) -> None:
    """To the last bit, whatever the order of the agents."""
    assert sorted(one.agents) == sorted(other.agents)
    ours, theirs = ([memory.agents.index(name) for name in sorted(one.agents)] for memory in (one, other))
    assert one.records[:, ours].tobytes() == other.records[:, theirs].tobytes()
    assert one.seasons.keys() == other.seasons.keys()
    for metric, slots in one.seasons.items():
        assert slots[ours].tobytes() == other.seasons[metric][theirs].tobytes()


def taken_up_again(memory: FleetMemory) -> FleetMemory:
    back = restored(stored(memory, DETECTORS), DETECTORS)
    assert back is not None
    return back


def test_the_table_of_these_tests_is_eventful() -> None:
    assert {name for _, name in events(watch(eventful_table()))} >= {"OPENED", "RESOLVED"}


def test_what_is_stored_comes_back_to_the_last_bit() -> None:
    memory = whole_replay()
    rows = stored(memory, DETECTORS)
    assert len(rows) == len(DETECTORS) * len(memory.agents)
    assert not rows.duplicated(["agent", "finding"]).any()
    assert_same(taken_up_again(memory), memory)


@settings(max_examples=6, deadline=None)
@given(st.sets(st.integers(1, WINDOWS - 1), min_size=1, max_size=3))
def test_a_replay_that_is_cut_anywhere_and_taken_up_equals_the_whole(cuts: set[int]) -> None:
    table = eventful_table()
    number = (table["window_start"] - table["window_start"].min()) // pd.Timedelta(minutes=30)
    memory = None
    for since, until in zip([0, *sorted(cuts)], [*sorted(cuts), WINDOWS], strict=True):
        part = table[(number >= since) & (number < until)]
        if not part.empty:
            memory = taken_up_again(memory_after(part, memory=memory))
    assert memory is not None
    assert_same(memory, whole_replay())


@settings(max_examples=3, deadline=None)
@given(st.integers(1, WINDOWS - 1))
def test_what_is_said_after_a_cut_is_what_the_whole_replay_says(cut: int) -> None:
    table = eventful_table()
    number = (table["window_start"] - table["window_start"].min()) // pd.Timedelta(minutes=30)
    memory = memory_after(table[number < cut])
    # The whole replay knows the late agent before its first window, and says nothing of it.
    rest = watch(table[number >= cut], memory=taken_up_again(memory))
    whole = watch(table, since=cut)
    order = ["number", "finding", "agent"]
    pd.testing.assert_frame_equal(
        rest.sort_values(order, ignore_index=True), whole.sort_values(order, ignore_index=True)
    )


def test_agents_that_join_later_leave_the_others_as_they_were() -> None:
    memory = whole_replay()
    wider = memory.with_agents(["Another", memory.agents[0]], DETECTORS)
    assert wider.agents == (*memory.agents, "Another")
    assert wider.records[:, :-1].tobytes() == memory.records.tobytes()
    assert (wider.records["first"][:, -1] == -1).all()
    assert memory.with_agents(memory.agents, DETECTORS) is memory


def test_an_agent_that_joins_later_is_judged_as_if_it_had_been_listed_from_the_start() -> None:
    early = metrics(*(metrics_row("Old", number) for number in range(30)))
    both = metrics(*(metrics_row(agent, number, successes=15) for number in range(30, 60) for agent in ("Old", "New")))
    in_one = memory_after(pd.concat([early, both]))
    in_two = memory_after(both, memory=memory_after(early))
    assert_same(in_one, in_two)


def test_the_order_of_the_rows_does_not_matter() -> None:
    shuffled = eventful_table().sample(frac=1, random_state=84)
    assert_same(memory_after(shuffled), whole_replay())


def test_columns_that_are_not_there_count_as_not_measured() -> None:
    table = eventful_table()
    some = ["agent", "window_start", "tasks", "successes", "complete"]
    unmeasured = [name for name in table.columns if name not in some]
    assert_same(memory_after(table[some]), memory_after(table.assign(**dict.fromkeys(unmeasured, np.nan))))


def test_windows_that_are_not_there_are_no_data_and_equal_ones_that_were_not_read_well() -> None:
    table = eventful_table()
    table = table.assign(complete=True)
    gap = (table["agent"] == "agent-00") & (table["window_start"].dt.hour == 15)
    absent, unread = table[~gap], table.assign(complete=~gap)
    assert gap.sum() > 2
    assert_same(memory_after(absent), memory_after(unread))


def test_a_gap_of_the_whole_fleet_only_makes_the_past_older() -> None:
    past = metrics(*(metrics_row(number=number, successes=17 + number % 3) for number in range(60)))
    soon, late = (metrics_row(number=number, successes=17) for number in (60, 160))
    after = [watch(metrics(row), memory=memory_after(past)).drop(columns=["number"]) for row in (soon, late)]
    for name in ("phase", "event", "seen"):
        assert after[0][name].tolist() == after[1][name].tolist()
    success = [float(said.loc[said["finding"] == "success_drop", "expected"].iloc[0]) for said in after]
    assert success[0] == pytest.approx(success[1], abs=0.5)


def test_planned_changes_are_part_of_what_a_memory_holds() -> None:
    planned = with_planned_change(with_planned_change(eventful_table(), 20), 45, "agent-01")
    whole = memory_after(planned)
    assert whole.records.tobytes() != whole_replay().records.tobytes()
    early = planned["window_start"] < planned["window_start"].min() + pd.Timedelta(hours=15)
    assert_same(memory_after(planned[~early], memory=taken_up_again(memory_after(planned[early]))), whole)


# What is refused


def test_nothing_stored_is_no_memory() -> None:
    assert restored(stored(no_memory(DETECTORS), DETECTORS), DETECTORS) is None


def test_a_memory_of_another_layout_is_refused() -> None:
    rows = stored(whole_replay(), DETECTORS)
    rows.loc[rows["finding"] == "cost_spike", "layout"] = "another"
    assert restored(rows, DETECTORS) is None


def test_a_detector_that_was_added_since_begins_without_a_memory_and_the_others_keep_theirs() -> None:
    whole = whole_replay()
    rows = stored(whole, DETECTORS)
    back = restored(rows[rows["finding"] != "score_drop"], DETECTORS)
    assert back is not None
    score = [detector.finding for detector in DETECTORS].index("score_drop")
    assert (back.records["windows"][score] == 0).all()
    others = np.arange(len(DETECTORS)) != score
    assert back.records[others].tobytes() == whole.records[others].tobytes()


def test_rows_of_detectors_that_are_no_more_are_left_out() -> None:
    rows = stored(whole_replay(), DETECTORS)
    assert_same(taken_up_again(whole_replay()), whole_replay())
    gone = restored(pd.concat([rows, rows[:3].assign(finding="gone")]), DETECTORS)
    assert gone is not None
    assert_same(gone, whole_replay())


def test_a_memory_of_none_of_the_detectors_is_refused() -> None:
    rows = stored(whole_replay(), DETECTORS)
    assert restored(rows.assign(finding="another"), DETECTORS) is None


def test_a_memory_in_which_an_agent_is_incomplete_is_refused() -> None:
    rows = stored(whole_replay(), DETECTORS)
    one = (rows["finding"] == "score_drop") & (rows["agent"] == "Newcomer")
    assert restored(rows[~one], DETECTORS) is None


def test_the_layout_names_the_seasons() -> None:
    names = {layout(every.model.seasons) for every in DETECTORS}
    assert len(names) == len({tuple(every.model.seasons.items()) for every in DETECTORS})
    assert layout({"hour": 24}) != layout({"hour": 48})


def test_seasons_are_stored_once_for_each_metric() -> None:
    rows = stored(whole_replay(), DETECTORS).set_index(["finding", "agent"])["memory"]
    assert len(rows["traffic_surge", "Newcomer"]) == RECORD.itemsize < len(rows["traffic_drop", "Newcomer"])


def test_a_replay_leaves_the_memory_it_began_from_as_it_was() -> None:
    memory = memory_after(eventful_table()[:40])
    before = memory.records.tobytes(), {metric: slots.tobytes() for metric, slots in memory.seasons.items()}
    memory_after(eventful_table(), memory=memory)
    assert (memory.records.tobytes(), {metric: slots.tobytes() for metric, slots in memory.seasons.items()}) == before
