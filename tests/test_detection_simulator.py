"""The simulated fleet tells the truth about itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.detection.evidence_truth import arrived_evidence
from benchmarks.detection.incident_plan import Incident, severity_of
from benchmarks.detection.simulator import Simulation, simulate

HOUR = pd.Timedelta(hours=1)
DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def simulations() -> list[Simulation]:
    return [simulate(seed) for seed in range(8)]


@pytest.fixture(scope="module")
def nulls() -> list[Simulation]:
    return [simulate(seed, agents=4, days=40, incidents=False) for seed in range(100, 106)]


def test_a_simulation_repeats_for_a_seed_and_differs_between_seeds():
    first, again, other = simulate(4, days=20), simulate(4, days=20), simulate(5, days=20)
    pd.testing.assert_frame_equal(first.metrics, again.metrics)
    pd.testing.assert_frame_equal(first.incidents, again.incidents)
    assert first.metrics["tasks"].sum() != other.metrics["tasks"].sum()


def test_there_is_one_row_for_each_agent_and_window_even_without_tasks(simulations: list[Simulation]):
    for simulation in simulations:
        metrics = simulation.metrics
        assert not metrics.duplicated(["agent", "window_start"]).any()
        empty, single = metrics["tasks"] == 0, metrics["tasks"] == 1
        per_task = ["latency_p50_ms", "latency_p95_ms", "latency_log_mean", "total_tokens", "cost_usd"]
        assert metrics.loc[empty, per_task].isna().all(axis=None)
        assert metrics.loc[~empty, per_task].notna().all(axis=None)
        assert metrics.loc[single | empty, "latency_log_sd"].isna().all()
        assert (metrics["successes"] <= metrics["tasks"]).all()
        assert (metrics["latency_p50_ms"] <= metrics["latency_p95_ms"])[~empty].all()


def test_an_outage_takes_whole_windows_from_the_whole_fleet(simulations: list[Simulation]):
    missing, possible = 0, 0
    for simulation in simulations:
        known = [a for a, began in enumerate(simulation.fleet.began) if began == 0]
        arrived = simulation.arrays()["arrived"][known]
        assert (arrived == arrived[0]).all()
        missing, possible = missing + (~arrived[0]).sum(), possible + arrived.shape[1]
    assert 0.001 < missing / possible < 0.015


def test_incidents_keep_away_from_the_first_nine_days_and_from_each_other(simulations: list[Simulation]):
    for simulation in simulations:
        began = simulation.metrics.groupby("agent")["window_start"].min()
        regular = simulation.incidents[simulation.incidents["kind"] != "cold_start_collapse"]
        for agent, mine in regular.sort_values("start").groupby("agent"):
            # An outage may take an agent's first rows.
            assert (mine["start"] >= began[str(agent)] + 9 * DAY - 6 * HOUR).all()
            assert (mine["start"].iloc[1:].to_numpy() - mine["end"].iloc[:-1].to_numpy() >= 36 * HOUR).all()


def test_about_one_incident_comes_in_ten_days(simulations: list[Simulation]):
    incidents = sum(len(simulation.incidents) for simulation in simulations)
    agent_days = sum(len(simulation.metrics) / 48 for simulation in simulations)
    assert 0.07 < incidents / agent_days < 0.12


def test_blips_last_one_window_stay_six_hours_from_incidents_and_never_fall_to_zero(simulations: list[Simulation]):
    for simulation in simulations:
        joined = simulation.blips.merge(simulation.metrics, on=["agent", "window_start"])
        assert (joined.loc[joined["kind"] == "success", "successes"] > 0).all()
        for _, blip in simulation.blips.iterrows():
            mine = simulation.incidents[simulation.incidents["agent"] == blip["agent"]]
            before, after = mine["start"] - blip["window_start"], blip["window_start"] - mine["end"]
            assert ((before >= 6 * HOUR) | (after >= 6 * HOUR)).all()


def test_a_new_agents_first_days_hold_noise_and_at_most_a_collapse():
    late = [s for s in (simulate(seed, agents=2, days=30) for seed in range(24)) if (s.fleet.began > 0).any()]
    collapses = 0
    for simulation in late:
        a = int(np.argmax(simulation.fleet.began))
        name, began = simulation.fleet.names[a], simulation.fleet.windows[simulation.fleet.began[a]]
        assert simulation.metrics.loc[simulation.metrics["agent"] == name, "window_start"].min() >= began
        blips = simulation.blips[simulation.blips["agent"] == name]
        assert (blips["window_start"] >= began + 9 * DAY).all()
        mine = simulation.incidents[(simulation.incidents["agent"] == name)]
        early = mine[mine["start"] < began + 9 * DAY]
        assert (early["kind"] == "cold_start_collapse").all()
        assert (early["start"] < began + DAY).all()
        collapses += len(early)
    assert 3 <= len(late) <= 16
    assert 0 < collapses < len(late)


def test_the_null_holds_nothing_but_noise(nulls: list[Simulation]):
    assert all(null.incidents.empty and null.blips.empty for null in nulls)
    assert not simulate(100, days=20, incidents=False, blips=True).blips.empty


# What the truth says is what the data show


def _inside(simulations: list[Simulation], kinds: set[str]) -> list[tuple[Simulation, Incident, pd.DataFrame, slice]]:
    found = []
    for simulation in simulations:
        arrays = simulation.arrays()
        for incident in simulation.planned:
            if incident.kind in kinds:
                span = slice(incident.first, incident.end)
                rows = pd.DataFrame({name: array[incident.agent, span] for name, array in arrays.items()})
                found.append((simulation, incident, rows, span))
    assert len(found) >= 5
    return found


def test_a_drop_lowers_success_by_its_points(simulations: list[Simulation]):
    lost, claimed = 0.0, 0.0
    for simulation, incident, rows, span in _inside(simulations, {"success_drop"}):
        healthy = simulation.fleet.success[incident.agent, span]
        if incident.label == "to zero":
            assert rows["successes"].sum() == 0
        lost += (rows["tasks"] * healthy - rows["successes"]).sum()
        claimed += (rows["tasks"] * incident.size / 100).sum()
    assert lost == pytest.approx(claimed, rel=0.1)


@pytest.mark.parametrize("kind", ["error_spike", "traffic_surge", "traffic_drop", "latency_increase", "cost_spike"])
def test_a_factor_of_the_truth_is_the_factor_in_the_data(simulations: list[Simulation], kind: str):
    logs = []
    for simulation, incident, rows, span in _inside(simulations, {kind}):
        fleet, a = simulation.fleet, incident.agent
        tasks = rows["tasks"].to_numpy()
        rows = rows[rows["arrived"]]
        if kind == "error_spike":
            usual, seen = (tasks * fleet.error_rate()[a, span]).sum(), rows["error_count"].sum()
        elif kind.startswith("traffic"):
            usual, seen = fleet.expected_tasks[a, span][rows.index].sum(), rows["tasks"].sum()
        elif kind == "cost_spike":
            mean = fleet.tokens[a] + fleet.cost_per_token[a]
            mean += (fleet.tokens_sd[a] ** 2 + fleet.cost_sd[a] ** 2 + fleet.cost_window_sd[a] ** 2) / 2
            usual, seen = tasks.sum() * np.exp(mean), rows["cost_usd"].sum()
        else:
            deviation = (rows["latency_log_mean"] - fleet.latency[a, span][rows.index]) * rows["tasks"]
            usual, seen = 1.0, np.exp(deviation.sum() / max(tasks.sum(), 1))
        if tasks.sum() >= 30 or kind.startswith("traffic"):
            logs.append(np.log(max(seen, 0.5) / usual / incident.size))
    assert np.median(logs) == pytest.approx(0, abs=0.15)


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        ("success_drop", 3.0),
        ("error_spike", 1.5),
        ("log_error_spike", 1.5),
        ("latency_increase", 1.08),
        ("cost_spike", 1.02),
        ("traffic_drop", 0.7),
        ("traffic_surge", 1.4),
    ],
)
def test_evidence_of_an_incident_that_never_was_is_a_fair_bet(nulls: list[Simulation], kind: str, size: float):
    """The mean of a true likelihood ratio over healthy data is 1, or the evidence is not what it says."""
    bets = []
    for null in nulls:
        starts = range(400, len(null.fleet.windows) - 4, 40)
        imagined = [
            Incident(a, kind, "imagined", size, first, first + 3, "low", np.ones(3))
            for a in range(len(null.fleet.names))
            for first in starts
            if first > null.fleet.began[a]
        ]
        values = null.arrays()
        bets += [np.exp(nats.sum()) for nats in arrived_evidence(null.fleet, imagined, [], values, values["arrived"])]
    error = np.std(bets) / np.sqrt(len(bets))
    assert np.mean(bets) == pytest.approx(1, abs=max(4 * error, 0.02))
    assert error < 0.05


def test_what_is_findable_holds_enough_nats_and_what_is_fast_held_them_at_once(simulations: list[Simulation]):
    incidents = pd.concat([simulation.incidents for simulation in simulations])
    assert (incidents["findable"] == (incidents["nats"] >= 11.5)).all()
    assert (incidents["fast"] == (incidents["windows_to_findable"] <= 2)).all()
    assert 0.5 < incidents["findable"].mean() < 0.9
    zero = incidents[incidents["label"] == "to zero"]
    assert zero["findable"].mean() > incidents.loc[incidents["label"] == "12 points", "findable"].mean()


@pytest.mark.parametrize(
    ("kind", "size", "healthy", "grade"),
    [
        ("success_drop", 11.9, 90, "low"),
        ("success_drop", 12, 90, "medium"),
        ("success_drop", 25, 90, "high"),
        ("success_drop", 50, 90, "critical"),
        ("success_drop", 49, 69, "critical"),
        ("latency_drift", 1.3, 90, "low"),
        ("latency_increase", 3, 90, "critical"),
        ("error_spike", 5, 90, "high"),
        ("log_error_spike", 2.4, 90, "low"),
        ("cost_spike", 2, 90, "medium"),
        ("traffic_drop", 0.3, 90, "medium"),
        ("traffic_drop", 0.2, 90, "high"),
        ("traffic_surge", 2.9, 90, "low"),
        ("traffic_surge", 6, 90, "high"),
        ("silence", 0, 90, "critical"),
    ],
)
def test_the_true_severity_follows_the_table(kind: str, size: float, healthy: float, grade: str):
    assert severity_of(kind, size, healthy, expected_tasks=100) == grade


def test_silence_of_an_agent_from_which_little_was_expected_is_not_critical():
    assert severity_of("silence", 0, 90, expected_tasks=2) == "high"
