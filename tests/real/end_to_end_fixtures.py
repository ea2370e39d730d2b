"""Installations on real servers, the fleet that they watch, and handmade tasks for what the fleet does not do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import dagster as dg
import pytest

from perf_pipeline.demo.script import DemoScript
from perf_pipeline.fleet import load_fleet
from perf_pipeline.monitoring.windows import Window, floor_to_window, windows_between
from tests.real.end_to_end import FLEET_FILE, Installation, failed_checks
from tests.real.fleet_story import Story, live, railway_of
from tests.real.services.otlp_sender import SentSpan, send_spans, wait_until_queryable
from tests.real.services.phoenix_server import RunningPhoenix
from tests.real.slack_fixtures import SlackServer
from tests.real.supabase_fixtures import SupabaseServer, serving
from tests.wire.railway_server import BEARER_TOKEN, ENVIRONMENT_ID, PROJECT_ID, railway_server
from tests.wire.slack_fault_proxy import TOKEN

FLEET = load_fleet(FLEET_FILE)
Install = Callable[..., Installation]

COMPLETED_LONG_AGO = {"StrategyAgent": 1200, "InboundAgent": 7}


@pytest.fixture(scope="module")
def story(guarded_phoenix: RunningPhoenix, tmp_path_factory: pytest.TempPathFactory) -> Story:
    script = DemoScript(datetime.now(UTC), windows=3, tasks_per_window=(5, 6), project=a_project())
    began = time.monotonic()
    story = live(guarded_phoenix, script, tmp_path_factory.mktemp("inbox"))
    print(f"\n{len(story.tasks)} tasks with {len(story.spans)} spans queryable in {time.monotonic() - began:.1f} s")
    return story


@pytest.fixture(scope="module")
def supabase(supabase_database: str, story: Story) -> Iterator[SupabaseServer]:
    """3,000 rows of agent_state, aggregates off, at most 1,000 rows an answer."""
    with serving(supabase_database, aggregates=False) as server:
        long_ago = story.script.start - timedelta(days=3)
        for agent, count in COMPLETED_LONG_AGO.items():
            server.add_tasks(agent, "completed", long_ago, count)
        server.add_tasks("AuditAgent", "failed", long_ago, 1000)
        server.add_tasks("AuditAgent", "completed", story.windows[-1].start, 793)
        yield server


@pytest.fixture(scope="module")
def environment(guarded_phoenix: RunningPhoenix, supabase: SupabaseServer, story: Story) -> Iterator[dict[str, str]]:
    """All four systems by their variables; the project is the story's."""
    with railway_server(railway_of(story)) as railway:
        yield {
            "PHOENIX_ENDPOINT": guarded_phoenix.base_url,
            "PHOENIX_PROJECT_NAME": story.script.project,
            "PHOENIX_API_KEY": guarded_phoenix.api_key,
            "SUPABASE_URL": supabase.url,
            "SUPABASE_KEY": supabase.service_key,
            "RAILWAY_ENDPOINT": railway.url,
            "RAILWAY_API_TOKEN": BEARER_TOKEN,
            "RAILWAY_ENVIRONMENT_ID": ENVIRONMENT_ID,
            "RAILWAY_PROJECT_ID": PROJECT_ID,
            "SLACK_BOT_TOKEN": TOKEN,
        }


@pytest.fixture(scope="module")
def watched(
    environment: dict[str, str], local_slack: str, story: Story, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An installation that has read the story; tests look at it and leave it as it is."""
    with dg.DagsterInstance.ephemeral() as instance:
        slack = {"SLACK_BASE_URL": local_slack, "SLACK_CHANNEL": "#general"}
        installed = Installation(tmp_path_factory.mktemp("watched"), environment | slack, instance)
        began = time.monotonic()
        result = installed.run(story.windows)
        print(f"\nfirst cycle over {len(story.spans)} spans in 3 windows: {time.monotonic() - began:.1f} s")
        assert failed_checks(result) == {}
        yield installed


@pytest.fixture
def install(
    environment: dict[str, str], slack_server: SlackServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Install]:
    """Makes an installation with a channel of the test's own; arguments replace variables of the environment."""
    slack = {"SLACK_BASE_URL": slack_server.base_url, "SLACK_CHANNEL": slack_server.channel}
    with ExitStack() as stack:

        def make(**changes: str) -> Installation:
            instance = stack.enter_context(dg.DagsterInstance.ephemeral())
            return Installation(tmp_path_factory.mktemp("installation"), environment | slack | changes, instance)

        yield make


def a_project() -> str:
    return f"fleet-{uuid4().hex[:8]}"


def newest_windows(count: int) -> list[Window]:
    """The newest windows that are over, oldest first."""
    end = floor_to_window(datetime.now(UTC), FLEET.window)
    return windows_between(end - count * FLEET.window, end, FLEET.window)


def a_task(agent: str, start: datetime, seconds: float = 2) -> SentSpan:
    return SentSpan(
        trace_id=uuid4().hex,
        span_id=uuid4().hex[:16],
        name=agent,
        kind="AGENT",
        start=start,
        duration=timedelta(seconds=seconds),
        attributes={"agent.name": agent},
    )


def send_tasks(server: RunningPhoenix, project: str, spans: list[SentSpan], held_before: int = 0) -> None:
    send_spans(server.base_url, project, spans, server.api_key)
    wait_until_queryable(server.base_url, project, held_before + len(spans), server.api_key)


def a_good_day(server: RunningPhoenix, windows: Sequence[Window], agent: str = "InboundAgent") -> str:
    """A new project in which the agent did 12 tasks in each window, all of them well."""
    project = a_project()
    send_tasks(
        server,
        project,
        [a_task(agent, window.start + n * timedelta(minutes=2)) for window in windows for n in range(12)],
    )
    return project
