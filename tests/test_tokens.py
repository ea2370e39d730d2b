"""Tokens: what is kept of them, how they end, and the commands that make and revoke them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from perf_pipeline.cli import app
from perf_pipeline.records import Scope
from perf_pipeline.tokens import digest, new_token
from resources.ledger import Ledger

SHIPPED_FLEET = Path(__file__).parents[1] / "fleet.yaml"
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PERF_PIPELINE_HOME", "PERF_PIPELINE_LEDGER", "SLACK_BOT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PERF_PIPELINE_FLEET", str(SHIPPED_FLEET))
    monkeypatch.setenv("LOGNAME", "ana")
    return tmp_path


@pytest.fixture
def book(home: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{home / 'ledger.db'}")
    yield opened
    opened.close()


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["token", *arguments, "--home", str(home)], env={"COLUMNS": "160"})


def test_a_token_is_found_by_its_secret_and_only_its_digest_is_kept(book: Ledger, home: Path) -> None:
    secret, token = new_token("grafana", "ana", [Scope.READ], "ana", NOON)
    assert book.add_token(token)
    assert book.usable_token(digest(secret), NOON) == token
    assert book.usable_token(digest(secret + "x"), NOON) is None
    assert not any(secret.encode() in file.read_bytes() for file in home.iterdir())
    assert token.digest not in repr(token)


def test_two_tokens_never_have_one_secret() -> None:
    made = {new_token("n", "p", [Scope.READ], "p", NOON)[0] for _ in range(100)}
    assert len(made) == 100
    assert all(len(secret) > 43 for secret in made)


def test_a_token_ends_when_it_expires_or_is_revoked_and_no_earlier(book: Ledger) -> None:
    secret, token = new_token("ci", "ana", [Scope.TRIGGER], "ana", NOON, NOON + timedelta(days=1))
    book.add_token(token)
    assert book.usable_token(digest(secret), NOON + timedelta(hours=23))
    assert book.usable_token(digest(secret), NOON + timedelta(days=1)) is None
    assert book.has_usable_tokens(NOON)
    assert book.revoke_token(token.id, "ben", NOON)
    assert not book.revoke_token(token.id, "eve", NOON)
    assert book.usable_token(digest(secret), NOON) is None
    assert not book.has_usable_tokens(NOON)
    assert [(one.revoked_by, one.revoked_at) for one in book.tokens()] == [("ben", NOON)]


def test_the_last_use_is_noted_coarsely(book: Ledger) -> None:
    _, token = new_token("ci", "ana", [Scope.READ], "ana", NOON)
    book.add_token(token)
    book.note_use(token, NOON)
    book.note_use(replace(token, last_used_at=NOON), NOON + timedelta(minutes=59))
    assert book.tokens()[0].last_used_at == NOON
    book.note_use(replace(token, last_used_at=NOON), NOON + timedelta(minutes=61))
    assert book.tokens()[0].last_used_at == NOON + timedelta(minutes=61)


@pytest.mark.parametrize("end", ["time", "logout", "revocation", "expiry of the token"])
def test_a_browsers_session_ends_with_its_time_by_logout_and_with_its_token(book: Ledger, end: str) -> None:
    _, token = new_token("ana's browser", "ana", [Scope.READ], "ana", NOON, NOON + timedelta(hours=6))
    book.add_token(token)
    book.open_session("digest", token, NOON + timedelta(hours=12), NOON)
    known = book.session_token("digest", NOON)
    assert known is not None
    assert known.person == "ana"
    later = NOON
    if end == "time":
        later = NOON + timedelta(hours=12)
    elif end == "logout":
        book.close_session("digest")
    elif end == "revocation":
        book.revoke_token(token.id, "ana", NOON)
    else:
        later = NOON + timedelta(hours=6)
    assert book.session_token("digest", later) is None


def test_the_commands_make_show_and_revoke(book: Ledger, home: Path) -> None:
    made = run(home, "create", "grafana", "--scope", "read", "--scope", "approve", "--days", "30")
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    token = book.usable_token(digest(secret), datetime.now(UTC))
    assert token
    assert (token.name, token.person, token.scopes) == ("grafana", "ana", (Scope.READ, Scope.APPROVE))
    assert "ana is not listed under approvals.approvers" in made.stderr
    listed = run(home, "list")
    assert all(part in listed.output for part in (token.id, "grafana", "read, approve", "never"))
    assert secret not in listed.output
    [row] = json.loads(run(home, "list", "--json").output)
    assert (row["id"], row["usable"]) == (token.id, True)
    assert "digest" not in row
    assert json.loads(run(home, "revoke", token.id, "--json").output) == {"revoked": token.id}
    refused = run(home, "revoke", token.id)
    assert (refused.exit_code, "could be revoked" in refused.stderr) == (1, True)
    assert "revoked by ana" in run(home, "list").output


def test_without_tokens_the_list_says_what_that_means(book: Ledger, home: Path) -> None:
    assert book.tokens() == []
    assert "open to this machine" in run(home, "list").output
