"""What optimization runs spend: every call of a model, and accounts that can never hold more than their limit.

Amounts are whole nanodollars, so that sums are exact. A reservation is one guarded update an account in one
transaction: whichever threads, processes or machines pay out of an account, its limit is never crossed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from perf_pipeline.records import RequestState, SpendPurpose, SpendState
from resources.ledger import schema
from resources.ledger.connection import LedgerConnection
from resources.reading import LedgerError

NANODOLLARS = 1_000_000_000


@dataclass(frozen=True)
class Reservation:
    """`refused_by` is the account that has not enough left, `cancelled_by` who wants the run to end; with either
    nothing was reserved."""

    id: str | None
    refused_by: str | None = None
    cancelled_by: str | None = None


@dataclass(frozen=True)
class Spent:
    """Of a run, for one purpose: calls that were billed, or may have been, and US dollars."""

    purpose: SpendPurpose
    calls: int
    usd: float


class SpendLedger(LedgerConnection):
    """Raises LedgerError where the database fails: no other error may reach an optimizer, which would take it for a
    wrong answer."""

    def reserve_spend(
        self,
        request_id: str,
        limits: Mapping[str, int],
        purpose: str,
        model: str,
        call: str,
        nanodollars: int,
        now: datetime,
    ) -> Reservation:
        """Set the worst case of a call aside in all accounts of `limits`, which say how much each may hold."""
        accounts, runs, requests = schema.spend_accounts, schema.optimization_runs, schema.optimization_requests
        reservation = uuid.uuid4().hex
        with _outages(), self._engine.connect() as connection, connection.begin() as transaction:
            for account, limit in sorted(limits.items()):
                opened = self._insert(accounts).values(id=account, committed=0).on_conflict_do_nothing()
                connection.execute(opened)
                taken = connection.execute(
                    sa.update(accounts)
                    .where(accounts.c.id == account, accounts.c.committed + nanodollars <= limit)
                    .values(committed=accounts.c.committed + nanodollars)
                )
                if taken.rowcount != 1:
                    transaction.rollback()
                    return Reservation(None, refused_by=account)
            asked = sa.select(runs.c.cancel_requested_by).where(
                runs.c.request_id == request_id, runs.c.cancel_requested_by.is_not(None)
            )
            # Before a run has begun, while its examples are judged, a request is cancelled at once.
            withdrawn = sa.select(requests.c.id).where(
                requests.c.id == request_id, requests.c.state == str(RequestState.CANCELLED)
            )
            cancelled = connection.execute(asked).scalar()
            if cancelled or connection.execute(withdrawn).first():
                transaction.rollback()
                return Reservation(None, cancelled_by=cancelled or "Somebody")
            row = {
                "id": reservation,
                "request_id": request_id,
                "accounts": list(limits),
                "purpose": purpose,
                "model": model,
                "call": call,
                "state": str(SpendState.RESERVED),
                "reserved": nanodollars,
                "billed": nanodollars,
                "reserved_at": now,
            }
            connection.execute(sa.insert(schema.spend).values(row))
        return Reservation(reservation)

    def settle_spend(
        self,
        reservation: str,
        state: SpendState,
        now: datetime,
        *,
        nanodollars: int = 0,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        answer: str | None = None,
    ) -> bool:
        """Put the bill in the place of what was reserved. An unknown one stays as high as the reservation.

        False, and nothing changes, where the reservation was settled before.
        """
        table, accounts = schema.spend, schema.spend_accounts
        billed = table.c.reserved if state is SpendState.UNKNOWN else nanodollars
        settled = (
            sa.update(table)
            .where(table.c.id == reservation, table.c.state == str(SpendState.RESERVED))
            .values(
                state=str(state),
                billed=billed,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                answer=answer,
                settled_at=now,
            )
            .returning(table.c.accounts, (table.c.billed - table.c.reserved).label("change"))
        )
        with _outages(), self._engine.begin() as connection:
            # Written before anything is read: SQLite refuses to write on what another process has changed since.
            row = connection.execute(settled).first()
            if row is None:
                return False
            for account in sorted(row.accounts):
                connection.execute(
                    sa.update(accounts)
                    .where(accounts.c.id == account)
                    .values(committed=accounts.c.committed + row.change)
                )
            return True

    def give_up_reservations(self, request_id: str, now: datetime) -> int:
        """Count the calls of a process that is gone as billed: nobody will hear how they ended. How many these were."""
        table = schema.spend
        open_calls = sa.update(table).where(table.c.request_id == request_id, table.c.state == str(SpendState.RESERVED))
        with _outages(), self._engine.begin() as connection:
            values = {"state": str(SpendState.UNKNOWN), "settled_at": now}
            return connection.execute(open_calls.values(values)).rowcount

    def paid_answers(self, request_id: str) -> dict[str, list[str]]:
        """The answers that the request's run has paid for, by call, oldest first."""
        table = schema.spend
        query = sa.select(table.c.call, table.c.answer).where(
            table.c.request_id == request_id, table.c.answer.is_not(None)
        )
        with _outages():
            rows = self._all(query.order_by(table.c.settled_at, table.c.id))
        answers: dict[str, list[str]] = {}
        for row in rows:
            answers.setdefault(row["call"], []).append(row["answer"])
        return answers

    def forget_answers(self, request_id: str) -> None:
        """Drop the texts of a run's answers: it has ended, and they may hold what customers wrote."""
        with self._engine.begin() as connection:
            forget_answers(connection, request_id)

    def committed_spend(self, account: str) -> int:
        """Nanodollars that were billed to the account, or are reserved."""
        table = schema.spend_accounts
        with _outages():
            rows = self._all(sa.select(table.c.committed).where(table.c.id == account))
        return rows[0]["committed"] if rows else 0

    def spent_usd(self, request_id: str) -> float:
        """US dollars that the request's run was billed, or may have been."""
        with self._engine.connect() as connection:
            return billed_usd(connection, request_id)

    def spent_by_purpose(self, request_id: str) -> list[Spent]:
        table = schema.spend
        query = (
            sa.select(table.c.purpose, sa.func.count().label("calls"), sa.func.sum(table.c.billed).label("billed"))
            .where(table.c.request_id == request_id, table.c.state != str(SpendState.NOT_BILLED))
            .group_by(table.c.purpose)
            .order_by(table.c.purpose)
        )
        # PostgreSQL sums integers to Decimal.
        return [
            Spent(SpendPurpose(row["purpose"]), row["calls"], int(row["billed"]) / NANODOLLARS)
            for row in self._all(query)
        ]


def billed_usd(connection: sa.Connection, request_id: str) -> float:
    """Within the caller's transaction."""
    total = sa.func.coalesce(sa.func.sum(schema.spend.c.billed), 0)
    query = sa.select(total).where(schema.spend.c.request_id == request_id)
    return int(connection.execute(query).scalar_one()) / NANODOLLARS


def forget_answers(connection: sa.Connection, request_id: str) -> None:
    """Within the caller's transaction."""
    connection.execute(sa.update(schema.spend).where(schema.spend.c.request_id == request_id).values(answer=None))


@contextmanager
def _outages() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        raise LedgerError(
            f"The ledger cannot record what is spent ({reason}): see its database.", retryable=True
        ) from error
