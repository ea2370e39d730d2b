"""What the summaries rest on: completeness, times of incidents, scores in parts, optimizations, what needs a human."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.monitoring.completeness import completeness, of_spans
from perf_pipeline.monitoring.incident_times import incidents_in, time_in_incident, time_of
from perf_pipeline.monitoring.score_series import scores_in_parts
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.notifications.attention import Attention, in_force, unacknowledged, waiting_approvals
from perf_pipeline.optimization.standing import budget_at_end, latest_requests, standing_of
from perf_pipeline.records import (
    AlertThread,
    ApprovalRecord,
    ApprovalState,
    IncidentState,
    RequestState,
    RunOutcome,
    Silence,
    SourceStatus,
    ToldIncident,
)
from perf_pipeline.tables import AGENT_METRICS
from tests.builders import LENGTH, START, frame, health, metrics_row, request, shipped_fleet, window
from tests.incident_builders import incident
from tests.run_builders import a_run

HOUR = timedelta(hours=1)
SPAN = Window(START, START + 8 * LENGTH)
WINDOWS = [window(number) for number in range(8)]


def test_a_source_is_complete_where_every_window_was_read() -> None:
    [spans] = completeness([health(number=number) for number in range(8)], WINDOWS)
    assert (spans.source, spans.missing, spans.complete_percent) == ("spans", 0, 100)


def test_windows_that_were_not_read_are_counted_by_how_they_were_missed() -> None:
    readings = [
        *(health(number=number) for number in (0, 1, 6)),
        health(number=2, status=SourceStatus.UNAVAILABLE, reason="down"),
        health(number=3, status=SourceStatus.UNAVAILABLE, reason="down"),
        health(number=4, status=SourceStatus.PARTIAL, reason="cut"),
        health("logs", 0),
        health(number=8, status=SourceStatus.UNAVAILABLE, reason="of another day"),
    ]
    spans, logs = completeness(readings, WINDOWS)
    assert (spans.unavailable, spans.partial, spans.unread, spans.missing) == (2, 1, 2, 5)
    assert (spans.start, spans.end, spans.together) == (window(2).start, window(7).end, False)
    assert (spans.reason, spans.complete_percent) == ("down", 37.5)
    assert (logs.source, logs.unread, logs.together, logs.reason) == ("logs", 7, True, "")


def test_spans_that_were_never_read_are_not_passed_over() -> None:
    assert of_spans(completeness([health("logs", number) for number in range(8)], WINDOWS)).unread == 8


@pytest.mark.parametrize(
    ("onset", "resolved", "there"),
    [(-5, -1, False), (-5, 0, True), (2, 4, True), (7, None, True), (8, None, False), (-5, None, True)],
)
def test_an_incident_belongs_to_every_span_that_it_touched(onset: int, resolved: int | None, there: bool) -> None:
    state = IncidentState.OPEN if resolved is None else IncidentState.RESOLVED
    end = None if resolved is None else window(resolved).start
    one = incident(onset=window(onset).start, resolved_at=end, state=state)
    assert incidents_in(SPAN, [one]) == [one] * there


def test_an_incident_takes_a_window_at_least_and_goes_on_until_now() -> None:
    over = incident(onset=START, resolved_at=START, state=IncidentState.RESOLVED)
    assert time_of(over, LENGTH, START + HOUR) == Window(START, START + LENGTH)
    assert time_of(incident(onset=START), LENGTH, START + 3 * HOUR) == Window(START, START + 3 * HOUR)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-10, 20), st.integers(1, 10)), max_size=6))
def test_the_time_in_incident_is_that_of_the_windows_with_one(times: list[tuple[int, int]]) -> None:
    incidents = [
        incident(onset=window(at).start, resolved_at=window(at + length).start, state=IncidentState.RESOLVED)
        for at, length in times
    ]
    covered = {number for at, length in times for number in range(at, at + length)} & set(range(8))
    assert time_in_incident(incidents, SPAN, LENGTH, SPAN.end) == len(covered) * LENGTH


def test_the_parts_of_a_day_hold_the_mean_of_their_tasks() -> None:
    rows = [
        metrics_row(number=0, tasks=30, score=100.0),
        metrics_row(number=1, tasks=10, score=20.0),
        metrics_row(number=2, tasks=0),
        metrics_row(number=7, tasks=1, score=50.0),
        metrics_row(number=8, tasks=1, score=1.0),
        metrics_row("Idle", 1, tasks=0),
    ]
    found = scores_in_parts(frame(AGENT_METRICS, rows), SPAN, 4)
    assert list(found) == ["InboundAgent"]
    assert found["InboundAgent"][0] == 80
    assert found["InboundAgent"][3] == 50
    assert all(math.isnan(score) for score in found["InboundAgent"][1:3])


def test_a_day_without_scores_has_no_parts() -> None:
    assert scores_in_parts(AGENT_METRICS.empty(), SPAN, 4) == {}


def test_a_prediction_is_that_of_the_agents_policy_for_the_same_optimizer() -> None:
    fleet = shipped_fleet()
    run = a_run(request().id, outcome=RunOutcome.PROMOTED, baseline_score=40.0, gain_points=5.0)
    known = standing_of(request(), fleet, {request().id: run})
    assert (known.predicted, known.gain, known.outcome) == ((10, 25), 12.5, RunOutcome.PROMOTED)
    kept = standing_of(request(), fleet, {request().id: replace(run, outcome=RunOutcome.REJECTED)})
    assert (kept.gain, kept.outcome) == (None, RunOutcome.REJECTED)
    assert standing_of(replace(request(), optimizer="MIPROv2"), fleet).predicted is None
    assert standing_of(request("Stranger"), fleet).predicted is None


def test_an_older_request_counts_while_it_is_open() -> None:
    old, new = request(requested_at=START - HOUR), request("AuditAgent", requested_at=START)
    assert set(latest_requests([old, new], SPAN.start, SPAN.end)) == {"AuditAgent"}
    waiting = replace(old, state=RequestState.AWAITING_APPROVAL)
    assert set(latest_requests([waiting, new], SPAN.start, SPAN.end)) == {"InboundAgent", "AuditAgent"}


def test_the_budget_of_the_first_of_the_month_is_that_of_the_day_summed_up() -> None:
    fleet = shipped_fleet().model_copy(update={"timezone": "America/New_York"})
    end = START.replace(month=4, day=1, hour=4, minute=0)
    requests = [request(requested_at=end - HOUR, max_cost_usd=7.0), request("B", requested_at=end, max_cost_usd=9.0)]
    budget = budget_at_end(requests, [], end, fleet)
    assert (budget.month, budget.committed_usd, budget.budget_usd) == ("March", 7, 200)


def test_a_run_that_has_ended_commits_what_it_spent_and_not_its_cap() -> None:
    end = START + HOUR
    run = a_run(request().id, spent_usd=1.25, finished_at=START)
    ended = request(requested_at=START, max_cost_usd=5.0, state=RequestState.FINISHED)
    assert budget_at_end([ended], [run], end, shipped_fleet()).committed_usd == 1.25
    assert budget_at_end([replace(ended, state=RequestState.RUNNING)], [run], end, shipped_fleet()).committed_usd == 5
    cancelled = replace(ended, state=RequestState.CANCELLED)
    assert budget_at_end([cancelled], [run], end, shipped_fleet()).committed_usd == 1.25
    assert budget_at_end([cancelled], [], end, shipped_fleet()).committed_usd == 0


def test_approvals_that_expire_first_come_first_and_those_not_asked_yet_last() -> None:
    agents = ("A", "B", "C", "Done")
    requests = [
        request(agent, RequestState.READY if agent == "Done" else RequestState.AWAITING_APPROVAL) for agent in agents
    ]
    asked = [
        ApprovalRecord(requests[number].id, "f", ApprovalState.REQUESTED, START, START + (9 - number) * HOUR)
        for number in (0, 1)
    ]
    assert [(one.agent, one.expires_at) for one in waiting_approvals(requests, asked)] == [
        ("B", START + 8 * HOUR),
        ("A", START + 9 * HOUR),
        ("C", None),
    ]


def told(id: str, thread: str = "t", withheld: bool = False) -> ToldIncident:
    one = incident()
    return ToldIncident(id, thread, one.severity, one.state, 0, withheld)


def test_nobody_looks_after_what_is_open_was_told_and_not_acknowledged() -> None:
    threads = {
        "t": AlertThread("t", "", START, START, ("slack",)),
        "seen": AlertThread("seen", "", START, START, ("slack",), "Ana", START),
    }
    known = {"open": told("open"), "seen": told("seen", "seen"), "kept": told("kept", withheld=True)}
    known["over"] = told("over")
    incidents = [incident(id=id) for id in ("open", "seen", "kept", "untold")]
    incidents.append(incident(id="over", state=IncidentState.RESOLVED))
    assert [one.id for one in unacknowledged(incidents, known, threads)] == ["open"]


@pytest.mark.parametrize(("start", "end", "counts"), [(-1, 1, True), (0, 1, True), (-1, 0, False), (1, 2, False)])
def test_a_silence_is_in_force_from_its_start_to_before_its_end(start: int, end: int, counts: bool) -> None:
    silence = Silence("s", "*", "*", START + start * HOUR, START + end * HOUR, "Ana")
    assert in_force([silence], START) == (silence,) * counts


def test_there_may_be_nothing_to_do() -> None:
    assert Attention() == Attention(waiting_approvals([], []), unacknowledged([], {}, {}), 0, in_force([], START))
