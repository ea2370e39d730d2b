"""What the dashboard makes of what was read: rules, from data to what is shown."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.incident_analysis import WordedIncident
from perf_pipeline.monitoring.incident_summary import summary_by_rules
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.notifications.attention import Attention
from perf_pipeline.optimization.standing import Budget
from perf_pipeline.records import (
    AlertThread,
    ApprovalRecord,
    ApprovalState,
    IncidentState,
    NotificationState,
    RequestState,
    RunOutcome,
    SourceStatus,
    ToldIncident,
)
from perf_pipeline.service.dashboard.fleet_page import FleetPage, fleet_page
from perf_pipeline.service.dashboard.freshness import Freshness, freshness
from perf_pipeline.service.dashboard.incident_page import incident_page
from perf_pipeline.service.dashboard.optimization_page import OptimizationPage, optimization_page
from perf_pipeline.service.dashboard.outbox_page import outbox_page
from perf_pipeline.service.dashboard.words import ago, clock_time, latency, number
from perf_pipeline.tables import ANOMALIES
from tests.approval_builders import request_to_approve
from tests.builders import LENGTH, shipped_fleet
from tests.dashboard_fixtures import LAST, NOW, readings, scored
from tests.incident_builders import incident, notification
from tests.run_builders import a_request, a_run

FRESH = Freshness("ok", "Read.")
DAY = Window(LAST + LENGTH - timedelta(hours=24), LAST + LENGTH)


def fleet(figures: pd.DataFrame, *incidents: object, agents: tuple[str, ...] = ()) -> FleetPage:
    known = [one for one in incidents if one]
    return fleet_page(figures, DAY, agents, known, Attention(), FRESH, LENGTH, "UTC", NOW)  # pyright: ignore[reportArgumentType]


GOOD, PART, DOWN = SourceStatus.COMPLETE, SourceStatus.PARTIAL, SourceStatus.UNAVAILABLE


def test_grave_incidents_come_first_and_then_low_scores() -> None:
    page = fleet(
        scored(Fine=[95], Low=[60], Ill=[99], Worse=[99]),
        incident(id="1", agent="Ill", severity=Severity.MEDIUM),
        incident(id="2", agent="Worse", severity=Severity.CRITICAL),
    )
    assert [row.name for row in page.agents] == ["Worse", "Ill", "Low", "Fine"]
    assert [row.level for row in page.agents] == ["critical", "medium", "quiet", "quiet"]
    assert page.headline == "2 incidents are open: Worse, Ill."


def test_an_outage_of_a_source_is_no_agents_incident() -> None:
    outage = incident(agent="source:spans", family="data", type="data_gap")
    page = fleet(scored(InboundAgent=[90]), outage)
    assert [badge.text for badge in page.outages] == ["spans"]
    assert page.headline == "No incident is open among 1 agent."
    assert page.agents[0].incidents == ()


def test_an_incident_that_is_over_is_not_shown() -> None:
    page = fleet(scored(InboundAgent=[90]), incident(state=IncidentState.RESOLVED, resolved_at=LAST))
    assert page.agents[0].incidents == ()


def test_an_agent_of_the_fleet_that_did_nothing_is_there_without_figures() -> None:
    row = fleet(scored(InboundAgent=[math.nan]), agents=("InboundAgent",)).agents[0]
    assert (row.score, row.success, row.p95, row.cost, row.tasks) == ("–", "–", "–", "–", "0")
    assert row.last_task == "none in 24 h"


def test_an_agent_that_fleet_yaml_does_not_name_is_there_too() -> None:
    page = fleet(scored(Stranger=[90]), agents=("InboundAgent",))
    assert {row.name for row in page.agents} == {"Stranger", "InboundAgent"}


def test_the_last_task_is_told_by_the_close_of_its_window() -> None:
    row = fleet(scored(InboundAgent=[90, 90, math.nan])).agents[0]
    assert row.last_task == "40 min ago (11:30 UTC)"


def test_nothing_read_says_what_to_switch_on() -> None:
    assert freshness([], NOW, LENGTH, "UTC").level == "empty"
    assert "monitoring_schedule" in freshness([], NOW, LENGTH, "UTC").sentence


def test_the_newest_window_read_is_fresh() -> None:
    fresh = freshness(readings(GOOD, GOOD), NOW, LENGTH, "UTC")
    assert (fresh.level, fresh.sentence) == ("ok", "Read up to 12:00 UTC, 10 min ago.")


def test_a_source_that_fails_now_is_an_outage_and_one_that_failed_before_is_not() -> None:
    fresh = freshness(readings(GOOD, DOWN, reason="No answer."), NOW, LENGTH, "UTC")
    assert fresh.level == "outage"
    assert fresh.troubles == ("spans could not be read for the window from 11:30 UTC: No answer.",)
    assert freshness(readings(DOWN, GOOD), NOW, LENGTH, "UTC").level == "ok"


def test_windows_that_closed_and_were_not_read_are_counted() -> None:
    fresh = freshness(readings(GOOD, None, None, None), NOW, LENGTH, "UTC")
    assert fresh.level == "late"
    assert "3 windows (1 h 30 min) have closed since" in fresh.sentence
    assert freshness(readings(GOOD, None, None), NOW, LENGTH, "UTC").level == "ok"


def optimizations(
    *requests: object, runs: tuple = (), approvals: tuple = (), spent: dict | None = None
) -> OptimizationPage:
    budget = Budget("November", 30.0, 200.0)
    return optimization_page(requests, approvals, runs, spent or {}, budget, shipped_fleet())  # pyright: ignore[reportArgumentType]


def test_a_promoted_run_shows_what_was_predicted_beside_what_was_gained() -> None:
    finished = a_request(state=RequestState.FINISHED)
    run = a_run(
        outcome=RunOutcome.PROMOTED,
        baseline_score=50.0,
        candidate_score=60.0,
        gain_points=10.0,
        held_out_items=30,
        spent_usd=1.5,
        said="It is better.",
        finished_at=a_run().started_at + timedelta(seconds=90),
    )
    row = optimizations(finished, runs=(run,)).requests[0]
    assert row.realised == "+20%"
    assert row.scores == "50 → 60 points on 30 held-out tasks"
    assert row.spent == "$1.50 of $5"
    assert (row.spent_share, row.run) == (30.0, "promoted after 2 min. It is better.")
    assert row.gain is not None
    assert row.gain.realised == 20.0
    assert row.predicted == "10 to 25%"


def test_what_waits_says_how_to_decide_it_and_comes_first() -> None:
    waiting = request_to_approve()
    asked = ApprovalRecord(waiting.id, "f", ApprovalState.REQUESTED, NOW, NOW + timedelta(hours=48))
    newer = a_request(state=RequestState.FAILED, requested_at=NOW + timedelta(days=1))
    page = optimizations(newer, waiting, approvals=(asked,))
    assert [row.id for row in page.requests] == [waiting.id, newer.id]
    assert page.requests[0].commands == (
        f"perf-pipeline approve {waiting.id}",
        f"perf-pipeline decline {waiting.id}",
    )
    assert page.requests[1].commands == ()
    assert page.waiting == 1


def test_a_run_that_goes_on_shows_what_was_spent_so_far() -> None:
    running = a_request(state=RequestState.RUNNING)
    row = optimizations(running, runs=(a_run(),), spent={"r1": 4.0}).requests[0]
    assert (row.spent, row.spent_share, row.run) == ("$4 of $5", 80.0, "running")


def incident_told(**told: object):
    thread = AlertThread("alert:1", "", LAST, LAST, ("slack", "pager"), "ana", LAST + LENGTH)
    known = ToldIncident("0123456789abcdef", "alert:1", Severity.HIGH, IncidentState.OPEN, 0)
    facts = {"told": known, "thread": thread} | told
    return incident_page(
        incident(onset=LAST - LENGTH, root_cause="Since 11:00 UTC"),
        ANOMALIES.empty(),
        facts["told"],  # pyright: ignore[reportArgumentType]
        facts["thread"],  # pyright: ignore[reportArgumentType]
        [notification(state=NotificationState.SENT, sent_at=LAST, at=LAST)],
        lambda trace: f"http://phoenix.example/{trace}",
        LENGTH,
        "America/New_York",
        NOW,
        WordedIncident(summary_by_rules(incident(root_cause="Since 11:00 UTC")), None, "no model is configured"),
    )


def test_the_timeline_is_in_order_and_says_who_was_told_and_who_looks_after_it() -> None:
    page = incident_told()
    times = [moment.time for moment in page.timeline]
    assert times == sorted(times)
    text = " ".join(moment.text for moment in page.timeline)
    assert "Told slack: title of alert:1" in text
    assert "ana looks after it." in text
    assert (page.told, page.looked_after) == ("Told: slack, pager.", "ana looks after it.")


def test_times_in_the_cause_are_on_the_teams_clock_and_an_analysis_follows_it() -> None:
    page = incident_told()
    assert page.root_cause == "Since 06:00 EST"
    assert page.analysis[1:] == (
        "Since 06:00 EST.",
        "Start with the example traces.",
        "Worded by rules (no model is configured).",
    )


def test_an_incident_that_nobody_was_told_of_says_so() -> None:
    withheld = ToldIncident("0123456789abcdef", "alert:1", Severity.HIGH, IncidentState.OPEN, 0, withheld=True)
    assert incident_told(told=None, thread=None).told.startswith("Nobody was told of it alone")
    assert incident_told(told=withheld, thread=None).told.startswith("Nobody was told: it was silenced")


def test_the_outbox_shows_first_what_could_not_be_delivered_then_what_waits() -> None:
    states = (
        NotificationState.SENT,
        NotificationState.PENDING,
        NotificationState.UNDELIVERABLE,
        NotificationState.SENT,
    )
    messages = [
        notification(f"k{place}", LAST + place * LENGTH, state=state, note="no_such_channel" if place == 2 else None)
        for place, state in enumerate(states)
    ]
    page = outbox_page(messages)
    assert [row.key for row in page.rows] == ["k2", "k1", "k3", "k0"]
    assert (page.rows[0].state_words, page.rows[0].note) == ("could not be delivered", "no_such_channel")
    assert page.rows[0].content == "text of k2"
    assert page.undeliverable == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (85.24, "85.2"), (1234.5, "1,234"), (0.012345, "0.0123"), (-3.0, "-3"), (math.nan, "–"), (9.999, "10")],
)
def test_a_number_has_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_times_and_durations_are_short() -> None:
    assert [latency(ms) for ms in (math.nan, 830.4, 1900.0)] == ["–", "830 ms", "1.9 s"]
    assert ago(NOW - timedelta(seconds=30), NOW) == "just now"
    assert ago(NOW - timedelta(days=3), NOW) == "3 days ago"
    assert clock_time(LAST, "UTC", NOW) == "12:00 UTC"
    assert clock_time(LAST - timedelta(days=1), "UTC", NOW) == "2026-11-21 12:00 UTC"


def test_an_incident_whose_thread_is_gone_is_still_shown() -> None:
    page = incident_page(
        replace(incident(), example_traces=("t1",)),
        ANOMALIES.empty(),
        None,
        None,
        [],
        lambda _: None,
        LENGTH,
        "UTC",
        NOW,
    )
    assert page.traces == (("t1", None),)
