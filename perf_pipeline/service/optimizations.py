"""Requests to optimize agents, and people's answers to them."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter, Depends

from perf_pipeline.approvals import Attempt, take_answer
from perf_pipeline.optimization_rows import approval_row, request_rows
from perf_pipeline.records import Answer, RequestState, Scope
from perf_pipeline.service.authentication import Identity
from perf_pipeline.service.context import ServiceContext
from perf_pipeline.service.models import AnswerRequest, OptimizationModel, Reply
from perf_pipeline.service.problems import Problem, problems

UNKNOWN = "There is no optimization request with this ID: see GET /optimizations."


def optimizations_router(context: ServiceContext) -> APIRouter:
    book, fleet, clock = context.book, context.fleet, context.clock
    router = APIRouter(prefix="/optimizations", tags=["optimizations"])
    may_read, may_act = Depends(context.gate.require(Scope.READ)), Depends(context.gate.require(Scope.APPROVE))

    @router.get("", responses=problems(), dependencies=[may_read])
    def optimizations() -> list[OptimizationModel]:
        """All requests, oldest first."""
        return [OptimizationModel(**row) for row in _rows(context)]

    @router.get("/{request_id}", responses=problems(404), dependencies=[may_read])
    def optimization(request_id: str) -> OptimizationModel:
        """One request."""
        for row in _rows(context):
            if row["request_id"] == request_id:
                return OptimizationModel(**row)
        raise Problem(404, UNKNOWN)

    @router.post("/{request_id}/approve", responses=problems(404, 409))
    def approve(request_id: str, given: AnswerRequest, who: Identity = may_act) -> Reply:
        """Approve a request, as the person of the token, who must be listed under approvals.approvers in fleet.yaml."""
        return answer(request_id, Answer.APPROVE, given.fingerprint, who)

    @router.post("/{request_id}/decline", responses=problems(404, 409))
    def decline(request_id: str, given: AnswerRequest, who: Identity = may_act) -> Reply:
        """Decline a request, as the person of the token, who must be listed under approvals.approvers in fleet.yaml."""
        return answer(request_id, Answer.DECLINE, given.fingerprint, who)

    @router.post("/{request_id}/cancel", responses=problems(404, 409))
    def cancel(request_id: str, who: Identity = may_act) -> Reply:
        """Cancel a request. One that runs ends at its next call of a model; nothing is promoted."""
        if book.approval_and_request(request_id)[1] is None:
            raise Problem(404, UNKNOWN)
        state = book.ask_to_cancel(request_id, who.person, clock())
        if state is None:
            raise Problem(409, "The request has ended, so that there is nothing to cancel.")
        ends = "It ends at its next call of a model." if state is RequestState.RUNNING else "It is cancelled."
        return Reply(reply=ends)

    def answer(request_id: str, given: Answer, fingerprint: str, who: Identity) -> Reply:
        approver = fleet.approvals.by_name(who.person)
        attempt = Attempt(
            id=f"api:{uuid.uuid4().hex}",
            request_id=request_id,
            answer=given,
            fingerprint=fingerprint,
            person=who.person,
            approver=approver,
            through="API",
        )
        known = book.approval_and_request(request_id)[1] is not None
        verdict = take_answer(book, fleet, attempt, clock())
        if verdict.accepted:
            return Reply(reply=verdict.reply)
        raise Problem(403 if approver is None else 409 if known else 404, verdict.reply)

    return router


def _rows(context: ServiceContext) -> list[dict[str, Any]]:
    approvals = {approval.request_id: approval for approval in context.book.approvals()}
    requests = {request.id: request for request in context.book.optimization_requests()}
    return [
        row
        | {"reasons": list(requests[row["request_id"]].reasons)}
        | approval_row(requests[row["request_id"]], approvals.get(row["request_id"]))
        for row in request_rows(context.book)
        if row["request_id"] in requests
    ]
