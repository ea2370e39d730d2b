"""Budgets, runs and promotions on PostgreSQL, as on SQLite: no account overdrawn, one result, one promoter."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from dspy_modules.metered_engine import Bill, Call
from dspy_modules.stop_signals import BudgetExhausted
from perf_pipeline.fleet_model import Approval
from perf_pipeline.records import ProgramAlias, ProgramVersion, RunOutcome
from perf_pipeline.runs.meter import RunMeter
from resources.ledger import Ledger
from resources.ledger.spend import NANODOLLARS
from tests.optimization_fixtures import Workshop, fleet_with, target, write_examples
from tests.real.services.postgrest import postgres

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
CENT = NANODOLLARS // 100


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with postgres() as server:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute("create database ledger")
        yield f"{server.removesuffix('/postgres')}/ledger"


def test_threads_of_two_processes_overdraw_no_account(address: str) -> None:
    books = [Ledger(address), Ledger(address)]
    meters = [RunMeter(book, "pg-run", lambda _: {"month:pg": 0.75}, lambda: NOON) for book in books]
    refused = 0

    def one(number: int) -> None:
        nonlocal refused
        with meters[number % 2].part(1.0) as part:
            try:
                reservation = part.reserve(Call("task", "m", str(number), 3 * CENT))
            except BudgetExhausted:
                refused += 1
                return
            if number % 7 == 0:
                part.lose(reservation)
            else:
                part.settle(reservation, Bill(2 * CENT), "{}")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(200)))
    spent = books[0].committed_spend("run:pg-run")
    assert spent == books[0].committed_spend("month:pg") <= 75 * CENT
    assert spent > 70 * CENT
    assert refused
    assert round(sum(part.usd for part in books[0].spent_by_purpose("pg-run")) * NANODOLLARS) == spent
    for book in books:
        book.close()


def test_of_promoters_at_once_one_wins(address: str) -> None:
    book = Ledger(address)
    for number in range(12):
        book.register_version(ProgramVersion("A", f"v{number}", "sha", "run", None, NOON))
    start = threading.Barrier(12)

    def promote(number: int) -> bool:
        start.wait()
        return book.move_alias(ProgramAlias("A", "production", f"v{number}", 1, NOON, f"p{number}", ""))

    with ThreadPoolExecutor(12) as pool:
        won = list(pool.map(promote, range(12)))
    assert won.count(True) == 1
    alias = book.program_alias("A", "production")
    assert alias
    assert alias.version == f"v{won.index(True)}"
    assert len(book.alias_moves("A", "production")) == 1
    book.close()


def test_what_a_process_holds_alone_is_free_once_it_is_killed(address: str) -> None:
    code = f"""
import sys, time
from resources.ledger import Ledger
with Ledger({address!r}).exclusive("optimization-x") as alone:
    print(alone, flush=True)
    time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    assert holder.stdout.readline().strip() == "True"
    book = Ledger(address)
    with book.exclusive("optimization-x") as alone:
        assert not alone
    with book.exclusive("optimization-y") as alone:
        assert alone
    holder.kill()
    holder.wait()
    for _ in range(50):
        with book.exclusive("optimization-x") as alone:
            if alone:
                break
    assert alone
    book.close()


def test_a_run_ends_in_a_promotion_as_it_does_on_sqlite(address: str, tmp_path: Path) -> None:
    examples = write_examples(tmp_path / "examples.jsonl", "StrategyAgent")
    fleet = fleet_with({"StrategyAgent": target("StrategyAgent", examples)})
    runs = []
    for name, url in (("sqlite", None), ("postgres", address)):
        (tmp_path / name).mkdir()
        made = Workshop(tmp_path / name, fleet)
        if url:
            made.book.close()
            made.book = Ledger(url)
        made.request(agent="StrategyAgent", approval=Approval.AUTOMATIC)
        runs.append(made.run().run)
        made.book.close()
    assert runs[0] == runs[1]
    assert runs[0].outcome is RunOutcome.PROMOTED
