"""The ledger beside the server's own count: what a run paid, what it was billed, and what nobody can know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.optimization.fault_plans import FaultPlan
from benchmarks.optimization.ledger_file import Account, Paid, Tokens
from dspy_modules.prices import NANODOLLARS, Price
from tests.wire.model_server import Call


@dataclass(frozen=True)
class Served:
    """A call that reached the server. It was `heard` where the client was sent an answer that can be read;
    `tells_tokens` says whether these were in it."""

    tokens: Tokens
    is_billed: bool = True
    is_heard: bool = True
    tells_tokens: bool = True


def served_calls(calls: Sequence[Call], plan: FaultPlan) -> list[Served]:
    return [
        Served(
            (call.prompt_tokens, call.completion_tokens),
            call.is_billed,
            call.is_delivered and plan.of(call.number) != "malformed JSON",
            plan.of(call.number) != "no usage",
        )
        for call in calls
    ]


@dataclass(frozen=True)
class Comparison:
    """Amounts of one run, and a sentence for each of its `crossings` of a cap and `mismatches` with the server: there
    are none where all is well. `unheard` calls were billed without the run's having taken note of an answer."""

    served_calls: int
    unknown: int
    unheard: int
    billed_usd: float
    committed_usd: float
    crossings: tuple[str, ...]
    mismatches: tuple[str, ...]


@dataclass(frozen=True)
class Bills:
    """What ledger and server have of one run; `cap` is in nanodollars.

    A run that `is_cut` was killed, or stopped listening to some of its calls: what it had not noted by then must be
    among the unknown. In any other, ledger and server agree on every call.
    """

    cap: int
    account: Account
    paid: Sequence[Paid]
    served: Sequence[Served]
    price: Price
    is_cut: bool = False

    def compared(self, name: str) -> Comparison:
        return Comparison(
            served_calls=len(self.served),
            unknown=len(self._in_state("unknown")),
            unheard=len(self._unheard()),
            billed_usd=self._bill() / NANODOLLARS,
            committed_usd=self.account.committed / NANODOLLARS,
            crossings=tuple(f"{name}: {said}" for said in self._crossings()),
            mismatches=tuple(
                f"{name}: {said}" for said in [*self._wrong_sums(), *self._wrong_settlements(), *self._uncovered()]
            ),
        )

    def _crossings(self) -> list[str]:
        held = max(self.account.committed, self.account.peak)
        amounts = {"the ledger held": held, "the server billed": self._bill()}
        return [f"{what} {amount} n$ of {self.cap} n$" for what, amount in amounts.items() if amount > self.cap]

    def _wrong_sums(self) -> list[str]:
        found = []
        total = sum(row.billed for row in self.paid)
        if self.account.committed != total:
            found.append(f"its account holds {self.account.committed} n$, its calls add up to {total} n$")
        if self._in_state("reserved"):
            found.append("a reservation was left open")
        # A process that is killed may have reserved for a call that it did not send.
        if len(self.served) > len(self.paid) or (len(self.served) < len(self.paid) and not self.is_cut):
            found.append(f"{len(self.paid)} calls in the ledger, {len(self.served)} at the server")
        return found

    def _wrong_settlements(self) -> list[str]:
        settled, heard = self._settled(), self._heard()
        found = []
        if any(row.billed != self.price.cost(*row.tokens) for row in self.paid if row.tokens):
            found.append("a bill is not that of its tokens")
        if never := settled - heard:
            found.append(f"settled, but never delivered: {dict(never)}")
        if not self.is_cut and (missing := heard - settled):
            found.append(f"delivered, but not settled: {dict(missing)}")
        untold, heard_untold = self._settled_without_tokens(), len(self._heard_without_tokens())
        if untold > heard_untold or (untold < heard_untold and not self.is_cut):
            found.append(f"{untold} settled without tokens, {heard_untold} delivered so")
        return found

    def _uncovered(self) -> list[str]:
        unknown, unheard = self._in_state("unknown"), self._unheard()
        found = []
        if len(unknown) < len(unheard):
            found.append(f"{len(unheard)} calls were billed unheard, {len(unknown)} are unknown")
        covered, lost = sum(row.billed for row in unknown), sum(self.price.cost(*tokens) for tokens in unheard)
        if covered < lost:
            found.append(f"{lost} n$ were billed unheard, the unknown cover {covered} n$")
        if any(row.billed != row.reserved for row in unknown):
            found.append("an unknown call does not count as its worst case")
        return found

    def _unheard(self) -> list[Tokens]:
        """Of the calls that were billed, and are not settled."""
        without = sorted(self._heard_without_tokens(), key=lambda tokens: -self.price.cost(*tokens))
        return [
            *(call.tokens for call in self._billed() if not call.is_heard),
            *(self._heard() - self._settled()).elements(),
            # Which of them were settled cannot be told apart: the dearest are taken for those that were not.
            *without[: max(0, len(without) - self._settled_without_tokens())],
        ]

    def _bill(self) -> int:
        return sum(self.price.cost(*call.tokens) for call in self._billed())

    def _billed(self) -> list[Served]:
        return [call for call in self.served if call.is_billed]

    def _heard(self) -> Counter[Tokens]:
        return Counter(call.tokens for call in self._billed() if call.is_heard and call.tells_tokens)

    def _heard_without_tokens(self) -> list[Tokens]:
        return [call.tokens for call in self._billed() if call.is_heard and not call.tells_tokens]

    def _in_state(self, state: str) -> list[Paid]:
        return [row for row in self.paid if row.state == state]

    def _settled(self) -> Counter[Tokens]:
        return Counter(row.tokens for row in self._in_state("settled") if row.tokens)

    def _settled_without_tokens(self) -> int:
        return sum(row.tokens is None for row in self._in_state("settled"))
