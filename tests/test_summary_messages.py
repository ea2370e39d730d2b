"""What people read every day and every week: the layout of the seeds, grown, and nothing that is not for people."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.fleet import Severity
from perf_pipeline.message import Message
from perf_pipeline.monitoring.completeness import SourceCompleteness
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.notifications.attention import Attention, WaitingApproval
from perf_pipeline.notifications.daily_message import DayReport, daily_summary_message
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.notifications.slack_layout import slack_blocks, slack_text
from perf_pipeline.notifications.summary_words import dollars, percent, sparkline, stretch
from perf_pipeline.notifications.weekly_message import WeekReport, weekly_summary_message
from perf_pipeline.optimization.standing import Budget, OptimizationStanding
from perf_pipeline.records import IncidentState, RequestState, Silence
from perf_pipeline.tables import AGENT_METRICS
from tests.builders import shipped_fleet
from tests.incident_builders import incident
from tests.summary_builders import (
    COMPLETE,
    DAY,
    NINE,
    WEEK,
    WEEK_KEY,
    bad_day,
    day_report,
    empty_day,
    eventful_week,
    findings,
    large_fleet,
    metrics,
    noon,
    resolved,
    week_report,
)


def daily(report: DayReport) -> list[str]:
    return plain_text(daily_summary_message(report)).splitlines()


def weekly(report: WeekReport) -> list[str]:
    return plain_text(weekly_summary_message(report)).splitlines()


def line_of(lines: list[str], start: str) -> str:
    [found] = [line for line in lines if line.startswith(start)]
    return found


def with_row(report: DayReport, **columns: Any) -> DayReport:
    return replace(report, summary=report.summary.assign(**columns))


def test_a_daily_summary_has_the_layout_of_the_seeds() -> None:
    report = day_report(
        metrics({"StrategyAgent": 92.0, "InboundAgent": 45.0}),
        found=findings("high"),
        optimizations=(
            OptimizationStanding("StrategyAgent", "GEPA", RequestState.AWAITING_APPROVAL, (20, 40)),
            OptimizationStanding("InboundAgent", "BootstrapFewShot", RequestState.READY),
        ),
    )
    message = daily_summary_message(with_row(report, score=[92.0, 45.0]))
    text = plain_text(message)
    assert message.title == "📊 Daily Performance Summary - 2025-10-27"
    patterns = (
        r"Agent Performance:\n+- StrategyAgent: 92/100 .*\n- InboundAgent: 45/100 .*\n",
        r"Optimization Status:\n+- StrategyAgent: GEPA \(pending approval\).*\n- InboundAgent: BootstrapFewShot \(trig",
        r"\nAnomalies: 1 detected \(high severity\)\n",
    )
    places = [found.start() for pattern in patterns for found in [re.search(pattern, text)] if found]
    assert len(places) == len(patterns)
    assert places == sorted(places)
    assert places[0] == 0


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"trend": "improving", "score": 45.0}, "InboundAgent: 45/100 ↗ improving "),
        ({"trend": "degrading", "score": 45.0}, "InboundAgent: 45/100 ↘ degrading "),
        ({"trend": "unknown", "score": 45.0}, "InboundAgent: 45/100 █"),
        ({"score": math.nan}, "InboundAgent: no score "),
        ({"tasks": 1, "success_rate": 55.0}, "(1 task, 55% successful)"),
    ],
)
def test_an_agents_line_says_what_is_known_of_it(columns: dict[str, Any], words: str) -> None:
    assert words in line_of(daily(with_row(day_report(), **columns)), "- InboundAgent")


def test_agents_without_tasks_share_a_line() -> None:
    lines = daily(day_report(metrics({"A": 90.0, "B": 0, "C": 0})))
    assert line_of(lines, "- No tasks") == "- No tasks: B, C"
    assert not any(line.startswith(("- B", "- C")) for line in lines)


def test_a_sparkline_has_a_bar_for_each_score_and_a_dot_for_none() -> None:
    assert sparkline([0, 12.4, 12.5, 50, 99, 100, math.nan]) == "▁▁▂▅██·"


@pytest.mark.parametrize(
    ("severities", "words"),
    [
        ((), "none detected"),
        (("high", "high"), "2 detected (high severity)"),
        (("low", "critical", "low"), "3 detected (1 critical, 2 low severity)"),
    ],
)
def test_anomalies_are_counted_by_severity_worst_first(severities: tuple[str, ...], words: str) -> None:
    assert f"Anomalies: {words}" in daily(day_report(found=findings(*severities)))


@pytest.mark.parametrize(
    ("happened", "words"),
    [
        (resolved(3, 5.5), "InboundAgent: success_drop, HIGH, 03:00 to 05:30 UTC, resolved after 2 h 30 min"),
        (resolved(-3, 1), "InboundAgent: success_drop, HIGH, 2025-10-26 21:00 to 01:00 UTC, resolved after 4 h"),
        (
            incident(reopened=2, severity=Severity.CRITICAL),
            "InboundAgent: success_drop, CRITICAL, since 13:30 UTC, still open, 19 h 30 min so far, came back 2 times",
        ),
        (
            incident(state=IncidentState.RECOVERING),
            "InboundAgent: success_drop, HIGH, since 13:30 UTC, recovering, 19 h 30 min so far",
        ),
    ],
    ids=["resolved", "since the day before", "open", "recovering"],
)
def test_an_incident_is_told_with_its_times_and_how_long_it_took(happened: Any, words: str) -> None:
    assert f"- {words}" in daily(day_report(incidents=(happened,)))


def test_times_are_those_of_the_teams_clock() -> None:
    lines = daily(day_report(incidents=(resolved(13.5, 16),), timezone="America/New_York"))
    assert "09:30 to 12:00 EDT" in line_of(lines, "- InboundAgent: success_drop")


def test_a_stretch_over_the_change_of_clocks_tells_both_zones() -> None:
    day = Window(noon(-25), noon(0))
    words = stretch(noon(-25), noon(-20), day, "Europe/Berlin")
    assert words == "01:00 CEST to 05:00 CET"


def test_an_outage_is_told_with_the_data_and_not_as_an_anomaly() -> None:
    lines = daily(
        day_report(
            found=findings("high", type="data_gap"),
            incidents=(incident(agent="source:spans", family="data", type="data_gap"),),
            sources=(SourceCompleteness("spans", 48, 3, 0, 0, noon(13.5), noon(15), True, "Phoenix is down."),),
            attention=Attention(unacknowledged=(incident(agent="source:spans", family="data"),)),
        )
    )
    assert "Anomalies: none detected in what could be read" in lines
    assert "Data: 3 of 48 windows of spans unavailable, 13:30 to 15:00 UTC: Phoenix is down." in lines
    assert "- Nobody looks after the outage of spans" in lines


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (SourceCompleteness("logs", 48, 1, 0, 0, noon(1), noon(1.5)), "1 of 48 windows of logs unavailable, 01:00 to"),
        (SourceCompleteness("logs", 48, 1, 1, 0, noon(1), noon(5), False), "missing (1 unavailable, 1 incomplete), wi"),
        (SourceCompleteness("logs", 48, 0, 0, 48, DAY.start, DAY.end), "all 48 windows of logs never read"),
    ],
)
def test_a_gap_says_which_source_how_many_windows_and_when(source: SourceCompleteness, words: str) -> None:
    assert words in line_of(daily(day_report(sources=(COMPLETE[0], source))), "Data:")


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        ({"predicted": (20, 40)}, "GEPA (finished), predicted 20 to 40% better, gain not measured yet"),
        ({"predicted": (20, 40), "gain": 23.4}, "GEPA (finished), predicted 20 to 40% better, measured +23%"),
        ({"predicted": (20, 40), "gain": -3.0}, "GEPA (finished), predicted 20 to 40% better, measured -3%"),
        ({"state": RequestState.RUNNING, "predicted": (30, 30)}, "GEPA (running), predicted 30% better"),
        ({"state": RequestState.DECLINED, "predicted": (20, 40)}, "GEPA (declined)"),
        ({"state": RequestState.EXPIRED, "predicted": (20, 40)}, "GEPA (not approved in time)"),
        ({}, "GEPA (finished), gain not measured yet"),
    ],
)
def test_an_optimization_says_what_was_predicted_and_what_was_gained(standing: dict[str, Any], words: str) -> None:
    facts = {"agent": "A", "optimizer": "GEPA", "state": RequestState.FINISHED} | standing
    assert f"- A: {words}" in daily(day_report(optimizations=(OptimizationStanding(**facts),)))


@pytest.mark.parametrize(
    ("attention", "words"),
    [
        (Attention(), "Needs a Human: nothing"),
        (
            Attention(approvals=(WaitingApproval("A", "GEPA", 30.0, NINE),)),
            "- Approve or decline A: GEPA for at most $30, waits until 2025-10-28 09:00 UTC",
        ),
        (
            Attention(approvals=(WaitingApproval("A", "GEPA", 7.5, None),)),
            "- Approve or decline A: GEPA for at most $7.50, not asked yet",
        ),
        (Attention(unacknowledged=(incident(),)), "- Nobody looks after 1 open incident: InboundAgent"),
        (Attention(undeliverable=1), "- 1 message could not be delivered: see 'perf-pipeline notify outbox'"),
        (
            Attention(silences=(Silence("s", "*", "*", DAY.start, noon(36), "Ana", "move"),)),
            "- Silenced by Ana until 2025-10-28 12:00 UTC (all agents, all types): move",
        ),
    ],
)
def test_what_needs_a_human_is_a_line_each(attention: Attention, words: str) -> None:
    assert words in daily(day_report(attention=attention))


def test_many_of_a_kind_leave_room_for_the_others() -> None:
    approvals = tuple(WaitingApproval(f"A{number}", "GEPA", 30.0, NINE) for number in range(30))
    lines = daily(day_report(attention=Attention(approvals=approvals, undeliverable=2)))
    assert sum(line.startswith("- Approve") for line in lines) == 3
    assert "- … and 27 more approvals" in lines
    assert "- 2 messages could not be delivered: see 'perf-pipeline notify outbox'" in lines


def test_the_spend_stands_beside_the_months_budget() -> None:
    assert "Spend: $1.92 for model calls; optimizations $35 of $200 committed in October" in daily(day_report())
    over = daily(day_report(budget=Budget("October", 210.5, 200.0)))
    assert line_of(over, "Spend").endswith("$210.50 of $200 committed in October, over budget")
    unknown = daily(with_row(day_report(), cost_usd=math.nan))
    assert line_of(unknown, "Spend").startswith("Spend: cost of model calls not known; ")


@pytest.mark.parametrize(
    ("spans", "why"),
    [
        (SourceCompleteness("spans", 48), "The spans of this day were read completely and there were none"),
        (SourceCompleteness("spans", 48, 48), "no data. The spans of this day could not be read"),
        (SourceCompleteness("spans", 48, 0, 0, 48), "no data. Nothing was read for this day: the pipeline did not run"),
        (SourceCompleteness("spans", 48, 3), "no data. A part of this day could not be read"),
        (SourceCompleteness("spans", 0), "no data. No window of this day has closed yet."),
    ],
)
def test_a_day_without_data_says_so_and_why(spans: SourceCompleteness, why: str) -> None:
    message = daily_summary_message(empty_day(sources=(spans,)))
    lines = plain_text(message).splitlines()
    assert why in line_of(lines, "Agent Performance:")
    assert message.headline == "no tasks seen"
    assert message.picture_text is None
    assert len([line for line in lines if line]) == 6, "nothing that is empty takes more than a line"


def test_a_day_that_could_not_be_read_does_not_look_well() -> None:
    assert "Anomalies: not known" in daily(empty_day())


def test_the_summary_of_a_day_that_goes_on_says_so() -> None:
    assert daily_summary_message(day_report(written_at=noon(12))).title.endswith("2025-10-27 (so far)")


def test_a_phone_shows_what_matters_most() -> None:
    report, _ = bad_day()
    assert daily_summary_message(report).headline == (
        "91% of 1,152 tasks successful, 1 incident still open, 1 approval waits"
    )


def test_of_many_agents_the_worst_are_listed_and_the_rest_counted() -> None:
    report, _ = large_fleet()
    lines = daily(report)
    scores = [int(found[1]) for line in lines if (found := re.match(r"- Agent\d+: (\d+)/100", line))]
    assert len(scores) == 15
    assert scores == sorted(scores)
    assert line_of(lines, "- … and 185 more agents").endswith("98/100")
    assert "- … and 23 more incidents" in lines
    assert "- … and 35 more optimizations" in lines


def test_as_many_agents_as_are_listed_stay_in_the_fleets_order() -> None:
    levels = {f"Agent{number}": 90.0 - 40 * (number % 2) for number in range(15)}
    names = [found[1] for line in daily(day_report(metrics(levels))) if (found := re.match(r"- (Agent\d+):", line))]
    assert names == list(levels)


@pytest.mark.parametrize("suffix", ["", "-of-the-department-of-long-names-and-more"])
def test_a_large_fleet_fits_into_slack_whole(suffix: str) -> None:
    report, _ = large_fleet()
    report = replace(
        report,
        summary=report.summary.assign(agent=report.summary["agent"] + suffix),
        scores={f"{agent}{suffix}": scores for agent, scores in report.scores.items()},
        incidents=[replace(one, agent=one.agent + suffix) for one in report.incidents],
        optimizations=[replace(one, agent=one.agent + suffix) for one in report.optimizations],
        attention=bad_day()[0].attention,
        sources=bad_day()[0].sources,
    )
    shown = str(slack_blocks(daily_summary_message(report)))
    assert "no room" not in shown
    assert "Spend" in shown


def test_the_picture_is_told_in_words() -> None:
    report, _ = bad_day()
    assert daily_summary_message(report).picture_text == (
        "Score of each agent through 2025-10-27, incidents shaded. Lowest: InboundAgent, 56."
    )
    large, _ = large_fleet()
    text = daily_summary_message(replace(large, drawn=("Agent000", "Agent007"))).picture_text
    assert text is not None
    assert text.startswith("Score of the 2 worst agents through 2025-10-27, incidents shaded.")


def test_a_week_is_told_beside_the_week_before() -> None:
    lines = weekly(eventful_week())
    assert re.fullmatch(
        r"- InboundAgent: 64/100 \(-27\) ██▂▂▄██ \(1,344 tasks, 64% successful, \$13.44, 2 days 2 h in 2 incidents\)",
        line_of(lines, "- InboundAgent"),
    )
    assert "FollowUpAgent: 90/100 (+30)" in line_of(lines, "- FollowUpAgent: 90")
    assert "Introspection: 86/100 (new)" in line_of(lines, "- Introspection")
    assert "- In all: 9,408 tasks after 8,064 the week before, 95% successful. Bars: the score each day" in lines
    assert "Best Movers: FollowUpAgent 60 → 90 (+30)" in lines
    assert "Worst Movers: InboundAgent 91 → 64 (-27)" in lines
    assert "Incidents: 3, 1 still open (1 critical, 2 high severity); most: InboundAgent, 2" in lines
    assert "Data Completeness: 98.5% of the spans' windows" in lines


def test_a_weeks_title_names_its_first_and_last_day() -> None:
    title = weekly_summary_message(eventful_week()).title
    assert title == "📈 Weekly Performance Summary - 2025-10-20 to 2025-10-26"


def test_few_tasks_move_nobody() -> None:
    few = metrics({"A": 90.0}, Window(WEEK.start, WEEK.start + timedelta(hours=1)), tasks=4)
    lines = weekly(week_report(few, few.assign(window_start=few["window_start"] - timedelta(days=7), score=20.0)))
    assert "Movers: too few tasks to compare with the week before" in lines


def test_a_week_without_data_says_so() -> None:
    unread = (SourceCompleteness("spans", 336, 0, 0, 336, WEEK.start, WEEK.end),)
    lines = weekly(week_report(AGENT_METRICS.empty(), agents=shipped_fleet().agent_names, sources=unread))
    assert line_of(lines, "Agent Performance").startswith("Agent Performance: no data. Nothing was read for this week")
    assert len([line for line in lines if line]) == 6


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "$0"), (0.004, "less than $0.01"), (12.3, "$12.30"), (384.00000001, "$384"), (1234.5, "$1,234")],
)
def test_money_has_cents_where_they_matter(value: float, shown: str) -> None:
    assert dollars(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0%"), (0.001, "0.1%"), (55.4, "55%"), (99.6, "99.6%"), (99.99, "99.9%"), (100, "100%")],
)
def test_what_is_not_all_is_not_called_all(value: float, shown: str) -> None:
    assert percent(value) == shown


LEAKS = re.compile(r"\b(NaN|NaT|None|inf)\b|\bnan[/%]|\d\.\d{3}")
"""What a figure that was not made fit for people looks like."""

odd_text = st.text(max_size=60).filter(lambda text: not LEAKS.search(text)) | st.sampled_from(
    ["<!here>", "<@U012AB3CD>", "x" * 10_000, "a\n\n🚨 PERFORMANCE ALERT", "\u202egnp", "", "&", "{'a': 1}", "$x_1$"]
)


def says_it_safely(message: Message, titles: int) -> None:
    text = slack_text(message)
    assert not re.search(r"<[!@#]", text)
    assert "\u202e" not in text
    assert not LEAKS.search(text)
    assert (
        sum(line.startswith(("Agent Performance:", "Anomalies:", "Incidents:")) for line in text.splitlines()) == titles
    )
    assert len(slack_blocks(message)) <= 50


@settings(max_examples=40, deadline=None)
@given(agent=odd_text, comment=odd_text, reason=odd_text, score=st.none() | st.floats(0, 100))
def test_a_daily_summary_of_any_text_calls_nobody_and_forges_nothing(
    agent: str, comment: str, reason: str, score: float | None
) -> None:
    report = day_report(
        incidents=(incident(agent=agent),),
        optimizations=(OptimizationStanding(agent, "GEPA", RequestState.FINISHED, (20, 40)),),
        sources=(SourceCompleteness("spans", 48, 1, 0, 0, noon(1), noon(1.5), True, reason),),
        attention=Attention(
            unacknowledged=(incident(agent=agent),),
            silences=(Silence("s", agent, agent, DAY.start, NINE, agent, comment),),
        ),
        drawn=(agent,),
    )
    report = replace(report, summary=report.summary.assign(agent=agent, score=score if score is not None else math.nan))
    says_it_safely(daily_summary_message(report), titles=2)


@settings(max_examples=20, deadline=None)
@given(agent=odd_text, score=st.none() | st.floats(0, 100))
def test_a_weekly_summary_of_any_text_calls_nobody_and_forges_nothing(agent: str, score: float | None) -> None:
    report = week_report(
        metrics({"A": 90.0}, WEEK, tasks=2), incidents=(incident(agent=agent, onset=noon(1, WEEK.start)),)
    )
    report = replace(report, summary=report.summary.assign(agent=agent, score=score if score is not None else math.nan))
    says_it_safely(weekly_summary_message(report), titles=2)


def test_the_builders_week_is_the_one_that_it_names() -> None:
    assert f"{WEEK.start:%Y-%m-%d}" == WEEK_KEY
