"""The steps of a trace: what each span is called in an explanation, and the time that was its own."""

# Ibis gives every column of a table one type, so a checker knows no operation on numbers, texts or times.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false

from __future__ import annotations

import ibis
import ibis.expr.types as ir


def with_steps(owned: ir.Table) -> ir.Table:
    """Adds `step` and `own_ms` (milliseconds, at least 0) to spans that `own_spans` gave their tasks.

    A step is called by its span's name; a span that calls another agent is the `call of` that agent. Own time is the
    duration without that of the children in the same task, so for a call of an agent it is all the waiting: the other
    agent's time, and the gap between caller and callee. Children that ran side by side may leave their parent none.
    """
    children = (
        owned.filter(owned.parent_id.notnull())
        .group_by(child_trace="trace_id", child_of="parent_id")
        .aggregate(
            children_ms=owned.latency_ms.sum(where=~owned.begins_task),
            callee=owned.agent.min(where=owned.begins_task),
        )
    )
    joined = owned.left_join(
        children, [owned.trace_id == children.child_trace, owned.span_id == children.child_of]
    ).select(owned, children_ms=children.children_ms, callee=children.callee)
    own = joined.latency_ms.fill_null(0.0) - joined.children_ms.fill_null(0.0)
    return joined.mutate(
        step=ibis.cases((joined.callee.notnull(), ibis.literal("call of ") + joined.callee), else_=joined.name),
        own_ms=ibis.greatest(own, 0.0),
    ).drop("children_ms", "callee")
