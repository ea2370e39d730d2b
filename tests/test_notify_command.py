"""`perf-pipeline notify`: a route is proved, and what was not delivered is seen and sent again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from perf_pipeline.notify_command import app
from perf_pipeline.records import NotificationState
from resources.ledger import Ledger
from tests.incident_builders import notification
from tests.real.services.free_port import free_port
from tests.wire.http_server import Answer, Handler, Request, http_server

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

Notify = Callable[..., Result]


@pytest.fixture
def server() -> Iterator[tuple[str, list[Request]]]:
    requests: list[Request] = []

    class Server(Handler):
        def do_POST(self) -> None:
            requests.append(self.read_request())
            self.send(Answer(body=b""))

    with http_server(Server) as address:
        yield address, requests


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Notify]:
    """Writes a fleet.yaml with these notifications, and gives the command of its installation."""
    for name in ("SLACK_BOT_TOKEN", "PERF_PIPELINE_LEDGER", "MAIL_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PERF_PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PERF_PIPELINE_FLEET", str(tmp_path / "fleet.yaml"))
    monkeypatch.setenv("COLUMNS", "200")

    def with_notifications(**notifications: Any) -> Notify:
        content = yaml.safe_load((ROOT / "fleet.yaml").read_text()) | {"notifications": notifications}
        (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(content))
        return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])

    return with_notifications


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'home' / 'ledger.db'}")
    yield opened
    opened.close()


def targets(url: str) -> dict[str, Any]:
    return {"mail": {"kind": "apprise", "url_variable": "MAIL_ADDRESS"}, "prom": {"kind": "alertmanager", "url": url}}


def test_a_test_message_reaches_every_kind_of_target(
    installation: Callable[..., Notify],
    server: tuple[str, list[Request]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, requests = server
    monkeypatch.setenv("MAIL_ADDRESS", url.replace("http", "json") + "/hook")
    done = installation(targets=targets(url))("test", "--json")
    assert done.exit_code == 0, done.output
    found = {row["target"]: (row["kind"], row["ok"]) for row in json.loads(done.stdout)}
    assert found == {"slack": ("slack", True), "mail": ("apprise", True), "prom": ("alertmanager", True)}
    assert "Test message" in (tmp_path / "home" / "messages.jsonl").read_text()
    assert [request.path for request in requests] == ["/hook", "/api/v2/alerts"]
    assert "Nothing is wrong" in json.loads(requests[0].body)["message"]
    [alert] = json.loads(requests[1].body)
    assert alert["startsAt"] < alert["endsAt"] <= datetime.now(UTC).isoformat()


def test_one_target_that_fails_says_what_to_mend_and_the_others_are_tried(installation: Callable[..., Notify]) -> None:
    notify = installation(targets=targets(f"http://127.0.0.1:{free_port()}"))
    failed = notify("test")
    assert failed.exit_code == 1
    shown = " ".join(failed.stdout.replace("│", " ").split())
    assert "slack slack reached" in shown
    assert "mail apprise FAILED MAIL_ADDRESS is not set" in shown
    assert "prom alertmanager FAILED Alertmanager at" in shown
    assert notify("test", "slack").exit_code == 0


@pytest.mark.parametrize(
    "answer", ['{"ok": true, "channel": "C1", "ts": "1.0"}', '{"ok": false, "error": "not_in_channel"}']
)
def test_slack_is_tried_with_the_token_of_the_environment_which_is_never_shown(
    installation: Callable[..., Notify], monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    tokens: list[str] = []

    class Slack(Handler):
        def do_POST(self) -> None:
            tokens.append(self.read_request().headers["authorization"])
            self.send(Answer(body=answer))

    with http_server(Slack) as address:
        monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-canary")
        monkeypatch.setenv("SLACK_BASE_URL", f"{address}/api/")
        done = installation()("test", "slack")
    assert set(tokens) == {"Bearer xoxb-canary"}
    assert "canary" not in done.output
    is_reached = '"ok": true' in answer
    assert done.exit_code == (0 if is_reached else 1)
    assert ("invite the bot" in " ".join(done.stdout.replace("│", " ").split())) is not is_reached


def test_an_unknown_target_and_a_broken_fleet_file_are_refused_in_a_sentence(
    installation: Callable[..., Notify], tmp_path: Path
) -> None:
    notify = installation()
    refused = notify("test", "pager")
    assert (refused.exit_code, refused.stderr.strip()) == (1, "fleet.yaml has no target pager: it has slack.")
    (tmp_path / "fleet.yaml").unlink()
    for command in ("test", "routes", "outbox", "retry"):
        missing = notify(command)
        assert missing.exit_code == 1
        assert "fleet.yaml" in missing.stderr


@pytest.mark.parametrize(
    ("asked", "hear"),
    [
        (["--severity", "critical", "--agent", "InboundAgent"], ["slack at once", "prom every minute", "mail late"]),
        (["--severity", "high", "--agent", "InboundAgent"], ["slack at once", "mail late"]),
        (["--agent", "InboundAgent", "--severity", "medium"], []),
        (["--kind", "daily_summary"], ["slack at once"]),
        (["--kind", "approval"], ["slack at once"]),
    ],
)
def test_routes_say_who_would_hear_and_when(
    installation: Callable[..., Notify], asked: list[str], hear: list[str]
) -> None:
    notify = installation(
        targets=targets("http://prom:9093"),
        routes=[{"to": ["slack"]}, {"to": ["prom"], "severities": ["critical"], "agents": ["In*"]}],
        escalate_to=["mail"],
        acknowledge_within_minutes=30,
    )
    words = {
        "at once": "at once",
        "shown every minute": "every minute",
        "after 30 min, where nobody has acknowledged it": "late",
    }
    done = notify("routes", "--json", *asked)
    assert [f"{row['target']} {words[row['when']]}" for row in json.loads(done.stdout)] == hear
    assert ("Nobody hears of it" in notify("routes", *asked).stdout) is (hear == [])


def test_the_outbox_shows_what_became_of_messages_and_why(installation: Callable[..., Notify], ledger: Ledger) -> None:
    notify = installation()
    states = (NotificationState.PENDING, NotificationState.SENT, NotificationState.UNDELIVERABLE)
    for number, state in enumerate(states):
        made = notification(f"alert:{number}@slack", NOW + timedelta(minutes=number), state=state, picture=b"\x89PNG")
        note = "Slack answered [bold]not_in_channel[/]" if state is NotificationState.UNDELIVERABLE else None
        ledger.enqueue(replace(made, note=note, sent_at=NOW, channel="C1", attempts=3))
    shown = notify("outbox").stdout
    assert "In all: 1 pending, 1 sent, 1 undeliverable." in shown
    assert "undeliverable; after 3 attempts; Slack answered [bold]not_in_channel[/]" in shown
    assert "sent; at 2026-03-01 12:00 to C1" in shown
    [failed] = json.loads(notify("outbox", "--state", "undeliverable", "--json").stdout)
    assert (failed["key"], failed["title"], failed["text"]) == (
        "alert:2@slack",
        "title of alert:2@slack",
        "text of alert:2@slack",
    )
    [newest] = json.loads(notify("outbox", "--limit", "1", "--json").stdout)
    assert newest["key"] == "alert:2@slack"


def test_an_empty_outbox_says_so_and_a_missing_one_is_not_made(
    installation: Callable[..., Notify], tmp_path: Path
) -> None:
    notify = installation()
    assert "There is no installation in" in notify("outbox").stderr
    (tmp_path / "home").mkdir()
    assert notify("outbox").stdout.strip() == "There is no such message."
    assert json.loads(notify("outbox", "--json").stdout) == []


def test_retry_lets_what_could_not_be_delivered_wait_again(installation: Callable[..., Notify], ledger: Ledger) -> None:
    notify = installation()
    ledger.enqueue(notification("a@slack", NOW, state=NotificationState.UNDELIVERABLE))
    ledger.enqueue(notification("b@slack", NOW, state=NotificationState.SENT))
    assert "1 message waits again" in notify("retry").stdout
    states = {message.key: message.state for message in ledger.notifications()}
    assert states == {"a@slack": NotificationState.PENDING, "b@slack": NotificationState.SENT}
    assert "nothing that could not be delivered" in notify("retry").stdout
