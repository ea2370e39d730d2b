"""The Dagster daemon really ticking: schedule, catch-up and alert, with windows of one minute."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from perf_pipeline.definitions import build_defs
from perf_pipeline.fleet import load_fleet
from perf_pipeline.installation import installed_resources
from perf_pipeline.instance import prepare_instance
from perf_pipeline.jobs import MONITORING, QUIET, range_tags
from perf_pipeline.monitoring.windows import Window, floor_to_window
from perf_pipeline.settings import read_settings
from perf_pipeline.tables import AGENT_METRICS
from resources.lake import Lake
from tests.real.slack_fixtures import SlackServer, local_slack, slack_server

__all__ = ["local_slack", "slack_server"]

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]

ROOT = Path(__file__).parents[2]
MINUTE = timedelta(minutes=1)
SENSOR_SECONDS = 10

ERRORS = {"AuditAgent": "TimeoutError", "InboundAgent": "RateLimitError"}
"""Each agent fails for a cause of its own: else the second would be told in the thread of the first."""


@dataclass(frozen=True)
class Installation:
    """An installation of its own, with one-minute windows, whose messages go to the local Slack."""

    home: Path
    environment: dict[str, str]

    @property
    def lake(self) -> Lake:
        return Lake(str(self.home / "lake"))

    def fail_tasks(self, agent: str, around: datetime, count: int) -> None:
        """Tasks of the agent that failed at that time, as its tracer would have written them."""
        spans = [_failed_task(agent, around + timedelta(milliseconds=10 * number)) for number in range(count)]
        line = json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": spans}]}]})
        folder = self.home / "inbox" / "spans"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "spans.jsonl").open("a") as file:
            file.write(line + "\n")

    def runs_of(self, window: Window, tag: str) -> list[dg.RunRecord]:
        """The runs that covered the window and carry the tag."""
        with dg.DagsterInstance.from_config(self.environment["DAGSTER_HOME"]) as instance:
            records = instance.get_run_records(dg.RunsFilter(job_name=MONITORING))
        return [record for record in records if tag in record.dagster_run.tags and _covers(record, window)]

    @contextmanager
    def daemon(self) -> Iterator[None]:
        command = [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"]
        log = (self.home / "daemon.log").open("ab")
        process = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            log.close()

    def dagster(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "dagster", *arguments, "-w", "workspace.yaml"]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True, capture_output=True, timeout=120)


@pytest.fixture
def installation(tmp_path: Path, slack_server: SlackServer) -> Installation:
    fleet = yaml.safe_load((ROOT / "fleet.yaml").read_text())
    today = datetime.now(UTC).date()
    fleet |= {"window_minutes": 1, "history_start": today - timedelta(days=1), "catch_up_hours": 0.2}
    fleet |= {"catch_up_after_minutes": 0.5}
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(fleet))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PHOENIX_", "RAILWAY_"))}
    environment |= {
        "PERF_PIPELINE_HOME": str(tmp_path),
        "PERF_PIPELINE_FLEET": str(tmp_path / "fleet.yaml"),
        "DAGSTER_HOME": str(prepare_instance(tmp_path)),
        "SLACK_BOT_TOKEN": slack_server.token,
        "SLACK_CHANNEL": slack_server.channel,
        "SLACK_BASE_URL": slack_server.base_url,
    }
    return Installation(tmp_path, environment)


@pytest.mark.timeout(600)
def test_the_daemon_materializes_catches_up_and_alerts_once(
    installation: Installation, slack_server: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    missed = _window_of(datetime.now(UTC) - 5 * MINUTE)
    installation.fail_tasks("AuditAgent", missed.start + MINUTE / 2, 12)
    installation.dagster("schedule", "start", "--start-all")
    installation.dagster("sensor", "start", "--start-all")

    with installation.daemon():
        _wait(180, lambda: installation.runs_of(missed, "dagster/sensor_name"), "the missed window to be caught up")
        assert _tasks(installation, missed, "AuditAgent") == 12
        assert not installation.runs_of(missed, "dagster/schedule_name")

        window = _open_window()
        installation.fail_tasks("InboundAgent", datetime.now(UTC), 12)
        _wait(150, lambda: installation.runs_of(window, "dagster/schedule_name"), "the schedule to run the window")
        assert _tasks(installation, window, "InboundAgent") == 12
        _wait(90, lambda: len(_alerts(slack_server)) == 2, "both alerts to reach Slack")
        posted = datetime.fromtimestamp(float(_alerts(slack_server)[1]["ts"]), UTC)
        print(f"\nfrom the window's close to Slack: {(posted - window.end).total_seconds():.1f} s")

        for _ in range(3):
            _materialize_again(installation, window, monkeypatch)
        time.sleep(3 * SENSOR_SECONDS)
    assert [("AuditAgent" in text, "InboundAgent" in text) for text in _texts(slack_server)] == [
        (True, False),
        (False, True),
    ]


def _materialize_again(installation: Installation, window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in installation.environment.items():
        monkeypatch.setenv(name, value)
    settings = read_settings(installation.environment)
    fleet = load_fleet(settings.fleet_path)
    job = build_defs(fleet, installed_resources(settings, fleet)).resolve_job_def(MONITORING)
    with dg.DagsterInstance.from_config(installation.environment["DAGSTER_HOME"]) as instance:
        result = job.execute_in_process(instance=instance, tags=range_tags(window.key, window.key), run_config=QUIET)
    assert result.success


def _alerts(slack: SlackServer) -> list[dict[str, str]]:
    return [message for message in slack.messages() if "PERFORMANCE ALERT" in message["text"]]


def _texts(slack: SlackServer) -> list[str]:
    return [message["text"] for message in _alerts(slack)]


def _tasks(installation: Installation, window: Window, agent: str) -> int:
    metrics = installation.lake.read(AGENT_METRICS, window.start, window.end)
    return int(metrics[metrics["agent"] == agent]["tasks"].sum())


def _window_of(instant: datetime) -> Window:
    start = floor_to_window(instant, MINUTE)
    return Window(start, start + MINUTE)


def _open_window() -> Window:
    """The window that is open now, with at least half of it left."""
    start = floor_to_window(datetime.now(UTC), MINUTE)
    if datetime.now(UTC) - start > MINUTE / 2:
        _sleep_until(start + MINUTE)
        start += MINUTE
    return _window_of(start)


def _sleep_until(instant: datetime) -> None:
    time.sleep(max((instant - datetime.now(UTC)).total_seconds(), 0) + 0.2)


def _wait(seconds: float, condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"Waited {seconds:g} s in vain for {what}."
        time.sleep(0.5)


def _covers(record: dg.RunRecord, window: Window) -> bool:
    tags = record.dagster_run.tags
    first, last = tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]
    return first <= window.key <= last and record.dagster_run.is_success


def _failed_task(agent: str, start: datetime) -> dict[str, object]:
    begins = int(start.timestamp() * 1e9)
    texts = {"agent.name": agent, "openinference.span.kind": "AGENT"}
    return {
        "traceId": secrets.token_hex(16),
        "spanId": secrets.token_hex(8),
        "name": agent,
        "startTimeUnixNano": str(begins),
        "endTimeUnixNano": str(begins + 5_000_000),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in texts.items()],
        "status": {"code": 2, "message": f"{ERRORS[agent]}: the model did not answer"},
    }
