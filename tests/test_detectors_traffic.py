"""Traffic: what the hour of the day and of the week usually brings, with nothing assumed of calendars."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import nbinom

from perf_pipeline.monitoring.backtest import findings_in
from perf_pipeline.monitoring.detectors.fleet_memory import FleetMemory
from perf_pipeline.monitoring.detectors.memory import season_dtype
from perf_pipeline.monitoring.detectors.traffic import TrafficModel
from tests.builders import metrics_row, shipped_fleet
from tests.metric_tables import (
    DAY,
    FIRST,
    HOUR,
    WEEK,
    Change,
    Law,
    agents,
    judged,
    knowing,
    memory_after,
    metrics,
    observation,
    watch,
)

DROP, SURGE = TrafficModel(surge=False), TrafficModel(surge=True)
TRAFFIC = {"traffic_drop", "traffic_surge"}
OFFICE = Law(tasks=8.0, day_amplitude=0.8, weekend=0.1)


def known_agents(count: int, usual: float) -> tuple[np.ndarray, np.ndarray]:
    """Agents from which every hour brought as many tasks a window, for weeks."""
    memory = knowing(DROP, count, mean_squared=500 * usual**2, windows=500, excess=50 * usual**2)
    memory["first"] = FIRST - 4 * WEEK
    seasons = np.zeros(count, dtype=season_dtype(DROP.seasons))
    seasons["day_mean"], seasons["day_count"] = usual, 14
    seasons["week_seen"] = seasons["week_expected"] = 5 * usual
    return memory, seasons


@pytest.mark.parametrize("model", [DROP, SURGE])
@given(usual=st.floats(1.0, 60.0))
def test_the_ratios_are_a_fair_bet(model: TrafficModel, usual: float) -> None:
    counts = np.arange(4000)
    memory, seasons = known_agents(len(counts), usual)
    (dispersion,) = model.baseline(memory)
    shape = 1 / float(dispersion[0])
    ratios = judged(model, memory, observation(agents=len(counts), tasks=counts), seasons).log_ratios
    chances = nbinom.logpmf(counts, shape, shape / (shape + usual))
    assert np.exp(chances[:, None] + ratios).sum(axis=0) == pytest.approx(np.ones(3), rel=1e-3)


@given(st.floats(1.0, 60.0))
def test_fewer_tasks_speak_for_a_drop_and_more_for_a_surge(usual: float) -> None:
    counts = np.arange(200)
    memory, seasons = known_agents(len(counts), usual)
    seen = observation(agents=len(counts), tasks=counts)
    assert (np.diff(judged(DROP, memory, seen, seasons).log_ratios, axis=0) < 0).all()
    assert (np.diff(judged(SURGE, memory, seen, seasons).log_ratios, axis=0) > 0).all()


@given(st.floats(1.0, 60.0))
def test_the_usual_number_of_tasks_speaks_for_neither(usual: float) -> None:
    memory, seasons = known_agents(1, usual)
    for model, number in ((DROP, np.ceil(usual)), (SURGE, np.floor(usual))):
        assert (judged(model, memory, observation(tasks=number), seasons).log_ratios < 0).all()


# The rhythm


@pytest.fixture(scope="module")
def four_weeks_at_the_office() -> pd.DataFrame:
    """Agents that rest at night and at weekends, followed for four weeks from a Monday."""
    return watch(agents(OFFICE, range(4 * WEEK), 41, count=6), TRAFFIC)


def test_neither_nights_nor_weekends_nor_mondays_alarm(four_weeks_at_the_office: pd.DataFrame) -> None:
    # Not even the first weekend: nothing is said of traffic before a week was seen.
    assert not four_weeks_at_the_office["event"].any()


def test_nothing_is_said_in_the_first_week(four_weeks_at_the_office: pd.DataFrame) -> None:
    told = four_weeks_at_the_office.groupby("number")["seen"].all()
    assert not told[told.index < WEEK].any()
    assert told[told.index >= WEEK + HOUR].all()


def test_what_is_expected_follows_the_hour_and_the_weekend(four_weeks_at_the_office: pd.DataFrame) -> None:
    last = four_weeks_at_the_office[four_weeks_at_the_office["number"] >= 3 * WEEK]
    starts = pd.Timestamp("2026-03-02T10:00Z") + pd.to_timedelta(last["number"] * 30, unit="min")
    weekend, noon = starts.dt.dayofweek >= 5, starts.dt.hour == 12
    working_noon = last.loc[noon & ~weekend, "expected"].mean()
    assert working_noon == pytest.approx(8 * 1.8, rel=0.15)
    assert last.loc[(starts.dt.hour == 0) & ~weekend, "expected"].mean() == pytest.approx(8 * 0.2, rel=0.35)
    assert last.loc[noon & weekend, "expected"].mean() < working_noon / 4


def test_a_weekend_that_falls_on_other_days_is_learnt_as_well() -> None:
    table = agents(OFFICE, range(3 * WEEK), 42, count=4)
    table["window_start"] += pd.Timedelta(days=3, hours=7)
    assert not watch(table, TRAFFIC)["event"].any()


@pytest.mark.parametrize(("dispersion", "low", "high"), [(0.05, 0.02, 0.12), (0.8, 0.5, 1.1)])
def test_how_much_traffic_varies_is_learnt(dispersion: float, low: float, high: float) -> None:
    table = agents(Law(traffic_dispersion=dispersion), range(2 * WEEK), 43, count=6)
    (learnt,) = DROP.baseline(memory_after(table, {"traffic_drop"}).records[0])
    assert low < np.median(learnt) < high


# Changes


@pytest.fixture(scope="module")
def busy_past() -> FleetMemory:
    return memory_after(agents(Law(), range(-9 * DAY, 0), 44, count=4), TRAFFIC)


def openings(past: pd.DataFrame | FleetMemory, now: pd.DataFrame) -> pd.DataFrame:
    memory = memory_after(past, TRAFFIC) if isinstance(past, pd.DataFrame) else past
    said = watch(now, TRAFFIC, memory)
    return said[said["event"] == 1].drop_duplicates(["agent", "finding"])


def test_silence_is_found_within_two_hours_and_is_critical(busy_past: FleetMemory) -> None:
    found = openings(busy_past, agents(Law(), range(6), 45, count=4, changes=[Change(0, 6, tasks=0.0)]))
    assert set(found["finding"]) == {"traffic_drop"}
    assert found["agent"].nunique() == 4
    assert (found["number"] <= 3).all()
    assert (found["onset"] == 0).all()
    assert (found["severity"] >= 2).all()


def test_a_backtest_calls_it_silence() -> None:
    law, silent = Law(tasks=30.0), [Change(0, 8, tasks=0.0)]
    found = findings_in(agents(law, range(-9 * DAY, 8), 46, changes=silent), shipped_fleet())
    assert found["type"].tolist() == ["silence"]
    assert found["severity"].tolist() == ["critical"]
    assert found["onset"].tolist() == [pd.Timestamp("2026-03-02T10:00Z")]


def test_windows_that_are_not_there_are_no_silence(busy_past: FleetMemory) -> None:
    later = agents(Law(), range(20, 40), 47, count=4)
    assert openings(busy_past, later).empty


def test_half_the_tasks_for_half_a_day_are_a_drop_and_a_tenth_less_is_none(busy_past: FleetMemory) -> None:
    third = openings(busy_past, agents(Law(), range(24), 48, count=4, changes=[Change(0, 24, tasks=0.3)]))
    assert set(third["agent"]) == set(busy_past.agents)
    assert set(third["finding"]) == {"traffic_drop"}
    assert openings(busy_past, agents(Law(), range(24), 49, count=4, changes=[Change(0, 24, tasks=0.9)])).empty


def test_four_times_the_tasks_are_a_surge(busy_past: FleetMemory) -> None:
    found = openings(busy_past, agents(Law(), range(12), 50, count=4, changes=[Change(0, 12, tasks=4.0)]))
    assert set(found["finding"]) == {"traffic_surge"}
    assert set(found["agent"]) == set(busy_past.agents)
    assert found["number"].median() <= 3


def test_silence_of_an_agent_that_sleeps_anyway_is_nothing() -> None:
    quiet = agents(Law(tasks=0.05), range(-9 * DAY, 0), 51, count=4)
    idle = agents(Law(tasks=0.05), range(DAY), 52, count=4, changes=[Change(0, DAY, tasks=0.0)])
    assert openings(quiet, idle).empty


def test_an_agent_that_sleeps_at_night_may_be_called_twice_and_not_flooded() -> None:
    midnight = 28
    asleep = memory_after(agents(Law(tasks=6.0, day_amplitude=1.0), range(-10 * DAY, midnight), 54), TRAFFIC)
    for tasks, found in ((1, 0), (2, 0), (40, 1)):
        called = metrics(*(metrics_row("agent-00", midnight + number, tasks=tasks) for number in range(2)))
        assert len(openings(asleep, called)) == found


def test_the_day_after_a_silent_one_is_no_surge(busy_past: FleetMemory) -> None:
    after = agents(Law(), range(3 * DAY), 53, count=4, changes=[Change(0, DAY, tasks=0.0)])
    assert set(openings(busy_past, after)["finding"]) == {"traffic_drop"}
