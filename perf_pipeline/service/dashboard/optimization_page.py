"""Optimizations: what was requested, who agreed, what ran, what it gained beside what was predicted, and the money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.daily import STATE_WORDS
from perf_pipeline.notifications.summary_words import dollars
from perf_pipeline.notifications.team_clock import moment
from perf_pipeline.optimization.standing import Budget, standing_of
from perf_pipeline.records import ApprovalRecord, ApprovalState, OptimizationRequest, OptimizationRun, RunOutcome
from perf_pipeline.service.dashboard.words import in_words, number, said, took

MAX_REQUESTS = 100
GAIN_AXIS = 100.0
"""The drawing of a gain ends here, in percent; one that is higher is drawn at its end, and its figure says so."""


@dataclass(frozen=True)
class GainDrawing:
    """Percent of the drawing's width. `predicted` is a range, `realised` a point; None where not known."""

    predicted: tuple[float, float] | None
    realised: float | None


@dataclass(frozen=True)
class RequestRow:
    id: str
    agent: str
    optimizer: str
    state: str
    is_open: bool
    requested_at: datetime
    reasons: tuple[str, ...]
    approval: str
    run: str
    scores: str
    predicted: str
    realised: str
    gain: GainDrawing | None
    spent: str
    spent_share: float
    commands: tuple[str, ...]


@dataclass(frozen=True)
class BudgetRow:
    label: str
    text: str
    share: float


@dataclass(frozen=True)
class OptimizationPage:
    requests: tuple[RequestRow, ...]
    budget: BudgetRow
    waiting: int
    running: int
    rest: int


def optimization_page(
    requests: Sequence[OptimizationRequest],
    approvals: Sequence[ApprovalRecord],
    runs: Sequence[OptimizationRun],
    spent: Mapping[str, float],
    budget: Budget,
    fleet: FleetConfig,
) -> OptimizationPage:
    """`spent` are US dollars by request, of runs that have not ended."""
    asked = {approval.request_id: approval for approval in approvals}
    by_request = {run.request_id: run for run in runs}
    # What waits or runs comes first, then the newest.
    ranked = sorted(requests, key=lambda one: (one.state.is_open, one.requested_at), reverse=True)
    rows = [
        _row(one, asked.get(one.id), by_request.get(one.id), spent.get(one.id), by_request, fleet)
        for one in ranked[:MAX_REQUESTS]
    ]
    share = 100 * budget.committed_usd / budget.budget_usd if budget.budget_usd else 0.0
    return OptimizationPage(
        requests=tuple(rows),
        budget=BudgetRow(
            f"Committed in {budget.month}",
            f"{dollars(budget.committed_usd)} of {dollars(budget.budget_usd)}",
            min(share, 100.0),
        ),
        waiting=sum(one.state.is_open and asked_for(asked.get(one.id)) for one in requests),
        running=sum(str(one.state) == "running" for one in requests),
        rest=max(len(requests) - MAX_REQUESTS, 0),
    )


def asked_for(approval: ApprovalRecord | None) -> bool:
    return approval is not None and approval.state is ApprovalState.REQUESTED


def _row(
    request: OptimizationRequest,
    approval: ApprovalRecord | None,
    run: OptimizationRun | None,
    spent_so_far: float | None,
    runs: Mapping[str, OptimizationRun],
    fleet: FleetConfig,
) -> RequestRow:
    standing = standing_of(request, fleet, runs)
    spent = spent_so_far if spent_so_far is not None else run.spent_usd if run else 0.0
    scores = ""
    if run and run.baseline_score is not None and run.candidate_score is not None:
        items = f" on {run.held_out_items} held-out tasks" if run.held_out_items else ""
        scores = f"{number(run.baseline_score)} → {number(run.candidate_score)} points{items}"
    return RequestRow(
        id=request.id,
        agent=request.agent,
        optimizer=said(request.optimizer),
        state=STATE_WORDS[request.state],
        is_open=request.state.is_open,
        requested_at=request.requested_at,
        reasons=tuple(map(said, request.reasons)),
        approval=_approval(approval, request, fleet.timezone),
        run=_run(run),
        scores=scores,
        predicted=_percent_range(standing.predicted),
        realised=f"{standing.gain:+.0f}%" if standing.gain is not None else "",
        gain=_drawing(standing.predicted, standing.gain),
        spent=f"{dollars(spent)} of {dollars(request.max_cost_usd)}",
        spent_share=min(100 * spent / request.max_cost_usd, 100.0) if request.max_cost_usd else 0.0,
        commands=_commands(request, approval),
    )


def _approval(approval: ApprovalRecord | None, request: OptimizationRequest, timezone: str) -> str:
    if approval is None:
        return "not asked yet" if str(request.state) == "awaiting_approval" else "not needed"
    if approval.state is ApprovalState.REQUESTED:
        return f"waits until {moment(approval.expires_at, timezone)}"
    by = f" by {said(approval.answered_by)}" if approval.answered_by else ""
    through = f" ({said(approval.answered_through)})" if approval.answered_through else ""
    when = f", {moment(approval.answered_at, timezone)}" if approval.answered_at else ""
    return f"{approval.state}{by}{through}{when}"


def _run(run: OptimizationRun | None) -> str:
    if run is None:
        return ""
    if run.outcome is None:
        return f"interrupted: {said(run.trouble)}" if run.trouble else "running"
    after = f" after {took(run.finished_at - run.started_at)}" if run.finished_at else ""
    words = "promoted" if run.outcome is RunOutcome.PROMOTED else in_words(str(run.outcome))
    return f"{words}{after}. {said(run.said)}" if run.said else f"{words}{after}"


def _commands(request: OptimizationRequest, approval: ApprovalRecord | None) -> tuple[str, ...]:
    """What to type to decide it or to end it."""
    if not request.state.is_open:
        return ()
    verbs = ("approve", "decline") if asked_for(approval) else ("cancel",)
    return tuple(f"perf-pipeline {verb} {request.id}" for verb in verbs)


def _percent_range(predicted: tuple[float, float] | None) -> str:
    return f"{predicted[0]:g} to {predicted[1]:g}%" if predicted else ""


def _drawing(predicted: tuple[float, float] | None, realised: float | None) -> GainDrawing | None:
    if predicted is None and realised is None:
        return None

    def place(value: float) -> float:
        return round(100 * min(max(value, 0.0), GAIN_AXIS) / GAIN_AXIS, 1)

    return GainDrawing(
        (place(predicted[0]), place(predicted[1])) if predicted else None,
        place(realised) if realised is not None else None,
    )
