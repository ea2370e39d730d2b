"""What optimizers do is seen, stopped and taken back on the command line, over a real ledger."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from perf_pipeline.cli import app
from perf_pipeline.records import OptimizationRun, ProgramAlias, ProgramVersion, RequestState, RunOutcome
from resources.ledger import Ledger
from resources.ledger.spend import NANODOLLARS
from resources.program_files import ProgramFiles
from tests.run_builders import NOON, a_request, a_run

SHIPPED = Path(__file__).parents[1] / "fleet.yaml"
AGENT = "InboundAgent"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation on a machine whose user is ana."""
    shutil.copy(SHIPPED, tmp_path / "fleet.yaml")
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "LEDGER", "FLEET", "LAKE"):
        monkeypatch.delenv(f"PERF_PIPELINE_{name}", raising=False)
    monkeypatch.setenv("LOGNAME", "ana")
    (tmp_path / "installation").mkdir()
    return tmp_path / "installation"


@pytest.fixture
def book(home: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{home / 'ledger.db'}")
    yield opened
    opened.close()


def run(home: Path, *arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, [*arguments, "--home", str(home)], input=stdin, env={"COLUMNS": "140"})


def begun(book: Ledger, request_id: str = "r1", agent: str = AGENT) -> OptimizationRun:
    assert book.request_optimization(a_request(request_id, agent))
    made = book.begin_run(a_run(request_id, agent))
    assert made
    return made


def spend(book: Ledger, usd: float, request_id: str = "r1") -> None:
    amount = round(usd * NANODOLLARS)
    assert book.reserve_spend(request_id, {f"run:{request_id}": amount}, "task", "m", "call", amount, NOON).id


def finish(book: Ledger, made: OptimizationRun, outcome: RunOutcome, **changes: Any) -> None:
    facts = {**vars(made), "outcome": outcome, "finished_at": NOON, **changes}
    assert book.finish_run(OptimizationRun(**facts))


def promoted(book: Ledger, *versions: str) -> None:
    for sequence, version in enumerate(versions, start=1):
        parent = versions[sequence - 2] if sequence > 1 else None
        book.register_version(ProgramVersion(AGENT, version, version * 4, "run", parent, NOON))
        assert book.move_alias(ProgramAlias(AGENT, "production", version, sequence, NOON, "optimizer", "better"))


def in_production(book: Ledger) -> tuple[str | None, int]:
    alias = book.program_alias(AGENT, "production")
    assert alias
    return alias.version, alias.sequence


def test_where_nothing_was_requested_it_says_so(home: Path, book: Ledger) -> None:
    assert book
    assert run(home, "optimizations").output == "No optimization was ever requested.\n"
    assert json.loads(run(home, "optimizations", "--json").output) == []


def test_requests_are_listed_with_what_became_of_them_and_what_they_cost(home: Path, book: Ledger) -> None:
    made = begun(book)
    spend(book, 1.25)
    scores = {"baseline_score": 60.4, "candidate_score": 81.6, "gain_points": 21.2, "version": "v1"}
    finish(book, made, RunOutcome.TOO_FEW_ITEMS, **scores)
    book.request_optimization(a_request("r2", "AuditAgent"))
    shown = [" ".join(line.split()) for line in run(home, "optimizations").output.splitlines()]
    assert any("r1 InboundAgent BootstrapFewShot too few items 60 → 82 $1.25 of $5" in line for line in shown)
    assert any("r2 AuditAgent BootstrapFewShot ready $0.00 of $5" in line for line in shown)
    [first, second] = json.loads(run(home, "optimizations", "--json").output)
    assert (first["request_id"], first["outcome"], first["state"]) == ("r1", "too_few_items", "finished")
    assert (first["spent_usd"], first["cap_usd"], first["version"], first["attempts"]) == (1.25, 5.0, "v1", 1)
    assert (second["outcome"], second["spent_usd"], second["attempts"]) == (None, 0.0, 0)
    assert second["requested_at"].endswith("+00:00")


def test_what_a_run_under_way_has_spent_so_far_is_shown(home: Path, book: Ledger) -> None:
    begun(book)
    spend(book, 0.5)
    assert "running" in run(home, "optimizations").output
    assert "$0.50 of $5" in run(home, "optimizations").output


def test_why_a_run_waits_is_said_on_a_line_of_its_own(home: Path, book: Ledger) -> None:
    begun(book)
    book.interrupt_run("r1", "openai/x does not answer:\n[bold]quota[/bold]", NOON)
    assert "r1: openai/x does not answer: [bold]quota[/bold]\n" in run(home, "optimizations").output


def test_names_from_outside_draw_nothing(home: Path, book: Ledger) -> None:
    book.request_optimization(a_request("[red]r1", "[link=https://evil.example]A[/link]\n"))
    shown = run(home, "optimizations").output
    assert "[red]r1" in shown
    assert "[link=https://evil.example]A[/link]" in shown


def test_a_request_that_waits_is_cancelled_at_once(home: Path, book: Ledger) -> None:
    book.request_optimization(a_request())
    assert run(home, "cancel", "r1").output == "It is cancelled.\n"
    assert book.optimization_requests()[0].state is RequestState.CANCELLED


def test_a_run_is_cancelled_by_the_user_of_the_machine_or_who_is_named(home: Path, book: Ledger) -> None:
    for request_id, agent, options, who in (("r1", AGENT, (), "ana"), ("r2", "AuditAgent", ("--as", "ben"), "ben")):
        begun(book, request_id, agent)
        said = run(home, "cancel", request_id, *options)
        assert (said.exit_code, said.output) == (0, "It ends at its next call of a model.\n")
        known = book.optimization_run(request_id)
        assert known
        assert known.cancel_requested_by == who


def test_what_has_ended_or_never_was_cannot_be_cancelled(home: Path, book: Ledger) -> None:
    finish(book, begun(book), RunOutcome.REJECTED)
    for request_id in ("r1", "forged"):
        refused = run(home, "cancel", request_id)
        assert refused.exit_code == 1
        assert f"There is no request {request_id} that could be cancelled" in refused.output


def test_an_interrupted_run_that_is_cancelled_is_listed_as_cancelled(home: Path, book: Ledger) -> None:
    begun(book)
    book.interrupt_run("r1", "An outage.", NOON)
    run(home, "cancel", "r1")
    assert "cancelled" in run(home, "optimizations").output


def test_versions_are_listed_with_where_they_come_from_and_which_one_runs(home: Path, book: Ledger) -> None:
    assert "all agents run their programs as they stand in the code" in run(home, "programs").output
    promoted(book, "v1", "v2")
    lines = run(home, "programs").output.splitlines()
    [first] = [line for line in lines if " v1 " in line and "the code" in line]
    [second] = [line for line in lines if " v2 " in line]
    assert "in production" in second
    assert "in production" not in first
    rows = json.loads(run(home, "programs", "--json").output)
    assert [(row["version"], row["parent"], row["in_production"]) for row in rows] == [
        ("v1", None, False),
        ("v2", "v1", True),
    ]


def test_a_version_is_taken_back_for_the_one_before_and_agents_can_follow(home: Path, book: Ledger) -> None:
    promoted(book, "v1", "v2")
    done = run(home, "rollback", AGENT, "--reason", "worse answers", stdin="y\n")
    assert done.exit_code == 0, done.output
    assert "InboundAgent: v2 → v1" in done.output
    assert "Roll back as ana?" in done.output
    assert in_production(book) == ("v1", 3)
    pointer = ProgramFiles(str(home / "lake")).programs.pointer(AGENT, "production")
    assert pointer
    assert (pointer.version, pointer.sequence, pointer.sha256) == ("v1", 3, "v1" * 4)
    assert "taken back: rollback: worse answers" in run(home, "programs").output
    [move] = [move for move in book.alias_moves(AGENT, "production") if move.sequence == 3]
    assert (move.moved_by, move.reason) == ("ana", "rollback: worse answers")


def test_the_first_version_is_taken_back_for_the_code_and_then_there_is_none_left(home: Path, book: Ledger) -> None:
    promoted(book, "v1")
    assert "v1 → the program as it stands in the code" in run(home, "rollback", AGENT, "--yes", "--as", "ben").output
    assert in_production(book) == (None, 2)
    pointer = ProgramFiles(str(home / "lake")).programs.pointer(AGENT, "production")
    assert pointer
    assert (pointer.version, pointer.sequence) == (None, 2)
    again = run(home, "rollback", AGENT, "--yes")
    assert (again.exit_code, "there is no version to take back" in again.output) == (1, True)
    assert in_production(book) == (None, 2)


def test_who_does_not_confirm_has_taken_nothing_back(home: Path, book: Ledger) -> None:
    promoted(book, "v1")
    refused = run(home, "rollback", AGENT, stdin="n\n")
    assert (refused.exit_code, "Nothing was changed." in refused.output) == (1, True)
    assert in_production(book) == ("v1", 1)


def test_an_agent_that_was_never_promoted_has_nothing_to_take_back(home: Path, book: Ledger) -> None:
    assert book
    refused = run(home, "rollback", AGENT, "--yes")
    assert refused.exit_code == 1
    assert "runs as it stands in the code" in refused.output


def test_a_rollback_that_somebody_else_overtakes_changes_nothing(
    home: Path, book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(book, "v1", "v2")

    def another_promotes_meanwhile(*_: object, **__: object) -> bool:
        book.register_version(ProgramVersion(AGENT, "v3", "v3" * 4, "run", "v2", NOON))
        return book.move_alias(ProgramAlias(AGENT, "production", "v3", 3, NOON, "optimizer", "better"))

    monkeypatch.setattr("perf_pipeline.optimization_commands.typer.confirm", another_promotes_meanwhile)
    refused = run(home, "rollback", AGENT)
    assert refused.exit_code == 1
    assert "Somebody else moved it meanwhile: look again with 'perf-pipeline programs'." in refused.output
    assert in_production(book) == ("v3", 3)
    assert [version.quarantined_because for version in book.program_versions(AGENT)] == [None] * 3
    assert ProgramFiles(str(home / "lake")).programs.pointer(AGENT, "production") is None


@pytest.mark.parametrize("command", [["optimizations"], ["cancel", "r1"], ["programs"], ["rollback", AGENT, "--yes"]])
def test_without_an_installation_each_command_says_how_to_name_one(home: Path, command: list[str]) -> None:
    refused = run(home / "nowhere", *command)
    assert refused.exit_code == 1
    assert "There is no installation in" in refused.output
