"""Which decisions become optimization requests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pandas as pd

from perf_pipeline.fleet import Approval
from perf_pipeline.optimization.policy import Choice
from perf_pipeline.records import OptimizationRequest, RequestState


def requests_from_decisions(
    decisions: pd.DataFrame,
    known: Sequence[OptimizationRequest],
    now: datetime,
    act_within: timedelta,
    window: timedelta,
) -> list[OptimizationRequest]:
    """A request for each agent whose newest decision (`tables.OPTIMIZATION_DECISIONS`) is to optimize.

    A decision whose window closed more than `act_within` ago is history and requests nothing; nor does one whose window
    closed before the agent's last request of the `known` ones was made, for it may not have known of that. The id
    follows from agent, optimizer and window, so deciding the same again requests nothing new.
    """
    recent = decisions[decisions["window_start"] + window + act_within >= now]
    newest = recent.sort_values("window_start").drop_duplicates("agent", keep="last")
    chosen = newest[newest["decision"] == str(Choice.OPTIMIZE)]
    requests = []
    for _, row in chosen.sort_values("agent").iterrows():
        agent, optimizer, start = str(row["agent"]), str(row["optimizer"]), row["window_start"].to_pydatetime()
        if any(request.agent == agent and _is_as_late(request, start, window) for request in known):
            continue
        approval = Approval(row["approval"])
        requests.append(
            OptimizationRequest(
                id=_request_id(agent, optimizer, start),
                agent=agent,
                optimizer=optimizer,
                approval=approval,
                max_cost_usd=float(row["max_cost_usd"]),
                state=RequestState.AWAITING_APPROVAL if approval is Approval.REQUIRED else RequestState.READY,
                completed_tasks=int(row["tasks_total"]),
                window_start=start,
                requested_at=now,
                reasons=tuple(str(row["reasons"]).splitlines()),
            )
        )
    return requests


def _is_as_late(request: OptimizationRequest, window_start: datetime, window: timedelta) -> bool:
    return request.window_start >= window_start or request.requested_at >= window_start + window


def _request_id(agent: str, optimizer: str, window_start: datetime) -> str:
    asked = f"{agent}|{optimizer}|{window_start.astimezone(UTC).isoformat()}"
    return hashlib.sha256(asked.encode()).hexdigest()[:16]
