"""Approvals and incidents on the command line, over a real ledger."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from perf_pipeline.approvals import ask_for_approvals
from perf_pipeline.cli import app
from perf_pipeline.optimization.approvals import fingerprint
from resources.ledger import Ledger
from tests.approval_builders import FLEET, request_to_approve, state
from tests.incident_actions_builders import told_thread

SHIPPED = Path(__file__).parents[1] / "fleet.yaml"
REQUEST = request_to_approve()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation whose only approver is ana, on a machine whose user is ana."""
    content = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    content["approvals"] = {"approvers": [{"name": "ana"}], "expire_after_hours": 48}
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("PERF_PIPELINE_HOME", "PERF_PIPELINE_LEDGER", "PERF_PIPELINE_FLEET", "SLACK_BOT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "ana")
    (tmp_path / "installation").mkdir()
    return tmp_path / "installation"


@pytest.fixture
def book(home: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{home / 'ledger.db'}")
    yield opened
    opened.close()


@pytest.fixture
def waiting(book: Ledger) -> Ledger:
    book.request_optimization(REQUEST)
    ask_for_approvals(book, FLEET, datetime.now(UTC))
    return book


def run(home: Path, *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, [*arguments, "--home", str(home)], input=stdin, env={"COLUMNS": "120"})


def test_what_waits_for_approval_is_listed(home: Path, waiting: Ledger) -> None:
    assert waiting
    shown = run(home, "approvals").output
    assert all(part in shown for part in (REQUEST.id, "StrategyAgent", "GEPA", "$30", "requested"))
    [row] = json.loads(run(home, "approvals", "--json").output)
    assert (row["id"], row["fingerprint"], row["max_cost_usd"]) == (REQUEST.id, fingerprint(REQUEST), 30)


def test_what_was_answered_is_listed_where_all_are_asked_for(home: Path, waiting: Ledger) -> None:
    assert waiting
    run(home, "decline", REQUEST.id, "--yes")
    assert "Nothing waits" in run(home, "approvals").output
    assert "declined by ana" in run(home, "approvals", "--all").output


def test_the_user_of_the_machine_approves_after_seeing_what(home: Path, waiting: Ledger) -> None:
    done = run(home, "approve", REQUEST.id, stdin="y\n")
    assert done.exit_code == 0, done.output
    assert f"fingerprint {fingerprint(REQUEST)}" in done.output
    assert "at most $30" in done.output
    assert state(waiting) == ("approved", "ready")
    assert waiting.answers(REQUEST.id)[0].through == "command line"


def test_who_does_not_confirm_has_answered_nothing(home: Path, waiting: Ledger) -> None:
    assert run(home, "approve", REQUEST.id, stdin="n\n").exit_code == 1
    assert state(waiting) == ("requested", "awaiting_approval")


def test_somebody_who_is_not_listed_is_refused(home: Path, waiting: Ledger) -> None:
    refused = run(home, "approve", REQUEST.id, "--as", "mallory", "--yes")
    assert refused.exit_code == 1
    assert "They are ana" in refused.output
    assert state(waiting) == ("requested", "awaiting_approval")


def test_an_answer_that_is_bound_to_another_fingerprint_is_refused(home: Path, waiting: Ledger) -> None:
    refused = run(home, "approve", REQUEST.id, "--yes", "--fingerprint", "0" * 16)
    assert (refused.exit_code, "no longer what you were shown" in refused.output) == (1, True)
    assert run(home, "approve", REQUEST.id, "--yes", "--fingerprint", fingerprint(REQUEST)).exit_code == 0
    assert state(waiting) == ("approved", "ready")


def test_a_request_that_does_not_exist_is_said_not_to(home: Path, waiting: Ledger) -> None:
    assert waiting
    assert "no optimization request with this ID" in run(home, "approve", "forged", "--yes").output


def test_incidents_are_listed_with_their_thread_and_acknowledged_once(home: Path, book: Ledger) -> None:
    assert "No incident is open." in run(home, "incidents").output
    thread = told_thread(book)
    [row] = json.loads(run(home, "incidents", "--json").output)
    assert (row["thread"], row["severity"], row["acknowledged_by"]) == (thread.id, "high", None)
    assert run(home, "ack", thread.id).output == "ana looks after it now.\n"
    again = run(home, "ack", thread.id, "--as", "ben")
    assert (again.exit_code, "ana looks after it already" in again.output) == (1, True)
    assert thread.id in run(home, "incidents").output
    assert any(":acknowledged:" in note.key for note in book.notifications())


def test_a_silence_is_made_listed_and_ended(home: Path, book: Ledger) -> None:
    made = run(home, "silence", "--agent", "Re*", "--type", "latency_*", "--hours", "2", "--comment", "moving")
    assert made.exit_code == 0, made.output
    [kept] = book.silences(datetime.now(UTC))
    assert (kept.agent, kept.type, kept.created_by, kept.comment) == ("Re*", "latency_*", "ana", "moving")
    assert kept.ends_at - kept.starts_at == timedelta(hours=2)
    [row] = json.loads(run(home, "silences", "--json").output)
    assert row["id"] == kept.id
    assert kept.id in run(home, "silences").output
    assert run(home, "unsilence", kept.id).exit_code == 0
    assert run(home, "unsilence", kept.id).exit_code == 1
    assert "Nothing is silenced." in run(home, "silences").output


def test_silencing_everything_by_accident_is_refused(home: Path, book: Ledger) -> None:
    assert run(home, "silence", "--hours", "2").exit_code == 1
    assert book.silences(datetime.now(UTC)) == []


def test_a_pattern_that_matches_no_agent_is_pointed_out(home: Path, book: Ledger) -> None:
    assert book
    assert "No agent of fleet.yaml matches Inbund*" in run(home, "silence", "--agent", "Inbund*", "--hours", "1").output


def test_a_folder_without_an_installation_is_named(home: Path) -> None:
    shutil.rmtree(home)
    refused = run(home, "approvals")
    assert (refused.exit_code, "There is no installation in" in refused.output) == (1, True)
    assert not home.exists()
