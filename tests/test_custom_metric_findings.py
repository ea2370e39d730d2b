"""A metric of fleet.yaml is watched like a built-in one: with a baseline, a memory, findings and words of its own."""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.fleet import FleetConfig, Severity
from perf_pipeline.fleet_metrics import MetricConfig
from perf_pipeline.monitoring.custom_metrics import with_custom_metrics
from perf_pipeline.monitoring.detector_states import detector_states, replay_states
from perf_pipeline.monitoring.detectors.fleet_memory import FleetMemory, restored, stored
from perf_pipeline.monitoring.detectors.judgement import CUSTOM, CUSTOM_TASKS
from perf_pipeline.monitoring.detectors.registry import detectors, evidence_bar
from perf_pipeline.monitoring.findings import Finding, FindingState, findings_from_states
from perf_pipeline.monitoring.root_cause import NO_CHANGE_KNOWN, explain
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.tables import AGENT_TASKS, CUSTOM_METRICS
from tests.builders import LENGTH, START, changes, frame, metrics_row, shipped_fleet, task, window
from tests.metric_tables import metrics
from tests.test_detectors_memory import assert_same

RATING = MetricConfig(name="user_rating", annotation="user_feedback", unit="points", better="higher")
TOKENS = MetricConfig(name="answer_length", sql="avg(completion_tokens)", unit="tokens", better="lower")
ESCALATED = MetricConfig(name="escalated", sql="avg(llm_calls)", unit="%", better="lower", agents=("AuditAgent",))
LAST = 60


def fleet_with(*known: MetricConfig) -> FleetConfig:
    return shipped_fleet().model_copy(update={"metrics": known})


def bare_table(windows: int = LAST, agents: tuple[str, ...] = ("InboundAgent", "AuditAgent")) -> pd.DataFrame:
    noise = np.random.default_rng(3)
    return metrics(
        *(
            metrics_row(agent, number, tasks=12, successes=int(noise.binomial(12, 0.9)))
            for number in range(windows)
            for agent in agents
        )
    )


def with_values(
    table: pd.DataFrame, metric: MetricConfig, level: float, changed: float, since: int, noise: float
) -> pd.DataFrame:
    """Values of the metric around a level, from window `since` on around another one."""
    rng = np.random.default_rng(5)
    late = table["window_start"] >= window(since).start
    values = np.where(late, changed, level) + rng.normal(0, noise, len(table))
    return table.assign(**{f"{CUSTOM}{metric.name}": values, f"{CUSTOM_TASKS}{metric.name}": 12.0})


def found(table: pd.DataFrame, *known: MetricConfig, last: int = LAST - 1) -> list[Finding]:
    fleet = fleet_with(*known)
    states = detector_states(table, None, fleet, window(last - 12).start)
    return findings_from_states(states, [window(last).start], fleet)


@pytest.mark.parametrize(
    ("metric", "level", "changed", "noise", "words"),
    [
        (
            RATING,
            0.82,
            0.41,
            0.05,
            r"user_rating fell from 0\.\d\d to 0\.4\d points since 13:00 UTC \(72 tasks; 95% interval of the chan",
        ),
        (
            TOKENS,
            400,
            900,
            20,
            r"answer_length rose from \d{3} to 9\d\d tokens since 13:00 UTC \(72 tasks, 2\.\d times the usual; 95% int",
        ),
        (
            ESCALATED.model_copy(update={"agents": ()}),
            3,
            40,
            1.5,
            r"escalated rose from \d\.\d% to 4\d% since 13:00 UTC \(72 tasks; 95% interval of the change \d\d% to",
        ),
    ],
    ids=["annotation", "ratio", "percent"],
)
def test_a_change_for_the_worse_is_found_and_told_in_its_unit(
    metric: MetricConfig, level: float, changed: float, noise: float, words: str
) -> None:
    table = with_values(bare_table(agents=("InboundAgent",)), metric, level, changed, LAST - 6, noise)
    (finding,) = found(table, metric)
    assert (finding.type, finding.metric, finding.state) == (metric.name, metric.name, FindingState.OPEN)
    assert finding.severity.rank >= Severity.MEDIUM.rank
    assert re.match(words, finding.details), finding.details
    assert "nan" not in finding.details
    assert finding.observed == pytest.approx(changed, rel=0.1)
    assert finding.effect_low <= finding.effect <= finding.effect_high


@pytest.mark.parametrize(
    ("metric", "level", "changed", "noise"),
    [(RATING, 0.41, 0.82, 0.05), (TOKENS, 900, 400, 20), (RATING, 0.8, 0.8, 0.05), (TOKENS, 400, 440, 20)],
    ids=["better", "shorter", "the same", "not enough to matter"],
)
def test_what_is_better_or_too_small_is_no_finding(
    metric: MetricConfig, level: float, changed: float, noise: float
) -> None:
    assert found(with_values(bare_table(), metric, level, changed, LAST - 8, noise), metric) == []


def test_what_is_not_watched_alarms_nobody() -> None:
    table = with_values(bare_table(), RATING, 0.8, 0.2, LAST - 6, 0.05)
    assert found(table, RATING.model_copy(update={"watched": False})) == []


def test_a_metric_of_some_agents_has_verdicts_on_these_only() -> None:
    states = detector_states(bare_table(), None, fleet_with(RATING, ESCALATED), window(LAST - 1).start)
    assert set(states[states["finding"] == "escalated"]["agent"]) == {"AuditAgent"}
    assert set(states[states["finding"] == "user_rating"]["agent"]) == {"AuditAgent", "InboundAgent"}


def test_where_there_is_no_value_nothing_is_said() -> None:
    table = with_values(bare_table(), RATING, 0.8, math.nan, LAST - 6, 0.05)
    states = detector_states(table, None, fleet_with(RATING), window(LAST - 1).start)
    own = states[states["finding"] == "user_rating"]
    assert own["value"].isna().all()
    assert (own["phase"] == "quiet").all()
    assert own["expected"].tolist() == pytest.approx([0.8, 0.8], abs=0.03)


def test_a_fleet_without_metrics_is_watched_as_if_there_could_be_none() -> None:
    policy = shipped_fleet().detection
    assert [one.finding for one in detectors(policy, LENGTH, ())] == [one.finding for one in detectors(policy, LENGTH)]
    assert {one.definition for one in detectors(policy, LENGTH)} == {""}


def test_each_watched_metric_raises_the_bar_by_its_share_of_the_false_alarms() -> None:
    policy = shipped_fleet().detection
    built_in = detectors(policy, LENGTH)
    every = detectors(policy, LENGTH, [RATING, TOKENS, ESCALATED.model_copy(update={"watched": False})])
    assert len(every) == len(built_in) + 2
    assert {one.bar.evidence for one in every} == {evidence_bar(policy, LENGTH, len(every))}
    assert every[0].bar.evidence - built_in[0].bar.evidence == pytest.approx(math.log(len(every) / len(built_in)))


FIGURES = ["value", "expected", "low", "high", "evidence_nats"]


def test_a_metric_that_is_added_changes_nothing_of_the_other_detectors_but_the_bar() -> None:
    table = with_values(bare_table(), RATING, 0.8, 0.2, LAST - 6, 0.05)
    built_in = detectors(shipped_fleet().detection, LENGTH)
    first = window(LAST - 10).start

    def others(*known: MetricConfig, alarms: float) -> pd.DataFrame:
        fleet = fleet_with(*known)
        policy = fleet.detection.model_copy(update={"false_alarms_per_agent_week": alarms})
        states = detector_states(table, None, fleet.model_copy(update={"detection": policy}), first)
        return states[states["finding"].isin([one.finding for one in built_in])].reset_index(drop=True)

    # The allowance of false alarms grows with the number of detectors, so that the bar stays where it was.
    alone = others(alarms=0.3)
    beside = others(RATING, alarms=0.3 * (len(built_in) + 1) / len(built_in))
    pd.testing.assert_frame_equal(alone.drop(columns="memory"), beside.drop(columns="memory"))
    assert len(alone) == 2 * 10 * len(built_in)


EVENTFUL = fleet_with(RATING, TOKENS, ESCALATED)


@cache
def eventful() -> pd.DataFrame:
    table = with_values(bare_table(), RATING, 0.8, 0.3, 40, 0.05)
    table = with_values(table, TOKENS, 400, 300, 30, 60)
    table = with_values(table, ESCALATED, 10, 60, 44, 4)
    gone = np.random.default_rng(11).random(len(table)) < 0.1
    return table.assign(**{f"{CUSTOM}user_rating": table[f"{CUSTOM}user_rating"].where(~gone)})


@cache
def whole() -> FleetMemory:
    return replay_states(eventful(), None, EVENTFUL)


def taken_up_again(memory: FleetMemory, fleet: FleetConfig) -> FleetMemory:
    every = detectors(fleet.detection, LENGTH, fleet.metrics)
    back = restored(stored(memory, every), every)
    assert back is not None
    return back


@settings(max_examples=3, deadline=None)
@given(st.sets(st.integers(1, LAST - 1), min_size=1, max_size=3))
def test_a_replay_with_metrics_that_is_cut_anywhere_and_taken_up_equals_the_whole(cuts: set[int]) -> None:
    table, memory = eventful(), None
    for since, until in zip([0, *sorted(cuts)], [*sorted(cuts), LAST], strict=True):
        within = (table["window_start"] >= window(since).start) & (table["window_start"] < window(until).start)
        memory = replay_states(table[within], memory, EVENTFUL)
        memory = taken_up_again(memory, EVENTFUL)
    assert memory is not None
    assert_same(memory, whole())


def memory_rows(fleet: FleetConfig) -> pd.DataFrame:
    """What is stored at the end of `eventful` under another fleet file."""
    states = detector_states(eventful(), None, fleet, window(LAST - 1).start)
    return states[["agent", "finding", "layout", "memory"]]


def windows_learnt(memory: FleetMemory | None, fleet: FleetConfig) -> dict[str, float]:
    assert memory is not None
    every = detectors(fleet.detection, LENGTH, fleet.metrics)
    return {one.finding: float(memory.records["windows"][place].max()) for place, one in enumerate(every)}


def test_a_metric_that_is_added_begins_to_learn_and_the_others_keep_what_they_know() -> None:
    before, after = fleet_with(TOKENS), fleet_with(RATING, TOKENS)
    rows = memory_rows(before)
    every = detectors(after.detection, LENGTH, after.metrics)
    learnt = windows_learnt(restored(rows, every), after)
    assert learnt.pop("user_rating") == 0
    known = windows_learnt(restored(rows, detectors(before.detection, LENGTH, before.metrics)), before)
    assert learnt == known
    assert known["answer_length"] > 40


def test_a_metric_that_is_taken_out_leaves_no_trace_and_one_that_is_redefined_begins_anew() -> None:
    before = fleet_with(RATING, TOKENS)
    for after, kept in (
        (fleet_with(TOKENS), {"answer_length"}),
        (fleet_with(RATING, TOKENS.model_copy(update={"sql": "max(completion_tokens)"})), {"user_rating"}),
        (fleet_with(RATING, TOKENS.model_copy(update={"objective": 300.0})), {"user_rating", "answer_length"}),
    ):
        every = detectors(after.detection, LENGTH, after.metrics)
        learnt = windows_learnt(restored(memory_rows(before), every), after)
        assert {name for name in ("user_rating", "answer_length") if learnt.get(name)} == kept
        assert learnt["success_drop"] > 40


def test_an_agent_that_a_metric_is_extended_to_begins_to_learn() -> None:
    before = fleet_with(ESCALATED)
    after = fleet_with(ESCALATED.model_copy(update={"agents": ()}))
    every = detectors(after.detection, LENGTH, after.metrics)
    memory = restored(memory_rows(before), every)
    assert memory is not None
    own = memory.records["windows"][[one.finding for one in every].index("escalated")]
    assert own[memory.agents.index("InboundAgent")] == 0
    assert own[memory.agents.index("AuditAgent")] > 20


def test_the_cause_of_a_metric_is_not_read_off_failing_tasks() -> None:
    finding = Finding(START, "InboundAgent", "user_rating", FindingState.OPEN, Severity.HIGH, "", onset=START)
    failing = frame(AGENT_TASKS, [task(at=60, ok=False, error_type="TimeoutError")])
    time = Window(START, START + LENGTH)
    assert explain(finding, failing, changes(), time, START + LENGTH).root_cause == NO_CHANGE_KNOWN


def test_a_scored_metric_explains_a_score_and_another_one_does_not() -> None:
    table = with_values(bare_table(agents=("InboundAgent",)), RATING, 0.8, 0.2, LAST - 6, 0.05)
    late = table["window_start"] >= window(LAST - 6).start
    table = table.assign(score=np.where(late, 50.0, 90.0) + np.random.default_rng(2).normal(0, 1, len(table)))
    scored = RATING.model_copy(update={"weight": 50.0, "objective": 0.8})
    assert {one.type for one in found(table, scored)} == {"user_rating"}
    assert {one.type for one in found(table, RATING)} == {"user_rating", "score_drop"}


def test_values_of_windows_find_their_rows_by_window_and_agent() -> None:
    rows: list[dict[str, Any]] = [
        {
            "window_start": window(number).start,
            "agent": agent,
            "metric": "user_rating",
            "value": number + place / 10,
            "unit": "points",
            "tasks": 3,
            "definition": RATING.definition,
            "error": None,
        }
        for number in range(3)
        for place, agent in enumerate(("InboundAgent", "AuditAgent"))
    ]
    table = bare_table(4)
    joined = with_custom_metrics(table.sample(frac=1, random_state=1), frame(CUSTOM_METRICS, rows), [RATING])
    ordered = joined.sort_values(["window_start", "agent"], ascending=[True, False])
    assert ordered[f"{CUSTOM}user_rating"].dropna().tolist() == [0, 0.1, 1, 1.1, 2, 2.1]
