"""Randomized runs through the real stack: no cap is ever crossed, and the ledger agrees with the server's own count."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import floor
from pathlib import Path

from benchmarks.optimization.bill_comparison import Bills, Comparison, served_calls
from benchmarks.optimization.children import in_child, in_workers
from benchmarks.optimization.ledger_file import LedgerFile
from benchmarks.optimization.metered_run import PRICE, give_up, run_once
from benchmarks.optimization.model_server_process import ModelServerProcess
from benchmarks.optimization.run_plans import RunPlan, run_plan
from benchmarks.optimization.warm_up import warm_up
from dspy_modules.prices import NANODOLLARS
from resources.ledger import Ledger

MOST_ATTEMPTS = 6
PATIENCE_SECONDS = 20
"""Some forty times what a run takes: one that is not done by then hangs."""

HUNG = "hung"


@dataclass(frozen=True)
class BudgetRun:
    """A run, after its last attempt."""

    plan: RunPlan
    kills: int
    attempts: int
    outcome: str
    comparison: Comparison


@dataclass
class BudgetFigures:
    runs: list[BudgetRun] = field(default_factory=list)
    month_crossings: list[str] = field(default_factory=list)
    month_mismatches: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def kill_runs(self) -> int:
        return sum(run.kills > 0 for run in self.runs)

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(run.outcome for run in self.runs)

    @property
    def crossings(self) -> list[str]:
        return [said for run in self.runs for said in run.comparison.crossings] + self.month_crossings

    @property
    def mismatches(self) -> list[str]:
        return [said for run in self.runs for said in run.comparison.mismatches] + self.month_mismatches


def measure_budgets(count: int, log: Callable[[str], None], first: int = 0) -> BudgetFigures:
    began = time.monotonic()
    found = BudgetFigures()
    warm_up()
    plans = [run_plan(number) for number in range(first, first + count)]
    with tempfile.TemporaryDirectory(prefix="bench-budgets-") as folder:
        path = Path(folder) / "ledger.db"
        Ledger(f"sqlite:///{path}").close()
        LedgerFile(path).watch_peaks()
        for run in in_workers(partial(_run, path), plans):
            found.runs.append(run)
            if len(found.runs) % 100 == 0:
                log(f"{len(found.runs)} of {count} runs, {found.kill_runs} killed, {len(found.crossings)} crossings")
        _check_months(plans, LedgerFile(path), found)
    found.seconds = time.monotonic() - began
    return found


def _run(path: Path, server: ModelServerProcess, plan: RunPlan) -> BudgetRun:
    """The run to its end, in as many processes as that takes. An outage is waited for as Dagster would."""
    base_url = server.open(plan.faults)
    work = partial(run_once, plan, f"sqlite:///{path}", base_url)
    kills = attempts = 0
    outcome = ""
    while attempts < MOST_ATTEMPTS and outcome in ("", "killed", "ModelUnavailable"):
        kill_after = plan.kills[attempts] if attempts < len(plan.kills) else None
        attempts += 1
        ended = in_child(work, kill_after, PATIENCE_SECONDS)
        kills += ended.was_killed
        outcome = ended.result or (HUNG if ended.has_hung else "killed")
    if outcome == HUNG:
        # What it left open is given up, as by whoever takes it up again.
        in_child(partial(give_up, plan, f"sqlite:///{path}"))
    calls = server.close()
    book = LedgerFile(path)
    bills = Bills(
        floor(plan.cap_usd * NANODOLLARS),
        book.account(f"run:{plan.request_id}"),
        book.paid(plan.request_id),
        served_calls(calls, plan.faults),
        PRICE,
        is_cut=kills > 0 or outcome == HUNG or plan.kind == "awaited" or plan.faults.hangs_at is not None,
    )
    return BudgetRun(plan, kills, attempts, outcome, bills.compared(plan.request_id))


def _check_months(plans: list[RunPlan], book: LedgerFile, found: BudgetFigures) -> None:
    for month, limit_usd in {plan.month: plan.month_usd for plan in plans}.items():
        account, limit = book.account(month), floor(limit_usd * NANODOLLARS)
        if max(account.committed, account.peak) > limit:
            found.month_crossings.append(f"{month} held {account.peak} n$ of {limit} n$")
        if account.committed != (total := book.billed_to(month)):
            found.month_mismatches.append(f"{month} holds {account.committed} n$, its calls add up to {total} n$")
