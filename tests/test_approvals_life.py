"""The life of an approval under everything that people and attackers do: it ends once, and its request agrees."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from perf_pipeline.approvals import ask_for_approvals, expire_approvals, take_answer
from perf_pipeline.fleet_people import Approver
from perf_pipeline.optimization.approvals import fingerprint
from perf_pipeline.records import Answer, ApprovalState, OptimizationRequest, RequestState
from resources.ledger import Ledger, schema
from tests.approval_builders import ANA, BEN, FLEET, NOON, attempt, request_to_approve

AGREES = {
    ApprovalState.REQUESTED: {RequestState.AWAITING_APPROVAL, RequestState.CANCELLED},
    ApprovalState.APPROVED: {RequestState.READY},
    ApprovalState.DECLINED: {RequestState.DECLINED},
    ApprovalState.EXPIRED: {RequestState.EXPIRED},
}
REQUESTS = [request_to_approve(agent, id=agent) for agent in ("StrategyAgent", "AuditAgent")]


@cache
def empty_ledger() -> bytes:
    """A ledger's file with its tables, which take longer to make than a whole life does."""
    with tempfile.TemporaryDirectory() as folder:
        Ledger(f"sqlite:///{folder}/ledger.db").close()
        return (Path(folder) / "ledger.db").read_bytes()


class Life(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        file = Path(self.folder.name) / "ledger.db"
        file.write_bytes(empty_ledger())
        self.ledger = Ledger(f"sqlite:///{file}")
        self.now = NOON
        self.number = 0
        self.ends: dict[str, ApprovalState] = {}
        self.caps = {request.id: request.max_cost_usd for request in REQUESTS}
        self.asked_caps: dict[str, float] = {}
        for request in REQUESTS:
            self.ledger.request_optimization(request)

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
            self.folder.cleanup()

    @rule()
    def ask(self) -> None:
        for agent in ask_for_approvals(self.ledger, FLEET, self.now):
            assert agent not in self.asked_caps
            self.asked_caps[agent] = self.caps[agent]

    @rule(
        request=st.sampled_from(REQUESTS),
        answer=st.sampled_from(Answer),
        approver=st.sampled_from([ANA, BEN, None]),
        shown=st.sampled_from([30.0, 9999.0]),
        id=st.sampled_from(["known", "forged"]),
    )
    def answer(
        self, request: OptimizationRequest, answer: Answer, approver: Approver | None, shown: float, id: str
    ) -> None:
        """A person who was shown that it costs `shown` answers."""
        self.number += 1
        approval, current = self.ledger.approval_and_request(request.id)
        assert current is not None
        given = attempt(
            answer,
            approver,
            request,
            id=str(self.number),
            fingerprint=fingerprint(replace(request, max_cost_usd=shown)),
            request_id=request.id if id == "known" else "forged",
        )
        verdict = take_answer(self.ledger, FLEET, given, self.now)
        may = (
            approver is not None
            and id == "known"
            and shown == self.asked_caps.get(request.id) == self.caps[request.id]
            and approval is not None
            and approval.state is ApprovalState.REQUESTED
            and current.state is RequestState.AWAITING_APPROVAL
            and self.now < approval.expires_at
        )
        assert verdict.accepted == may
        assert verdict.reply

    @rule()
    def expire(self) -> None:
        expire_approvals(self.ledger, FLEET, self.now)

    @rule(hours=st.sampled_from([0.01, 1, 30]))
    def wait(self, hours: float) -> None:
        self.now += timedelta(hours=hours)

    @rule(request=st.sampled_from(REQUESTS))
    def withdraw(self, request: OptimizationRequest) -> None:
        table = schema.optimization_requests
        waiting = sa.update(table).where(table.c.id == request.id, table.c.state == "awaiting_approval")
        with self.ledger._engine.begin() as connection:
            connection.execute(waiting.values(state="cancelled"))

    @rule(request=st.sampled_from(REQUESTS), cap=st.sampled_from([30.0, 9999.0]))
    def change_the_amount(self, request: OptimizationRequest, cap: float) -> None:
        table = schema.optimization_requests
        with self.ledger._engine.begin() as connection:
            connection.execute(sa.update(table).where(table.c.id == request.id).values(max_cost_usd=cap))
        self.caps[request.id] = cap

    @invariant()
    def what_has_ended_stays_as_it_ended_and_its_request_agrees(self) -> None:
        if not hasattr(self, "ledger"):
            return
        for approval in self.ledger.approvals():
            _, request = self.ledger.approval_and_request(approval.request_id)
            assert request is not None
            if approval.request_id in self.ends:
                assert approval.state is self.ends[approval.request_id]
            if approval.state is not ApprovalState.REQUESTED:
                self.ends[approval.request_id] = approval.state
            assert request.state in AGREES[approval.state]

    @invariant()
    def an_answer_was_accepted_exactly_where_the_approval_says_so_and_people_heard_of_one_end(self) -> None:
        if not hasattr(self, "ledger"):
            return
        keys = [note.key for note in self.ledger.notifications()]
        for approval in self.ledger.approvals():
            answered = approval.state in (ApprovalState.APPROVED, ApprovalState.DECLINED)
            accepted = [one for one in self.ledger.answers(approval.request_id) if one.accepted]
            assert len(accepted) == answered
            ends = [key for key in keys if key.startswith(f"approval:{approval.request_id}:")]
            assert len(ends) == (approval.state is not ApprovalState.REQUESTED)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=20, stateful_step_count=15, deadline=None)
