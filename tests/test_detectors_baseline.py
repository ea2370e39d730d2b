"""What the baseline learns while there is an incident, when it lasts, and after a planned change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from perf_pipeline.monitoring.detectors.lifecycle import Phase
from tests.builders import metrics_row
from tests.known_agent import SUCCESS, go_on, known_agent, row
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

LASTING = int(POLICY.new_normal_days * DAY)
"""Windows after which a change is the new normal."""


# While there is an incident


def test_the_baseline_does_not_learn_from_an_incident() -> None:
    said = go_on(*[4] * (LASTING - DAY), *[9] * 12)
    (_, first), (ended, second) = events(said)
    assert (first, second) == ("OPENED", "RESOLVED")
    before, after = said["expected"].iloc[0], said.loc[said["number"] > ended, "expected"]
    assert (abs(after - before) < 0.5).all()


def test_while_an_incident_is_open_what_is_expected_stays_as_it_was() -> None:
    said = go_on(*[3] * 100)
    while_open = said[said["phase"] >= Phase.OPEN]
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


# What lasts


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
