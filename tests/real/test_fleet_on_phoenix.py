"""The whole product on real servers: DSPy agents traced to Phoenix, PostgREST, Slack's API; Railway on our wire server.

Each test has an installation of its own, with an empty lake and ledger; those that only look share one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import numpy as np
import pytest

from perf_pipeline.monitoring.windows import Window, window_of_key
from perf_pipeline.records import IncidentState, SourceStatus
from perf_pipeline.schedules import daily_summary_schedule
from perf_pipeline.tables import (
    AGENT_METRICS,
    AGENT_TASKS,
    ANOMALIES,
    CHANGE_EVENTS,
    OPTIMIZATION_DECISIONS,
    RAW_LOGS,
    RAW_SPANS,
    TASK_COUNTS,
)
from tests.real import end_to_end_fixtures, phoenix_fixtures, slack_fixtures, supabase_fixtures
from tests.real.end_to_end import Installation, failed_checks
from tests.real.end_to_end_fixtures import FLEET, Install, a_good_day, a_task, newest_windows, send_tasks
from tests.real.fleet_story import FATAL_CHANGE, Story, end_of, figures_by_task
from tests.real.phoenix_fixtures import MANY_SPANS, BusyWindow
from tests.real.services.free_port import free_port
from tests.real.services.phoenix_server import RunningPhoenix
from tests.real.slack_fixtures import SlackServer
from tests.real.supabase_fixtures import SupabaseServer

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("phoenix")]
guarded_phoenix = phoenix_fixtures.guarded_phoenix
busy_window = phoenix_fixtures.busy_window
local_slack = slack_fixtures.local_slack
slack_server = slack_fixtures.slack_server
supabase_database = supabase_fixtures.supabase_database
story = end_to_end_fixtures.story
supabase = end_to_end_fixtures.supabase
environment = end_to_end_fixtures.environment
watched = end_to_end_fixtures.watched
install = end_to_end_fixtures.install


def test_each_task_of_the_fleet_is_read_back_as_it_happened(story: Story, watched: Installation) -> None:
    rows = watched.table(AGENT_TASKS, story.windows).astype(object)
    rows = {row["task_id"]: row for row in rows.where(rows.notna(), None).to_dict("records")}
    assert rows.keys() == {task.task_id for task in story.tasks}
    for task in story.tasks:
        row = rows[task.task_id]
        assert (row["agent"], row["parent_agent"]) == (task.agent, task.parent_agent)
        error = task.error_type.rpartition(".")[2] if task.error_type else None
        assert (row["ok"], row["error_type"]) == (task.ok, error)
        # Phoenix rounds nanoseconds to microseconds, and the story cuts them.
        assert abs(row["start_time"] - task.start) <= timedelta(microseconds=1)
    assert any(task.parent_agent == "AccountOrchestrator" for task in story.tasks)


def test_metrics_are_those_of_what_the_fleet_did(story: Story, watched: Installation) -> None:
    metrics = watched.table(AGENT_METRICS, story.windows)
    assert len(metrics) == len(FLEET.agents) * len(story.windows)
    for row in metrics.to_dict("records"):
        tasks = story.tasks_of(row["agent"], row["window_start"])
        latencies = [task.latency_ms for task in tasks]
        successes = sum(task.ok for task in tasks)
        assert (row["tasks"], row["successes"], row["complete"]) == (len(tasks), successes, True)
        assert row["success_rate"] == pytest.approx(100 * successes / len(tasks))
        assert row["latency_mean_ms"] == pytest.approx(np.mean(latencies), abs=1)
        assert row["latency_p50_ms"] == pytest.approx(np.quantile(latencies, 0.50), abs=1)
        assert row["latency_p95_ms"] == pytest.approx(np.quantile(latencies, 0.95), abs=1)


def test_errors_and_tokens_are_those_of_the_spans_that_were_sent(story: Story, watched: Installation) -> None:
    sent = figures_by_task(story.spans)
    tasks = watched.table(AGENT_TASKS, story.windows)
    for row in tasks.to_dict("records"):
        task = sent.pop(row["task_span_id"])
        assert (row["spans"], row["error_count"]) == (task.spans, task.errors_begun)
        assert (row["prompt_tokens"] + row["completion_tokens"] if task.tokens else 0) == task.tokens
    assert sent == {}
    by_window = tasks.groupby([tasks["start_time"].dt.floor("30min"), "agent"])["error_count"].sum()
    metrics = watched.table(AGENT_METRICS, story.windows).set_index(["window_start", "agent"])
    assert metrics["error_count"].to_dict() == by_window.to_dict()
    assert metrics["total_tokens"].gt(0).all()


def test_a_failure_that_marks_six_spans_is_one_failed_task(story: Story, watched: Installation) -> None:
    failed = next(task for task in story.failed if task.agent == "InboundAgent")
    tasks = watched.table(AGENT_TASKS, story.windows)
    (task,) = tasks[tasks["task_id"] == failed.task_id].to_dict("records")
    spans = watched.table(RAW_SPANS, story.windows)
    spans = spans[spans["trace_id"] == task["trace_id"]]
    assert 5 <= (spans["status"] == "ERROR").sum() <= 8
    assert (tasks["trace_id"] == task["trace_id"]).sum() == 1
    assert not task["ok"]


def test_error_lines_count_for_the_agent_that_they_name(story: Story, watched: Installation) -> None:
    logs = watched.table(RAW_LOGS, story.windows)
    assert Counter(logs["agent"].dropna()) == Counter(task.agent for task in story.tasks)
    assert logs[logs["agent"].isna()]["message"].tolist() == ["Out of memory"]
    metrics = watched.table(AGENT_METRICS, story.windows)
    counted = metrics[metrics["log_errors"] > 0].set_index(["window_start", "agent"])["log_errors"].to_dict()
    assert counted == Counter((story.script.window_of(end_of(task)), task.agent) for task in story.failed)


def test_the_deployment_before_an_incident_is_in_its_cause(story: Story, watched: Installation) -> None:
    (change,) = watched.table(CHANGE_EVENTS, story.windows).to_dict("records")
    assert (change["kind"], change["from_version"], change["to_version"]) == ("deployment", "aaaaaaa", "bbbbbbb")
    assert change["description"] == f"{FATAL_CHANGE} (main)"
    findings = watched.table(ANOMALIES, story.windows)
    assert set(findings["agent"]) == {"InboundAgent"}
    cause = f"after the deployment of {story.script.deployed_at:%H:%M} UTC: {FATAL_CHANGE} (main)"
    assert findings["root_cause"].str.contains(cause, regex=False).all()


def test_three_thousand_rows_of_agent_state_are_counted_exactly(story: Story, watched: Installation) -> None:
    newest = story.windows[-1]
    counts = watched.table(TASK_COUNTS, [newest])
    columns = zip(counts["agent"], counts["status"], counts["tasks_in_window"], counts["tasks_total"], strict=True)
    assert {(agent, status): numbers for agent, status, *numbers in columns} == {
        ("StrategyAgent", "completed"): [0, 1200],
        ("InboundAgent", "completed"): [0, 7],
        ("AuditAgent", "failed"): [0, 1000],
        ("AuditAgent", "completed"): [793, 793],
    }
    decisions = watched.table(OPTIMIZATION_DECISIONS, [newest]).set_index("agent")
    assert decisions.loc[["StrategyAgent", "InboundAgent", "AuditAgent"], "tasks_total"].tolist() == [1200, 7, 793]
    assert decisions.loc[["StrategyAgent", "InboundAgent"], "decision"].tolist() == ["optimize", "not_eligible"]


def test_a_table_that_seems_empty_is_no_proof_of_no_tasks(
    story: Story, install: Install, supabase: SupabaseServer
) -> None:
    blinded = install(SUPABASE_KEY=supabase.anon_key)
    failed = failed_checks(blinded.run(story.windows[-1:]))
    assert set(failed) == {("task_counts", "source_complete"), ("task_states", "source_complete")}
    assert all("SUPABASE_KEY" in problem for problem in failed.values())
    decisions = blinded.table(OPTIMIZATION_DECISIONS, story.windows[-1:])
    assert set(decisions["decision"]) == {"wait"}
    unread = "the task counts could not be read completely, so the threshold cannot be checked"
    assert set(decisions["reasons"]) == {unread}


def test_a_late_span_is_counted_in_its_own_window(guarded_phoenix: RunningPhoenix, install: Install) -> None:
    windows = newest_windows(2)
    project = a_good_day(guarded_phoenix, windows)
    installed = install(PHOENIX_PROJECT_NAME=project)
    installed.run(windows)
    before = installed.table(AGENT_METRICS, windows)
    send_tasks(guarded_phoenix, project, [a_task("InboundAgent", windows[0].start + FLEET.window / 2, 20)], 24)
    installed.run(windows)
    after = installed.table(AGENT_METRICS, windows)
    figures = ["tasks", "successes", "latency_mean_ms"]
    first, second = (frame[frame["agent"] == "InboundAgent"][figures].to_numpy().tolist() for frame in (before, after))
    assert first == [[12, 12, 2000], [12, 12, 2000]]
    assert second == [[13, 13, pytest.approx((12 * 2000 + 20_000) / 13)], [12, 12, 2000]]
    with installed.ledger() as ledger:
        health = [reading for reading in ledger.health(windows[0].start, windows[1].end) if reading.source == "spans"]
    assert [(reading.rows, reading.late_rows) for reading in health] == [(13, 1), (12, 0)]


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("PHOENIX_API_KEY", "wrong-key-123", "refuses the API key"),
        ("PHOENIX_PROJECT_NAME", "no-such-project", "has no project 'no-such-project'"),
        ("PHOENIX_ENDPOINT", "a server that was stopped", "cannot be reached"),
    ],
)
def test_an_outage_of_phoenix_accuses_no_agent_and_is_made_up_for(
    guarded_phoenix: RunningPhoenix,
    install: Install,
    slack_server: SlackServer,
    variable: str,
    value: str,
    says: str,
) -> None:
    windows = newest_windows(2)
    installed = install(PHOENIX_PROJECT_NAME=a_good_day(guarded_phoenix, windows))
    installed.run(windows[:1])
    earlier = installed.table(RAW_SPANS, windows)
    assert len(earlier) == 12

    fault = f"http://127.0.0.1:{free_port()}" if variable == "PHOENIX_ENDPOINT" else value
    result = installed.run(windows, **{variable: fault})
    assert result.success
    failed = failed_checks(result)
    assert set(failed) >= {("raw_spans", "source_complete")}
    assert says in failed["raw_spans", "source_complete"]
    assert variable in failed["raw_spans", "source_complete"]
    assert "wrong-key-123" not in failed["raw_spans", "source_complete"]
    assert installed.table(RAW_SPANS, windows).equals(earlier)
    assert set(installed.table(ANOMALIES, windows)["agent"]) == {"source:spans"}
    metrics = installed.table(AGENT_METRICS, windows)
    assert metrics.groupby("window_start")["complete"].all().tolist() == [True, False]
    decisions = installed.table(OPTIMIZATION_DECISIONS, windows[1:]).set_index("agent")
    assert "a source is failing" in str(decisions.loc["StrategyAgent", "reasons"])
    assert the_incidents(installed, windows) == [("source:spans", "data", IncidentState.OPEN)]
    installed.tick("notifications")
    (alert,) = slack_server.messages()
    assert alert["text"].startswith("📡 DATA OUTAGE")
    assert "Source: spans" in alert["text"]

    assert failed_checks(installed.run(windows)) == {}
    metrics = installed.table(AGENT_METRICS, windows)
    assert metrics[metrics["agent"] == "InboundAgent"]["tasks"].tolist() == [12, 12]
    assert metrics["complete"].all()
    assert the_incidents(installed, windows) == [("source:spans", "data", IncidentState.RESOLVED)]
    assert installed.table(ANOMALIES, windows).empty


def the_incidents(installed: Installation, windows: Sequence[Window]) -> list[tuple[str, str, IncidentState]]:
    with installed.ledger() as ledger:
        return [(found.agent, found.family, found.state) for found in ledger.incidents(windows[0].start)]


def test_an_incident_is_said_once_however_often_its_window_is_materialized(
    story: Story, install: Install, slack_server: SlackServer
) -> None:
    installed = install()
    for newest in (2, 3, 3):
        began = time.monotonic()
        installed.run(story.windows[:newest])
        print(f"\na later cycle over {newest} windows of the story: {time.monotonic() - began:.1f} s")
        installed.tick("notifications")
    (message,) = slack_server.messages()
    with installed.ledger() as ledger:
        (incident,) = ledger.incidents(story.script.start)
        (told,) = ledger.told_incidents([incident.id])
    onset = story.windows[1].start
    assert (incident.agent, incident.onset, incident.last_seen) == ("InboundAgent", onset, story.windows[2].start)
    assert message["metadata"]["event_payload"] == {"key": f"{told.thread}@slack"}
    head, agent, severity, kind, since, cause, action, details, traces, acknowledge = [
        line for line in message["text"].splitlines() if line
    ]
    # Five or six failures of an agent without a history may be chance; those of the next window, too, are not.
    count = sum(len(story.tasks_of("InboundAgent", window.start)) for window in story.windows[1:])
    assert head.startswith("🚨 PERFORMANCE ALERT · InboundAgent: Success rate fell from ")
    assert acknowledge == f"To acknowledge: perf-pipeline ack {told.thread}"
    assert (agent, severity) == ("Agent: InboundAgent", "Severity: CRITICAL")
    assert kind == "Type: success_drop"
    assert since == f"Since: {onset:%Y-%m-%d %H:%M} UTC"
    assert cause.startswith(f"Root Cause: {count} of {count} failures are AdapterParseError")
    assert FATAL_CHANGE in cause
    assert action == "Recommended Action: IMMEDIATE"
    assert details.startswith("Details: Success rate fell from ")
    assert f" to 0% since {onset:%H:%M} UTC (0 of {count} tasks; 95% interval of the loss " in details
    assert f"{installed.environment['PHOENIX_ENDPOINT']}/redirects/traces/" in traces
    assert message["blocks"][0]["text"]["text"] == "🚨 PERFORMANCE ALERT"


def test_the_summary_of_a_day_is_said_once(
    guarded_phoenix: RunningPhoenix, install: Install, slack_server: SlackServer
) -> None:
    nine = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)
    yesterday = window_of_key(f"{nine - timedelta(days=1):%Y-%m-%d}-10:00", FLEET.window)
    installed = install(PHOENIX_PROJECT_NAME=a_good_day(guarded_phoenix, [yesterday]))
    installed.run([yesterday])
    request = daily_summary_schedule(FLEET)(dg.build_schedule_context(scheduled_execution_time=nine))
    assert isinstance(request, dg.RunRequest)
    day = request.partition_key or ""
    for _ in range(2):
        assert installed.summarize(day).success
        installed.tick("notifications")
    (message,) = slack_server.messages()
    assert message["metadata"]["event_payload"] == {"key": f"daily-summary:{day}@slack"}
    lines = message["text"].splitlines()
    assert lines[0].startswith(f"📊 Daily Performance Summary - {yesterday.start:%Y-%m-%d}")
    (inbound,) = [line for line in lines if line.startswith("- InboundAgent: 100/100")]
    assert inbound.endswith("(12 tasks, 100% successful)")
    assert "Anomalies: none detected in what could be read" in lines


@pytest.mark.timeout(600)  # Phoenix takes in 40 to 80 spans a second
def test_a_window_of_five_thousand_spans_is_counted_with_nothing_cut(busy_window: BusyWindow, install: Install) -> None:
    window = Window(busy_window.start, busy_window.end)
    installed = install(PHOENIX_PROJECT_NAME=busy_window.project)
    began = time.monotonic()
    installed.run([window])
    print(f"\na cycle over {MANY_SPANS} spans in one window: {time.monotonic() - began:.1f} s")
    sent = Counter((span.name, span.status) for span in busy_window.spans if span.kind == "AGENT")
    assert set(installed.table(RAW_SPANS, [window])["span_id"]) == {span.span_id for span in busy_window.spans}
    metrics = installed.table(AGENT_METRICS, [window]).set_index("agent")
    for agent in ("StrategyAgent", "AuditAgent"):
        good, bad = sent[agent, "OK"], sent[agent, "ERROR"]
        assert (metrics["tasks"][agent], metrics["successes"][agent]) == (good + bad, good)
    with installed.ledger() as ledger:
        (health,) = [found for found in ledger.health(window.start, window.end) if found.source == "spans"]
    assert (health.status, health.rows) == (SourceStatus.COMPLETE, MANY_SPANS)
