"""Which task every span belongs to, as Ibis expressions that run on any engine.

A *task* is the topmost span of a trace that belongs to an agent; an agent that another agent calls has a task
of its own. A span belongs to the task of its nearest ancestor that begins one. Ancestors are found by pointer
doubling: every span points to its parent, and pointing to where one's target points halves the way that is
left, so a trace of depth d takes about log2(d) self-joins.
"""

# Ibis gives every column of a table one type, so a checker knows no operation on numbers, texts or times.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false

from __future__ import annotations

import math
from datetime import datetime

import ibis
import ibis.expr.types as ir


def own_spans(spans: ir.Table) -> ir.Table:
    """Each span of `raw_spans` with the task that it belongs to.

    Adds `agent` (resolved), `caller` (agent of the nearest ancestor that names one), `task_span_id` (missing
    where no agent owns the span) and `waits`: the span, or an ancestor of it, names an agent and has a parent that
    was not read. Most often that task is still running, and its topmost span is exported last. Such a span begins
    a task only if it is an AGENT span, since other spans inherit the agent's name from the missing parent.
    """
    named = _name_agents(spans).cache()
    parents = named.select("trace_id", parent_span_id="span_id")
    linked = named.left_join(parents, [named.trace_id == parents.trace_id, named.parent_id == parents.parent_span_id])
    linked = linked.select(named, parent_span_id=parents.parent_span_id).cache()

    nearest_named = _follow(linked, fixed=linked.agent.notnull())
    agents = named.select("trace_id", owner_span_id="span_id", caller="agent")
    callers = (
        nearest_named.filter(nearest_named.target.notnull())
        .join(agents, [nearest_named.trace_id == agents.trace_id, nearest_named.target == agents.owner_span_id])
        .select("trace_id", caller_span_id="span_id", caller=agents.caller)
    )
    joined = linked.left_join(
        callers, [linked.trace_id == callers.trace_id, linked.parent_span_id == callers.caller_span_id]
    ).select(linked, caller=callers.caller)

    parent_missing = joined.parent_id.notnull() & joined.parent_span_id.isnull()
    begins_task = (
        joined.agent.notnull()
        & (joined.caller.isnull() | (joined.caller != joined.agent))
        & (~parent_missing | (joined.kind == "AGENT"))
    )
    marked = joined.mutate(
        begins_task=begins_task,
        is_orphan=parent_missing & joined.agent.notnull() & (joined.kind != "AGENT"),
    ).cache()
    is_head = marked.begins_task | marked.is_orphan
    nearest_head = _follow(marked, fixed=is_head)
    heads = marked.filter(is_head).select("trace_id", head_span_id="span_id", head_waits="is_orphan")
    owners = nearest_head.join(
        heads, [nearest_head.trace_id == heads.trace_id, nearest_head.target == heads.head_span_id]
    ).select("trace_id", owned_span_id="span_id", owner_span_id="target", owner_waits=heads.head_waits)
    owned = marked.left_join(owners, [marked.trace_id == owners.trace_id, marked.span_id == owners.owned_span_id])
    return (
        owned.select(
            marked,
            task_span_id=ibis.cases((~owners.owner_waits, owners.owner_span_id)),
            waits=owners.owner_waits.fill_null(False),
        )
        .drop("is_orphan")
        .cache()
    )


def _name_agents(spans: ir.Table) -> ir.Table:
    """In a trace where no span names an agent, the class of the topmost span names it ('LeadAgent.forward')."""
    named_traces = spans.filter(spans.agent.notnull()).select(named_trace="trace_id").distinct()
    joined = spans.left_join(named_traces, spans.trace_id == named_traces.named_trace)
    class_name = joined.name.re_extract(r"^(\w+)\.\w+$", 1).nullif("")
    nameless_topmost = joined.named_trace.isnull() & joined.parent_id.isnull()
    agent = ibis.cases((nameless_topmost, class_name), else_=joined.agent)
    return joined.mutate(agent=agent).drop("named_trace")


def _follow(linked: ir.Table, fixed: ir.BooleanValue) -> ir.Table:
    """For each span the nearest span, itself included, that is fixed: columns trace_id, span_id, target."""
    pointers = linked.select(
        "trace_id", "span_id", target=ibis.cases((fixed, linked.span_id), else_=linked.parent_span_id)
    ).cache()
    # A cycle of parents, which only a broken tracer writes, would never settle: the depth is at most the count.
    for _ in range(math.ceil(math.log2(max(int(pointers.count().execute()), 1))) + 1):
        next_hop = pointers.select(hop_trace="trace_id", hop_span="span_id", hop_target="target")
        moved = (
            pointers.left_join(
                next_hop, [pointers.trace_id == next_hop.hop_trace, pointers.target == next_hop.hop_span]
            )
            .select(
                "trace_id",
                "span_id",
                target="hop_target",
                moved=pointers.target.notnull() & ~pointers.target.identical_to(next_hop.hop_target),
            )
            .cache()
        )
        pointers = moved.drop("moved")
        if not bool(moved.moved.any().execute()):
            break
    return pointers


def spans_of_traces(spans: ir.Table, start: datetime, end: datetime) -> ir.Table:
    """All spans of the traces that have a span in `[start, end)` UTC."""
    inside = spans.filter(_within(spans, start, end)).select(wanted_trace="trace_id").distinct()
    return spans.semi_join(inside, spans.trace_id == inside.wanted_trace)


def count_unowned(owned: ir.Table, start: datetime, end: datetime) -> tuple[int, int, int]:
    """Of the spans that started in `[start, end)`: how many there are, how many belong to no agent, and how many
    wait for a topmost span that has not been exported yet. `owned` comes from `own_spans`."""
    inside = owned.filter(_within(owned, start, end))
    nobody = inside.task_span_id.isnull()
    counts = inside.aggregate(
        total=inside.count(),
        unowned=inside.count(where=nobody & ~inside.waits),
        waiting=inside.count(where=nobody & inside.waits),
    ).execute()
    return int(counts["total"][0]), int(counts["unowned"][0]), int(counts["waiting"][0])


def _within(spans: ir.Table, start: datetime, end: datetime) -> ir.BooleanValue:
    return (spans.start_time >= ibis.literal(start)) & (spans.start_time < ibis.literal(end))
