"""What people are asked before an optimization is run, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.message import Button, Line, Message, Section, bullets, labelled, section
from perf_pipeline.notifications.team_clock import moment
from perf_pipeline.optimization.approvals import dollars, not_an_approver
from perf_pipeline.records import ApprovalRecord, ApprovalState, OptimizationRequest

WHAT_IT_DOES = {
    "GEPA": "reflects on failed tasks and rewrites the agent's instructions",
    "BootstrapFewShot": "adds examples of successful tasks to the agent's prompts",
    "MIPROv2": "searches for better instructions and examples together",
}


@dataclass(frozen=True)
class Prospect:
    """What an optimization may bring: `expected` is the range of the policy, `measured` are the past gains of this
    optimizer; all in percent, relative."""

    expected: tuple[float, float] | None
    measured: Sequence[float] = ()


def question_key(request_id: str) -> str:
    """What the message that asks is known by; its thread gets the outcome."""
    return f"approval:{request_id}"


def approval_message(
    request: OptimizationRequest, approval: ApprovalRecord, prospect: Prospect, fleet: FleetConfig
) -> Message:
    """The question whether an optimization may be run, with buttons that carry the fingerprint of what is asked."""
    does = WHAT_IT_DOES.get(request.optimizer)
    head = [
        labelled("Agent", request.agent),
        labelled("Optimizer", request.optimizer + (f": {does}" if does else "")),
        labelled("Cost", f"at most {dollars(request.max_cost_usd)}; nothing is spent before you approve"),
    ]
    sections: list[Section] = [section(*head)]
    if request.reasons:
        sections += [section(labelled("Why", "")), bullets(request.reasons)]
    sections += [section(*_prospect(prospect)), section(*_how_to_answer(approval, fleet))]
    return Message(
        title=f"🗳️ APPROVAL NEEDED: optimize {request.agent} for at most {dollars(request.max_cost_usd)}",
        sections=tuple(sections),
        buttons=_buttons(approval),
    )


def outcome_message(request: OptimizationRequest, settled: ApprovalRecord, fleet: FleetConfig) -> Message:
    """How the approval ended, for the thread of the question."""
    what = f"{request.optimizer} for {request.agent}"
    if settled.state is ApprovalState.EXPIRED:
        due = moment(settled.expires_at, fleet.timezone)
        text = f"Nobody had answered by {due}. {what} is not run, and nothing is spent."
        return Message(title="⌛ Expired", sections=(section(text),))
    when = moment(settled.answered_at, fleet.timezone) if settled.answered_at else ""
    by = f"{settled.answered_by} ({settled.answered_through}, {when})"
    approved = settled.state is ApprovalState.APPROVED
    lines: list[Line | str] = [
        labelled("Approved by" if approved else "Declined by", by),
        f"{what} is run, for at most {dollars(request.max_cost_usd)}."
        if approved
        else f"{what} is not run, and nothing is spent.",
    ]
    if settled.answered_through == "reaction":
        lines.append("A reaction counts once it is seen: taking it back now changes nothing.")
    return Message(title="✅ Approved" if approved else "❌ Declined", sections=(section(*lines),))


def ignored_reaction_message(reply: str) -> Message:
    return Message(title="A reaction was not counted", sections=(section(reply),))


def _prospect(prospect: Prospect) -> list[Line]:
    lines = []
    if prospect.expected:
        low, high = prospect.expected
        expected = f"{low:g} to {high:g} % better, relative: a prior from the literature, not a promise"
        lines.append(labelled("Expected", expected))
    return [*lines, labelled("Measured so far", _measured(prospect.measured))]


def _measured(gains: Sequence[float]) -> str:
    if not gains:
        return "none measured yet"
    if len(gains) == 1:
        return f"{gains[0]:+.0f} %, from 1 optimization"
    spread = f"{min(gains):+.0f} to {max(gains):+.0f} %"
    return f"{median(gains):+.0f} % typically ({spread}), from {len(gains)} optimizations"


def _how_to_answer(approval: ApprovalRecord, fleet: FleetConfig) -> list[Line]:
    names = ", ".join(approver.name for approver in fleet.approvals.approvers)
    who = labelled("Who can answer", names or not_an_approver(fleet))
    due = labelled("Answer by", moment(approval.expires_at, fleet.timezone))
    command = f"'perf-pipeline approve {approval.request_id}'"
    how = f"in Slack with a button or a ✅ or ❌ reaction, anywhere with {command}. The first answer stands."
    return [due, who, labelled("How", how)]


def _buttons(approval: ApprovalRecord) -> tuple[Button, ...]:
    value = json.dumps({"request": approval.request_id, "fingerprint": approval.fingerprint})
    return (
        Button(action="approve", text="Approve", value=value, style="primary"),
        Button(action="decline", text="Decline", value=value, style="danger"),
    )
