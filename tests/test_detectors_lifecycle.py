"""When evidence becomes a finding, and when it ends."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from perf_pipeline.monitoring.detectors.lifecycle import Phase
from tests.known_agent import SUCCESS, go_on, known_agent, row
from tests.metric_tables import DAY, POLICY, Change, Law, agents, events, memory_after, metrics, watch

QUIET, PENDING, OPEN, RECOVERING = (int(phase) for phase in Phase)


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
