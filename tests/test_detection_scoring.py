"""The scoring judges findings as it says, on a fleet in which nothing else happens.

Times are counted in windows from the start of day 12.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd
import pytest

from benchmarks.detection.scoring import Scores, combine, score
from benchmarks.detection.simulator import Simulation, simulate


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
