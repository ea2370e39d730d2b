"""Who may agree to an optimization, to what exactly, and until when.

An answer counts where a listed approver gives it, in time, to what is still asked, before anybody else did.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_model import Approval
from perf_pipeline.fleet_people import Approver
from perf_pipeline.notifications.team_clock import moment
from perf_pipeline.records import (
    Answer,
    ApprovalRecord,
    ApprovalState,
    OptimizationRequest,
    RequestState,
)

STATE_AFTER = {Answer.APPROVE: ApprovalState.APPROVED, Answer.DECLINE: ApprovalState.DECLINED}


@dataclass(frozen=True)
class Verdict:
    """Whether an answer counts, and what the person who gave it is told."""

    accepted: bool
    reply: str


def fingerprint(request: OptimizationRequest) -> str:
    """16 hexadecimal digits that stand for what is asked: for which agent, by which optimizer, on which data, at what
    cost. It changes when any of these does."""
    asked = {
        "agent": request.agent,
        "optimizer": request.optimizer,
        "max_cost_usd": float(request.max_cost_usd),
        "completed_tasks": request.completed_tasks,
        "window_start": request.window_start.astimezone(UTC).isoformat(),
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def question(request: OptimizationRequest, fleet: FleetConfig, now: datetime) -> ApprovalRecord:
    """The approval of a request, as it begins."""
    return ApprovalRecord(
        request.id, fingerprint(request), ApprovalState.REQUESTED, now, now + fleet.approvals.expire_after
    )


def is_late(approval: ApprovalRecord, now: datetime) -> bool:
    return now >= approval.expires_at


def answered(
    approval: ApprovalRecord, answer: Answer, approver: Approver, through: str, now: datetime
) -> ApprovalRecord:
    return replace(
        approval, state=STATE_AFTER[answer], answered_by=approver.name, answered_through=through, answered_at=now
    )


def expired(approval: ApprovalRecord) -> ApprovalRecord:
    return replace(approval, state=ApprovalState.EXPIRED)


def judge(
    approval: ApprovalRecord | None,
    request: OptimizationRequest | None,
    answer: Answer,
    presented: str,
    approver: Approver | None,
    fleet: FleetConfig,
    now: datetime,
) -> Verdict:
    """Whether an answer counts. `presented` is the fingerprint of what the person was shown, `approver` who it is, or
    None for somebody who is not listed. A stranger learns nothing about the request."""
    if approver is None:
        return Verdict(False, not_an_approver(fleet))
    if request is None:
        return Verdict(False, "There is no optimization request with this ID: see 'perf-pipeline approvals'.")
    if approval is None:
        return Verdict(False, _not_asked(request))
    if approval.state is not ApprovalState.REQUESTED:
        return Verdict(False, _ended(approval, answer, approver, fleet.timezone))
    if request.state is not RequestState.AWAITING_APPROVAL:
        return Verdict(False, f"The request was withdrawn: it is {_words(request.state)} and needs no answer.")
    if is_late(approval, now):
        by = moment(approval.expires_at, fleet.timezone)
        return Verdict(False, f"This came too late: an answer was due by {by}. Nothing is run on it.")
    if not presented == approval.fingerprint == fingerprint(request):
        return Verdict(
            False,
            "What is asked is no longer what you were shown, so this answer does not count. "
            f"'perf-pipeline approvals' shows request {request.id} as it is now.",
        )
    what = f"{request.optimizer} for {request.agent}"
    if answer is Answer.APPROVE:
        return Verdict(True, f"You approved {what}, for at most {dollars(request.max_cost_usd)}.")
    return Verdict(True, f"You declined {what}. Nothing is run.")


def not_an_approver(fleet: FleetConfig) -> str:
    names = [approver.name for approver in fleet.approvals.approvers]
    if not names:
        return (
            "Nobody is listed as an approver, so no answer counts: add people, each with a name and a Slack member ID, "
            "to approvals.approvers in fleet.yaml."
        )
    return (
        f"Only listed approvers can answer, so this does not count. They are {', '.join(names)}; fleet.yaml lists them "
        "under approvals.approvers."
    )


def dollars(amount: float) -> str:
    return f"${amount:,.2f}".removesuffix(".00")


def _not_asked(request: OptimizationRequest) -> str:
    if request.state is RequestState.AWAITING_APPROVAL:
        return "Nobody was asked about this request yet: the sensor 'approvals' does that. Answer after it has run."
    return f"This request waits for nobody's approval: it is {_words(request.state)}."


def _ended(approval: ApprovalRecord, answer: Answer, approver: Approver, timezone: str) -> str:
    if approval.state is ApprovalState.EXPIRED:
        by = moment(approval.expires_at, timezone)
        return f"The request expired: nobody had answered by {by}. It is asked again if the agent still needs it."
    when = moment(approval.answered_at, timezone) if approval.answered_at else "an unknown time"
    if approval.answered_by == approver.name and approval.state is STATE_AFTER[answer]:
        return f"You {approval.state} it already, at {when}."
    who = "You" if approval.answered_by == approver.name else approval.answered_by
    return f"It is answered already: {who} {approval.state} it at {when}. The first answer stands."


def _words(state: RequestState) -> str:
    return state.replace("_", " ")


def reason_not_to_run(request: OptimizationRequest, approval: ApprovalRecord | None) -> str | None:
    """Why the request may not be run, for lack of consent to exactly this; None where it may."""
    if request.approval is not Approval.REQUIRED:
        return None
    if approval is None or approval.state is not ApprovalState.APPROVED:
        return "Nobody has approved this request: see 'perf-pipeline approvals'."
    if approval.fingerprint != fingerprint(request):
        return "The request is no longer what was approved, so it is not run."
    return None
