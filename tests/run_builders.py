"""Requests and runs as tests of optimizations need them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from perf_pipeline.fleet_model import Approval
from perf_pipeline.records import OptimizationRequest, OptimizationRun, RequestState

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def a_request(request_id: str = "r1", agent: str = "InboundAgent", **changes: Any) -> OptimizationRequest:
    facts: dict[str, Any] = {
        "id": request_id,
        "agent": agent,
        "optimizer": "BootstrapFewShot",
        "approval": Approval.AUTOMATIC,
        "max_cost_usd": 5.0,
        "state": RequestState.READY,
        "completed_tasks": 40,
        "window_start": NOON - timedelta(minutes=35),
        "requested_at": NOON - timedelta(minutes=4),
    }
    return OptimizationRequest(**(facts | changes))


def a_run(request_id: str = "r1", agent: str = "InboundAgent", **changes: Any) -> OptimizationRun:
    facts: dict[str, Any] = {
        "request_id": request_id,
        "id": f"run-of-{request_id}",
        "agent": agent,
        "optimizer": "BootstrapFewShot",
        "cap_usd": 5.0,
        "baseline": None,
        "baseline_sequence": 0,
        "data_fingerprint": "data",
        "configuration": {},
        "started_at": NOON,
    }
    return OptimizationRun(**(facts | changes))
