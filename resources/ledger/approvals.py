"""Optimization requests, one open one an agent, and whether people agree to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from perf_pipeline.fleet_model import Approval
from perf_pipeline.records import (
    Answer,
    AnswerRecord,
    ApprovalRecord,
    ApprovalState,
    Notification,
    OptimizationRequest,
    RequestState,
)
from resources.ledger import schema
from resources.ledger.outbox import OutboxLedger

REQUEST_AFTER = {
    ApprovalState.APPROVED: RequestState.READY,
    ApprovalState.DECLINED: RequestState.DECLINED,
    ApprovalState.EXPIRED: RequestState.EXPIRED,
}

ASKED_FOR = ("agent", "optimizer", "max_cost_usd", "completed_tasks", "window_start")
"""The columns of a request that people agree to."""

SIGNATURES_KEPT = timedelta(hours=1)
"""Far longer than a request from Slack is taken for: five minutes after its timestamp."""


class ApprovalLedger(OutboxLedger):
    def request_optimization(self, request: OptimizationRequest) -> bool:
        """Record a request. False where it is known, or another of the same agent is open."""
        return self._insert_new(schema.optimization_requests, asdict(request))

    def optimization_requests(self, state: RequestState | None = None) -> list[OptimizationRequest]:
        table = schema.optimization_requests
        query = sa.select(table).order_by(table.c.requested_at, table.c.id)
        if state:
            query = query.where(table.c.state == str(state))
        return [_request(row) for row in self._all(query)]

    def ask_approval(self, approval: ApprovalRecord, messages: Sequence[Notification]) -> bool:
        """Record that people are asked, and put the `messages` that ask them into the outbox.

        False, and nothing changes, where they were asked before.
        """
        with self._engine.connect() as connection, connection.begin() as transaction:
            insert = self._insert(schema.approvals).values(asdict(approval)).on_conflict_do_nothing()
            is_new = connection.execute(insert.returning(schema.approvals.c.request_id)).first() is not None
            if not is_new or not self._enqueue_all(connection, messages):
                transaction.rollback()
                return False
            return True

    def approvals(self, state: ApprovalState | None = None) -> list[ApprovalRecord]:
        table = schema.approvals
        query = sa.select(table).order_by(table.c.requested_at, table.c.request_id)
        if state:
            query = query.where(table.c.state == str(state))
        return [_approval(row) for row in self._all(query)]

    def approval_and_request(self, request_id: str) -> tuple[ApprovalRecord | None, OptimizationRequest | None]:
        """What is known of a request and its approval; None where there is none."""
        approvals, requests = schema.approvals, schema.optimization_requests
        asked = self._all(sa.select(approvals).where(approvals.c.request_id == request_id))
        known = self._all(sa.select(requests).where(requests.c.id == request_id))
        return (_approval(asked[0]) if asked else None), (_request(known[0]) if known else None)

    def settle_approval(
        self,
        settled: ApprovalRecord,
        messages: Sequence[Notification],
        *,
        asked: OptimizationRequest | None = None,
        answer: AnswerRecord | None = None,
    ) -> bool:
        """Record how an approval ended, with its request and the `answer` that ended it, and put the `messages` that
        say so into the outbox.

        False, and nothing changes, where it has ended before, was about something else (another fingerprint), or the
        request no longer waits for it, or no longer asks for what `asked` does, where that is given.
        """
        approvals, requests = schema.approvals, schema.optimization_requests
        end = sa.update(approvals).where(
            approvals.c.request_id == settled.request_id,
            approvals.c.state == str(ApprovalState.REQUESTED),
            approvals.c.fingerprint == settled.fingerprint,
        )
        move = sa.update(requests).where(
            requests.c.id == settled.request_id,
            requests.c.state == str(RequestState.AWAITING_APPROVAL),
            *(requests.c[name] == getattr(asked, name) for name in ASKED_FOR if asked is not None),
        )
        with self._engine.connect() as connection, connection.begin() as transaction:
            ended = connection.execute(
                end.values(
                    state=str(settled.state),
                    answered_by=settled.answered_by,
                    answered_through=settled.answered_through,
                    answered_at=settled.answered_at,
                )
            )
            moved = connection.execute(move.values(state=str(REQUEST_AFTER[settled.state])))
            if (ended.rowcount, moved.rowcount) != (1, 1):
                transaction.rollback()
                return False
            if answer is not None:
                self._put(connection, schema.approval_answers, [asdict(answer)], ["id"])
            self._enqueue_all(connection, messages)
            return True

    def record_answer(self, answer: AnswerRecord) -> bool:
        """Keep an attempt to answer. False, and nothing changes, where it was seen before."""
        return self._insert_new(schema.approval_answers, asdict(answer))

    def answers(self, request_id: str) -> list[AnswerRecord]:
        table = schema.approval_answers
        query = sa.select(table).where(table.c.request_id == request_id).order_by(table.c.at, table.c.id)
        return [AnswerRecord(**{**row, "answer": Answer(row["answer"])}) for row in self._all(query)]

    def see_slack_request(self, signature: str, now: datetime) -> bool:
        """Remember the signature of a request from Slack. False where the same request came before."""
        table = schema.slack_requests
        insert = self._insert(table).values(signature=signature, seen_at=now).on_conflict_do_nothing()
        with self._engine.begin() as connection:
            is_new = connection.execute(insert.returning(table.c.signature)).first() is not None
            connection.execute(sa.delete(table).where(table.c.seen_at < now - SIGNATURES_KEPT))
            return is_new


def _approval(row: dict[str, Any]) -> ApprovalRecord:
    return ApprovalRecord(**{**row, "state": ApprovalState(row["state"])})


def _request(row: dict[str, Any]) -> OptimizationRequest:
    return OptimizationRequest(
        **{
            **row,
            "approval": Approval(row["approval"]),
            "state": RequestState(row["state"]),
            "reasons": tuple(row["reasons"]),
        }
    )
