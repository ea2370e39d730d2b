"""No account is ever overdrawn: not by threads, failures, unknown outcomes, a killed process, or two of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dspy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dspy_modules.metered_engine import Bill, Call
from dspy_modules.prices import Price
from dspy_modules.run_models import ModelSettings, fresh_cache, metered_model
from dspy_modules.stop_signals import BudgetExhausted, InfrastructureFailure, PhaseOver, RunCancelled
from perf_pipeline.records import OptimizationRun, SpendPurpose
from perf_pipeline.runs.meter import PartMeter, RunMeter
from resources.ledger import Ledger
from resources.ledger.spend import NANODOLLARS
from tests.run_builders import a_request, a_run

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
DOLLAR = NANODOLLARS


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield ledger
    ledger.close()


def meter(book: Ledger, request_id: str = "r1", months: Mapping[str, float] | None = None) -> RunMeter:
    return RunMeter(book, request_id, lambda _: months or {}, lambda: NOON)


def call(dollars: float = 1.0, key: str = "k", purpose: str = "task") -> Call:
    return Call(purpose, "openai/x", key, round(dollars * DOLLAR))


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_reservation_that_would_cross_the_cap_is_refused_with_figures(book: Ledger) -> None:
    with meter(book).part(2.5) as part:
        for _ in range(2):
            part.settle(part.reserve(call()), Bill(DOLLAR), "{}")
        with pytest.raises(BudgetExhausted, match=r"up to \$1\.0000, and \$2\.0000 of the \$2\.5000"):
            part.reserve(call())
        part.release(part.reserve(call(0.5)))


def test_a_call_that_turns_out_cheaper_leaves_room_for_others(book: Ledger) -> None:
    with meter(book).part(1.5) as part:
        for _ in range(100):
            part.settle(part.reserve(call()), Bill(DOLLAR // 200), "{}")
    assert book.committed_spend("run:r1") == DOLLAR // 2


def test_a_burst_waits_for_calls_that_are_under_way_and_is_not_refused(book: Ledger) -> None:
    with meter(book).part(1) as part:
        first = part.reserve(call(0.9))
        got: list[str] = []
        waiting = in_thread(lambda: got.append(part.reserve(call(0.9))))
        time.sleep(0.1)
        assert got == []
        part.settle(first, Bill(DOLLAR // 100), "{}")
        waiting.join(timeout=5)
        assert len(got) == 1
        part.release(got[0])


def test_a_burst_of_calls_that_are_awaited_waits_and_is_not_stuck(book: Ledger) -> None:
    async def burst() -> None:
        with dspy.context(lm=model):
            program = dspy.Predict("question -> answer: bool")
            await asyncio.gather(*(program.acall(question=f"Is {number} a number?") for number in range(80)))

    with meter(book).part(0.004) as part, fresh_cache():
        # One call may cost 0.0008 $ and costs 0.00004 $: five fit at once, and all of them in the end.
        settings = ModelSettings("embedded/simulated-1", Price(0.1, 0.4), 1000)
        model = metered_model(settings, part, "task")
        asyncio.run(asyncio.wait_for(burst(), timeout=60))
    (spent,) = book.spent_by_purpose("r1")
    assert spent.calls == 80
    assert spent.usd < 0.004


def test_what_was_not_billed_is_given_back_and_what_is_unknown_is_not(book: Ledger) -> None:
    with meter(book).part(5) as part:
        part.release(part.reserve(call()))
        part.lose(part.reserve(call()))
    assert book.committed_spend("run:r1") == DOLLAR
    assert [(one.calls, one.usd) for one in book.spent_by_purpose("r1")] == [(1, 1.0)]


def test_the_reservations_of_a_killed_process_count_as_billed(book: Ledger) -> None:
    killed = meter(book)
    part = PartMeter(killed, 5)
    part.reserve(call())
    part.settle(part.reserve(call(key="paid")), Bill(DOLLAR // 10), '{"answer": 1}')

    again = meter(book)
    assert again.given_up == 1
    assert again.spent_usd == pytest.approx(1.1)
    with again.part(5) as part:
        assert part.recall(call(key="paid")) == '{"answer": 1}'
        assert part.recall(call(key="paid")) is None
        assert part.recall(call()) is None


def test_answers_are_forgotten_once_the_run_has_ended(book: Ledger) -> None:
    with meter(book).part(5) as part:
        part.settle(part.reserve(call()), Bill(1), "what a customer wrote")
    book.forget_answers("r1")
    assert book.paid_answers("r1") == {}
    assert book.committed_spend("run:r1") == 1


def test_a_month_that_is_spent_refuses_every_run_of_it(book: Ledger) -> None:
    months = {"month:2026-11:fleet": 1.5, "month:2026-11:agent:InboundAgent": 9.0}
    with meter(book, "r1", months).part(5) as part:
        part.settle(part.reserve(call()), Bill(DOLLAR), "{}")
    with meter(book, "r2", months).part(5) as part, pytest.raises(BudgetExhausted, match="month's budget of the fleet"):
        part.reserve(call())
    tight = {"month:2026-11:agent:InboundAgent": 1.5}
    with meter(book, "r3", tight).part(5) as part, pytest.raises(BudgetExhausted, match="budget of InboundAgent"):
        part.reserve(call())


def test_a_refused_reservation_takes_nothing_from_any_account(book: Ledger) -> None:
    with meter(book, "r1", {"month:a": 0.5}).part(5) as part, pytest.raises(BudgetExhausted):
        part.reserve(call())
    assert [book.committed_spend(account) for account in ("run:r1", "month:a")] == [0, 0]


def test_a_part_that_is_over_pays_no_more_and_is_waited_for(book: Ledger) -> None:
    run = meter(book)
    with run.part(5) as part:
        late = part.reserve(call())
        settled = in_thread(lambda: (time.sleep(0.2), part.settle(late, Bill(7), "{}")))
    assert book.committed_spend("run:r1") == 7
    settled.join()
    with pytest.raises(PhaseOver):
        part.reserve(call())
    with pytest.raises(PhaseOver):
        part.recall(call())


def test_a_search_cannot_spend_what_is_set_aside_for_the_gate(book: Ledger) -> None:
    run = meter(book)
    with run.part(2) as search:
        for _ in range(4):
            search.settle(search.reserve(call(0.5)), Bill(DOLLAR // 2), "{}")
        with pytest.raises(BudgetExhausted):
            search.reserve(call(0.5))
    with run.part(3) as gate:
        gate.settle(gate.reserve(call(1, purpose="gate")), Bill(DOLLAR), "{}")
    assert run.spent_usd == 3
    assert {one.purpose: one.usd for one in book.spent_by_purpose("r1")} == {
        SpendPurpose.TASK: 2.0,
        SpendPurpose.GATE: 1.0,
    }


def test_a_cancelled_run_makes_no_further_call(book: Ledger) -> None:
    book.request_optimization(a_request())
    begun: OptimizationRun | None = book.begin_run(a_run())
    assert begun
    book.ask_to_cancel(begun.request_id, "ana", NOON)
    with meter(book, begun.request_id).part(5) as part, pytest.raises(RunCancelled, match="ana cancelled"):
        part.reserve(call())
    assert book.committed_spend(f"run:{begun.request_id}") == 0


def test_a_request_that_is_cancelled_before_its_run_begins_pays_for_no_judging(book: Ledger) -> None:
    book.request_optimization(a_request())
    with meter(book).part(5) as part:
        part.release(part.reserve(call(purpose="judge")))
        book.ask_to_cancel("r1", "ana", NOON)
        with pytest.raises(RunCancelled):
            part.reserve(call(purpose="judge"))


def test_a_provider_that_bills_more_than_it_could_is_found_out(book: Ledger) -> None:
    with meter(book).part(5) as part, pytest.raises(InfrastructureFailure, match="does not keep to max_tokens"):
        part.settle(part.reserve(call()), Bill(2 * DOLLAR), "{}")
    assert book.committed_spend("run:r1") == 2 * DOLLAR


def test_a_ledger_that_fails_stops_the_run_and_is_no_wrong_answer(book: Ledger, tmp_path: Path) -> None:
    run = meter(book)
    with run.part(5) as part:
        for file in tmp_path.glob("ledger.db*"):
            file.unlink()
        book.close()
        with pytest.raises(InfrastructureFailure, match="cannot record what is spent"):
            part.reserve(call())


Step = tuple[int, int, str]
"""Worst case and bill in thousandths of a dollar, and how the call ends."""

steps = st.lists(
    st.integers(1, 400).flatmap(
        lambda worst: st.tuples(
            st.just(worst), st.integers(0, worst), st.sampled_from(["settle", "settle", "lose", "release", "die"])
        )
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans=st.lists(steps, min_size=1, max_size=3), cap=st.integers(0, 2000), month=st.integers(0, 2500))
def test_whatever_processes_and_threads_do_no_account_is_overdrawn_and_all_agree(
    tmp_path_factory: pytest.TempPathFactory, plans: list[list[Step]], cap: int, month: int
) -> None:
    folder = tmp_path_factory.mktemp("spend")
    book = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    billed = 0
    lock = threading.Lock()
    try:
        for number, plan in enumerate(plans):
            # Each plan is a process: it takes up what the one before left open, in the same run.
            run = meter(book, "r1", {"month": month / 1000})
            with run.part(cap / 1000) as part, ThreadPoolExecutor(4) as pool:

                def one(step: Step, part: Any = part) -> None:
                    nonlocal billed
                    worst, bill, end = step
                    try:
                        reservation = part.reserve(Call("task", "m", f"{number}", worst * DOLLAR // 1000))  # noqa: B023
                    except BudgetExhausted:
                        return
                    paid = {"settle": bill, "release": 0}.get(end, worst)
                    with lock:
                        billed += paid * DOLLAR // 1000
                    if end == "settle":
                        part.settle(reservation, Bill(bill * DOLLAR // 1000), "{}")
                    elif end == "release":
                        part.release(reservation)
                    elif end == "lose":
                        part.lose(reservation)
                    else:
                        part._closed(reservation)

                list(pool.map(one, plan))
            assert book.committed_spend("run:r1") <= cap * DOLLAR // 1000
            assert book.committed_spend("month") <= month * DOLLAR // 1000
        assert book.committed_spend("run:r1") == book.committed_spend("month") == billed
        meter(book)
        assert sum(round(one.usd * DOLLAR) for one in book.spent_by_purpose("r1")) == billed
    finally:
        book.close()
