"""The benchmark of optimizations finds what it is there to find: each of these plants one fault, and it is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.optimization.bill_comparison import Bills, Served, served_calls
from benchmarks.optimization.dagster_runs import State
from benchmarks.optimization.fault_plans import FAULTS, FaultPlan
from benchmarks.optimization.kills import Uninterrupted, part_of, problems_of
from benchmarks.optimization.ledger_file import Account, LedgerFile, Paid
from benchmarks.optimization.outage import problems_after, problems_during
from benchmarks.optimization.promotion_rates import rates_of
from benchmarks.optimization.run_plans import run_plan
from dspy_modules.prices import Price
from perf_pipeline.records import ProgramAlias, RequestState, RunOutcome, SpendState
from resources.ledger import Ledger
from resources.program_source import Pointer
from tests.run_builders import NOON, a_request, a_run
from tests.wire.model_server import Call

PRICE = Price(1, 1)
"""A token costs 1,000 nanodollars."""

SETTLED = Paid("settled", 50_000, 12_000, (10, 2))
LOST = Paid("unknown", 50_000, 50_000)
HEARD = Served((10, 2))
UNHEARD = Served((10, 3), is_heard=False)


def mismatches(paid: Sequence[Paid], served: Sequence[Served], *, is_cut: bool = False) -> tuple[str, ...]:
    total = sum(row.billed for row in paid)
    return Bills(10**9, Account(total, total), paid, served, PRICE, is_cut).compared("a run").mismatches


def crossings(account: Account, served: Sequence[Served] = ()) -> tuple[str, ...]:
    return Bills(20_000, account, (), served, PRICE).compared("a run").crossings


def test_a_ledger_that_agrees_with_the_server_has_no_mismatch() -> None:
    assert mismatches([SETTLED, LOST, Paid("not_billed", 50_000, 0)], [HEARD, UNHEARD, Served((0, 0), False)]) == ()


@pytest.mark.parametrize(
    ("paid", "served", "told"),
    [
        ([SETTLED], [], "1 calls in the ledger, 0 at the server"),
        ([SETTLED], [HEARD, HEARD], "1 calls in the ledger, 2 at the server"),
        ([replace(SETTLED, tokens=(9, 2), billed=11_000)], [HEARD], "settled, but never delivered"),
        ([LOST], [HEARD], "delivered, but not settled"),
        ([replace(SETTLED, billed=11_000)], [HEARD], "a bill is not that of its tokens"),
        ([replace(SETTLED, tokens=(0, 0), billed=0)], [replace(HEARD, tells_tokens=False)], "0 settled without tokens"),
        ([Paid("not_billed", 50_000, 0)], [UNHEARD], "1 calls were billed unheard, 0 are unknown"),
        ([replace(LOST, reserved=9_000, billed=9_000)], [UNHEARD], "13000 n$ were billed unheard"),
        ([replace(LOST, billed=20_000)], [UNHEARD], "does not count as its worst case"),
        ([replace(SETTLED, state="reserved", tokens=None)], [UNHEARD], "a reservation was left open"),
    ],
)
def test_a_planted_difference_between_ledger_and_server_is_found(
    paid: list[Paid], served: list[Served], told: str
) -> None:
    assert any(told in said for said in mismatches(paid, served))


def test_a_run_that_was_cut_may_have_missed_an_answer_that_the_unknown_cover() -> None:
    assert mismatches([LOST, LOST], [HEARD], is_cut=True) == ()
    assert mismatches([SETTLED], [HEARD, HEARD], is_cut=True) != ()


@pytest.mark.parametrize(
    ("account", "served"),
    [(Account(20_001, 20_001), ()), (Account(0, 20_001), ()), (Account(), [HEARD, UNHEARD])],
    ids=["at the end", "on the way", "at the server"],
)
def test_a_cap_that_is_crossed_is_found_in_the_ledger_and_at_the_server(
    account: Account, served: Sequence[Served]
) -> None:
    assert crossings(Account(20_000, 20_000), [HEARD]) == ()
    assert len(crossings(account, served)) == 1


def test_an_account_that_does_not_hold_the_sum_of_its_calls_is_found() -> None:
    [said] = Bills(10**9, Account(11_000, 11_000), [SETTLED], [HEARD], PRICE).compared("a run").mismatches
    assert "holds 11000 n$, its calls add up to 12000 n$" in said


def test_the_most_that_an_account_held_is_remembered(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    file = LedgerFile(tmp_path / "ledger.db")
    file.watch_peaks()
    for amount in (30, 50):
        reservation = ledger.reserve_spend("r1", {"run:r1": 1000}, "task", "m", "k", amount, NOON)
        assert reservation.id
        ledger.settle_spend(reservation.id, SpendState.SETTLED, NOON, nanodollars=10, input_tokens=4, output_tokens=1)
    ledger.close()
    assert file.account("run:r1") == Account(committed=20, peak=60)
    assert file.billed_to("run:r1") == 20
    assert file.paid("r1")[0].tokens == (4, 1)


def test_answers_that_cannot_be_read_or_lack_tokens_are_told_apart() -> None:
    def served(*fault: str) -> Served:
        plan = FaultPlan(rate=1.0, faults=tuple(known for known in FAULTS if known in fault))
        [only] = served_calls([Call(1, "m", is_billed=True, is_delivered=True)], plan)
        return only

    assert not served("malformed JSON").is_heard
    assert not served("no usage").tells_tokens
    assert served("unreadable text") == Served((0, 0))


CHILDREN = """
import json, os, signal, time
from benchmarks.optimization.children import in_child

def broken(work):
    try:
        in_child(work)
    except RuntimeError as error:
        return str(error)

print(json.dumps({
    "result": in_child(lambda: 7).result,
    "killed": in_child(lambda: time.sleep(30), kill_after=0.1).was_killed,
    "hung": in_child(lambda: time.sleep(30), patience=0.1).has_hung,
    "broken": broken(lambda: 1 // 0),
    "gone": broken(lambda: os.kill(os.getpid(), signal.SIGKILL)),
}))
"""


def test_children_that_are_killed_hang_or_break_are_told_apart() -> None:
    # In a process of its own: the one that runs the tests may have threads, and must not fork.
    done = subprocess.run([sys.executable, "-c", CHILDREN], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert (told["result"], told["killed"], told["hung"]) == (7, True, True)
    assert "ZeroDivisionError" in told["broken"]
    assert "without a result, with code -9" in told["gone"]


def test_the_runs_are_the_same_each_time_and_differ() -> None:
    assert run_plan(7) == run_plan(7)
    assert len({run_plan(number).cap_usd for number in range(50)}) > 40, "some caps are below any call, and alike"
    assert sum(bool(run_plan(number).kills) for number in range(1000)) > 300


RUN = a_run("r1", "StrategyAgent", outcome=RunOutcome.PROMOTED, version="v1")
PROMOTED = State(
    request=replace(a_request("r1", "StrategyAgent"), state=RequestState.FINISHED),
    run=RUN,
    moves=(ProgramAlias("StrategyAgent", "production", "v1", 1, NOON, "optimizer", "r1"),),
    alias=ProgramAlias("StrategyAgent", "production", "v1", 1, NOON, "optimizer", "r1"),
    pointer=Pointer("v1", 1, None),
    messages=("optimization:r1:result@slack",),
    spent_for=("gate", "task"),
    has_seen_examples=True,
)
UNDISTURBED = [Uninterrupted(PROMOTED.result, 300, 3.0, PROMOTED.messages)]


def test_a_killed_run_that_ended_as_an_undisturbed_one_has_no_problem() -> None:
    assert problems_of(PROMOTED, UNDISTURBED) == []
    assert problems_after(PROMOTED, PROMOTED.result) == []


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        (replace(PROMOTED, run=replace(RUN, version="v2")), "its result is"),
        (replace(PROMOTED, run=None), "its result is"),
        (replace(PROMOTED, request=a_request("r1", "StrategyAgent")), "its request is ready"),
        (replace(PROMOTED, moves=PROMOTED.moves * 2), "moved 2 times"),
        (replace(PROMOTED, pointer=None), "agents are told None"),
        (replace(PROMOTED, messages=PROMOTED.messages * 2), "people are told"),
    ],
)
def test_a_killed_run_that_ended_otherwise_is_found(spoilt: State, told: str) -> None:
    assert any(told in said for said in problems_of(spoilt, UNDISTURBED))


def test_a_promotion_during_an_outage_is_found() -> None:
    said = " ".join(problems_during(PROMOTED, succeeded=True))
    assert "succeeded" in said
    assert "promoted" in said
    assert "not ready again" in said


def test_the_part_that_a_kill_hit_is_read_from_the_ledger() -> None:
    begun = replace(PROMOTED, run=a_run(), has_seen_examples=False)
    assert part_of(PROMOTED) == "after its result"
    assert part_of(replace(begun, has_seen_examples=True)) == "gate"
    assert part_of(begun) == "search"
    assert part_of(replace(begun, spent_for=("gate",))) == "baseline"
    assert part_of(replace(begun, run=None)) == "before it began"


def test_the_worst_of_the_gates_rates_is_shown_with_its_setting() -> None:
    rows = [(20, 0.0, 0, 0.09), (50, 0.5, -5, 0.11), (30, 0.0, 20, 0.64), (30, 0.5, 20, 0.77), (20, 0.0, 20, 0.5)]
    columns = ["items", "correlation", "change_points", "promoted"]
    rates = rates_of(pd.DataFrame(rows, columns=pd.Index(columns)).assign(slices="none"))
    assert (rates.false.promoted, rates.false.items) == (0.11, 50)
    assert (rates.true.promoted, rates.true.correlation) == (0.64, 0.0)
