"""Where an optimization run pays: out of its own cap, its agent's month and the fleet's month, all in the ledger.

A run has parts: the baseline, the search, the gate. Each has a limit of its own within the cap, so that a search
cannot spend what the gate needs, and ends for good: calls that are still queued when it is over are not made.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from math import floor

from dspy_modules.metered_engine import Bill, Call
from dspy_modules.stop_signals import BudgetExhausted, InfrastructureFailure, PhaseOver, RunCancelled, RunStopped
from perf_pipeline.records import SpendState
from resources.ledger import Ledger
from resources.ledger.spend import NANODOLLARS
from resources.reading import LedgerError

DRAIN_SECONDS = 300
"""How long the calls that are under way may take to end, once a part of the run is over."""

MonthLimits = Callable[[datetime], Mapping[str, float]]
"""The accounts of the month that the time (UTC) is in, with how many US dollars each may hold."""


class RunMeter:
    """The meter of one run, which this process alone executes. Answers that the run has paid for are given again."""

    def __init__(self, book: Ledger, request_id: str, month_limits: MonthLimits, clock: Callable[[], datetime]) -> None:
        self.request_id = request_id
        self._book = book
        self._month_limits = month_limits
        self._clock = clock
        with _outages():
            self.given_up = book.give_up_reservations(request_id, clock())
            self._paid = {call: deque(answers) for call, answers in book.paid_answers(request_id).items()}
        self._lock = threading.Lock()
        self._refused_by = ""

    @property
    def spent_usd(self) -> float:
        with _outages():
            return self._book.committed_spend(self._account) / NANODOLLARS

    @contextmanager
    def part(self, limit_usd: float, drain_seconds: float = DRAIN_SECONDS) -> Iterator[PartMeter]:
        """The meter of a part of the run, which may bring what the whole run has spent up to the limit. At its end,
        calls that are under way are waited for, for `drain_seconds` at most."""
        meter = PartMeter(self, limit_usd)
        try:
            yield meter
        finally:
            meter.close(drain_seconds)

    @property
    def _account(self) -> str:
        return f"run:{self.request_id}"

    def recall(self, call: Call) -> str | None:
        with self._lock:
            answers = self._paid.get(call.key)
            return answers.popleft() if answers else None

    def try_to_reserve(self, call: Call, limit_usd: float) -> str | None:
        """The reservation; None where an account has not enough left. Raises RunStopped."""
        now = self._clock()
        limits = {self._account: limit_usd, **self._month_limits(now)}
        whole = {account: floor(limit * NANODOLLARS) for account, limit in limits.items()}
        with _outages():
            made = self._book.reserve_spend(
                self.request_id, whole, call.purpose, call.model, call.key, call.worst_case, now
            )
        if made.cancelled_by:
            raise RunCancelled(f"{made.cancelled_by} cancelled the run.")
        if made.refused_by:
            self._refused_by = made.refused_by
        return made.id

    def refusal(self, call: Call, limit_usd: float) -> str:
        """Why the call was not paid for, in words."""
        price = f"The next call may cost up to ${call.worst_case / NANODOLLARS:.4f}"
        if self._refused_by == self._account:
            return f"{price}, and ${self.spent_usd:.4f} of the ${limit_usd:.4f} for this part of the run are spent."
        kind = "the fleet" if self._refused_by.endswith(":fleet") else self._refused_by.rpartition(":")[2]
        return f"{price}, which is more than what is left of the month's budget of {kind}."

    def settle(self, reservation: str, state: SpendState, bill: Bill | None = None, answer: str | None = None) -> None:
        with _outages():
            self._book.settle_spend(
                reservation,
                state,
                self._clock(),
                nanodollars=bill.nanodollars if bill else 0,
                input_tokens=bill.input_tokens if bill else None,
                output_tokens=bill.output_tokens if bill else None,
                answer=answer,
            )


class PartMeter:
    """`dspy_modules.metered_engine.Meter` of a part of a run. Threads may share it."""

    def __init__(self, run: RunMeter, limit_usd: float) -> None:
        self._run = run
        self._limit_usd = limit_usd
        self._open: dict[str, int] = {}
        self._changed = threading.Condition()
        self._is_over = False
        self.stopped: RunStopped | None = None

    def note(self, stop: RunStopped) -> None:
        if not isinstance(stop, PhaseOver):
            self.stopped = self.stopped or stop

    def recall(self, call: Call) -> str | None:
        self._refuse_when_over()
        return self._run.recall(call)

    def reserve(self, call: Call) -> str:
        """Waits while calls that are under way may still turn out cheaper than what is set aside for them."""
        with self._changed:
            while True:
                self._refuse_when_over()
                if reservation := self._run.try_to_reserve(call, self._limit_usd):
                    self._open[reservation] = call.worst_case
                    return reservation
                # A call that ends leaves `_open` under this lock, so none can have ended unseen.
                if not self._open:
                    raise BudgetExhausted(self._run.refusal(call, self._limit_usd))
                self._changed.wait(timeout=1)

    def settle(self, reservation: str, bill: Bill, answer: str) -> None:
        worst_case = self._open[reservation]
        try:
            self._run.settle(reservation, SpendState.SETTLED, bill, answer)
        finally:
            self._closed(reservation)
        if bill.nanodollars > worst_case:
            raise InfrastructureFailure(
                f"A call was billed ${bill.nanodollars / NANODOLLARS:.4f}, and could cost "
                f"${worst_case / NANODOLLARS:.4f} at most: the provider does not keep to max_tokens, so no budget can "
                "be kept with it.",
                is_lasting=True,
            )

    def release(self, reservation: str) -> None:
        try:
            self._run.settle(reservation, SpendState.NOT_BILLED)
        finally:
            self._closed(reservation)

    def lose(self, reservation: str) -> None:
        try:
            self._run.settle(reservation, SpendState.UNKNOWN)
        finally:
            self._closed(reservation)

    def close(self, drain_seconds: float = DRAIN_SECONDS) -> None:
        """No more calls; those under way are waited for."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._open, timeout=drain_seconds)

    def _refuse_when_over(self) -> None:
        if self._is_over:
            raise PhaseOver("This part of the run is over.")

    def _closed(self, reservation: str) -> None:
        with self._changed:
            self._open.pop(reservation, None)
            self._changed.notify_all()


@contextmanager
def _outages() -> Iterator[None]:
    try:
        yield
    except LedgerError as error:
        raise InfrastructureFailure(str(error)) from error
