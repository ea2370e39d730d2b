"""The trigger through the real webserver and daemon: one run for all who ask, and figures that are the ledger's."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from perf_pipeline.definitions import build_defs
from perf_pipeline.demo.demo_fleet import write_fleet
from perf_pipeline.fleet import load_fleet
from perf_pipeline.installation import installed_resources
from perf_pipeline.instance import prepare_instance
from perf_pipeline.jobs import MONITORING, QUIET, range_tags
from perf_pipeline.monitoring.windows import Window, floor_to_window
from perf_pipeline.records import IncidentState, NotificationState, Scope
from perf_pipeline.settings import read_settings
from perf_pipeline.tables import AGENT_METRICS, ANOMALIES
from perf_pipeline.tokens import new_token
from resources.lake import Lake
from resources.ledger import Ledger
from tests.builders import optimizable
from tests.real.services.free_port import free_port
from tests.real.slack_fixtures import SlackServer, local_slack, slack_server

__all__ = ["local_slack", "slack_server"]

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]

ROOT = Path(__file__).parents[2]
HOUR = timedelta(hours=1)
LEAST_LEFT = timedelta(minutes=5)
SENSORS = ("notifications", "optimization_requests", "approvals")


@dataclass(frozen=True)
class Running:
    """Two services over one installation with Dagster, and a token that may do all."""

    urls: tuple[str, str]
    home: Path
    headers: dict[str, str]

    def trigger(self, number: int = 0, **query: Any) -> httpx.Response:
        address = f"{self.urls[number % 2]}/agents/performance/trigger"
        return httpx.post(address, params=query, headers=self.headers, timeout=280)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.urls[0] + path, headers=self.headers, timeout=30)


@pytest.fixture
def running(tmp_path: Path, slack_server: SlackServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    _wait_for_time_within_the_hour()
    environment = _installation(tmp_path, slack_server)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    _fail_inbound_agent_in_the_last_windows(tmp_path, environment)
    _complete_tasks(tmp_path)
    book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    secret, token = new_token("test", "ana", [Scope.ADMIN], "test", datetime.now(UTC))
    book.add_token(token)
    book.close()
    for sensor in SENSORS:
        _dagster(environment, "sensor", "start", sensor)
    dagster_port, ports = free_port(), (free_port(), free_port())
    environment["DAGSTER_WEBSERVER_URL"] = f"http://127.0.0.1:{dagster_port}"
    ui = ["-m", "dagster", "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(dagster_port)]
    with ExitStack() as processes:
        processes.enter_context(_process(ui, environment, tmp_path / "dagster.log"))
        for port in ports:
            serve = ["-m", "perf_pipeline", "serve", "--port", str(port)]
            processes.enter_context(_process(serve, environment, tmp_path / f"serve-{port}.log"))
        urls = (f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}")
        headers = {"authorization": f"Bearer {secret}"}
        service = Running(urls, tmp_path, headers)
        _wait(200, lambda: service.get("/agents/performance/status").json()["dagster"]["daemon_runs"], "Dagster")
        _wait(60, lambda: httpx.get(f"{urls[1]}/healthz").status_code == 200, "the second service")
        yield service


@pytest.mark.timeout(600)
def test_twenty_who_ask_at_once_get_one_run_and_its_figures_are_the_ledgers(
    running: Running, slack_server: SlackServer
) -> None:
    # What was found before the run is told without it, and is not its doing.
    _wait(60, lambda: len(slack_server.messages()) == 1, "the alert of the windows before")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(running.trigger, range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20, answers[0].text
    told = [answer.json() for answer in answers]
    assert {json.dumps(one, sort_keys=True) for one in told} == {json.dumps(told[0], sort_keys=True)}
    answer = told[0]
    assert answer["success"], answer
    assert answer["errors"] == []
    runs = _runs(running.home)
    assert [run.run_id for run in runs] == [answer["run_id"]]
    assert runs[0].tags["perf_pipeline/triggered_by"] == "ana"

    window = Window(datetime.fromisoformat(answer["window"]["start"]), datetime.fromisoformat(answer["window"]["end"]))
    lake, book = Lake(str(running.home / "lake")), Ledger(f"sqlite:///{running.home / 'ledger.db'}")
    metrics, anomalies = (lake.read(table, window.start, window.end) for table in (AGENT_METRICS, ANOMALIES))
    (incident,) = [one for one in book.incidents(window.start) if one.state is IncidentState.OPEN]
    requests, notes = book.optimization_requests(), book.notifications()
    book.close()
    assert incident.agent == "InboundAgent"
    assert answer["agents_analyzed"] == metrics["agent"].nunique() == 7
    assert answer["anomalies_detected"] == (anomalies["state"] == "open").sum() >= 1
    assert answer["optimizations_triggered"] == len(requests) == 2
    assert {note.state for note in notes} == {NotificationState.SENT}
    assert len(notes) == len(slack_server.messages()) == 2
    assert answer["slack_messages_sent"] == 1

    run = running.get(f"/runs/{answer['run_id']}").json()
    assert (run["status"], run["triggered_by"], run["result"]) == ("SUCCESS", "ana", answer)

    later = running.trigger(wait=False)
    assert later.status_code == 202
    begun = later.json()
    assert later.headers["location"] == f"/runs/{begun['run_id']}"
    assert begun["run_id"] != answer["run_id"]
    assert running.trigger(1, wait=False).json()["run_id"] == begun["run_id"]
    _wait(120, lambda: running.get(f"/runs/{begun['run_id']}").json()["is_over"], "the second run")
    second = running.get(f"/runs/{begun['run_id']}").json()["result"]
    assert second["success"]
    # What is known already is neither asked for nor told again.
    assert (second["optimizations_triggered"], second["slack_messages_sent"]) == (0, 0)


def _installation(home: Path, slack: SlackServer) -> dict[str, str]:
    fleet = optimizable(load_fleet(ROOT / "fleet.yaml"))
    changes: dict[str, Any] = {"window_minutes": 60, "history_start": datetime.now(UTC).date() - timedelta(days=2)}
    write_fleet(fleet.model_copy(update=changes), home)
    return {name: value for name, value in os.environ.items() if not name.startswith(("PHOENIX_", "RAILWAY_"))} | {
        "PERF_PIPELINE_HOME": str(home),
        "PERF_PIPELINE_FLEET": str(home / "fleet.yaml"),
        "DAGSTER_HOME": str(prepare_instance(home)),
        "SLACK_BOT_TOKEN": slack.token,
        "SLACK_CHANNEL": slack.channel,
        "SLACK_BASE_URL": slack.base_url,
    }


def _fail_inbound_agent_in_the_last_windows(home: Path, environment: dict[str, str]) -> None:
    """Tasks that failed in the two windows that are over, which the cycle has seen."""
    end = floor_to_window(datetime.now(UTC), HOUR)
    windows = [Window(end - 2 * HOUR, end - HOUR), Window(end - HOUR, end)]
    spans = [_failed_task(window.start + timedelta(minutes=number)) for window in windows for number in range(20)]
    folder = home / "inbox" / "spans"
    folder.mkdir(parents=True)
    line = json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": spans}]}]})
    (folder / "spans.jsonl").write_text(line + "\n")
    settings = read_settings(environment)
    fleet = load_fleet(settings.fleet_path)
    job = build_defs(fleet, installed_resources(settings, fleet)).resolve_job_def(MONITORING)
    with dg.DagsterInstance.ephemeral() as instance:
        tags = range_tags(windows[0].key, windows[-1].key)
        assert job.execute_in_process(instance=instance, tags=tags, run_config=QUIET).success


def _complete_tasks(home: Path) -> None:
    """Enough for StrategyAgent, which needs approval, and InboundAgent, which does not."""
    now = datetime.now(UTC).isoformat()
    with (home / "inbox" / "agent_state.jsonl").open("a") as file:
        for agent in ("StrategyAgent", "InboundAgent"):
            for number in range(30):
                row = {"id": f"{agent}-{number}", "agent_name": agent, "status": "completed", "updated_at": now}
                file.write(json.dumps(row) + "\n")


def _failed_task(start: datetime) -> dict[str, object]:
    begins = int(start.timestamp() * 1e9)
    texts = {"agent.name": "InboundAgent", "openinference.span.kind": "AGENT"}
    return {
        "traceId": secrets.token_hex(16),
        "spanId": secrets.token_hex(8),
        "name": "InboundAgent",
        "startTimeUnixNano": str(begins),
        "endTimeUnixNano": str(begins + 5_000_000),
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in texts.items()],
        "status": {"code": 2, "message": "RateLimitError: the model did not answer"},
    }


def _runs(home: Path) -> list[dg.DagsterRun]:
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        return list(instance.get_runs(dg.RunsFilter(job_name=MONITORING)))


@contextmanager
def _process(arguments: list[str], environment: dict[str, str], log_file: Path) -> Iterator[None]:
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _dagster(environment: dict[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "dagster", *arguments, "-w", "workspace.yaml"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)


def _wait_for_time_within_the_hour() -> None:
    """The window that is open must be open until the end of the test."""
    left = floor_to_window(datetime.now(UTC), HOUR) + HOUR - datetime.now(UTC)
    if left < LEAST_LEFT:
        time.sleep(left.total_seconds() + 1)


def _wait(seconds: float, condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, f"Waited {seconds:g} s in vain for {what}."
        time.sleep(0.5)
