"""A day is one of the team's clock, and its figures weigh every task alike."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.monitoring.daily import STATE_WORDS, day_of_key, findings_of, summarize_day, worst_first
from perf_pipeline.monitoring.incident_times import incidents_in
from perf_pipeline.records import Incident, OptimizationRequest, RequestState
from perf_pipeline.tables import AGENT_METRICS, DAILY_SUMMARY
from tests.builders import START, Row, anomalies, finding_row, frame, metrics_row, request
from tests.incident_builders import incident

DAY = day_of_key("2026-03-02", "UTC")
FIRST, LAST = -20, 27
"""The day's first and last window."""


@pytest.mark.parametrize(
    ("key", "timezone", "start", "hours"),
    [
        ("2026-03-02", "UTC", datetime(2026, 3, 2, tzinfo=UTC), 24),
        ("2026-03-28", "Europe/Berlin", datetime(2026, 3, 27, 23, tzinfo=UTC), 24),
        ("2026-03-29", "Europe/Berlin", datetime(2026, 3, 28, 23, tzinfo=UTC), 23),
        ("2026-10-25", "Europe/Berlin", datetime(2026, 10, 24, 22, tzinfo=UTC), 25),
        ("2026-03-08", "America/New_York", datetime(2026, 3, 8, 5, tzinfo=UTC), 23),
        ("2026-11-01", "America/New_York", datetime(2026, 11, 1, 4, tzinfo=UTC), 25),
        ("2026-09-06", "America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC), 23),
        ("2026-03-02", "Asia/Kathmandu", datetime(2026, 3, 1, 18, 15, tzinfo=UTC), 24),
    ],
)
def test_a_day_lasts_from_midnight_to_midnight_of_the_teams_clock(
    key: str, timezone: str, start: datetime, hours: int
) -> None:
    day = day_of_key(key, timezone)
    assert (day.start, day.end - day.start) == (start, timedelta(hours=hours))
    assert day.end.utcoffset() == timedelta(0)


@settings(deadline=None)
@given(
    st.dates(date(2020, 1, 1), date(2035, 1, 1)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/Santiago", "Africa/Cairo", "Australia/Lord_Howe"]),
)
def test_days_follow_each_other_without_gap_or_overlap(day: date, timezone: str) -> None:
    today, tomorrow = (day_of_key(f"{day + timedelta(days=n)}", timezone) for n in (0, 1))
    assert today.start < today.end == tomorrow.start


def summary(
    rows: list[Row],
    findings: list[Row] | None = None,
    requests: list[OptimizationRequest] | None = None,
    incidents: list[Incident] | None = None,
) -> pd.Series:
    """InboundAgent's day."""
    metrics = frame(AGENT_METRICS, rows)
    of_the_day = findings_of(DAY, anomalies(*(findings or [])))
    there = incidents_in(DAY, incidents or [])
    found = summarize_day(DAY, metrics, of_the_day, there, requests or [], ["InboundAgent"])
    assert DAILY_SUMMARY.problems(found) == []
    return found.iloc[0]


def test_the_score_of_the_day_weighs_every_task_alike() -> None:
    found = summary(
        [
            metrics_row(number=0, tasks=30, successes=30, score=100.0, latency_p95_ms=900.0),
            metrics_row(number=1, tasks=10, successes=0, score=20.0, latency_p95_ms=5000.0, trend="degrading"),
            metrics_row(number=2, tasks=0),
        ]
    )
    assert found["score"] == pytest.approx(80)
    assert (found["tasks"], found["success_rate"]) == (40, 75)
    assert (found["latency_p95_ms"], found["trend"]) == (5000, "degrading")


def test_only_the_windows_and_findings_of_the_day_count() -> None:
    rows = [metrics_row(number=number, tasks=1) for number in (FIRST - 1, FIRST, LAST, LAST + 1)]
    findings = [finding_row(number=number) for number in (FIRST - 1, FIRST, LAST, LAST + 1)]
    found = summary(rows, [*findings, finding_row("AuditAgent")])
    assert (found["tasks"], found["anomalies"]) == (2, 2)


def test_a_finding_that_lasts_counts_once_at_its_worst() -> None:
    lasting: Row = {"opened": START, "onset": START}
    rows = [
        finding_row(number=0, severity="medium", **lasting),
        finding_row(number=1, severity="critical", **lasting),
        finding_row(number=2, severity="critical", state="recovering", **lasting),
        finding_row(number=3, severity="critical", state="resolved", **lasting),
        finding_row(number=5, severity="low"),
    ]
    found = findings_of(DAY, anomalies(*rows))
    assert list(zip(found["severity"], found["details"], strict=True)) == [
        ("critical", "success_drop in window 1"),
        ("low", "success_drop in window 5"),
    ]
    assert summary([metrics_row()], rows)["anomalies"] == 2


def test_a_source_that_is_down_for_hours_is_one_finding_and_what_may_be_chance_is_none() -> None:
    gaps = [finding_row("source:spans", number, "data_gap", opened=None) for number in range(6)]
    found = findings_of(DAY, anomalies(*gaps, finding_row(number=1, state="pending", opened=None)))
    assert list(found["agent"]) == ["source:spans"]


def test_an_agent_that_did_nothing_has_no_figures_and_is_not_left_out() -> None:
    found = summary([metrics_row(tasks=0)])
    assert (found["tasks"], found["trend"]) == (0, "unknown")
    assert math.isnan(found["score"])
    assert math.isnan(found["success_rate"])
    assert math.isnan(found["latency_p95_ms"])


def test_the_cost_of_the_day_is_that_which_is_known() -> None:
    rows = [metrics_row(number=0, cost_usd=0.5), metrics_row(number=1), metrics_row(number=2, cost_usd=0.25)]
    assert summary(rows)["cost_usd"] == 0.75
    assert math.isnan(summary([metrics_row()])["cost_usd"])


def test_incidents_count_on_every_day_that_they_were_there() -> None:
    before, after = DAY.start - timedelta(hours=5), DAY.end
    incidents = [
        incident(id="1", onset=before),
        incident(id="2", onset=before, resolved_at=DAY.start - timedelta(hours=1)),
        incident(id="3", onset=after),
        incident(id="4", agent="AuditAgent", onset=START),
    ]
    assert summary([], incidents=incidents)["incidents"] == 1


def test_the_worst_come_first_and_those_without_a_score_last() -> None:
    found = worst_first(pd.DataFrame({"agent": ["A", "B", "C", "D"], "score": [80.0, math.nan, 20.0, 80.0]}))
    assert list(found["agent"]) == ["C", "A", "D", "B"]


def test_agents_come_in_the_order_of_the_fleet_and_strangers_after_them() -> None:
    metrics = frame(AGENT_METRICS, [metrics_row("Stranger"), metrics_row("B")])
    found = summarize_day(DAY, metrics, anomalies(), [], [], ["A", "B"])
    assert list(found["agent"]) == ["A", "B", "Stranger"]


@pytest.mark.parametrize("state", RequestState)
def test_the_days_optimization_is_told_in_words(state: RequestState) -> None:
    found = summary([], requests=[request(state=state, requested_at=START)])
    assert found["optimization"] == f"BootstrapFewShot ({STATE_WORDS[state]})"
    assert "_" not in found["optimization"]


@pytest.mark.parametrize(
    ("requests", "words"),
    [
        ([request(requested_at=DAY.start - timedelta(hours=1))], None),
        ([request(requested_at=DAY.end)], None),
        ([request("AuditAgent", requested_at=START)], None),
        ([request(state=RequestState.RUNNING, requested_at=DAY.start - timedelta(hours=1))], "running"),
        (
            [
                request(state=RequestState.CANCELLED, requested_at=START),
                request(requested_at=START + timedelta(hours=1)),
            ],
            "finished",
        ),
    ],
    ids=["finished before", "requested later", "of another agent", "still open", "the latest of the day"],
)
def test_the_latest_request_of_the_day_or_one_that_is_still_open_is_shown(
    requests: list[OptimizationRequest], words: str | None
) -> None:
    found = summary([], requests=requests)["optimization"]
    assert (found if pd.notna(found) else None) == (f"BootstrapFewShot ({words})" if words else None)
