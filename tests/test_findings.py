"""What detectors found, as rows that say what changed, since when and how sure that is."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.finding_facts import Facts
from perf_pipeline.monitoring.finding_words import in_words
from perf_pipeline.monitoring.findings import Finding, FindingState, findings_from_states
from perf_pipeline.tables import DETECTOR_STATES
from tests.builders import LENGTH, START, Row, shipped_fleet, window

FLEET = shipped_fleet()
VERDICTS = DETECTOR_STATES.view(*(name for name in DETECTOR_STATES.columns if name not in ("layout", "memory")))


def state(number: int = 0, phase: str = "open", finding: str = "success_drop", **columns: Any) -> Row:
    """A row of `detector_states` without its memory: half of 10 tasks fail, and 9 of 10 were expected to succeed."""
    metric = {
        "success_drop": "success_rate",
        "score_drop": "score",
        "traffic_drop": "tasks",
        "error_spike": "errors_per_task",
    }
    quiet = phase == "quiet"
    return {
        "window_start": window(number).start,
        "agent": "InboundAgent",
        "metric": metric[finding],
        "finding": finding,
        "value": 50.0,
        "expected": 90.0,
        "evidence_nats": 10.0,
        "phase": phase,
        "event": "nothing",
        "onset": None if quiet else START,
        "opened": None if quiet or phase == "pending" else START,
        "effect": math.nan if quiet else 40.0,
        "effect_low": math.nan if quiet else 20.0,
        "effect_high": math.nan if quiet else 60.0,
        "severity": None if quiet else "high",
        "tasks": 10,
    } | columns


def findings(*rows: Row, numbers: list[int] | None = None) -> list[Finding]:
    states = VERDICTS.conform(pd.DataFrame(list(rows), columns=VERDICTS.columns))
    told = [window(number).start for number in (range(20) if numbers is None else numbers)]
    return findings_from_states(states, told, FLEET)


def test_quiet_detectors_find_nothing() -> None:
    assert findings(state(phase="quiet")) == []


def test_a_finding_sums_up_the_windows_since_its_onset() -> None:
    before = state(0, "quiet", value=90.0, tasks=1000)
    bad = [
        state(number, onset=window(1).start, opened=window(2).start, value=value, tasks=tasks)
        for number, value, tasks in ((1, 50.0, 10), (2, 25.0, 20))
    ]
    idle = state(3, onset=window(1).start, opened=window(2).start, value=math.nan, tasks=0)
    (found,) = findings(before, *bad, idle, numbers=[3])
    assert (found.type, found.state, found.severity) == ("success_drop", FindingState.OPEN, Severity.HIGH)
    assert (found.onset, found.opened) == (window(1).start, window(2).start)
    assert (found.tasks, found.observed, found.baseline) == (30, pytest.approx(100 / 3), pytest.approx(90))
    assert found.details == (
        "Success rate fell from 90% to 33% since 10:30 UTC "
        "(10 of 30 tasks; 95% interval of the loss 20 to 60 points; evidence 1 : 22,000)"
    )


def test_what_may_be_chance_is_pending_and_says_so() -> None:
    (found,) = findings(state(phase="pending", severity="low"))
    assert (found.state, found.opened) == (FindingState.PENDING, None)
    assert found.details.startswith("Success rate may have fallen from 90% to 50% since 10:00 UTC (5 of 10 tasks;")
    assert "; not certain yet; " in found.details


def test_while_it_recovers_a_finding_says_what_had_been_wrong() -> None:
    good = state(1, "recovering", value=100.0, effect=-3.0, effect_low=0.0, effect_high=2.0)
    (found,) = findings(state(0), good, numbers=[1])
    assert (found.state, found.effect, found.observed) == (FindingState.RECOVERING, 40.0, 50.0)
    assert found.details.startswith("Success rate fell from 90% to 50% since 10:00 UTC (5 of 10 tasks;")
    assert found.details.endswith("; it is recovering")


@pytest.mark.parametrize(
    ("event", "ending"),
    [
        ("resolved", "; back to normal by 11:00 UTC"),
        ("new_normal", "; it has lasted so long that it is the baseline from now on"),
    ],
)
def test_what_is_over_is_told_once_with_how_it_ended(event: str, ending: str) -> None:
    over = state(1, "quiet", event=event, severity="critical", opened=START, onset=START)
    (found,) = findings(state(0), over, state(2, "quiet"), numbers=[1, 2])
    assert (found.state, found.severity, found.opened) == (FindingState.RESOLVED, Severity.CRITICAL, START)
    assert found.details.startswith("Success rate had fallen from 90% to 50% since 10:00 UTC")
    assert found.details.endswith(ending)


@pytest.mark.parametrize(("phase", "told"), [("open", []), ("pending", []), ("quiet", ["score_drop"])])
def test_a_score_is_told_only_where_nothing_explains_it(phase: str, told: list[str]) -> None:
    found = findings(state(finding="score_drop"), state(finding="error_spike", phase=phase))
    assert [one.type for one in found if one.type == "score_drop"] == told
    elsewhere = state(finding="error_spike", agent="AuditAgent")
    assert {one.agent for one in findings(state(finding="score_drop"), elsewhere)} == {"InboundAgent", "AuditAgent"}


@pytest.mark.parametrize(
    ("arrived", "effect", "type", "severity"),
    [(0, 25.0, "silence", "critical"), (0, 12.0, "traffic_drop", "high"), (1, 25.0, "traffic_drop", "critical")],
    ids=["nothing, and much was expected", "nothing, and little was expected", "something"],
)
def test_silence_is_that_nothing_at_all_arrived_where_much_was_expected(
    arrived: int, effect: float, type: str, severity: str
) -> None:
    row = state(
        finding="traffic_drop", value=float(arrived), tasks=arrived, expected=12.0, effect=effect, severity=severity
    )
    (found,) = findings(row)
    assert (found.type, found.severity) == (type, severity)


def test_an_ignored_agent_gives_no_finding() -> None:
    assert findings(state(agent="Stranger"))
    fleet = FLEET.model_copy(update={"ignored_agents": ("Stranger",)})
    states = VERDICTS.conform(pd.DataFrame([state(agent="Stranger")], columns=VERDICTS.columns))
    assert findings_from_states(states, [START], fleet) == []


FACTS = Facts(START, START, 50.0, 90.0, 5.0, 9.0, 10, 40.0, 20.0, 60.0, 10.0)


def words(type: str, state: str = "open", later: timedelta = timedelta(0), **changes: Any) -> str:
    return in_words(type, state, replace(FACTS, **changes), LENGTH, START + later)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            words(
                "error_spike", observed=0.85, baseline=0.1, total=35, tasks=41, effect=8.5, effect_low=6, effect_high=12
            ),
            "Errors rose from 0.10 to 0.85 a task since 10:00 UTC "
            "(35 in 41 tasks, 8.5 times the usual; 95% interval 6.0 to 12 times; evidence 1 : 22,000)",
        ),
        (
            words("log_error_spike", observed=2.0, baseline=0.0, total=20, effect=12.0, effect_low=4, effect_high=30),
            "Error lines in the logs rose from 0 to 2.0 a task since 10:00 UTC "
            "(20 in 10 tasks, 12 times the usual; 95% interval 4.0 to 30 times; evidence 1 : 22,000)",
        ),
        (
            words("latency_increase", observed=2500, baseline=80, effect=2.5, effect_low=2, effect_high=3),
            "Typical latency rose from 80 ms to 2.5 s since 10:00 UTC "
            "(10 tasks, 2.5 times the usual; 95% interval 2.0 to 3.0 times; evidence 1 : 22,000)",
        ),
        (
            words("cost_spike", observed=0.0123456, baseline=0.004, effect=3.0, effect_low=2, effect_high=4, tasks=1),
            "Cost rose from $0.0040 to $0.012 a task since 10:00 UTC "
            "(1 task, 3.0 times the usual; 95% interval 2.0 to 4.0 times; evidence 1 : 22,000)",
        ),
        (
            words("token_spike", observed=12345.6, baseline=4000, effect=3.0, effect_low=2, effect_high=4),
            "Tokens rose from 4,000 to 12,346 a task since 10:00 UTC "
            "(10 tasks, 3.0 times the usual; 95% interval 2.0 to 4.0 times; evidence 1 : 22,000)",
        ),
        (
            words("silence", total=0, expected_total=34),
            "No task arrived since 10:00 UTC, where about 34 were expected (evidence 1 : 22,000)",
        ),
        (
            words("traffic_drop", total=4, expected_total=19, effect=4.3, effect_low=1.2, effect_high=11),
            "Only 4 tasks arrived since 10:00 UTC, where about 19 were expected "
            "(4.3 times fewer; 95% interval 1.2 to 11 times; evidence 1 : 22,000)",
        ),
        (
            words("traffic_surge", total=200, expected_total=48, effect=4.1, effect_low=3, effect_high=6),
            "200 tasks arrived since 10:00 UTC, where about 48 were expected "
            "(4.1 times as many; 95% interval 3.0 to 6.0 times; evidence 1 : 22,000)",
        ),
        (
            words("score_drop", evidence_nats=60.0),
            "Score fell from 90 to 50 since 10:00 UTC "
            "(10 tasks; 95% interval of the loss 20 to 60 points; evidence beyond 1 : 1,000,000,000)",
        ),
        (
            words("success_drop", evidence_nats=1.0, effect_low=math.nan),
            "Success rate fell from 90% to 50% since 10:00 UTC (5 of 10 tasks)",
        ),
    ],
)
def test_each_type_has_a_sentence_that_people_read(told: str, expected: str) -> None:
    assert told == expected


def test_what_began_on_another_day_is_told_with_its_date() -> None:
    assert "since 2026-03-02 10:00 UTC" in words("success_drop", later=timedelta(hours=14))
    assert "since 10:00 UTC" in words("success_drop", later=timedelta(hours=13))
