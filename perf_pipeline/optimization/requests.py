"""Which decisions become optimization requests."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.fleet import Approval
from perf_pipeline.optimization.policy import Choice
from perf_pipeline.records import OptimizationRequest, RequestState


def requests_from_decisions(
    decisions: pd.DataFrame, now: datetime, act_within: timedelta, window: timedelta
) -> list[OptimizationRequest]:
    """A request for each agent whose newest decision (`tables.OPTIMIZATION_DECISIONS`) is to optimize.

    A decision whose window closed more than `act_within` ago is history and requests nothing. The id follows from
    the agent and the total of tasks that it was decided on, so deciding the same again requests nothing new.
    """
    recent = decisions[decisions["window_start"] + window + act_within >= now]
    newest = recent.sort_values("window_start").drop_duplicates("agent", keep="last")
    chosen = newest[newest["decision"] == str(Choice.OPTIMIZE)]
    requests = []
    for _, row in chosen.sort_values("agent").iterrows():
        approval = Approval(row["approval"])
        total = int(row["tasks_total"])
        requests.append(
            OptimizationRequest(
                id=hashlib.sha256(f"{row['agent']}|{row['optimizer']}|{total}".encode()).hexdigest()[:16],
                agent=str(row["agent"]),
                optimizer=str(row["optimizer"]),
                approval=approval,
                max_cost_usd=float(row["max_cost_usd"]),
                state=RequestState.AWAITING_APPROVAL if approval is Approval.REQUIRED else RequestState.READY,
                completed_tasks=total,
                window_start=row["window_start"].to_pydatetime(),
                requested_at=now,
                reasons=tuple(str(row["reasons"]).splitlines()),
            )
        )
    return requests
