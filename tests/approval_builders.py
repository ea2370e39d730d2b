"""Requests, approvers and clicks as tests of approvals need them, over a real ledger."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from perf_pipeline.approvals import Attempt, ask_for_approvals
from perf_pipeline.fleet import Approval, FleetConfig
from perf_pipeline.fleet_people import ApprovalsConfig, Approver
from perf_pipeline.optimization.approvals import fingerprint
from perf_pipeline.records import Answer, ApprovalRecord, OptimizationRequest, RequestState
from resources.ledger import Ledger
from tests.builders import shipped_fleet

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANA = Approver(name="ana", slack="U0ANA")
BEN = Approver(name="ben", slack="U0BEN")
CLEO = Approver(name="cleo")
STRANGER = "U0STRANGER"
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


def fleet(*approvers: Approver, **settings: Any) -> FleetConfig:
    """The shipped fleet with approvers: Ana, Ben, and Cleo, who is not in Slack, where none are given."""
    config = ApprovalsConfig(approvers=approvers or (ANA, BEN, CLEO), expire_after_hours=48)
    return shipped_fleet().model_copy(update={"approvals": config} | settings)


FLEET = fleet()


def request_to_approve(agent: str = "StrategyAgent", **changes: Any) -> OptimizationRequest:
    facts: dict[str, Any] = {
        "id": f"request-{agent}",
        "agent": agent,
        "optimizer": "GEPA",
        "approval": Approval.REQUIRED,
        "max_cost_usd": 30.0,
        "state": RequestState.AWAITING_APPROVAL,
        "completed_tasks": 52,
        "window_start": NOON - timedelta(minutes=35),
        "requested_at": NOON - timedelta(minutes=4),
        "reasons": ("22 completed tasks since the last optimization, 20 are needed",),
    }
    return OptimizationRequest(**(facts | changes))


def asked(book: Ledger, *requests: OptimizationRequest, now: datetime = NOON) -> None:
    """Record requests, by default one, and ask people about them."""
    for request in requests or (request_to_approve(),):
        assert book.request_optimization(request)
    ask_for_approvals(book, FLEET, now)


def attempt(
    answer: Answer = Answer.APPROVE,
    approver: Approver | None = ANA,
    request: OptimizationRequest | None = None,
    **changes: Any,
) -> Attempt:
    about = request or request_to_approve()
    facts: dict[str, Any] = {
        "id": f"{approver.name if approver else 'somebody'}-{answer}-{about.id}",
        "request_id": about.id,
        "answer": answer,
        "fingerprint": fingerprint(about),
        "person": approver.name if approver else "somebody",
        "approver": approver,
        "through": "button",
    }
    return Attempt(**(facts | changes))


def state(book: Ledger, request_id: str = "request-StrategyAgent") -> tuple[str, str]:
    """The states of the approval and of its request."""
    approval, request = known(book, request_id)
    return str(approval.state), str(request.state)


def known(book: Ledger, request_id: str = "request-StrategyAgent") -> tuple[ApprovalRecord, OptimizationRequest]:
    approval, request = book.approval_and_request(request_id)
    assert approval is not None
    assert request is not None
    return approval, request


def payload(
    action: str = "approve",
    value: str | None = None,
    member: str = "U0ANA",
    name: str = "ana.k",
    response_url: str = "https://hooks.slack.com/actions/T0/1/x",
    at: str = "1795348800.000100",
) -> dict[str, Any]:
    """What Slack says of a click: its documented `block_actions` payload, shortened."""
    about = request_to_approve()
    value = value or json.dumps({"request": about.id, "fingerprint": fingerprint(about)})
    return {
        "type": "block_actions",
        "user": {"id": member, "username": name, "name": name, "team_id": "T0"},
        "api_app_id": "A0",
        "container": {"type": "message", "message_ts": "1795348700.000200", "channel_id": "C0", "is_ephemeral": False},
        "trigger_id": "1.2.3",
        "team": {"id": "T0", "domain": "team"},
        "channel": {"id": "C0", "name": "ai-performance"},
        "message": {"type": "message", "ts": "1795348700.000200", "text": "APPROVAL NEEDED"},
        "response_url": response_url,
        "actions": [
            {
                "action_id": action,
                "block_id": "b",
                "text": {"type": "plain_text", "text": "Approve", "emoji": False},
                "value": value,
                "type": "button",
                "action_ts": at,
            }
        ],
    }


def form(content: Any) -> bytes:
    return urlencode({"payload": json.dumps(content)}).encode()


def signed(body: bytes, at: datetime = NOON, secret: str = SECRET) -> dict[str, str]:
    """The headers that Slack sends with a body: see 'Verifying requests from Slack'."""
    timestamp = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": f"v0={digest}",
    }
