"""The monitoring job and the sensors around it, run whole in one process on real storage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import IncidentState, NotificationState, RequestState, SourceStatus
from perf_pipeline.tables import AGENT_METRICS, AGENT_TASKS, OPTIMIZATION_DECISIONS, TABLES
from resources.reading import PhoenixError
from tests.cycle_fixtures import Installation, agent_findings, checks, installation

DOWN = PhoenixError("Phoenix at http://phoenix.example does not answer: check PHOENIX_ENDPOINT.", retryable=True)


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    with installation(tmp_path / "installation") as running:
        yield running


@pytest.fixture
def windows(installed: Installation) -> list[Window]:
    return installed.closed_windows(4)


def a_healthy_fleet(installed: Installation, windows: list[Window]) -> None:
    for window in windows:
        installed.spans.add_tasks("InboundAgent", window, 12)
        installed.spans.add_tasks("AuditAgent", window, 6)


def an_incident(installed: Installation, windows: list[Window]) -> None:
    """InboundAgent works well for some windows, and fails in all tasks of the last one."""
    for window in windows[:-1]:
        installed.spans.add_tasks("InboundAgent", window, 12)
    installed.spans.add_tasks("InboundAgent", windows[-1], 12, failed=12)


def figures(installed: Installation, agent: str, window: Window) -> pd.Series:
    metrics = installed.table(AGENT_METRICS, [window])
    return metrics[metrics["agent"] == agent].iloc[0]


def assert_same_tables(one: dict[str, pd.DataFrame], other: dict[str, pd.DataFrame]) -> None:
    assert one.keys() == other.keys()
    for name, frame in one.items():
        pd.testing.assert_frame_equal(frame, other[name], obj=name)


def test_a_window_materialized_twice_changes_nothing(installed: Installation, windows: list[Window]) -> None:
    an_incident(installed, windows)
    installed.complete_tasks("StrategyAgent", 20)
    assert installed.cycle(windows[0], windows[-1]).success
    tables, known = installed.stored(windows), installed.known(windows)
    assert installed.cycle(windows[0], windows[-1]).success
    assert_same_tables(tables, installed.stored(windows))
    assert known == installed.known(windows)
    assert len(tables["anomalies"]) > 0
    assert len(known["incidents"]) > 0
    assert {name: TABLES[name].problems(frame) for name, frame in tables.items()} == {name: [] for name in TABLES}


def test_a_run_over_a_range_equals_runs_of_its_windows(tmp_path: Path) -> None:
    with installation(tmp_path / "range") as at_once, installation(tmp_path / "single") as one_by_one:
        windows = at_once.closed_windows(3)
        for installed in (at_once, one_by_one):
            an_incident(installed, windows)
        assert at_once.cycle(windows[0], windows[-1]).success
        for window in windows:
            assert one_by_one.cycle(window).success
        assert_same_tables(at_once.stored(windows), one_by_one.stored(windows))
        assert at_once.known(windows) == one_by_one.known(windows)
        assert len(at_once.table(AGENT_TASKS, windows)) == 3 * 12


def test_a_late_span_is_counted_in_its_own_window(installed: Installation, windows: list[Window]) -> None:
    a_healthy_fleet(installed, windows)
    assert installed.cycle(windows[0], windows[-2]).success
    late_in = windows[-2]
    before = figures(installed, "InboundAgent", late_in)
    installed.spans.add_task("InboundAgent", late_in.end - timedelta(seconds=1), ok=False, latency_ms=90_000)

    assert installed.cycle(late_in, windows[-1]).success

    after = figures(installed, "InboundAgent", late_in)
    assert (before["tasks"], after["tasks"]) == (12, 13)
    assert after["success_rate"] == pytest.approx(100 * 12 / 13)
    assert after["latency_mean_ms"] > before["latency_mean_ms"]
    assert figures(installed, "InboundAgent", windows[-1])["tasks"] == 12
    with installed.ledger() as book:
        health = {r.window_start: r for r in book.health(windows[0].start, windows[-1].end) if r.source == "spans"}
    assert {start: reading.late_rows for start, reading in health.items() if reading.late_rows} == {late_in.start: 1}


def test_a_source_that_is_down_is_reported_and_no_agent_is_blamed(
    installed: Installation, windows: list[Window]
) -> None:
    an_incident(installed, windows)
    installed.spans.failure = DOWN
    result = installed.cycle(windows[0], windows[-1])

    assert result.success
    assert checks(result)["raw_spans", "source_complete"] is False
    assert checks(result)["raw_spans", "schema"] is True
    with installed.ledger() as book:
        spans = [r for r in book.health(windows[0].start, windows[-1].end) if r.source == "spans"]
        incidents = book.incidents(windows[0].start)
    assert {reading.status for reading in spans} == {SourceStatus.UNAVAILABLE}
    assert {reading.reason for reading in spans} == {str(DOWN)}
    assert [(i.agent, i.family, i.state) for i in incidents] == [("source:spans", "data", IncidentState.OPEN)]
    assert agent_findings(installed, windows).empty
    assert not installed.table(AGENT_METRICS, windows)["complete"].any()
    decisions = installed.table(OPTIMIZATION_DECISIONS, windows)
    assert "optimize" not in set(decisions["decision"])


def test_an_outage_that_ends_resolves_its_incident_and_a_new_one_takes_no_rows_away(
    installed: Installation, windows: list[Window]
) -> None:
    a_healthy_fleet(installed, windows)
    installed.spans.failure = DOWN
    assert installed.cycle(windows[-1]).success
    installed.spans.failure = None
    assert installed.cycle(windows[-1]).success
    with installed.ledger() as book:
        assert [incident.state for incident in book.incidents(windows[0].start)] == [IncidentState.RESOLVED]
    tables = installed.stored([windows[-1]])
    assert len(tables["agent_tasks"]) == 18

    installed.spans.failure = DOWN
    result = installed.cycle(windows[-1])
    assert result.success
    assert checks(result)["raw_spans", "source_complete"] is False
    assert_same_tables(tables, installed.stored([windows[-1]]))


def test_rows_that_break_their_schema_stop_the_cycle(installed: Installation, windows: list[Window]) -> None:
    a_healthy_fleet(installed, windows)
    installed.spans.rows.append({**installed.spans.rows[-1], "span_id": "f" * 16, "prompt_tokens": -1})
    result = installed.cycle(windows[-1])
    assert not result.success
    assert checks(result)["raw_spans", "schema"] is False
    materialized = {event.asset_key for event in result.get_asset_materialization_events()}
    assert dg.AssetKey("raw_spans") in materialized
    downstream = ("agent_tasks", "agent_metrics", "anomalies", "optimization_decisions")
    assert materialized.isdisjoint({dg.AssetKey(name) for name in downstream})


def test_an_incident_is_alerted_once_however_often_its_window_is_read(
    installed: Installation, windows: list[Window]
) -> None:
    an_incident(installed, windows)
    for _ in range(3):
        assert installed.cycle(windows[0], windows[-1]).success
        installed.tick("notifications")
    with installed.ledger() as book:
        [message] = book.notifications()
    assert (message.state, message.kind, message.attempts) == (NotificationState.SENT, "alert", 1)
    [posted] = installed.messages
    assert (posted["key"], posted["title"]) == (message.key, "🚨 PERFORMANCE ALERT")
    assert "Agent: InboundAgent\nSeverity: CRITICAL\nType: success_drop" in posted["text"]
    onset = f"{windows[-1].start:%H:%M} UTC"
    assert f"Success rate fell from 95% to 0% since {onset} (0 of 12 tasks; 95% interval of the loss" in posted["text"]


def test_a_tick_without_news_sends_nothing(installed: Installation, windows: list[Window]) -> None:
    a_healthy_fleet(installed, windows)
    assert installed.cycle(windows[0], windows[-1]).success
    assert installed.tick("notifications").skip_message == "Nothing to send."
    assert installed.messages == []


def test_an_incident_that_was_over_before_it_became_known_is_recorded_and_not_sent(installed: Installation) -> None:
    windows = installed.closed_windows(16)
    an_incident(installed, windows[:4])
    for window in windows[4:7]:
        installed.spans.add_tasks("InboundAgent", window, 12)
    assert installed.cycle(windows[0], windows[6]).success
    installed.tick("notifications")
    with installed.ledger() as book:
        [incident] = book.incidents(windows[0].start)
        assert (incident.state, incident.opened_at) == (IncidentState.RESOLVED, windows[3].start)
        assert [message.state for message in book.notifications()] == [NotificationState.WITHHELD]
    assert installed.messages == []


def test_the_daily_summary_is_put_into_the_outbox_once(installed: Installation) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    for _ in range(2):
        assert installed.summarize(yesterday).success
    installed.tick("notifications")
    [posted] = installed.messages
    assert posted["key"] == f"daily-summary:{yesterday}@slack"
    assert posted["title"] == f"📊 Daily Performance Summary - {yesterday}"


def test_the_summary_of_a_day_that_goes_on_does_not_replace_that_of_the_whole_day(installed: Installation) -> None:
    today = datetime.now(UTC).date().isoformat()
    assert installed.summarize(today).success
    with installed.ledger() as book:
        [message] = book.notifications()
    assert message.key != f"daily-summary:{today}@slack"
    assert f"{today} (so far)" in message.message.title


def test_the_summary_of_a_day_long_over_is_withheld(installed: Installation) -> None:
    day = (datetime.now(UTC) - timedelta(days=5)).date().isoformat()
    assert installed.summarize(day).success
    with installed.ledger() as book:
        assert [message.state for message in book.notifications()] == [NotificationState.WITHHELD]


def test_decisions_become_requests_once_and_only_strategy_asks_for_approval(
    installed: Installation, windows: list[Window]
) -> None:
    a_healthy_fleet(installed, windows)
    for agent, tasks in (("StrategyAgent", 20), ("InboundAgent", 10), ("AuditAgent", 12), ("FollowUpAgent", 9)):
        installed.complete_tasks(agent, tasks)
    assert installed.cycle(windows[-1]).success
    assert installed.tick("optimization_requests").skip_message == (
        "Requested for AuditAgent, InboundAgent, StrategyAgent."
    )
    assert installed.cycle(windows[-1]).success
    assert installed.tick("optimization_requests").skip_message == "Nothing new to request."
    with installed.ledger() as book:
        requests = {r.agent: (r.state, r.optimizer, r.max_cost_usd) for r in book.optimization_requests()}
    assert requests == {
        "StrategyAgent": (RequestState.AWAITING_APPROVAL, "GEPA", 30),
        "InboundAgent": (RequestState.READY, "BootstrapFewShot", 5),
        "AuditAgent": (RequestState.READY, "BootstrapFewShot", 5),
    }
