"""What people read: the layouts of the seeds, Slack's limits, and text from outside that stays text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.fleet import Severity
from perf_pipeline.notifications.messages import alert_text, as_blocks, daily_summary_text, escape, shorten
from perf_pipeline.records import Incident, IncidentState
from perf_pipeline.tables import ANOMALIES, DAILY_SUMMARY

ONSET = datetime(2025, 10, 27, 13, 30, tzinfo=UTC)


def incident(**changes: Any) -> Incident:
    facts: dict[str, Any] = {
        "id": "0123456789abcdef",
        "agent": "InboundAgent",
        "family": "reliability",
        "type": "success_drop",
        "also": (),
        "severity": Severity.HIGH,
        "state": IncidentState.OPEN,
        "onset": ONSET,
        "opened_at": ONSET,
        "last_seen": ONSET,
        "resolved_at": None,
        "reopened": 0,
        "root_cause": "Model degradation",
        "recommended_action": "IMMEDIATE",
        "details": "Success rate dropped from 85% to 0%",
    }
    return Incident(**(facts | changes))


def day(*rows: dict[str, Any]) -> pd.DataFrame:
    facts = {
        "day_start": ONSET,
        "agent": "InboundAgent",
        "score": 45.0,
        "trend": "stable",
        "tasks": 40,
        "success_rate": 55.0,
        "latency_p95_ms": 2000.0,
        "anomalies": 0,
        "optimization": None,
    }
    return DAILY_SUMMARY.conform(pd.DataFrame([facts | row for row in rows], columns=DAILY_SUMMARY.columns))


def findings(*severities: str) -> pd.DataFrame:
    empty = ANOMALIES.empty()
    return empty.reindex(range(len(severities))).assign(severity=list(severities)) if severities else empty


def test_an_alert_has_the_layout_of_the_seeds() -> None:
    assert alert_text(incident(), "UTC") == (
        "🚨 PERFORMANCE ALERT\n"
        "\n"
        "Agent: InboundAgent\n"
        "Severity: HIGH\n"
        "Type: success_drop\n"
        "Since: 2025-10-27 13:30 UTC\n"
        "\n"
        "Root Cause: Model degradation\n"
        "Recommended Action: IMMEDIATE\n"
        "\n"
        "Details: Success rate dropped from 85% to 0%"
    )


def test_an_alert_tells_the_time_of_the_teams_clock_and_the_other_types() -> None:
    text = alert_text(incident(also=("error_spike",)), "America/New_York")
    assert "Since: 2025-10-27 09:30 EDT" in text
    assert "Type: success_drop (also error_spike)" in text


def test_an_alert_links_to_its_traces_where_they_have_an_address() -> None:
    links = [("0123456789abcdef", "https://phoenix.example/t/1"), ("fedcba9876543210", None)]
    assert alert_text(incident(), "UTC", links).endswith(
        "\n\nExample traces: <https://phoenix.example/t/1|01234567>, fedcba98"
    )


def test_a_daily_summary_has_the_layout_of_the_seeds() -> None:
    summary = day(
        {"agent": "StrategyAgent", "score": 92.0, "success_rate": 95.0, "optimization": "GEPA (pending approval)"},
        {"agent": "InboundAgent", "optimization": "BootstrapFewShot (triggered)"},
    )
    assert daily_summary_text("2025-10-27", summary, findings("high")) == (
        "📊 Daily Performance Summary - 2025-10-27\n"
        "\n"
        "Agent Performance:\n"
        "- StrategyAgent: 92/100 (40 tasks, 95% successful)\n"
        "- InboundAgent: 45/100 (40 tasks, 55% successful)\n"
        "\n"
        "Optimization Status:\n"
        "- StrategyAgent: GEPA (pending approval)\n"
        "- InboundAgent: BootstrapFewShot (triggered)\n"
        "\n"
        "Anomalies: 1 detected (high severity)"
    )


@pytest.mark.parametrize(
    ("severities", "line"),
    [
        ((), "Anomalies: none detected"),
        (("high", "high"), "Anomalies: 2 detected (high severity)"),
        (("low", "critical", "low"), "Anomalies: 3 detected (1 critical, 2 low severity)"),
    ],
)
def test_anomalies_are_counted_by_severity_worst_first(severities: tuple[str, ...], line: str) -> None:
    assert daily_summary_text("2025-10-27", day({}), findings(*severities)).endswith(line)


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"trend": "improving"}, "- InboundAgent: 45/100 ↗ improving (40 tasks, 55% successful)"),
        ({"trend": "degrading"}, "- InboundAgent: 45/100 ↘ degrading (40 tasks, 55% successful)"),
        ({"tasks": 0, "score": None, "success_rate": None}, "- InboundAgent: no tasks"),
        ({"score": None}, "- InboundAgent: no score (40 tasks, 55% successful)"),
        ({"tasks": 1}, "- InboundAgent: 45/100 (1 task, 55% successful)"),
    ],
)
def test_an_agents_line_says_what_is_known_of_it(row: dict[str, Any], line: str) -> None:
    assert line in daily_summary_text("2025-10-27", day(row), findings()).splitlines()


def test_a_day_without_work_says_so_instead_of_looking_well() -> None:
    text = daily_summary_text("2025-10-27", day({"tasks": 0}), findings())
    assert "No agent did anything on this day, or nothing could be read" in text
    assert "- none requested" in text


@pytest.mark.parametrize(
    ("outside", "shown"),
    [
        ("<!channel> look", "&lt;!channel&gt; look"),
        ("<@U012AB3CD>", "&lt;@U012AB3CD&gt;"),
        ("a && b", "a &amp;&amp; b"),
        ("&lt;", "&amp;lt;"),
        ("boom\n\n🚨 PERFORMANCE ALERT\n\nAgent: Forged", "boom 🚨 PERFORMANCE ALERT Agent: Forged"),
        ("a\r\nb\tc\u2028d", "a b c d"),
    ],
)
def test_text_from_outside_mentions_nobody_and_forges_no_layout(outside: str, shown: str) -> None:
    assert escape(outside) == shown
    for name in ("agent", "root_cause", "details", "recommended_action"):
        text = alert_text(incident(**{name: outside}), "UTC")
        assert f": {shown}\n" in f"{text}\n"
    summary = day({"agent": outside, "optimization": outside})
    assert f"- {shown}: {shown}" in daily_summary_text("2025-10-27", summary, findings())


def assert_within_slacks_limits(blocks: list[dict[str, Any]]) -> None:
    header, *sections = blocks
    assert header["type"] == "header"
    assert header["text"]["type"] == "plain_text"
    assert 1 <= len(header["text"]["text"]) <= 150
    assert len(blocks) <= 50
    for section in sections:
        assert section["type"] == "section"
        assert section["text"]["type"] == "mrkdwn"
        assert 1 <= len(section["text"]["text"]) <= 3000


def test_a_message_is_a_header_and_a_section_a_paragraph() -> None:
    header, *sections = as_blocks(alert_text(incident(), "UTC"))
    assert header == {
        "type": "header",
        "text": {"type": "plain_text", "text": "🚨 PERFORMANCE ALERT", "emoji": True},
    }
    assert [section["text"]["text"].split(":")[0] for section in sections] == ["Agent", "Root Cause", "Details"]


def test_a_fleet_too_large_for_one_section_goes_on_in_the_next() -> None:
    rows = [{"agent": f"Agent{number:03}"} for number in range(200)]
    blocks = as_blocks(daily_summary_text("2025-10-27", day(*rows), findings()))
    assert_within_slacks_limits(blocks)
    shown = "\n".join(block["text"]["text"] for block in blocks)
    assert [f"- Agent{number:03}: 45/100 (40 tasks, 55% successful)" in shown for number in range(200)] == [True] * 200


def test_a_message_too_long_for_slack_says_that_something_is_left_out() -> None:
    blocks = as_blocks("\n\n".join(["Title", *(f"part {number}" for number in range(100))]))
    assert_within_slacks_limits(blocks)
    assert blocks[-1]["text"]["text"] == "… and 52 more parts"


def test_a_short_text_is_left_alone_and_a_long_one_ends_in_an_ellipsis() -> None:
    assert shorten("abcde", 5) == "abcde"
    assert shorten("abcdef", 5) == "abcd…"


odd_text = st.text(max_size=80) | st.sampled_from(["<!here>", "nan", "{'a': 1}", "x" * 4000, "\n\n", "", "&"])
odd_number = st.none() | st.floats(0, 100)


@settings(max_examples=60, deadline=None)
@given(
    agent=odd_text,
    cause=odd_text,
    details=odd_text,
    traces=st.lists(st.tuples(st.text(max_size=40), st.none() | st.just("https://phoenix.example/t")), max_size=4),
)
def test_any_alert_fits_into_slack_and_mentions_nobody(
    agent: str, cause: str, details: str, traces: list[tuple[str, str | None]]
) -> None:
    text = alert_text(incident(agent=agent, root_cause=cause, details=details), "UTC", traces)
    assert_within_slacks_limits(as_blocks(text))
    assert re.findall(r"<[^>]*>?", text) == re.findall(r"<https://phoenix\.example/t\|[^>]*>", text)
    assert len(text.split("\n\n")) == 4 + bool(traces)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "score": odd_number,
                "success_rate": odd_number,
                "tasks": st.integers(0, 3),
                "trend": st.sampled_from(["improving", "stable", "degrading", "unknown"]),
                "optimization": st.none() | st.just("GEPA (running)"),
            }
        ),
        max_size=4,
    ),
    severities=st.lists(st.sampled_from(["low", "medium", "high", "critical"]), max_size=5),
)
def test_any_summary_is_free_of_nan_and_raw_data(rows: list[dict[str, Any]], severities: list[str]) -> None:
    known = [row | {"success_rate": row["success_rate"] or 0.0} for row in rows]
    text = daily_summary_text("2025-10-27", day(*known), findings(*severities))
    assert_within_slacks_limits(as_blocks(text))
    assert not re.search(r"\b(nan|NaN|None|NA|NaT|inf)\b|[{}\[\]]|\d\.\d", text)
