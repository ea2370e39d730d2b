"""An alias is moved by one promoter at a time, to a version that may be run; a run ends once, with its promotion."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.message import Message
from perf_pipeline.optimization.policy import spent_by_request
from perf_pipeline.records import (
    Notification,
    OptimizationRun,
    ProgramAlias,
    ProgramVersion,
    RequestState,
    RunOutcome,
)
from resources.ledger import Ledger
from resources.ledger.runs import REQUEST_AFTER
from resources.ledger.spend import NANODOLLARS
from tests.run_builders import NOON, a_request, a_run

AGENT = "InboundAgent"
ENDS = [outcome for outcome in RunOutcome if outcome is not RunOutcome.PROMOTED]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger's file with its tables: making them takes longer than all else."""
    file = tmp_path_factory.mktemp("empty") / "ledger.db"
    Ledger(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def book(tmp_path: Path, empty: Path) -> Iterator[Ledger]:
    shutil.copy(empty, tmp_path / "ledger.db")
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    for version in "abc":
        ledger.register_version(ProgramVersion(AGENT, version, version * 64, "run", None, NOON))
    yield ledger
    ledger.close()


def alias(version: str | None, sequence: int, by: str = "optimizer", **changes: Any) -> ProgramAlias:
    return replace(ProgramAlias(AGENT, "production", version, sequence, NOON, by, "better"), **changes)


def message(key: str = "told") -> Notification:
    return Notification(key, NotificationKind.OPTIMIZATION, Message(title="Ended"), NOON, "slack")


def begun(book: Ledger, request_id: str = "r1", **changes: Any) -> OptimizationRun:
    assert book.request_optimization(a_request(request_id, **changes))
    run = book.begin_run(a_run(request_id, **changes))
    assert run
    return run


def ended(run: OptimizationRun, outcome: RunOutcome = RunOutcome.PROMOTED) -> OptimizationRun:
    return replace(run, outcome=outcome, said="Done.", version="a", finished_at=NOON + timedelta(hours=1))


def history(book: Ledger, agent: str = AGENT) -> list[ProgramAlias]:
    return book.alias_moves(agent, "production")


def states(book: Ledger, request_id: str = "r1") -> tuple[RequestState | None, RunOutcome | None]:
    _, request = book.approval_and_request(request_id)
    run = book.optimization_run(request_id)
    return request.state if request else None, run.outcome if run else None


def test_a_version_is_registered_once_and_stays_as_it_was(book: Ledger) -> None:
    other = ProgramVersion(AGENT, "a", "f" * 64, "another run", "b", NOON)
    assert not book.register_version(other)
    assert book.program_version(AGENT, "a") == ProgramVersion(AGENT, "a", "a" * 64, "run", None, NOON)
    assert book.register_version(replace(other, agent="AuditAgent"))
    assert [version.version for version in book.program_versions(AGENT)] == ["a", "b", "c"]


def test_the_history_of_an_alias_is_complete_and_ends_with_where_it_stands(book: Ledger) -> None:
    moves = [alias("a", 1), alias("b", 2), alias(None, 3, "ana"), alias("c", 4)]
    assert (book.program_alias(AGENT, "production"), history(book)) == (None, [])
    assert [book.move_alias(move) for move in moves] == [True] * 4
    assert history(book) == moves
    assert book.program_alias(AGENT, "production") == moves[-1]
    assert book.program_aliases() == [moves[-1]]


@pytest.mark.parametrize("sequence", [-1, 0, 1, 2, 4])
def test_a_move_from_a_stale_sequence_is_refused_and_nothing_changes(book: Ledger, sequence: int) -> None:
    assert book.move_alias(alias("a", 1))
    assert book.move_alias(alias("b", 2))
    assert not book.move_alias(alias("c", sequence), quarantine="b")
    assert [move.version for move in history(book)] == ["a", "b"]
    assert [version.quarantined_because for version in book.program_versions(AGENT)] == [None] * 3


def test_a_version_that_is_unknown_or_another_agents_is_refused(book: Ledger) -> None:
    book.register_version(ProgramVersion("AuditAgent", "z", "z" * 64, "run", None, NOON))
    assert not book.move_alias(alias("z", 1))
    assert not book.move_alias(alias("unknown", 1))
    assert (book.program_alias(AGENT, "production"), history(book)) == (None, [])
    assert book.move_alias(alias("z", 1, agent="AuditAgent"))


def test_a_version_that_was_taken_back_is_never_moved_to_again(book: Ledger) -> None:
    assert book.move_alias(alias("a", 1))
    assert book.move_alias(alias(None, 2, "ana", reason="rollback: worse"), quarantine="a")
    left = book.program_version(AGENT, "a")
    assert left
    assert left.quarantined_because == "rollback: worse"
    assert not book.move_alias(alias("a", 3))
    assert book.program_alias(AGENT, "production") == alias(None, 2, "ana", reason="rollback: worse")


def test_aliases_of_other_names_and_agents_are_moved_apart(book: Ledger) -> None:
    book.register_version(ProgramVersion("AuditAgent", "a", "a" * 64, "run", None, NOON))
    assert book.move_alias(alias("a", 1))
    assert book.move_alias(alias("b", 1, name="canary"))
    assert book.move_alias(alias("a", 1, agent="AuditAgent"))
    assert book.move_alias(alias("c", 2))
    assert {f"{one.agent} {one.name}": one.version for one in book.program_aliases()} == {
        "AuditAgent production": "a",
        "InboundAgent canary": "b",
        "InboundAgent production": "c",
    }


@pytest.mark.parametrize("moved_before", [0, 1, 2])
def test_of_promoters_at_once_one_wins(book: Ledger, tmp_path: Path, moved_before: int) -> None:
    for number in range(moved_before):
        assert book.move_alias(alias("a", number + 1))
    books = [Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") for _ in range(4)]
    start = threading.Barrier(len(books))

    def promote(number: int) -> bool:
        start.wait()
        return books[number].move_alias(alias("abc"[number % 3], moved_before + 1, f"promoter {number}"))

    with ThreadPoolExecutor(len(books)) as pool:
        won = list(pool.map(promote, range(len(books))))
    assert won.count(True) == 1
    moves = history(book)
    assert [move.sequence for move in moves] == list(range(1, moved_before + 2))
    assert moves[-1].moved_by == f"promoter {won.index(True)}"
    assert book.program_alias(AGENT, "production") == moves[-1]
    for one in books:
        one.close()


def test_a_promotion_is_recorded_with_the_run_the_request_the_spend_and_the_message(book: Ledger) -> None:
    run = spending(book)
    done = book.finish_run(ended(run), move=alias("a", 1), messages=[message()])
    assert done == replace(ended(run), spent_usd=0.25)
    assert book.optimization_run("r1") == done
    assert states(book) == (RequestState.FINISHED, RunOutcome.PROMOTED)
    assert book.program_alias(AGENT, "production") == alias("a", 1)
    assert [note.key for note in book.notifications()] == ["told"]


@pytest.mark.parametrize("move", [alias("a", 1), alias("c", 2), alias("unknown", 3)], ids=["stale", "bad", "unknown"])
def test_where_the_alias_cannot_be_moved_nothing_is_recorded(book: Ledger, move: ProgramAlias) -> None:
    run = begun(book)
    assert book.move_alias(alias("b", 1))
    assert move.version != "c" or book.move_alias(alias("b", 2), quarantine="c")
    before = history(book)
    sequence = {"c": 3}.get(str(move.version), move.sequence)
    assert book.finish_run(ended(run), move=replace(move, sequence=sequence), messages=[message()]) is None
    assert states(book) == (RequestState.RUNNING, None)
    assert (history(book), list(book.notifications())) == (before, [])


@pytest.mark.parametrize("outcome", ENDS)
def test_the_request_ends_as_its_run_does(book: Ledger, outcome: RunOutcome) -> None:
    assert book.finish_run(ended(begun(book), outcome))
    assert states(book) == (REQUEST_AFTER.get(outcome, RequestState.FINISHED), outcome)


def test_a_run_ends_once(book: Ledger) -> None:
    run = begun(book)
    first = book.finish_run(ended(run, RunOutcome.REJECTED), messages=[message("first")])
    assert book.finish_run(ended(run), move=alias("a", 1), messages=[message("second")]) is None
    assert not book.fail_request("r1", "Too often.", NOON, [message("third")])
    assert not book.interrupt_run("r1", "An outage.", NOON)
    assert (book.begin_run(run), book.ask_to_cancel("r1", "ana", NOON)) == (None, None)
    assert book.optimization_run("r1") == first
    assert book.program_alias(AGENT, "production") is None
    assert [note.key for note in book.notifications()] == ["first"]


def test_what_was_pinned_when_a_run_began_stays_when_it_is_taken_up_again(book: Ledger) -> None:
    run = begun(book)
    assert book.interrupt_run("r1", "An outage.", NOON + timedelta(minutes=2))
    assert states(book) == (RequestState.READY, RunOutcome.INFRASTRUCTURE_FAILURE)
    other = a_run(baseline="a", baseline_sequence=1, configuration={"other": 1}, started_at=NOON + timedelta(hours=1))
    assert book.begin_run(other) == replace(run, attempts=2)
    assert book.begin_run(other) == replace(run, attempts=3), "its process was killed"


@pytest.mark.parametrize(
    "state", [state for state in RequestState if state not in (RequestState.READY, RequestState.RUNNING)]
)
def test_a_request_that_is_not_to_be_run_is_not_begun(book: Ledger, state: RequestState) -> None:
    assert book.begin_run(a_run()) is None, "there is no request"
    assert book.request_optimization(a_request(state=state))
    assert book.begin_run(a_run()) is None
    assert states(book) == (state, None)


def test_a_request_that_waits_is_cancelled_at_once_and_one_that_runs_at_its_next_call(book: Ledger) -> None:
    assert book.request_optimization(a_request("r1", "AuditAgent"))
    assert book.ask_to_cancel("r1", "ana", NOON) is RequestState.CANCELLED
    run = begun(book, "r2")
    assert book.ask_to_cancel("r2", "ana", NOON) is RequestState.RUNNING
    assert states(book, "r2") == (RequestState.RUNNING, None)
    refused = book.reserve_spend("r2", {"run:r2": NANODOLLARS}, "task", "m", "call", 1, NOON)
    assert (refused.id, refused.cancelled_by) == (None, "ana")
    assert book.finish_run(ended(run), move=alias("a", 1)) is None, "a cancelled run is not promoted"
    assert book.finish_run(ended(run, RunOutcome.CANCELLED))
    assert states(book, "r2") == (RequestState.CANCELLED, RunOutcome.CANCELLED)
    assert book.ask_to_cancel("nothing", "ana", NOON) is None


def test_a_request_is_given_up_whether_its_run_began_or_not(book: Ledger) -> None:
    assert book.request_optimization(a_request("r1", "AuditAgent"))
    begun(book, "r2")
    for request_id, outcome in (("r1", None), ("r2", RunOutcome.INFRASTRUCTURE_FAILURE)):
        assert book.fail_request(request_id, "Too often.", NOON, [message(request_id)])
        assert states(book, request_id) == (RequestState.FAILED, outcome)
        assert book.begin_run(a_run(request_id)) is None
    assert [note.key for note in book.notifications()] == ["r1", "r2"]


def test_what_one_process_holds_no_other_gets_until_it_is_killed(book: Ledger, tmp_path: Path) -> None:
    holding = (
        "import sys, time\nfrom resources.ledger import Ledger\n"
        "with Ledger(sys.argv[1]).exclusive('optimization-r1') as alone:\n"
        "    print(alone, flush=True)\n    time.sleep(60)\n"
    )
    address = f"sqlite:///{tmp_path / 'ledger.db'}"
    with subprocess.Popen([sys.executable, "-c", holding, address], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout
            assert holder.stdout.readline() == "True\n"
            with book.exclusive("optimization-r1") as alone:
                assert not alone
            with book.exclusive("optimization-r2") as alone:
                assert alone
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.wait(timeout=10)
    with book.exclusive("optimization-r1") as alone, book.exclusive("optimization-r1") as beside:
        assert (alone, beside) == (True, False)


OPERATIONS = st.one_of(
    st.sampled_from(["begin", "interrupt", "fail", "cancel", "rollback"]).map(lambda name: (name, "")),
    st.tuples(st.just("finish"), st.sampled_from([str(outcome) for outcome in RunOutcome])),
)


def apply(book: Ledger, name: str, outcome: str, request_id: str, agent: str) -> bool:
    """Do one operation on a request, as a process does that knows no more than the ledger. Whether it took effect."""
    sequence = len(history(book, agent)) + 1
    if name == "begin":
        return book.begin_run(a_run(request_id, agent)) is not None
    if name == "interrupt":
        return book.interrupt_run(request_id, "An outage.", NOON)
    if name == "fail":
        return book.fail_request(request_id, "Too often.", NOON, [message(f"{request_id} failed")])
    if name == "cancel":
        return book.ask_to_cancel(request_id, "ana", NOON) is not None
    if name == "rollback":
        return book.move_alias(alias(None, sequence, "ana", agent=agent))
    done = ended(book.optimization_run(request_id) or a_run(request_id, agent), RunOutcome(outcome))
    move = alias("a", sequence, agent=agent) if outcome == RunOutcome.PROMOTED else None
    return book.finish_run(done, move=move, messages=[message(f"{request_id} ended")]) is not None


fresh = count()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(OPERATIONS, max_size=12))
def test_whatever_happens_a_request_ends_once_and_as_its_run_does(book: Ledger, plan: list[tuple[str, str]]) -> None:
    number = next(fresh)
    request_id, agent = f"request {number}", f"Agent {number}"
    book.register_version(ProgramVersion(agent, "a", "a" * 64, "run", None, NOON))
    assert book.request_optimization(a_request(request_id, agent))
    for name, outcome in plan:
        before, moves = (*states(book, request_id), book.optimization_run(request_id)), len(history(book, agent))
        took = apply(book, name, outcome, request_id, agent)
        after = (*states(book, request_id), book.optimization_run(request_id))
        assert before[0]
        if not took or not before[0].is_open:
            assert after == before, "what is refused changes nothing, and what has ended stays as it was"
        promoted = took and (name, outcome) == ("finish", RunOutcome.PROMOTED)
        assert len(history(book, agent)) - moves == (promoted or (took and name == "rollback"))
        assert not (promoted and after[2] and after[2].cancel_requested_by)
        if after[2] and after[2].finished_at:
            assert after[0] is REQUEST_AFTER.get(RunOutcome(str(after[1])), RequestState.FINISHED)
        elif after[0] is RequestState.RUNNING:
            assert (after[1], after[2] is not None) == (None, True)
        else:
            # Not begun, or interrupted; what is cancelled while it waits has no end of its own.
            assert after[0] in (RequestState.READY, RequestState.CANCELLED, RequestState.FAILED)
    assert sum(note.key.startswith(f"{request_id} ") for note in book.notifications()) <= 1
    promotions = [move for move in history(book, agent) if move.version]
    assert len(promotions) == (states(book, request_id)[1] is RunOutcome.PROMOTED)


def spending(book: Ledger) -> OptimizationRun:
    run = begun(book)
    book.reserve_spend("r1", {"run:r1": NANODOLLARS}, "task", "m", "call", NANODOLLARS // 4, NOON)
    return run


def test_what_a_run_that_is_given_up_has_spent_counts(book: Ledger) -> None:
    spending(book)
    assert book.fail_request("r1", "Too often.", NOON)
    assert spent_by_request(book.optimization_runs()) == {"r1": 0.25}


def test_an_interrupted_run_that_is_cancelled_ends_as_cancelled_with_what_it_spent(book: Ledger) -> None:
    spending(book)
    assert book.interrupt_run("r1", "An outage.", NOON)
    assert book.ask_to_cancel("r1", "ana", NOON) is RequestState.CANCELLED
    assert states(book) == (RequestState.CANCELLED, RunOutcome.CANCELLED)
    assert spent_by_request(book.optimization_runs()) == {"r1": 0.25}
