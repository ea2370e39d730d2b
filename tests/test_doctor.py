"""`perf-pipeline doctor` and the other verbs of the pipeline: what is wrong is named with what to mend."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from perf_pipeline.cli import app
from perf_pipeline.doctor.finding import Level
from perf_pipeline.doctor.installation_checks import CONSEQUENCES, switches
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.message import Message
from perf_pipeline.monitoring.windows import floor_to_window, windows_between
from perf_pipeline.records import Notification, NotificationState, SourceHealth, SourceStatus
from perf_pipeline.tables import AGENT_TASKS
from resources.dagster_webserver import Automation
from resources.lake import Lake
from resources.ledger import Ledger
from tests.builders import shipped_fleet
from tests.metrics_lake import tasks_frame, write_windows
from tests.wire.dagster_server import dagster_server

SHIPPED = Path(__file__).parents[1] / "fleet.yaml"
OUTSIDE = ("PHOENIX_", "SUPABASE_", "RAILWAY_", "SLACK_", "PERF_PIPELINE_", "DAGSTER_")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(OUTSIDE)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PERF_PIPELINE_FLEET", str(SHIPPED))
    monkeypatch.setenv("DAGSTER_WEBSERVER_URL", "http://127.0.0.1:9")
    folder = tmp_path / "installation"
    (folder / "inbox" / "spans").mkdir(parents=True)
    return folder


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--home", str(home)], env={"COLUMNS": "200"})


def examined(home: Path) -> dict[str, dict[str, Any]]:
    """The findings by their checks."""
    done = run(home, "doctor", "--json")
    content = json.loads(done.stdout)
    assert (done.exit_code == 0) is content["ok"]
    return {finding["check"]: finding for finding in content["findings"]}


def settings_of(home: Path, **changes: Any) -> Path:
    content = yaml.safe_load(SHIPPED.read_text(encoding="utf-8")) | changes
    path = home / "fleet.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_new_installation_is_told_what_is_missing_for_each_of_the_questions_of_people(home: Path) -> None:
    found = examined(home)
    assert found["ledger"]["level"] == found["lake"]["level"] == "ok"
    assert found["dagster"]["level"] == "failed"
    assert "DAGSTER_WEBSERVER_URL" in found["dagster"]["said"]
    assert "monitoring_schedule" in found["collection"]["mend"]
    assert "agent_attributes" in found["agents"]["mend"]
    assert "SLACK_BOT_TOKEN" in found["slack"]["mend"]
    assert {finding["concern"] for finding in found.values()} >= {"no data collected", "messages not sending"}


def test_a_wrong_setting_is_the_first_thing_to_mend(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "canary")
    found = examined(home)
    assert list(found) == ["settings"]
    assert "SLACK_BOT_TOKEN is not set" in found["settings"]["said"]
    assert "canary" not in json.dumps(found)


def test_a_ledger_that_cannot_be_reached_is_said_without_its_password(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERF_PIPELINE_LEDGER", "postgresql://ana:canary@127.0.0.1:9/ledger?connect_timeout=1")
    found = examined(home)
    assert found["ledger"]["level"] == "failed"
    assert "PERF_PIPELINE_LEDGER" in found["ledger"]["said"]
    assert "canary" not in json.dumps(found)


def test_a_source_that_does_not_answer_is_said_with_its_setting(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOENIX_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("PHOENIX_PROJECT_NAME", "agents")
    found = examined(home)
    assert found["spans"]["level"] == "failed"
    assert "PHOENIX_ENDPOINT" in found["spans"]["said"]


def test_agents_that_are_idle_or_unknown_and_windows_that_lacked_something_are_named(home: Path) -> None:
    now = datetime.now(UTC)
    start = floor_to_window(now, timedelta(minutes=30)) - timedelta(minutes=30)
    agents = [*shipped_fleet().agent_names[1:], "Newcomer"]
    Lake(str(home / "lake")).write(AGENT_TASKS, start, tasks_frame(agents, start, [500]))
    book = Ledger(f"sqlite:///{home / 'ledger.db'}")
    book.record_health([SourceHealth("logs", start, SourceStatus.UNAVAILABLE, "Railway was down.", 0, 0, now)])
    book.close()
    found = examined(home)
    assert shipped_fleet().agent_names[0] in found["agents"]["said"]
    assert "Newcomer" in found["unknown agents"]["said"]
    assert "Railway was down." in found["collection"]["said"]


def test_targets_are_imported_and_keys_looked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = {
        "model": "openai/gpt-4.1-mini",
        "usd_per_million_input_tokens": 1,
        "usd_per_million_output_tokens": 1,
        "max_tokens": 100,
        "api_key_variable": "MODEL_KEY",
    }
    agents = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))["agents"]
    target = {"program": "no_such_module:Program", "metric": "m:metric", "output_fields": ["answer"]}
    for agent in agents:
        agent["target"] = target | {"task_model": "fast", "reflection_model": "fast"}
    fleet = settings_of(home, agents=agents, models={"fast": model}, approvals={"approvers": []})
    monkeypatch.setenv("PERF_PIPELINE_FLEET", str(fleet))
    found = examined(home)
    assert "no_such_module:Program cannot be imported" in found["target of InboundAgent"]["said"]
    assert "MODEL_KEY is not set" in found["model fast"]["said"]
    assert found["approvers"]["level"] == "failed"
    monkeypatch.setenv("MODEL_KEY", "sk-canary")
    again = examined(home)
    assert again["model fast"]["level"] == "ok"
    assert "canary" not in json.dumps(again)


def test_what_could_not_be_delivered_is_quoted(home: Path) -> None:
    book = Ledger(f"sqlite:///{home / 'ledger.db'}")
    book.enqueue(
        Notification(
            key="alert:1@slack",
            kind=NotificationKind.ALERT,
            message=Message(title="Alert"),
            created_at=datetime.now(UTC),
            target="slack",
            state=NotificationState.UNDELIVERABLE,
            note="Slack says not_in_channel.",
        )
    )
    book.close()
    found = examined(home)
    assert (found["outbox"]["level"], "not_in_channel" in found["outbox"]["said"]) == ("failed", True)


def test_each_switch_that_is_off_is_told_with_what_that_means() -> None:
    found = list(switches(Automation({}, {"monitoring_schedule": True}, {"approvals": False})))
    assert {one.check for one in found} == set(CONSEQUENCES) - {"monitoring_schedule"}
    assert all(one.level is Level.WARNING and one.mend for one in found)
    all_on = dict.fromkeys(CONSEQUENCES, True)
    assert [one.level for one in switches(Automation({}, all_on))] == [Level.OK]


def test_people_read_the_findings_under_their_questions(home: Path) -> None:
    shown = run(home, "doctor")
    assert shown.exit_code == 1
    assert all(words in shown.output for words in ("No data collected", "Messages not sending", "→", "to mend."))


# The pipeline's verbs


def test_status_and_agents_are_shown_and_given_as_json(home: Path) -> None:
    now = datetime.now(UTC)
    windows = windows_between(now - timedelta(hours=3), now, timedelta(minutes=30))
    write_windows(Lake(str(home / "lake")), shipped_fleet().agent_names, windows, score=[88.0] * 7)
    status = json.loads(run(home, "status", "--json").stdout)
    assert {row["score"] for row in status["agents"]} == {88.0}
    assert json.loads(run(home, "agents", "--json").stdout) == status["agents"]
    shown = run(home, "status").output
    assert all(
        words in shown for words in ("InboundAgent", "The next closes at", "Dagster's webserver does not answer")
    )


def test_trigger_tells_what_the_run_did_and_what_keeps_it_from_running(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = run(home, "trigger", "--as", "ana")
    assert (refused.exit_code, "perf-pipeline dev" in refused.stderr) == (1, True)
    with dagster_server() as url:
        monkeypatch.setenv("DAGSTER_WEBSERVER_URL", url)
        answer = json.loads(run(home, "trigger", "--as", "ana", "--json").stdout)
        assert (answer["success"], answer["agents_analyzed"], answer["errors"]) == (True, 0, [])
        begun = json.loads(run(home, "trigger", "--as", "ana", "--no-wait", "--json").stdout)
        assert begun["url"] == f"{url}/runs/{begun['run_id']}"
        assert "Slack messages sent: 0" in run(home, "trigger", "--as", "ana").stdout


def test_the_key_of_the_analysts_model_is_looked_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = {"model": "openai/small", "usd_per_million_input_tokens": 1, "usd_per_million_output_tokens": 1}
    agents = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))["agents"]
    watched = {"name": "PerformanceAgent", "policy": "execution", "latency_objective_ms": 8000}
    path = settings_of(
        home,
        models={"small": model | {"max_tokens": 500, "api_key_variable": "ANALYST_KEY"}},
        analysts={"model": "small"},
        agents=[*agents, watched],
    )
    monkeypatch.setenv("PERF_PIPELINE_FLEET", str(path))
    monkeypatch.delenv("ANALYST_KEY", raising=False)
    assert "ANALYST_KEY is not set here" in json.dumps(examined(home)["model small"])
    monkeypatch.setenv("ANALYST_KEY", "k")
    assert "ANALYST_KEY is set." in json.dumps(examined(home)["model small"])
