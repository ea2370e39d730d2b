"""Which resource stands behind each key, and that no secret is in what Dagster shows of them."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap

from perf_pipeline.definitions import build_defs
from perf_pipeline.fleet import load_fleet
from perf_pipeline.fleet_people import NotificationsConfig
from perf_pipeline.installation import installed_resources
from perf_pipeline.settings import read_settings
from resources.ledger import LedgerResource
from resources.slack import SlackResource
from tests.test_settings import COMPLETE, SECRET

FLEET = load_fleet(Path(__file__).parent.parent / "fleet.yaml")
KEYS = {"lake", "lake_io", "ledger", "span_source", "log_source", "task_source", "messenger_slack"}


def kinds(environment: dict[str, str]) -> dict[str, str]:
    installed = installed_resources(read_settings(environment), FLEET)
    assert set(installed) == KEYS
    sources = ("span_source", "log_source", "task_source", "messenger_slack")
    return {key: type(installed[key]).__name__ for key in sources}


def test_what_is_not_set_falls_back_to_its_embedded_default(tmp_path: Path) -> None:
    embedded = {
        "span_source": "SpanFilesResource",
        "log_source": "LogFilesResource",
        "task_source": "StateFilesResource",
        "messenger_slack": "MessageFileResource",
    }
    home = {"PERF_PIPELINE_HOME": str(tmp_path)}
    assert kinds(home) == embedded
    phoenix = {"PHOENIX_ENDPOINT": "http://phoenix.example", "PHOENIX_PROJECT_NAME": "agents"}
    assert kinds(home | phoenix) == embedded | {"span_source": "PhoenixResource"}
    assert kinds(home | {"SLACK_BOT_TOKEN": "xoxb-1"}) == embedded | {"messenger_slack": "SlackResource"}


def test_what_is_set_is_the_real_system(tmp_path: Path) -> None:
    assert kinds(COMPLETE | {"PERF_PIPELINE_HOME": str(tmp_path)}) == {
        "span_source": "PhoenixResource",
        "log_source": "RailwayResource",
        "task_source": "SupabaseResource",
        "messenger_slack": "SlackResource",
    }


def test_the_channel_of_the_environment_stands_above_that_of_the_fleet_file() -> None:
    def channel(**extra: str) -> str:
        slack = installed_resources(read_settings(COMPLETE | extra), FLEET)["messenger_slack"]
        assert isinstance(slack, SlackResource)
        return slack.channel

    assert channel() == FLEET.slack_channel
    assert channel(SLACK_CHANNEL="#ops") == "#ops"


def test_each_target_of_the_fleet_file_has_a_messenger_of_its_own_but_for_alertmanager(tmp_path: Path) -> None:
    targets = {
        "sales": {"kind": "slack", "channel": "#sales"},
        "on_call": {"kind": "apprise", "url_variable": "ON_CALL_URL"},
        "alertmanager": {"kind": "alertmanager", "url": "http://127.0.0.1:9093"},
    }
    config = NotificationsConfig.model_validate({"targets": targets})
    fleet = FLEET.model_copy(update={"notifications": config})
    installed = installed_resources(read_settings(COMPLETE | {"PERF_PIPELINE_HOME": str(tmp_path)}), fleet)
    messengers = {key: value for key, value in installed.items() if key.startswith("messenger_")}
    assert {key: type(value).__name__ for key, value in messengers.items()} == {
        "messenger_slack": "SlackResource",
        "messenger_sales": "SlackResource",
        "messenger_on_call": "AppriseResource",
    }
    sales = messengers["messenger_sales"]
    assert isinstance(sales, SlackResource)
    assert sales.channel == "#sales"


def test_an_empty_ledger_variable_leaves_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERF_PIPELINE_LEDGER", "")
    settings = read_settings({"PERF_PIPELINE_HOME": str(tmp_path), "PERF_PIPELINE_LEDGER": ""})
    ledger = installed_resources(settings, FLEET)["ledger"]
    assert isinstance(ledger, LedgerResource)
    with ledger.open() as book:
        assert book.notifications() == []
    assert (tmp_path / "ledger.db").exists()


@pytest.mark.parametrize("railway_token", ["RAILWAY_API_TOKEN", "RAILWAY_TOKEN"])
def test_no_secret_is_in_what_dagster_shows(monkeypatch: pytest.MonkeyPatch, railway_token: str) -> None:
    environment = {name: value for name, value in COMPLETE.items() if name != "RAILWAY_API_TOKEN"}
    environment[railway_token] = SECRET
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    definitions = build_defs(FLEET, installed_resources(read_settings(environment), FLEET))
    snapshot = dg.serialize_value(RepositorySnap.from_def(definitions.get_repository_def()))
    assert SECRET not in snapshot
    for name in ("PHOENIX_API_KEY", "SUPABASE_KEY", railway_token, "SLACK_BOT_TOKEN", "PERF_PIPELINE_LEDGER"):
        assert name in snapshot


def test_no_secret_is_in_a_resource_as_it_prints() -> None:
    assert SECRET not in repr(LedgerResource(url=COMPLETE["PERF_PIPELINE_LEDGER"]))
    assert SECRET not in repr(SlackResource(token=COMPLETE["SLACK_BOT_TOKEN"], channel="#ops"))
