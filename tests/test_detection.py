"""A finding needs a small p-value and a large effect, in a window that was read completely."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.detection import (
    error_spike,
    find_anomalies,
    find_data_gaps,
    latency_increase,
    success_drop,
)
from perf_pipeline.records import SourceStatus
from perf_pipeline.tables import AGENT_METRICS
from tests.builders import Row, frame, health, metrics_row, shipped_fleet, window

FLEET = shipped_fleet()
POLICY = FLEET.detection
NO_HISTORY: Row = {
    "baseline_tasks": 0,
    "baseline_log_mean": math.nan,
    "baseline_log_sd": math.nan,
}


def row(**columns: object) -> pd.Series:
    return pd.Series(metrics_row(**columns))  # pyright: ignore[reportArgumentType]


def drop_of(tasks: int, successes: int, baseline: float = 85, **columns: object) -> str | None:
    finding = success_drop(
        row(tasks=tasks, successes=successes, baseline_success_rate=float(baseline), **columns), POLICY
    )
    return str(finding.severity) if finding else None


def spike_of(tasks: int, errors: int, baseline: float = 0.1, **columns: object) -> str | None:
    finding = error_spike(row(tasks=tasks, errors=errors, baseline_errors_per_task=float(baseline), **columns), POLICY)
    return str(finding.severity) if finding else None


def slowdown_of(tasks: int, ratio: float, deviation: float = 0.3, **columns: object) -> str | None:
    finding = latency_increase(row(tasks=tasks, latency_ms=1000 * ratio, baseline_log_sd=deviation, **columns), POLICY)
    return str(finding.severity) if finding else None


def test_the_seeds_example_is_a_critical_drop_in_their_words() -> None:
    finding = success_drop(row(tasks=10, successes=0), POLICY)
    assert finding is not None
    assert (finding.type, finding.severity, finding.agent) == ("success_drop", Severity.CRITICAL, "InboundAgent")
    assert (finding.observed, finding.baseline, finding.effect) == (0, 85, 85)
    assert finding.p_value == pytest.approx(0.15**10)
    assert finding.details == "Success rate dropped from 85% to 0% (0 of 10 tasks)"
    assert finding.window_start == window(0).start


@pytest.mark.parametrize(
    ("tasks", "successes", "severity"),
    [
        (1, 0, None),
        (2, 0, None),
        (4, 0, None),
        (5, 0, "critical"),
        (40, 34, None),
        (10_000, 7_710, None),
        (400, 308, "low"),
        (200, 146, "medium"),
        (60, 36, "high"),
        (20, 7, "critical"),
        (20, 20, None),
    ],
)
def test_a_drop_from_85_percent_is_as_severe_as_points_are_lost(
    tasks: int, successes: int, severity: str | None
) -> None:
    assert drop_of(tasks, successes) == severity


def test_success_at_or_under_a_fifth_is_critical_however_small_the_drop() -> None:
    assert drop_of(100, 20, baseline=44) == "critical"
    assert drop_of(100, 21, baseline=45) == "medium"


@pytest.mark.parametrize(("failures", "severity"), [(0, None), (1, None), (2, None), (3, "high")])
def test_a_single_failure_after_a_perfect_history_is_rare_and_not_impossible(
    failures: int, severity: str | None
) -> None:
    assert drop_of(10, 10 - failures, baseline=100) == severity


def test_an_agent_without_history_is_held_to_the_assumed_rate() -> None:
    assert drop_of(5, 0, **NO_HISTORY) == "critical"
    assert drop_of(4, 0, **NO_HISTORY) is None
    assert drop_of(10, 8, **NO_HISTORY) is None
    assert drop_of(4, 3, baseline=100, **NO_HISTORY) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.data())
def test_fewer_successes_are_never_less_severe(tasks: int, data: st.DataObject) -> None:
    worse, better = sorted((data.draw(st.integers(0, tasks)), data.draw(st.integers(0, tasks))))
    ranks = [Severity(found).rank if (found := drop_of(tasks, n)) else -1 for n in (worse, better)]
    assert ranks[0] >= ranks[1]


@pytest.mark.parametrize("tasks", [1, 2, 5, 17, 60])
@pytest.mark.parametrize("baseline", [60, 85, 99])
def test_chance_alone_makes_a_drop_as_seldom_as_its_p_value_says(tasks: int, baseline: int) -> None:
    found = [n for n in range(tasks + 1) if drop_of(tasks, n, baseline)]
    assert sum(stats.binom.pmf(n, tasks, baseline / 100) for n in found) <= POLICY.success_drop.p_value


@pytest.mark.parametrize(
    ("tasks", "errors", "severity"),
    [
        (1, 1, None),
        (2, 2, None),
        (20, 0, None),
        (20, 4, None),
        (10_000, 1_990, None),
        (100, 22, None),
        (200, 44, "low"),
        (200, 60, "medium"),
        (20, 12, "high"),
        (20, 40, "critical"),
    ],
)
def test_a_spike_above_a_tenth_of_an_error_a_task_is_as_severe_as_its_ratio(
    tasks: int, errors: int, severity: str | None
) -> None:
    assert spike_of(tasks, errors) == severity


def test_after_a_history_without_errors_a_few_are_no_spike_and_many_are_one() -> None:
    assert spike_of(20, 1, baseline=0) is None
    assert spike_of(20, 4, baseline=0) is None
    assert spike_of(20, 7, baseline=0) == "high"
    assert spike_of(20, 20, baseline=0) == "critical"


def test_a_few_errors_of_an_agent_without_history_are_no_spike() -> None:
    assert spike_of(10, 5, baseline=0.15, **NO_HISTORY) is None


@pytest.mark.parametrize("tasks", [1, 5, 40])
@pytest.mark.parametrize("baseline", [0.02, 0.5, 3])
def test_chance_alone_makes_a_spike_as_seldom_as_its_p_value_says(tasks: int, baseline: float) -> None:
    missed = [n for n in range(10 * int(baseline * tasks + 10)) if spike_of(tasks, n, baseline) is None]
    assert 1 - sum(stats.poisson.pmf(n, baseline * tasks) for n in missed) <= POLICY.error_spike.p_value


@pytest.mark.parametrize(
    ("tasks", "ratio", "severity"),
    [
        (1, 2, None),
        (2, 2, None),
        (10_000, 1.19, None),
        (20, 1.25, None),
        (100, 1.25, "low"),
        (20, 1.5, "medium"),
        (20, 2.2, "high"),
        (20, 3.5, "critical"),
        (20, 0.2, None),
    ],
)
def test_a_slowdown_is_as_severe_as_its_ratio(tasks: int, ratio: float, severity: str | None) -> None:
    assert slowdown_of(tasks, ratio) == severity


def test_an_agent_that_never_varied_is_not_certain_of_small_changes() -> None:
    assert slowdown_of(1, 1.4, deviation=0) is None
    assert slowdown_of(10, 1.4, deviation=0) == "medium"


def test_without_a_latency_on_both_sides_there_is_no_slowdown() -> None:
    assert slowdown_of(50, 9, deviation=math.nan) is None
    assert slowdown_of(50, 9, baseline_log_mean=math.nan) is None
    assert slowdown_of(50, 9, latency_log_mean=math.nan) is None


def test_a_slowdown_is_told_in_units_that_people_read() -> None:
    slow = latency_increase(row(latency_ms=2500), POLICY)
    fast = latency_increase(row(latency_ms=250, baseline_log_mean=math.log(80)), POLICY)
    assert slow is not None
    assert fast is not None
    assert slow.details == "Typical latency rose from 1.0 s to 2.5 s (2.5 times)"
    assert fast.details == "Typical latency rose from 80 ms to 250 ms (3.1 times)"
    assert (slow.observed, slow.baseline, slow.effect) == pytest.approx((2500, 1000, 2.5))


def found_in(*rows: Row) -> list[tuple[str, str]]:
    return [(finding.agent, finding.type) for finding in find_anomalies(frame(AGENT_METRICS, rows), FLEET)]


def test_every_detector_looks_at_every_row() -> None:
    bad: Row = {"tasks": 20, "successes": 0, "errors": 40, "latency_ms": 9000}
    kinds = ["success_drop", "error_spike", "latency_increase"]
    assert found_in(metrics_row("AuditAgent", **bad), metrics_row("InboundAgent"), metrics_row("Stranger", **bad)) == [
        (agent, kind) for agent in ("AuditAgent", "Stranger") for kind in kinds
    ]


def test_windows_that_are_incomplete_or_idle_give_no_finding() -> None:
    bad: Row = {"successes": 0, "errors": 40, "latency_ms": 9000}
    assert found_in(metrics_row(complete=False, **bad), metrics_row(tasks=0)) == []


def test_an_ignored_agent_gives_no_finding() -> None:
    fleet = FLEET.model_copy(update={"ignored_agents": ("Stranger",)})
    metrics = frame(AGENT_METRICS, [metrics_row("Stranger", successes=0)])
    assert find_anomalies(metrics, fleet) == []
    assert len(find_anomalies(metrics, FLEET)) == 1


@pytest.mark.parametrize(
    ("source", "status", "severity", "meaning"),
    [
        ("spans", SourceStatus.UNAVAILABLE, Severity.HIGH, "no agent is judged on it"),
        ("spans", SourceStatus.PARTIAL, Severity.MEDIUM, "no agent is judged on it"),
        ("logs", SourceStatus.UNAVAILABLE, Severity.MEDIUM, "what they would add is missing"),
        ("tasks", SourceStatus.PARTIAL, Severity.MEDIUM, "what they would add is missing"),
    ],
)
def test_a_source_that_did_not_answer_completely_is_a_data_gap(
    source: str, status: SourceStatus, severity: Severity, meaning: str
) -> None:
    reason = "Phoenix did not answer."
    (gap,) = find_data_gaps([health(source, 3, status, reason), health("changes", 3)])
    assert (gap.agent, gap.type, gap.severity) == (f"source:{source}", "data_gap", severity)
    assert gap.window_start == window(3).start
    assert gap.details == f"The {source} of this window are {status}; {meaning}"
    assert gap.reason == reason
