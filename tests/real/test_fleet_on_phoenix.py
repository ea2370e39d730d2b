"""The whole product on real servers: DSPy agents traced to Phoenix, PostgREST, Slack's API; Railway over our wire."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from perf_pipeline.demo.script import DemoScript, SimulatedTask, simulate
from perf_pipeline.fleet import load_fleet
from perf_pipeline.monitoring.windows import Window, floor_to_window, windows_between
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
from tests.real import phoenix_fixtures
from tests.real.end_to_end import (
    FLEET_FILE,
    Installation,
    RecordingExporter,
    SentFigures,
    failed_checks,
    figures_by_task,
)
from tests.real.phoenix_fixtures import BusyWindow
from tests.real.services.free_port import free_port
from tests.real.services.otlp_sender import SentSpan, send_spans, wait_until_queryable
from tests.real.services.phoenix_server import RunningPhoenix
from tests.real.slack_fixtures import SlackServer
from tests.real.supabase_fixtures import SupabaseServer, serving
from tests.wire.railway_server import (
    BEARER_TOKEN,
    ENVIRONMENT_ID,
    PROJECT_ID,
    FakeRailway,
    deployment,
    log,
    railway_server,
)
from tests.wire.slack_fault_proxy import TOKEN

pytestmark = pytest.mark.real
pytest_plugins = ["tests.real.slack_fixtures", "tests.real.supabase_fixtures"]
phoenix = phoenix_fixtures.phoenix
guarded_phoenix = phoenix_fixtures.guarded_phoenix
busy_window = phoenix_fixtures.busy_window

LENGTH = timedelta(minutes=30)
COMPLETED_LONG_AGO = {"StrategyAgent": 1200, "InboundAgent": 7}
SERVICE = "service-1"

Install = Callable[[str, str], Installation]


@dataclass(frozen=True)
class Story:
    """What the simulated fleet did, and what its tracer sent to Phoenix about it."""

    script: DemoScript
    tasks: list[SimulatedTask]
    figures: dict[str, SentFigures]

    @property
    def windows(self) -> list[Window]:
        return windows_between(self.script.start, self.script.end, LENGTH)

    def tasks_by_agent_and_window(self) -> dict[tuple[str, datetime], list[SimulatedTask]]:
        grouped: dict[tuple[str, datetime], list[SimulatedTask]] = {}
        for task in self.tasks:
            grouped.setdefault((task.agent, task.window_start), []).append(task)
        return grouped


@pytest.fixture(scope="module")
def story(guarded_phoenix: RunningPhoenix, tmp_path_factory: pytest.TempPathFactory) -> Story:
    project = f"fleet-{uuid4().hex[:8]}"
    script = DemoScript(now=datetime.now(UTC), windows=3, tasks_per_window=(5, 6), project=project)
    exporter = RecordingExporter(
        OTLPSpanExporter(
            endpoint=f"{guarded_phoenix.base_url}/v1/traces",
            headers={"authorization": f"Bearer {guarded_phoenix.api_key}"},
        )
    )
    began = time.monotonic()
    tasks = simulate(script, exporter, tmp_path_factory.mktemp("inbox"), lambda _done, _all: None)
    sent = time.monotonic()
    count = len(exporter.spans)
    wait_until_queryable(guarded_phoenix.base_url, project, count, guarded_phoenix.api_key, seconds=120)
    print(
        f"\n{len(tasks)} tasks of the fleet in {sent - began:.1f} s; "
        f"their {count} spans were queryable {time.monotonic() - sent:.1f} s later"
    )
    return Story(script, tasks, figures_by_task(exporter.spans))


@pytest.fixture(scope="module")
def supabase(supabase_database: str) -> Iterator[SupabaseServer]:
    """3,000 rows of agent_state, aggregates off, at most 1,000 rows an answer."""
    with serving(supabase_database, aggregates=False) as server:
        long_ago = datetime.now(UTC) - timedelta(days=3)
        for agent, count in COMPLETED_LONG_AGO.items():
            server.add_tasks(agent, "completed", long_ago, count)
        server.add_tasks("AuditAgent", "failed", long_ago, 1000)
        server.add_tasks("AuditAgent", "completed", floor_to_window(datetime.now(UTC), LENGTH) - LENGTH / 2, 793)
        yield server


@pytest.fixture(scope="module")
def railway(story: Story) -> Iterator[FakeRailway]:
    """An environment in which every failed task of the story left an error line, and the fatal deployment is listed."""
    fake = FakeRailway()
    fake.logs = [_log_of(task, number) for number, task in enumerate(story.tasks)]
    fake.logs.append(log(_ns(story.windows[0].start + LENGTH / 3), "Out of memory", severity="error"))
    subject = {"commitHash": "b" * 40, "commitMessage": "Move InboundAgent to simulated-2", "branch": "main"}
    fake.deployments = [
        deployment("d-1", story.script.start - timedelta(days=1), "a"),
        deployment("d-2", story.script.deployed_at, "b", meta=subject, status="SUCCESS"),
    ]
    with railway_server(fake):
        yield fake


def _log_of(task: SimulatedTask, number: int) -> dict[str, object]:
    """Error lines name the agent in their message or in an attribute, by turns."""
    moment = _ns(_end(task))
    if task.ok:
        return log(moment, f"{task.agent} finished {task.task_id}")
    if number % 2:
        return log(moment, f"{task.agent} failed: {task.error_type}", severity="error")
    return log(moment, "Task failed", severity="error", attributes=[{"key": "agent", "value": f'"{task.agent}"'}])


def _end(task: SimulatedTask) -> datetime:
    return task.start + timedelta(milliseconds=task.latency_ms)


def _ns(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@pytest.fixture(scope="module")
def install(
    guarded_phoenix: RunningPhoenix,
    supabase: SupabaseServer,
    railway: FakeRailway,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str, str, str], Installation]]:
    """Makes an installation, with an empty lake and ledger, that watches a project and posts to a channel of Slack."""
    with ExitStack() as stack:

        def make(project: str, slack_url: str, channel: str) -> Installation:
            environment = {
                "PHOENIX_ENDPOINT": guarded_phoenix.base_url,
                "PHOENIX_PROJECT_NAME": project,
                "PHOENIX_API_KEY": guarded_phoenix.api_key,
                "SUPABASE_URL": supabase.url,
                "SUPABASE_KEY": supabase.service_key,
                "RAILWAY_ENDPOINT": railway.url,
                "RAILWAY_API_TOKEN": BEARER_TOKEN,
                "RAILWAY_ENVIRONMENT_ID": ENVIRONMENT_ID,
                "RAILWAY_PROJECT_ID": PROJECT_ID,
                "SLACK_BOT_TOKEN": TOKEN,
                "SLACK_CHANNEL": channel,
                "SLACK_BASE_URL": slack_url,
            }
            instance = stack.enter_context(dg.DagsterInstance.ephemeral())
            return Installation(tmp_path_factory.mktemp("installation"), environment, instance)

        yield make


@pytest.fixture
def installation(install: Callable[[str, str, str], Installation], slack_server: SlackServer) -> Install:
    """`install` with a channel of the test's own."""
    return lambda project: install(project, slack_server.base_url, slack_server.channel)
