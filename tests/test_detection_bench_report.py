"""The benchmark of detection counts, compares and reports what it says."""

from __future__ import annotations

import dataclasses
import io
import math

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from benchmarks.detection import report
from benchmarks.detection.evaluation import (
    CLAIRVOYANT,
    CLAIRVOYANT_BARS,
    DETECTORS,
    OURS,
    Evaluation,
    Job,
    clairvoyant_at,
    evaluated,
    fleet_file,
    new_agent_jobs,
    simulation_of,
)
from benchmarks.detection.figures import (
    REQUIRED,
    TARGETS,
    Target,
    cost_growth,
    figures,
    matched_clairvoyant,
    rate_interval,
    share_interval,
)
from benchmarks.detection.forest import TRAINING_DAYS, JointResiduals
from benchmarks.detection.learned_layer import QUIET_WINDOWS, THRESHOLDS, forest_findings, lowest_within
from benchmarks.detection.rivals import FINDING_COLUMNS
from benchmarks.detection.scores import Scores
from benchmarks.detection.scoring import score
from benchmarks.detection.simulator import Simulation, simulate
from benchmarks.detection.throughput import GROWN_AGENTS, Throughput, grown_memory, measure

NAB = {"standard": 72.0, "reward_low_FP_rate": 60.0, "reward_low_FN_rate": 78.0, "seconds_per_million": 30.0}
SPEED = [Throughput(1_000, 0.1, 0.1, 0.1, 7000.0, 3000.0), Throughput(10_000, 1.0, 1.5, 0.5, 7000.0, 3000.0)]


@pytest.fixture(scope="module")
def fleet() -> Simulation:
    return simulate(31, agents=3, days=30)


def _findings(simulation: Simulation, *, of_incidents: float = 1.0, false: int = 0) -> pd.DataFrame:
    """Findings in the first windows of the first incidents, and false ones in the first agent's quiet first week."""
    incidents = simulation.incidents.head(math.ceil(of_incidents * len(simulation.incidents)))
    kinds = {
        "success_drift": "success_drop",
        "cold_start_collapse": "success_drop",
        "latency_drift": "latency_increase",
    }
    types = [kinds.get(kind, kind) for kind in incidents["kind"]]
    rows = [
        (row["agent"], row["start"], kind, row["severity"], row["start"], "open")
        for kind, (_, row) in zip(types, incidents.iterrows(), strict=True)
    ]
    start = simulation.fleet.windows[0] + pd.Timedelta(days=3)
    for number in range(false):
        at = start + number * pd.Timedelta(hours=6)
        rows.append((simulation.fleet.names[0], at, "token_spike", "low", at, "open"))
    return pd.DataFrame(rows, columns=FINDING_COLUMNS)


def _scores(simulation: Simulation, *, of_incidents: float = 1.0, false: int = 0) -> Scores:
    return score(_findings(simulation, of_incidents=of_incidents, false=false), simulation)


@pytest.fixture(scope="module")
def evaluation(fleet: Simulation) -> Evaluation:
    """Ours finds everything with two false alarms, the clairvoyant at its lowest bar too, all others nothing."""
    nothing = _scores(fleet, of_incidents=0.0)
    good = _scores(fleet, of_incidents=1.0, false=2)
    incidents = dict.fromkeys(DETECTORS, nothing)
    incidents |= {clairvoyant_at(bar): _scores(fleet, of_incidents=0.5) for bar in CLAIRVOYANT_BARS}
    incidents |= {clairvoyant_at(min(CLAIRVOYANT_BARS)): good, OURS: good}
    null = dict.fromkeys(DETECTORS, score(_findings(fleet, of_incidents=0), fleet))
    return Evaluation(
        {"incidents": [31], "null": [31], "collapsing": [32], "healthy new": [33]}, incidents, null, null, null
    )


# Jobs


def test_a_null_fleet_holds_no_incidents_and_another_seed_is_another_fleet():
    assert simulation_of(Job(31, "null")).incidents.empty
    assert len(simulation_of(Job(31, "incidents")).incidents) > 5


def test_half_of_the_new_agents_collapse_on_their_first_day_and_the_others_are_healthy():
    jobs = new_agent_jobs(range(60, 99), each=2)
    simulations = [simulation_of(job) for job in jobs]
    collapsing = [(one.incidents["kind"] == "cold_start_collapse").any() for one in simulations]
    assert collapsing == [True, True, False, False]
    assert all((one.fleet.began > 0).any() for one in simulations)


def test_results_are_sorted_into_their_worlds_whichever_came_first(fleet: Simulation):
    def result(job: Job, simulation: Simulation) -> tuple[Job, dict[str, Scores]]:
        return job, {OURS: _scores(simulation, of_incidents=0)}

    quiet = dataclasses.replace(fleet, incidents=fleet.incidents.iloc[:0])
    collapse = dataclasses.replace(fleet, incidents=fleet.incidents.head(1).assign(kind="cold_start_collapse"))
    results = [
        result(Job(7, "new agent"), quiet),
        result(Job(6, "new agent"), collapse),
        result(Job(5, "null"), quiet),
        result(Job(4, "incidents"), fleet),
        result(Job(3, "incidents"), fleet),
    ]
    for order in (results, results[::-1]):
        found = evaluated(order)
        assert found.seeds == {"incidents": [3, 4], "null": [5], "collapsing": [6], "healthy new": [7]}
        assert len(found.incidents[OURS].outcomes) == 2 * len(fleet.incidents)


# Figures


def test_the_required_figures_come_first_and_all_of_them_are_there(evaluation: Evaluation):
    found = figures(evaluation, SPEED, NAB)
    assert tuple(found)[: len(REQUIRED)] == REQUIRED
    assert all(found[name] is not None for name in ("findable_found", "clairvoyant_ratio", "nab_standard"))
    assert {target.figure for target in TARGETS} <= set(found)


def test_we_are_compared_with_the_clairvoyant_of_the_nearest_false_alarms(evaluation: Evaluation):
    assert matched_clairvoyant(evaluation.incidents) == clairvoyant_at(min(CLAIRVOYANT_BARS)) != CLAIRVOYANT
    assert figures(evaluation, SPEED, NAB)["clairvoyant_ratio"] == 1
    fewer = evaluation.incidents | {OURS: evaluation.incidents[CLAIRVOYANT]}
    assert matched_clairvoyant(fewer) != clairvoyant_at(min(CLAIRVOYANT_BARS))


@pytest.mark.parametrize(
    ("at_most", "value", "met"),
    [(True, 0.08, True), (True, 0.081, False), (False, 0.08, True), (False, 0.079, False), (True, None, None)],
)
def test_a_target_is_met_at_its_limit_and_nothing_is_met_by_nothing(at_most: bool, value: float | None, met: object):
    assert Target("figure", "words", 0.08, at_most).is_met(value) is met


def test_costs_that_grow_with_the_agents_are_linear():
    assert cost_growth(SPEED) == pytest.approx(1.0)
    slow = [SPEED[0], dataclasses.replace(SPEED[1], replay_s=10.5)]
    assert cost_growth(slow) == pytest.approx(4.0)


@pytest.mark.parametrize("events", [0, 3, 40])
def test_the_interval_of_a_rate_holds_the_rate_and_is_exact(events: int):
    low, high = rate_interval(events, 10.0)
    assert low <= events / 10 <= high
    draws = np.random.default_rng(0).poisson(high * 10, 20_000)
    assert (draws <= events).mean() == pytest.approx(0.025, abs=0.006)


def test_the_interval_of_a_share_ends_at_its_bounds():
    assert share_interval(0, 20)[0] == 0
    assert share_interval(20, 20)[1] == 1
    low, high = share_interval(10, 20)
    assert low < 0.5 < high
    assert high - low < 0.45


# The report


def test_the_report_names_what_was_missed_and_what_was_met(evaluation: Evaluation):
    found = figures(evaluation, SPEED, NAB) | {"findable_found": 0.9, "nab_standard": 72.0}
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(report.targets(evaluation, found))
    lines = console.export_text().splitlines()
    assert any("findable incidents found" in line and "NO" in line for line in lines)
    assert any("NAB" in line and "yes" in line for line in lines)


def test_every_table_is_drawn_also_where_there_was_nothing_to_judge(evaluation: Evaluation):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report.side_by_side(evaluation), report.limit(evaluation), report.by_kind(evaluation))
    console.print(report.false_alarms(evaluation, 0.3), report.new_agents(evaluation), report.speed(SPEED))
    console.print(report.nab(NAB, {"Null": dict.fromkeys(list(NAB)[:3], 0.0), "Best": dict.fromkeys(NAB, 80.0)}))
    text = console.export_text()
    for name in DETECTORS:
        assert name in text
    assert "nan" not in text.lower()
    assert text.index("Best") < text.index(OURS, text.index("NAB series"))


def test_false_alarms_are_counted_by_type_from_day_three_on(evaluation: Evaluation):
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(report.false_alarms(evaluation, 0.3))
    scores = evaluation.incidents[OURS]
    rate = 2 / (scores.agent_weeks - scores.early_agent_weeks)
    line = next(line for line in console.export_text().splitlines() if "token_spike" in line)
    assert f"{rate:.3f}" in line
    assert "0.000" in line


# Throughput


def test_throughput_counts_all_the_bytes_of_an_agents_memory():
    memory = grown_memory(fleet_file().model_copy(update={"window_minutes": 60}))
    sizes = memory.groupby("agent")["memory"].apply(lambda stored: sum(map(len, stored)))
    assert len(sizes) == GROWN_AGENTS
    found = measure(20, memory, fleet_file().model_copy(update={"window_minutes": 60}), repeats=1)
    assert found.bytes_per_agent == sizes.iloc[0]
    assert found.parquet_bytes_per_agent < found.bytes_per_agent
    assert found.agents_per_s == pytest.approx(20 / (found.restore_s + found.replay_s + found.store_s))


# The learned layer


def _forest_findings(values: list[float], threshold: float = 3.0, *, gathers: bool = False) -> list[int]:
    windows = pd.date_range("2026-03-02", periods=len(values), freq="30min", tz="UTC")
    found = forest_findings(("Agent1",), windows, np.array([values]), threshold, gathers=gathers)
    return [windows.get_loc(at) for at in found["window_start"]]  # type: ignore[misc]


def test_the_forest_alarms_once_until_it_was_quiet_for_long_enough():
    quiet = [0.0] * QUIET_WINDOWS
    assert _forest_findings([0, 4, 4, 0, 4, *quiet, 4]) == [1, 5 + QUIET_WINDOWS]


def test_windows_that_did_not_arrive_are_neither_quiet_nor_alarming():
    missing = [math.nan] * 2 * QUIET_WINDOWS
    assert _forest_findings([0, 4, *missing, 4]) == [1]


def test_a_forest_that_gathers_evidence_finds_what_no_single_window_shows():
    values = [0.0] * 20 + [2.5] * 10
    assert _forest_findings(values) == []
    assert 20 < _forest_findings(values, gathers=True)[0] < 30


def test_the_lowest_threshold_that_keeps_the_budget_is_chosen():
    chosen = lowest_within(0.1, lambda threshold: 1 / threshold**2)
    assert chosen is not None
    assert 1 / chosen**2 <= 0.1 < 1 / THRESHOLDS[list(THRESHOLDS).index(chosen) - 1] ** 2
    assert lowest_within(0.1, lambda _threshold: 1.0) is None


def test_the_forest_looks_back_only_and_trains_on_nothing_that_was_found():
    pytest.importorskip("sklearn")
    from benchmarks.detection.forest import unusualness

    rng, windows = np.random.default_rng(5), pd.date_range("2026-03-02", periods=24 * 16, freq="h", tz="UTC")
    values = rng.normal(size=(1, len(windows), 3))
    values[0, 200:240] += 8
    everything = np.ones((1, len(windows)), dtype=bool)
    trains = everything.copy()
    trains[0, 200:240] = False
    joint = JointResiduals(("Agent1",), windows, values, everything, trains)
    scores = unusualness(joint)
    changed = values.copy()
    changed[0, 300:] = 10
    changed[0, 200:240] = -10  # seen, but not learned from
    other = unusualness(dataclasses.replace(joint, values=changed))
    known = np.r_[168:200, 240:300]
    np.testing.assert_array_equal(scores[0, known], other[0, known])
    assert np.nanmean(scores[0, 200:240]) > np.nanmean(scores[0, 240:300]) + 2
    assert np.isnan(scores[0, : 24 * 7]).all()
    assert TRAINING_DAYS > 7
