"""The simulated fleet tells the truth about itself, and the scoring judges as it says."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.detection import clairvoyant, rivals
from benchmarks.detection.evidence_truth import arrived_evidence
from benchmarks.detection.incident_plan import Incident, severity_of
from benchmarks.detection.scoring import Scores, combine, score
from benchmarks.detection.simulator import Simulation, simulate

HOUR = pd.Timedelta(hours=1)
WINDOW = pd.Timedelta(minutes=30)
DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def simulations() -> list[Simulation]:
    return [simulate(seed) for seed in range(8)]


@pytest.fixture(scope="module")
def nulls() -> list[Simulation]:
    return [simulate(seed, agents=4, days=40, incidents=False) for seed in range(100, 106)]


# The simulator


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


# The scoring, on a fleet in which nothing else happens. Times are counted in windows from the start of day 12.


@pytest.fixture(scope="module")
def quiet() -> Simulation:
    simulation = simulate(2, agents=2, days=21, incidents=False)
    assert (simulation.fleet.began == 0).all()
    return simulation


def _at(quiet: Simulation, window: int) -> pd.Timestamp:
    return quiet.fleet.windows[12 * 48 + window]


def _with_incident(quiet: Simulation, kind: str = "success_drop", **changes: Any) -> Simulation:
    """An incident of Agent1 that lasts from window 0 to window 9, findable from its second window on."""
    row = {
        "agent": "Agent1",
        "kind": kind,
        "label": "35 points",
        "start": _at(quiet, 0),
        "end": _at(quiet, 10),
        "size": 35.0,
        "severity": "high",
        "nats": 40.0,
        "findable": True,
        "windows_to_findable": 2.0,
        "fast": True,
    }
    return dataclasses.replace(quiet, incidents=pd.DataFrame([row | changes]))


def _findings(quiet: Simulation, *rows: tuple[int, str] | tuple[int, str, str] | tuple[int, str, str, str]):
    """Findings of Agent1 as (window, type, severity = high, state = open)."""
    frame = pd.DataFrame([(*row, *("high", "open")[len(row) - 2 :]) for row in rows])
    frame = frame if len(frame) else pd.DataFrame(columns=range(4))
    frame.columns = ["window_start", "type", "severity", "state"]
    frame["window_start"] = pd.DatetimeIndex([_at(quiet, window) for window in frame["window_start"]], tz="UTC")
    return frame.assign(agent="Agent1", onset=frame["window_start"])


def _judged(quiet: Simulation, simulation: Simulation, *rows: Any) -> Scores:
    return score(_findings(quiet, *rows), simulation)


def test_an_alarm_at_the_close_of_the_first_window_has_no_delay(quiet: Simulation):
    result = _judged(quiet, _with_incident(quiet), (0, "success_drop"))
    assert result.outcomes.loc[0, "delay"] == 0
    assert result.alarms["verdict"].tolist() == ["true"]
    assert result.summary()["findable_found"] == 1.0


@pytest.mark.parametrize(("window", "verdict"), [(-1, "false"), (0, "true"), (9, "true"), (12, "true"), (13, "false")])
def test_an_incident_explains_alarms_until_two_windows_after_its_end(quiet: Simulation, window: int, verdict: str):
    result = _judged(quiet, _with_incident(quiet), (window, "success_drop"))
    assert result.alarms["verdict"].tolist() == [verdict]
    assert result.outcomes.loc[0, "found"] == (verdict == "true")


@pytest.mark.parametrize(
    ("kind", "alarm", "verdict"),
    [
        ("success_drop", "error_spike", "true"),
        ("success_drift", "success_drop", "true"),
        ("cold_start_collapse", "success_drop", "true"),
        ("log_error_spike", "error_spike", "true"),
        ("latency_drift", "latency_increase", "true"),
        ("cost_spike", "token_spike", "true"),
        ("silence", "traffic_drop", "true"),
        ("success_drop", "score_drop", "true"),
        ("success_drop", "latency_increase", "neutral"),
        ("cost_spike", "success_drop", "neutral"),
        ("cost_spike", "something of one's own", "neutral"),
    ],
)
def test_an_alarm_of_another_family_is_neither_true_nor_false(quiet: Simulation, kind: str, alarm: str, verdict: str):
    result = _judged(quiet, _with_incident(quiet, kind), (3, alarm))
    assert result.alarms["verdict"].tolist() == [verdict]
    assert result.outcomes.loc[0, "found"] == (verdict == "true")
    assert result.summary()["false_alarms_per_agent_week_in_all"] == 0


def test_another_agents_incident_explains_nothing(quiet: Simulation):
    result = _judged(quiet, _with_incident(quiet, agent="Agent2"), (3, "success_drop"))
    assert result.alarms["verdict"].tolist() == ["false"]


@pytest.mark.parametrize(("window", "verdict"), [(-1, "false"), (0, "blip"), (2, "blip"), (3, "false")])
def test_an_alarm_after_a_blip_is_counted_with_the_blips(quiet: Simulation, window: int, verdict: str):
    blips = pd.DataFrame({"agent": ["Agent1"], "window_start": [_at(quiet, 0)], "kind": ["latency"], "size": [2.0]})
    result = _judged(quiet, dataclasses.replace(quiet, blips=blips), (window, "latency_increase"))
    assert result.alarms["verdict"].tolist() == [verdict]
    assert result.summary()["blips_alarmed"] == float(verdict == "blip")


def test_only_open_rows_are_alarms_and_gaps_in_the_data_are_nobodys_fault(quiet: Simulation):
    result = _judged(
        quiet, _with_incident(quiet), (2, "success_drop", "high", "resolved"), (50, "data_gap", "high", "open")
    )
    assert result.alarms.empty
    assert not result.outcomes.loc[0, "found"]


def test_within_two_windows_means_open_by_the_close_of_the_second(quiet: Simulation):
    incident = _with_incident(quiet)
    assert _judged(quiet, incident, (1, "success_drop")).summary()["fast_within_2_windows"] == 1
    late = _judged(quiet, incident, (2, "success_drop")).summary()
    assert (late["fast_within_2_windows"], late["fast_within_3_windows"]) == (0, 1)


def test_a_fall_to_zero_must_be_critical_at_the_close_of_the_first_window_with_tasks(quiet: Simulation):
    metrics = quiet.metrics.copy()
    for window, tasks in ((0, 0), (1, 6)):
        here = (metrics["agent"] == "Agent1") & (metrics["window_start"] == _at(quiet, window))
        metrics.loc[here, "tasks"] = tasks
    simulation = dataclasses.replace(_with_incident(quiet, label="to zero", severity="critical"), metrics=metrics)
    at_once = _judged(quiet, simulation, (1, "success_drop", "critical")).summary()
    assert (at_once["falls_to_zero"], at_once["falls_to_zero_critical_at_once"]) == (1, 1)
    graded_late = _judged(quiet, simulation, (1, "success_drop"), (2, "success_drop", "critical", "ongoing")).summary()
    assert (graded_late["falls_to_zero_found_at_once"], graded_late["falls_to_zero_critical_at_once"]) == (1, 0)
    assert _judged(quiet, simulation, (2, "success_drop")).summary()["falls_to_zero_found_at_once"] == 0


def test_an_incident_that_opens_twice_flaps(quiet: Simulation):
    once = _judged(quiet, _with_incident(quiet), (1, "success_drop"), (4, "error_spike"), (5, "latency_increase"))
    assert (once.summary()["flapping"], once.summary()["flapping_by_family"]) == (0, 1)
    twice = _judged(quiet, _with_incident(quiet), (1, "success_drop"), (6, "success_drop"))
    assert twice.summary()["flapping"] == 1


def test_the_severity_is_the_highest_that_the_incidents_own_type_was_given(quiet: Simulation):
    grown = _judged(
        quiet,
        _with_incident(quiet),
        (1, "success_drop", "medium"),
        (2, "error_spike", "critical"),
        (4, "success_drop", "high", "ongoing"),
    )
    assert grown.outcomes.loc[0, "graded"] == "high"
    assert grown.summary()["severity_right"] == 1
    too_low = _judged(quiet, _with_incident(quiet), (1, "success_drop", "low")).summary()
    assert (too_low["severity_right"], too_low["severity_within_one"]) == (0, 0)


def test_false_alarms_count_from_an_agents_third_day_on_and_apart_before(quiet: Simulation):
    result = _judged(quiet, quiet, (-12 * 48 + 5, "success_drop"), (0, "success_drop"), (100, "cost_spike"))
    summary = result.summary()
    weeks = len(quiet.metrics) / 336
    assert result.agent_weeks == pytest.approx(weeks)
    assert summary["false_alarms_in_first_3_days"] == 1
    assert summary["false_alarms_per_agent_week_in_all"] == pytest.approx(3 / weeks)
    assert summary["false_alarms_per_agent_week"] == pytest.approx(2 / (weeks - 2 * 3 / 7), rel=0.02)


def test_a_new_agents_collapse_is_judged_apart(quiet: Simulation):
    summary = _judged(quiet, _with_incident(quiet, "cold_start_collapse"), (4, "success_drop")).summary()
    assert (summary["findable"], summary["findable_found"]) == (0, None)
    assert (summary["cold_start_found"], summary["cold_start_median_delay"]) == (1, 4)


def test_combined_scores_weigh_every_incident_the_same(quiet: Simulation):
    incident = _with_incident(quiet)
    found, missed = _judged(quiet, incident, (1, "success_drop")), _judged(quiet, incident)
    summary = combine([found, missed, missed, _judged(quiet, quiet)]).summary()
    assert summary["findable_found"] == pytest.approx(1 / 3)
    assert summary["agent_weeks"] == pytest.approx(4 * found.agent_weeks)


# The rivals and the limit


@pytest.mark.parametrize("name", list(rivals.RIVALS))
def test_a_rival_looks_back_only(name: str):
    metrics = simulate(6, agents=2, days=24).metrics
    cut = metrics["window_start"].min() + 18 * DAY
    whole = rivals.detect(rivals.RIVALS[name], metrics)
    prefix = rivals.detect(rivals.RIVALS[name], metrics[metrics["window_start"] < cut])
    expected = whole[whole["window_start"] < cut].reset_index(drop=True)
    assert len(expected) > 5
    pd.testing.assert_frame_equal(prefix, expected)


@pytest.mark.parametrize("name", list(rivals.RIVALS))
def test_a_rival_finds_a_fall_to_zero_and_closes_after_two_quiet_windows(name: str, quiet: Simulation):
    metrics = quiet.metrics[quiet.metrics["agent"] == "Agent1"].copy()
    metrics[["tasks", "successes", "error_count"]] = [20, 18, 2]
    metrics["successes"] -= np.arange(len(metrics)) % 3
    fall = (metrics["window_start"] >= _at(quiet, 0)) & (metrics["window_start"] < _at(quiet, 8))
    metrics.loc[fall, "successes"] = 0
    found = rivals.detect(rivals.RIVALS[name], metrics)
    found = found[(found["type"] == "success_drop") & (found["window_start"] >= _at(quiet, 0))]
    opened, closed = found[found["state"] == "open"].iloc[0], found[found["state"] == "resolved"].iloc[0]
    assert opened["window_start"] <= _at(quiet, 3)
    assert opened["severity"] == "critical"
    last_alarm = found.loc[(found["state"] == "ongoing") & (found["window_start"] < closed["window_start"])].iloc[-1]
    assert closed["window_start"] == last_alarm["window_start"] + 2 * WINDOW


def test_the_clairvoyant_finds_what_is_findable():
    simulations = [simulate(seed, agents=3, days=40) for seed in (20, 21)]
    scores = combine([score(clairvoyant.detect(simulation), simulation) for simulation in simulations])
    summary = scores.summary()
    assert summary["findable"] >= 8
    assert summary["findable_found"] >= 0.9
    assert summary["false_alarms_per_agent_week"] <= 0.3


def test_the_clairvoyants_threshold_bounds_its_false_alarms():
    """A Shiryaev-Roberts statistic passes A at most once in A windows on average when nothing is wrong."""
    nulls = [simulate(seed, agents=3, days=30, incidents=False) for seed in (120, 121)]
    opened = sum((clairvoyant.detect(null, log_threshold=6.0)["state"] == "open").sum() for null in nulls)
    windows = sum(len(null.metrics) for null in nulls) * len(clairvoyant.ALTERNATIVES)
    assert 0 < opened <= windows / np.exp(6.0)
