"""How a task ended, where its spans and its row of agent_state tell different stories."""

# Ibis gives every column of a table one type, so a checker knows no operation on numbers, texts or times.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import pandas as pd

SAYS_FAILED = "agent_state says failed"


@dataclass(frozen=True)
class Disagreements:
    """Numbers of tasks of which the spans and agent_state say different things."""

    failed_by_state_only: int
    completed_by_state_only: int


def with_task_states(tasks: ir.Table, states: ir.Table) -> ir.Table:
    """The tasks (`tables.AGENT_TASKS`) with `task_status`, and `ok` as both systems together see it.

    `states` has the columns of `tables.TASK_STATES`; of a task that is there more than once the latest row holds. A
    row that says failed overrules spans without an error: an agent may notice by itself that it got nowhere. A row
    that says completed overrules no failed span: it only says that the task came to an end. Rows speak for their own
    agent only: a helper that was called under the task's id did not fail with it.

    `span_ok` stays what the spans alone said.
    """
    latest = states.group_by(state_of="task_id").aggregate(
        state_agent=states.agent.argmax(states.updated_at), state=states.status.argmax(states.updated_at)
    )
    # First, because Ibis cannot add another join to a table that ends in one.
    noted = tasks.mutate(span_ok=tasks.ok)
    joined = noted.left_join(latest, noted.task_id == latest.state_of)
    overruled = (joined.ok & (joined.state == "failed") & (joined.state_agent == joined.agent)).fill_null(False)
    return joined.mutate(
        ok=joined.ok & ~overruled,
        error_message=joined.error_message.fill_null(ibis.cases((overruled, SAYS_FAILED))),
        task_status=joined.state,
    ).drop("state_of", "state_agent", "state")


def count_disagreements(tasks: pd.DataFrame) -> Disagreements:
    """Counts in a frame of `with_task_states`."""
    return Disagreements(
        failed_by_state_only=int((tasks["span_ok"] & ~tasks["ok"]).sum()),
        completed_by_state_only=int((~tasks["span_ok"] & (tasks["task_status"] == "completed")).sum()),
    )
