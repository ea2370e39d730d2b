"""What the policy promises of false alarms, on healthy fleets; and that trouble is found all the same."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from perf_pipeline.monitoring.detectors.registry import detectors, evidence_bar
from tests.builders import LENGTH
from tests.metric_tables import DAY, POLICY, WEEK, Change, Law, agents, memory_after, watch

AGENTS, WEEKS = 40, 6
BAR = detectors(POLICY, LENGTH)[0].bar.evidence

HEALTHY = [
    Law(shared_luck=0.05),
    Law(tasks=4.0, success=0.8, shared_luck=0.1, day_amplitude=0.7, weekend=0.3, traffic_dispersion=0.3),
    Law(tasks=25.0, success=0.95, recovered_errors=0.3, log_background=1.0, latency_between=0.2, tokens_within=0.9),
    Law(tasks=1.5, success=0.7, day_amplitude=0.9, weekend=0.2, latency_within=1.0, score_between=6.0),
]
"""Agents that are busy, quiet, erratic, at rest at night: nothing ever happens to any of them."""


def healthy_fleet(weeks: int, count: int, seed: int) -> pd.DataFrame:
    share = count // len(HEALTHY)
    tables = [
        agents(law, range(weeks * WEEK), seed + place, share).assign(
            agent=lambda frame, place=place: f"law-{place}-" + frame["agent"]
        )
        for place, law in enumerate(HEALTHY)
    ]
    return pd.concat(tables, ignore_index=True)


@pytest.fixture(scope="module")
def weeks_of_health() -> pd.DataFrame:
    said = watch(healthy_fleet(WEEKS, AGENTS, 1001))
    return said[["finding", "agent", "number", "event", "evidence"]]


def opened(said: pd.DataFrame) -> int:
    return int((said["event"] == 1).sum())


def test_false_alarms_stay_under_the_policys_bound(weeks_of_health: pd.DataFrame) -> None:
    allowed = POLICY.false_alarms_per_agent_week * AGENTS * WEEKS
    # The bound holds for the mean; a fleet that keeps to it exceeds it by two deviations once in forty times.
    assert opened(weeks_of_health) <= allowed + 2 * math.sqrt(allowed)


def test_no_kind_of_finding_takes_the_whole_allowance(weeks_of_health: pd.DataFrame) -> None:
    allowed = POLICY.false_alarms_per_agent_week * AGENTS * WEEKS
    alarms = weeks_of_health[weeks_of_health["event"] == 1]
    assert (alarms.groupby("finding").size() < allowed / 3).all()


def crossings(said: pd.DataFrame, bar: float) -> int:
    """How often the evidence of an agent came to pass the bar."""
    before = said.groupby(["agent", "finding"])["evidence"].shift()
    return int(((said["evidence"] >= bar) & ~(before >= bar)).sum())


@pytest.mark.parametrize("lower", [0.0, 2.0, 4.0, 6.0])
def test_noise_passes_no_bar_more_often_than_its_height_allows(weeks_of_health: pd.DataFrame, lower: float) -> None:
    allowed = len(weeks_of_health) / math.exp(BAR - lower)
    assert crossings(weeks_of_health, BAR - lower) <= allowed + 3 * math.sqrt(allowed)


def test_a_bar_for_ten_times_as_many_false_alarms_is_passed_more_often(weeks_of_health: pd.DataFrame) -> None:
    seldom, often = crossings(weeks_of_health, BAR), crossings(weeks_of_health, BAR - math.log(10))
    assert often >= 3 * seldom
    assert often >= 20


def test_a_policy_that_allows_a_hundred_times_as_many_has_many_more() -> None:
    table = healthy_fleet(2, 24, 2001)
    findings = {"success_drop", "error_spike", "latency_increase"}
    generous = POLICY.model_copy(update={"false_alarms_per_agent_week": 100 * POLICY.false_alarms_per_agent_week})
    assert opened(watch(table, findings, policy=generous)) >= opened(watch(table, findings)) + 10


def test_the_bar_shares_the_allowance_between_all_detectors_and_windows() -> None:
    every = detectors(POLICY, LENGTH)
    assert {one.bar.evidence for one in every} == {BAR}
    assert len(every) * WEEK / math.exp(BAR) == pytest.approx(POLICY.false_alarms_per_agent_week)
    twice = POLICY.model_copy(update={"false_alarms_per_agent_week": 2 * POLICY.false_alarms_per_agent_week})
    assert evidence_bar(twice, LENGTH, len(every)) == pytest.approx(BAR - math.log(2))
    assert evidence_bar(POLICY, LENGTH / 2, len(every)) == pytest.approx(BAR + math.log(2))


# What is found all the same


def found_within(law: Law, change: Change, finding: str, windows: int, past_days: int = 5) -> float:
    """The share of agents in which the change, from window 0 on, opened this finding within so many windows."""
    count = 40
    memory = memory_after(agents(law, range(-past_days * DAY, 0), 3001, count), {finding})
    said = watch(agents(law, range(windows), 3002, count, [change]), {finding}, memory)
    return said[said["event"] == 1]["agent"].nunique() / count


@pytest.mark.parametrize(
    ("finding", "change", "windows", "share"),
    [
        ("success_drop", {"success_points": 30.0}, 12, 0.95),
        ("success_drop", {"success_points": 30.0}, 24, 1.0),
        ("success_drop", {"success_points": 60.0}, 4, 0.95),
        ("error_spike", {"errors": 12.0, "success_points": 10.0}, 12, 0.95),
        ("latency_increase", {"latency": 1.6}, 10, 0.95),
        ("latency_increase", {"latency": 2.5}, 4, 0.95),
        ("token_spike", {"tokens": 2.0}, 8, 0.95),
        ("cost_spike", {"cost": 3.0}, 4, 0.95),
    ],
)
def test_trouble_is_found_in_nearly_all_agents(
    finding: str, change: dict[str, float], windows: int, share: float
) -> None:
    assert found_within(Law(), Change(0, windows, **change), finding, windows) >= share


def test_a_total_loss_of_success_is_found_in_the_first_window_whose_luck_cannot_explain_it() -> None:
    law = Law()
    memory = memory_after(agents(law, range(-5 * DAY, 0), 3003, 40), {"success_drop"})
    outage = agents(law, range(6), 3004, 40, [Change(0, 6, success_points=100.0)])
    said = watch(outage, {"success_drop"}, memory)
    first_with_five = outage[outage["tasks"] >= 5].groupby("agent")["window_start"].min()
    number = (first_with_five - outage["window_start"].min()) // LENGTH
    opening = said[said["event"] == 1].set_index("agent")
    assert len(number) > 35
    late = (opening["number"].reindex(number.index) - number).clip(lower=0)
    # Five failures may be the shared luck of an agent that was seen to have much of it; not more than once.
    assert (late == 0).mean() >= 0.95
    assert (late <= 1).all()
    assert (opening["severity"].reindex(number.index) == 3).all()


def test_what_is_found_has_about_the_size_that_it_has() -> None:
    law = Law()
    memory = memory_after(agents(law, range(-5 * DAY, 0), 3005, 40), {"success_drop", "latency_increase"})
    trouble = agents(law, range(24), 3006, 40, [Change(0, 24, success_points=40.0, latency=2.0)])
    last = watch(trouble, {"success_drop", "latency_increase"}, memory, since=23)
    effect = {str(name): rows for name, rows in last.groupby("finding")}
    for name, truth in (("success_drop", 40.0), ("latency_increase", 2.0)):
        rows = effect[name]
        assert rows["effect"].median() == pytest.approx(truth, rel=0.12)
        inside = np.abs(rows["effect"] - truth) <= 1.96 * rows["effect_error"]
        assert inside.mean() > 0.8
