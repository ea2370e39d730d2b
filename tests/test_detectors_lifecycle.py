"""When evidence becomes a finding and when it ends, what the baseline learns meanwhile, and what plans change."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from perf_pipeline.monitoring.detectors.fleet_memory import FleetMemory
from perf_pipeline.monitoring.detectors.lifecycle import Phase
from tests.builders import Row, metrics_row
from tests.metric_tables import (
    DAY,
    POLICY,
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

SUCCESS = {"success_drop"}
QUIET, PENDING, OPEN, RECOVERING = (int(phase) for phase in Phase)
LASTING = int(POLICY.new_normal_days * DAY)
"""Windows after which a change is the new normal."""


@cache
def known_agent(tasks: int = 10, days: int = 4) -> FleetMemory:
    """The memory of InboundAgent: nine of ten tasks succeeded, with the luck that independent tasks have."""
    rng = np.random.default_rng(61)
    rows = [row(number, tasks, int(rng.binomial(tasks, 0.9))) for number in range(-days * DAY, 0)]
    return memory_after(metrics(*rows), SUCCESS)


def row(number: int, tasks: int = 10, successes: int = 9, **columns: Any) -> Row:
    return metrics_row(number=number, tasks=tasks, successes=successes, errors=tasks - successes, **columns)


def go_on(*successes: int | None, tasks: int = 10, memory: FleetMemory | None = None) -> pd.DataFrame:
    """Windows from 0 on of the known agent, with so many successes each; None for a window without tasks."""
    rows = [row(number, 0, 0) if count is None else row(number, tasks, count) for number, count in enumerate(successes)]
    return watch(metrics(*rows), SUCCESS, memory or known_agent(tasks))


def phases(said: pd.DataFrame) -> list[int]:
    return said["phase"].tolist()


# From quiet to resolved


def test_a_change_is_pending_then_open_then_recovering_then_resolved() -> None:
    said = go_on(6, 6, 6, 6, 6, 6, 9, 10, 9, 10, 9)
    seen = phases(said)
    in_order = [one for place, one in enumerate(seen) if place == 0 or one != seen[place - 1]]
    assert in_order == [QUIET, PENDING, OPEN, RECOVERING, QUIET]
    assert [name for _, name in events(said)] == ["OPENED", "RESOLVED"]
    while_open = said[said["phase"] >= OPEN]
    assert (while_open["onset"] == 0).all()
    assert while_open["opened"].nunique() == 1


def test_a_finding_keeps_the_worst_of_its_severities() -> None:
    said = go_on(*[7] * 14, 0, 7, 7)
    severities = said.loc[said["phase"] >= OPEN, "severity"].tolist()
    assert severities == sorted(severities)
    assert severities[0] < severities[-1]


@pytest.mark.parametrize("successes", [6, 5, 4, 3])
def test_a_blip_of_one_window_never_opens(successes: int) -> None:
    said = go_on(successes, 9, 10, 9, 9, 10, 9)
    assert not said["event"].any()


@pytest.mark.parametrize("successes", [6, 5, 4, 3])
def test_what_a_second_window_confirms_does_open(successes: int) -> None:
    opened, name = events(go_on(*[successes] * 6))[0]
    assert name == "OPENED"
    assert opened >= 1


def test_blips_hours_apart_do_not_add_up() -> None:
    assert not go_on(*([5] + [9] * 11) * 6)["event"].any()


@pytest.mark.parametrize("tasks", [5, 10, 30])
def test_the_loss_of_all_success_opens_at_the_close_of_its_first_window_and_is_critical(tasks: int) -> None:
    said = go_on(0, tasks=tasks, memory=known_agent(tasks))
    assert events(said) == [(0, "OPENED")]
    assert said["severity"].tolist() == [3]
    assert said["onset"].tolist() == [0]


def test_the_failure_of_four_tasks_alone_does_not_open() -> None:
    assert not go_on(0, 4, 4, 4, tasks=4, memory=known_agent(10))["event"].any()


@pytest.mark.parametrize("before", [36, 33])
def test_a_window_however_bad_waits_for_a_second_unless_all_success_is_lost(before: int) -> None:
    alone = go_on(before, 4, tasks=40, memory=known_agent(40))
    assert not alone["event"].any()
    confirmed = go_on(before, 4, 24, tasks=40, memory=known_agent(40))
    assert events(confirmed) == [(2, "OPENED")]


def test_one_lucky_window_closes_nothing() -> None:
    said = go_on(3, 3, 3, 3, 10, 3, 3, 10, 3, 3)
    assert [name for _, name in events(said)] == ["OPENED"]
    assert said["phase"].iloc[-1] == OPEN


def test_however_many_tasks_succeed_in_it_a_single_window_closes_nothing() -> None:
    rows = [row(0, 10, 0), row(1, 10, 0), row(2, 500, 450)]
    said = watch(metrics(*rows), SUCCESS, known_agent())
    assert phases(said) == [OPEN, OPEN, RECOVERING]


def test_windows_without_tasks_neither_open_nor_close() -> None:
    waiting = go_on(6, 6, 6, *[None] * DAY)
    assert set(phases(waiting)[2:]) == {PENDING}
    assert waiting["evidence"].iloc[2:].nunique() == 1
    still_open = go_on(0, 0, *[None] * DAY)
    assert set(phases(still_open)) == {OPEN}
    assert [name for _, name in events(still_open)] == ["OPENED"]


def test_windows_that_are_missing_neither_open_nor_close() -> None:
    rows = [row(0, 10, 0), row(1, 10, 0), row(DAY, 10, 9)]
    said = watch(metrics(*rows), SUCCESS, known_agent())
    assert phases(said)[-1] >= OPEN


def test_a_window_that_is_not_complete_is_not_judged() -> None:
    rows = [row(0, 10, 0, complete=False), row(1), row(2, 10, 0, complete=False)]
    said = watch(metrics(*rows), SUCCESS, known_agent())
    assert said["seen"].tolist() == [False, True, False]
    assert not said["event"].any()


def test_a_window_read_again_as_incomplete_takes_its_finding_back() -> None:
    bad = [row(0, 10, 0), row(1), row(2)]
    assert events(watch(metrics(*bad), SUCCESS, known_agent()))[0] == (0, "OPENED")
    bad[0] = row(0, 10, 0, complete=False)
    again = watch(metrics(*bad), SUCCESS, known_agent())
    alone = watch(metrics(*bad[1:]), SUCCESS, known_agent())
    assert not again["event"].any()
    pd.testing.assert_frame_equal(again[again["number"] > 0].reset_index(drop=True), alone)


def test_what_comes_back_after_it_was_resolved_opens_again() -> None:
    said = go_on(0, 0, 9, 10, 9, 10, 9, 9, 10, 0, 0)
    assert [name for _, name in events(said)] == ["OPENED", "RESOLVED", "OPENED"]
    assert said["opened"].iloc[-1] == 9


# Effects that matter


def test_a_change_that_is_certain_but_small_alarms_nobody() -> None:
    rng = np.random.default_rng(62)
    past = metrics(*(row(number, 400, int(rng.binomial(400, 0.9))) for number in range(-3 * DAY, 0)))
    memory = memory_after(past, SUCCESS)
    below, above = (metrics(*(row(number, 400, count) for number in range(20))) for count in (332, 316))
    said = watch(below, SUCCESS, memory)
    assert said["evidence"].max() > 20
    assert not said["event"].any()
    assert events(watch(above, SUCCESS, memory))


def test_a_certain_rise_of_latency_by_a_sixth_alarms_nobody() -> None:
    law = Law(tasks=200.0, latency_between=0.02, latency_within=0.3)
    past = memory_after(agents(law, range(-4 * DAY, 0), 63), {"latency_increase"})
    sixth, third = (agents(law, range(24), 64, changes=[Change(0, 24, latency=times)]) for times in (1.16, 1.35))
    said = watch(sixth, {"latency_increase"}, past)
    assert said["evidence"].max() > 20
    assert not said["event"].any()
    assert events(watch(third, {"latency_increase"}, past))


def test_the_floor_is_the_policys() -> None:
    floor = POLICY.success_drop.model_copy(update={"min_drop": 35.0})
    rows = metrics(*(row(number, 10, 6) for number in range(8)))
    assert events(watch(rows, SUCCESS, known_agent()))
    tolerant = POLICY.model_copy(update={"success_drop": floor})
    assert not watch(rows, SUCCESS, known_agent(), policy=tolerant)["event"].any()


def test_a_slow_drift_is_found() -> None:
    rng = np.random.default_rng(65)
    drift = [int(rng.binomial(20, 0.9 - 0.25 * min(number / (2 * DAY), 1.0))) for number in range(3 * DAY)]
    said = go_on(*drift, tasks=20, memory=known_agent(20))
    opened = events(said)
    assert opened
    number, name = opened[0]
    assert name == "OPENED"
    assert number < 2 * DAY


# What the baseline learns


def test_the_baseline_does_not_learn_from_an_incident() -> None:
    said = go_on(*[4] * (LASTING - DAY), *[9] * 12)
    (_, first), (ended, second) = events(said)
    assert (first, second) == ("OPENED", "RESOLVED")
    before, after = said["expected"].iloc[0], said.loc[said["number"] > ended, "expected"]
    assert (abs(after - before) < 0.5).all()


def test_while_an_incident_is_open_what_is_expected_stays_as_it_was() -> None:
    said = go_on(*[3] * 100)
    while_open = said[said["phase"] >= OPEN]
    assert len(while_open) > 90
    assert while_open["expected"].iloc[1:].nunique() == 1


def test_other_metrics_of_its_family_do_not_learn_from_an_incident_either() -> None:
    both = {"success_drop", "error_spike"}
    past = memory_after(agents(Law(), range(-4 * DAY, 0), 66), both)
    # Few errors are logged of tasks that fail silently; that must not become the rate of errors.
    silent = agents(Law(success=0.1), range(DAY), 67).assign(error_count=0)
    after = memory_after(silent, both, past)
    errors = [every.finding for every in some_detectors(both)].index("error_spike")
    before, now = (one.records["trusted"][errors] for one in (past, after))
    assert now[:, 0] / now[:, 1] == pytest.approx(before[:, 0] / before[:, 1], rel=0.02)


def repeated(values: tuple[int, ...], windows: int) -> list[int]:
    return [values[number % len(values)] for number in range(windows)]


AT_HALF = repeated((5, 6, 4, 5), LASTING + 2 * DAY)


def test_what_lasts_ends_as_the_new_normal_after_the_policys_days() -> None:
    (opened, first), (accepted, second), *_ = events(go_on(*AT_HALF))
    assert (first, second) == ("OPENED", "NEW_NORMAL")
    assert accepted - opened == LASTING


def test_the_new_normal_is_the_baseline_and_opens_nothing_again() -> None:
    said = go_on(*AT_HALF)
    assert [name for _, name in events(said)] == ["OPENED", "NEW_NORMAL"]
    assert said["expected"].iloc[-1] == pytest.approx(50, abs=4)


def test_a_lasting_latency_is_the_baseline_whatever_its_size() -> None:
    pattern = (900.0, 1100.0, 1000.0)
    past = [metrics_row(number=number, latency_ms=pattern[number % 3]) for number in range(-3 * DAY, 0)]
    slow = [metrics_row(number=number, latency_ms=3 * pattern[number % 3]) for number in range(LASTING + DAY)]
    said = watch(metrics(*past, *slow), {"latency_increase"})
    assert [name for _, name in events(said)] == ["OPENED", "NEW_NORMAL"]
    assert said["expected"].iloc[-1] == pytest.approx(3000, rel=0.15)


def test_a_lasting_rate_of_errors_is_the_baseline_at_once() -> None:
    past = [metrics_row(number=number, tasks=10, errors=number % 3) for number in range(-3 * DAY, 0)]
    more = [metrics_row(number=number, tasks=10, errors=8 + number % 3) for number in range(LASTING + 12)]
    said = watch(metrics(*past, *more), {"error_spike"})
    assert [name for _, name in events(said)] == ["OPENED", "NEW_NORMAL"]
    assert said["expected"].iloc[-1] > 0.5


def test_lasting_traffic_is_the_baseline() -> None:
    table = agents(Law(), range(-8 * DAY, LASTING + DAY), 68, changes=[Change(0, 10_000, tasks=0.25)])
    said = watch(table, {"traffic_drop", "traffic_surge"})
    assert [name for _, name in events(said)] == ["OPENED", "NEW_NORMAL"]
    last_day = said[(said["finding"] == "traffic_drop") & (said["number"] >= LASTING + DAY // 2)]
    assert last_day["expected"].mean() == pytest.approx(2.5, abs=1.0)


def test_a_fall_from_the_new_normal_is_a_finding_of_its_own() -> None:
    said = go_on(*AT_HALF, *[1] * 6)
    assert [name for _, name in events(said)] == ["OPENED", "NEW_NORMAL", "OPENED"]
    assert events(said)[2][0] >= len(AT_HALF)


def test_the_way_back_from_a_new_normal_is_no_alarm() -> None:
    said = go_on(*AT_HALF, *repeated((9, 10, 9, 8), DAY))
    assert [name for _, name in events(said)] == ["OPENED", "NEW_NORMAL"]


# Agents that nobody knows yet


def test_noise_of_new_agents_is_never_a_finding() -> None:
    # Rates from poor to good, and a fleet file that expects 85 %.
    tables = [
        agents(Law(success=success, shared_luck=0.05), range(2 * DAY), 71 + place, count=15).assign(
            agent=lambda frame, place=place: frame["agent"] + f"-{place}"
        )
        for place, success in enumerate((0.7, 0.85, 0.95))
    ]
    said = watch(pd.concat(tables))
    early = said[said["number"] < DAY]
    assert not early["event"].any()


def test_a_new_agent_whose_first_tasks_all_fail_is_found_at_once() -> None:
    said = watch(metrics(row(0, 10, 0), row(1, 10, 0)), SUCCESS)
    assert events(said) == [(0, "OPENED")]
    assert said["severity"].tolist() == [3, 3]


def test_a_new_agent_with_few_tasks_is_found_after_as_many_failures_as_that_takes() -> None:
    said = watch(metrics(*(row(number, 2, 0) for number in range(8))), SUCCESS)
    (opened,) = events(said)
    assert 5 <= 2 * (opened[0] + 1) <= 12


def test_a_new_agent_that_fails_at_half_of_its_tasks_is_not_a_collapse() -> None:
    assert not watch(metrics(*(row(number, 10, 6) for number in range(5))), SUCCESS)["event"].any()


def test_there_is_no_alarm_by_comparison_before_an_agent_is_known() -> None:
    # 20 windows of 10 tasks: enough tasks, too few windows; then 30 windows with one: enough windows, too few tasks.
    for tasks, windows in ((10, 20), (1, 30)):
        early = [row(number, tasks, tasks, latency_ms=1000.0) for number in range(windows)]
        slow = [row(windows, tasks, tasks, latency_ms=5000.0), row(windows + 1, tasks, tasks, latency_ms=5000.0)]
        assert not watch(metrics(*early, *slow), {"latency_increase"})["event"].any()
    known = [row(number, 10, 10, latency_ms=1000.0) for number in range(30)]
    slow = [row(number, 10, 10, latency_ms=5000.0) for number in (30, 31, 32)]
    assert events(watch(metrics(*known, *slow), {"latency_increase"}))


# Planned changes


def after_a_deployment(successes: list[int], agent: str | None = None) -> pd.DataFrame:
    rows = metrics(*(row(number, 10, count) for number, count in enumerate(successes)))
    return watch(with_planned_change(rows, 0, agent), SUCCESS, known_agent())


def test_after_a_planned_change_the_baseline_moves_to_the_new_level_within_a_day() -> None:
    rng = np.random.default_rng(74)
    slightly_lower = [int(rng.binomial(10, 0.84)) for _ in range(int(1.5 * DAY))]
    moved, unplanned = after_a_deployment(slightly_lower), go_on(*slightly_lower)
    at_a_day = moved.loc[moved["number"] == DAY, "expected"].iloc[0]
    without = unplanned.loc[unplanned["number"] == DAY, "expected"].iloc[0]
    assert at_a_day == pytest.approx(84, abs=2.5)
    assert at_a_day < without
    assert not moved["event"].any()


def test_a_better_version_is_measured_by_what_it_can_do() -> None:
    poor = memory_after(metrics(*(row(number, 10, 5 + number % 3) for number in range(-4 * DAY, 0))), SUCCESS)
    better = [row(number, 10, 9 + number % 2) for number in range(DAY)]
    falls_back = [row(number, 10, 5 + number % 3) for number in range(DAY, 2 * DAY)]
    table = metrics(*better, *falls_back)
    with_plan, without = (events(watch(one, SUCCESS, poor)) for one in (with_planned_change(table, 0), table))
    assert [name for _, name in with_plan] == ["OPENED"]
    assert with_plan[0][0] > DAY
    assert not without


@pytest.mark.parametrize("agent", ["InboundAgent", None])
def test_a_degradation_right_at_the_change_is_still_found(agent: str | None) -> None:
    said = after_a_deployment([4] * 8, agent=agent)
    number, name = events(said)[0]
    assert name == "OPENED"
    assert number <= 3


def test_the_loss_of_all_success_at_the_change_opens_at_once() -> None:
    assert events(after_a_deployment([0, 0])) == [(0, "OPENED")]


def test_a_change_of_one_agent_is_not_one_of_another() -> None:
    noise = [9, 8, 10, 7, 9]
    other = metrics(*(metrics_row("AuditAgent", number, tasks=10, successes=9) for number in range(5)))
    mine = metrics(*(row(number, 10, count) for number, count in enumerate(noise)))
    both = pd.concat([mine, other], ignore_index=True)
    unplanned, theirs, ours = (
        watch(table, SUCCESS, known_agent())
        for table in (both, with_planned_change(both, 0, "AuditAgent"), with_planned_change(both, 0, "InboundAgent"))
    )
    of_mine = unplanned["agent"] == "InboundAgent"
    pd.testing.assert_frame_equal(theirs[of_mine], unplanned[of_mine])
    assert not ours[of_mine].equals(unplanned[of_mine])


def test_a_change_counts_from_its_own_window_on() -> None:
    noise = [9, 8, 10, 7, 9, 8]
    rows = metrics(*(row(number, 10, count) for number, count in enumerate(noise)))
    changed = watch(with_planned_change(rows, 3), SUCCESS, known_agent())
    same = (changed["expected"] == go_on(*noise)["expected"]).tolist()
    assert same == [True, True, True, False, False, False]
