"""Optimization runs: begun once a request, interrupted, taken up again, and ended once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from perf_pipeline.records import Notification, OptimizationRun, ProgramAlias, RequestState, RunOutcome
from resources.ledger import schema
from resources.ledger.approvals import ApprovalLedger
from resources.ledger.programs import ProgramLedger
from resources.ledger.spend import billed_usd, forget_answers

REQUEST_AFTER = {
    RunOutcome.REFUSED: RequestState.REFUSED,
    RunOutcome.CANCELLED: RequestState.CANCELLED,
    RunOutcome.INFRASTRUCTURE_FAILURE: RequestState.FAILED,
}
"""What becomes of a request when its run ends; with all other outcomes it is finished."""

UNFINISHED = schema.optimization_runs.c.outcome.is_(None) | (
    schema.optimization_runs.c.outcome == str(RunOutcome.INFRASTRUCTURE_FAILURE)
)
"""A run that a failure interrupted is taken up again, unless its request has failed for good."""

MAY_RUN = (str(RequestState.READY), str(RequestState.RUNNING))

CHANGED_AT_THE_END = (
    "said",
    "version",
    "baseline_score",
    "candidate_score",
    "gain_points",
    "held_out_items",
    "spent_usd",
    "finished_at",
    "trouble",
    "not_before",
)


class RunLedger(ApprovalLedger, ProgramLedger):
    def begin_run(self, run: OptimizationRun) -> OptimizationRun | None:
        """Record that a run begins, or is taken up again: then what was pinned before stays, and its attempts count
        one more. None, and nothing changes, where the request is not to be run, or the run has ended.

        The caller holds `exclusive` for the request, so that no other process runs it.
        """
        runs, requests = schema.optimization_runs, schema.optimization_requests
        with self._engine.connect() as connection, connection.begin() as transaction:
            started = connection.execute(
                sa.update(requests)
                .where(requests.c.id == run.request_id, requests.c.state.in_(MAY_RUN))
                .values(state=str(RequestState.RUNNING))
            )
            insert = self._insert(runs).values(asdict(run)).on_conflict_do_nothing()
            is_new = connection.execute(insert.returning(runs.c.request_id)).first() is not None
            if not is_new:
                again = sa.update(runs).where(runs.c.request_id == run.request_id, UNFINISHED)
                values = {"attempts": runs.c.attempts + 1, "outcome": None, "trouble": "", "not_before": None}
                is_new = connection.execute(again.values(values)).rowcount == 1
            if started.rowcount != 1 or not is_new:
                transaction.rollback()
                return None
        return self.optimization_run(run.request_id)

    def optimization_run(self, request_id: str) -> OptimizationRun | None:
        table = schema.optimization_runs
        rows = self._all(sa.select(table).where(table.c.request_id == request_id))
        return _run(rows[0]) if rows else None

    def optimization_runs(self) -> list[OptimizationRun]:
        """Oldest first."""
        table = schema.optimization_runs
        return [_run(row) for row in self._all(sa.select(table).order_by(table.c.started_at, table.c.request_id))]

    def interrupt_run(self, request_id: str, trouble: str, not_before: datetime) -> bool:
        """Note that the run cannot go on for now. Its request is ready again."""
        runs, requests = schema.optimization_runs, schema.optimization_requests
        with self._engine.begin() as connection:
            noted = connection.execute(
                sa.update(runs)
                .where(runs.c.request_id == request_id, runs.c.outcome.is_(None))
                .values(outcome=str(RunOutcome.INFRASTRUCTURE_FAILURE), trouble=trouble, not_before=not_before)
            )
            connection.execute(
                sa.update(requests)
                .where(requests.c.id == request_id, requests.c.state == str(RequestState.RUNNING))
                .values(state=str(RequestState.READY))
            )
            return noted.rowcount == 1

    def finish_run(
        self, run: OptimizationRun, *, move: ProgramAlias | None = None, messages: Sequence[Notification] = ()
    ) -> OptimizationRun | None:
        """Record how the run ended, with its request, the alias that it moves and the `messages` that say so: all of
        it or nothing. What the run spent is summed up here.

        Where the alias stands elsewhere than it did when the run began, or somebody has asked to cancel, nothing is
        moved, and None is given back. So it is where the run has ended before. Raises ValueError without an outcome.
        """
        if run.outcome is None:
            raise ValueError(f"The run of request {run.request_id} has no outcome.")
        runs, requests = schema.optimization_runs, schema.optimization_requests
        with self._engine.connect() as connection, connection.begin() as transaction:
            state = REQUEST_AFTER.get(run.outcome, RequestState.FINISHED)
            # Written before anything is read: SQLite refuses to write on what another process has changed since.
            closed = connection.execute(
                sa.update(requests)
                .where(requests.c.id == run.request_id, requests.c.state.in_(MAY_RUN))
                .values(state=str(state))
            )
            ended = replace(run, spent_usd=billed_usd(connection, run.request_id))
            wanted = [runs.c.cancel_requested_by.is_(None)] if move else []
            done = connection.execute(
                sa.update(runs).where(runs.c.request_id == run.request_id, UNFINISHED, *wanted).values(_changing(ended))
            )
            moved = move is None or self._move(connection, move)
            if (done.rowcount, closed.rowcount, moved) != (1, 1, True):
                transaction.rollback()
                return None
            self._enqueue_all(connection, messages)
        return ended

    def fail_request(self, request_id: str, said: str, now: datetime, messages: Sequence[Notification] = ()) -> bool:
        """Give a request up that cannot be brought to an end, whether its run has begun or not."""
        requests = schema.optimization_requests
        with self._engine.connect() as connection, connection.begin() as transaction:
            failed = connection.execute(
                sa.update(requests)
                .where(requests.c.id == request_id, requests.c.state.in_(MAY_RUN))
                .values(state=str(RequestState.FAILED))
            )
            if failed.rowcount != 1:
                transaction.rollback()
                return False
            self._close(connection, request_id, RunOutcome.INFRASTRUCTURE_FAILURE, said, now)
            self._enqueue_all(connection, messages)
            return True

    def ask_to_cancel(self, request_id: str, person: str, now: datetime) -> RequestState | None:
        """Note that somebody wants the request to end. One that waits is cancelled at once; a run ends at its next call
        of a model. What its state is then; None where there is no such request, or it has ended before."""
        runs, requests = schema.optimization_runs, schema.optimization_requests
        waiting = (str(RequestState.AWAITING_APPROVAL), str(RequestState.READY))
        open_requests = sa.select(requests.c.id).where(requests.c.state == str(RequestState.RUNNING))
        with self._engine.begin() as connection:
            noted = connection.execute(
                sa.update(runs)
                .where(runs.c.request_id == request_id, UNFINISHED, runs.c.request_id.in_(open_requests))
                .values(cancel_requested_by=person)
            )
            if noted.rowcount == 1:
                return RequestState.RUNNING
            ended = connection.execute(
                sa.update(requests)
                .where(requests.c.id == request_id, requests.c.state.in_(waiting))
                .values(state=str(RequestState.CANCELLED))
            )
            if ended.rowcount != 1:
                return None
            self._close(connection, request_id, RunOutcome.CANCELLED, f"{person} cancelled the run.", now)
            return RequestState.CANCELLED

    def _close(self, connection: sa.Connection, request_id: str, outcome: RunOutcome, said: str, now: datetime) -> None:
        """End the run of a request that no process runs, if there is one, and forget the texts of its answers."""
        runs = schema.optimization_runs
        forget_answers(connection, request_id)
        connection.execute(
            sa.update(runs)
            .where(runs.c.request_id == request_id, UNFINISHED)
            .values(outcome=str(outcome), said=said, finished_at=now, spent_usd=billed_usd(connection, request_id))
        )


def _changing(run: OptimizationRun) -> dict[str, Any]:
    """The columns that the end of a run sets."""
    return {name: getattr(run, name) for name in CHANGED_AT_THE_END} | {"outcome": str(run.outcome)}


def _run(row: dict[str, Any]) -> OptimizationRun:
    return OptimizationRun(**{**row, "outcome": RunOutcome(row["outcome"]) if row["outcome"] else None})
