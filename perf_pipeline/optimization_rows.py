"""Requests to optimize, their runs and approvals, and what came of them, as rows for the command line and the HTTP
service. Times are in ISO 8601."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from perf_pipeline.optimization.approvals import fingerprint
from perf_pipeline.records import ApprovalRecord, ApprovalState, OptimizationRequest, RequestState
from perf_pipeline.runs.tools import PRODUCTION
from resources.ledger import Ledger


def request_rows(book: Ledger) -> list[dict[str, Any]]:
    """The requests, with their runs where there are any; oldest first."""
    runs = {run.request_id: run for run in book.optimization_runs()}
    rows = []
    for request in book.optimization_requests():
        run = runs.get(request.id)
        # Of a run that has ended the sum is kept; of one that goes on it is to be summed up.
        spent = 0.0 if run is None else run.spent_usd if run.finished_at else book.spent_usd(request.id)
        rows.append(
            {
                "request_id": request.id,
                "agent": request.agent,
                "optimizer": request.optimizer,
                "state": str(request.state),
                "is_open": request.state.is_open,
                "requested_at": request.requested_at.isoformat(),
                "cap_usd": request.max_cost_usd,
                "spent_usd": spent,
                "outcome": str(run.outcome) if run and run.outcome else None,
                "said": run.said if run else "",
                "trouble": run.trouble if run else "",
                "baseline_score": run.baseline_score if run else None,
                "candidate_score": run.candidate_score if run else None,
                "held_out_items": run.held_out_items if run else None,
                "version": run.version if run else None,
                "attempts": run.attempts if run else 0,
            }
        )
    return rows


def approval_row(request: OptimizationRequest, approval: ApprovalRecord | None) -> dict[str, Any]:
    """How the approval of a request stands."""
    waits = request.state is RequestState.AWAITING_APPROVAL
    withdrawn = approval is not None and approval.state is ApprovalState.REQUESTED and not waits
    return {
        "fingerprint": fingerprint(request),
        "approval_state": "withdrawn" if withdrawn else str(approval.state) if approval else "not asked yet",
        "expires_at": approval.expires_at.isoformat() if approval else None,
        "answered_by": approval.answered_by if approval else None,
        "answered_through": approval.answered_through if approval else None,
    }


def program_rows(book: Ledger) -> list[dict[str, Any]]:
    """The versions of agents' programs, oldest first, and which of them run."""
    running = {alias.agent: alias.version for alias in book.program_aliases() if alias.name == PRODUCTION}
    return [
        asdict(version)
        | {
            "registered_at": version.registered_at.isoformat(),
            "in_production": running.get(version.agent) == version.version,
        }
        for version in book.program_versions()
    ]
