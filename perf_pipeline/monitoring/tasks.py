"""Spans summed up to tasks, as one Ibis expression that runs on any engine."""

# Ibis gives every column of a table one type, so a checker knows no operation on numbers, texts or times.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOperatorIssue=false

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir

from perf_pipeline.monitoring.trace_steps import with_steps

ERROR_TYPE = r"^([A-Za-z_][\w.]*(?:Error|Exception|Timeout|Warning|Interrupt|Exit))\b"


def tasks_from_spans(owned: ir.Table, start: datetime, end: datetime) -> ir.Table:
    """The tasks that began in `[start, end)` UTC, with the columns of `tables.AGENT_TASKS`.

    `owned` comes from `own_spans`, over all spans that may belong to these tasks. Spans know no `task_status`: it
    is missing until `with_task_states` fills it.
    """
    steps = with_steps(owned)
    spans = _count_once(steps.filter(steps.task_span_id.notnull()))
    is_llm, is_tool = spans.kind == "LLM", spans.kind == "TOOL"
    milliseconds = spans.latency_ms.fill_null(0.0)
    first = [spans.start_time, spans.span_id]
    sums = spans.group_by("trace_id", "task_span_id").aggregate(
        llm_ms=milliseconds.sum(where=is_llm & ~spans.repeats_call).fill_null(0.0),
        tool_ms=milliseconds.sum(where=is_tool).fill_null(0.0),
        llm_calls=spans.count(where=is_llm & ~spans.repeats_call),
        tool_calls=spans.count(where=is_tool),
        error_count=spans.count(where=spans.error_began),
        spans=spans.count(),
        model=spans.model.argmin(spans.start_time, where=is_llm & spans.model.notnull()),
        provider=spans.provider.argmin(spans.start_time, where=is_llm & spans.provider.notnull()),
        called_prompt_tokens=spans.prompt_tokens.sum(where=is_llm & ~spans.repeats_tokens),
        called_completion_tokens=spans.completion_tokens.sum(where=is_llm & ~spans.repeats_tokens),
        called_cost_usd=spans.cost_usd.sum(where=is_llm & ~spans.repeats_cost),
        tools=spans.tool.fill_null(spans.name).collect(where=is_tool, distinct=True).sort().join("\n"),
        first_failing_step=spans.step.first(where=spans.error_began, order_by=first),
        first_failing_kind=spans.kind.first(where=spans.error_began, order_by=first),
        first_failing_error=_error_type(spans).fill_null("").first(where=spans.error_began, order_by=first),
        slowest_step=spans.step.first(where=spans.own_ms > 0, order_by=[spans.own_ms.desc(), *first]),
        slowest_step_ms=spans.own_ms.max(where=spans.own_ms > 0),
        first_session_id=spans.session_id.min(),
        first_task_id=spans.task_id.argmin(spans.start_time, where=spans.task_id.notnull()),
        first_program_version=spans.program_version.argmin(spans.start_time, where=spans.program_version.notnull()),
    )
    top = owned.filter(
        owned.begins_task & (owned.start_time >= ibis.literal(start)) & (owned.start_time < ibis.literal(end))
    )
    tasks = top.join(sums, [top.trace_id == sums.trace_id, top.span_id == sums.task_span_id], rname="sum_{name}")
    ok = tasks.status != "ERROR"
    return tasks.select(
        task_span_id=tasks.span_id,
        trace_id=tasks.trace_id,
        agent=tasks.agent,
        parent_agent=tasks.caller,
        start_time=tasks.start_time,
        end_time=tasks.end_time,
        ok=ok,
        span_ok=ok,
        error_type=ibis.cases((~ok, _error_type(tasks))),
        error_message=ibis.cases((~ok, tasks.status_message)),
        latency_ms=tasks.latency_ms,
        llm_ms=tasks.llm_ms,
        tool_ms=tasks.tool_ms,
        llm_calls=tasks.llm_calls,
        tool_calls=tasks.tool_calls,
        error_count=tasks.error_count,
        spans=tasks.spans,
        model=tasks.sum_model,
        provider=tasks.sum_provider,
        prompt_tokens=tasks.called_prompt_tokens.fill_null(tasks.prompt_tokens).cast("int64"),
        completion_tokens=tasks.called_completion_tokens.fill_null(tasks.completion_tokens).cast("int64"),
        cost_usd=tasks.called_cost_usd.fill_null(tasks.cost_usd),
        session_id=tasks.session_id.fill_null(tasks.first_session_id),
        task_id=tasks.task_id.fill_null(tasks.first_task_id),
        task_status=ibis.null("string"),
        program_version=tasks.program_version.fill_null(tasks.first_program_version),
        tools=tasks.tools.nullif(""),
        first_failing_step=tasks.first_failing_step,
        first_failing_kind=tasks.first_failing_kind,
        first_failing_error=tasks.first_failing_error.nullif(""),
        slowest_step=tasks.slowest_step,
        slowest_step_ms=tasks.slowest_step_ms,
    )


def _error_type(spans: ir.Table) -> ir.Column:
    """The exception recorded, or else the one that the tracer's note begins with."""
    return spans.error_type.fill_null(spans.status_message.re_extract(ERROR_TYPE, 1).nullif(""))


def _count_once(spans: ir.Table) -> ir.Table:
    """Adds `repeats_call`, `repeats_tokens`, `repeats_cost` and `error_began`.

    A tracer of the client library below DSPy reports the same call again, as a span directly inside DSPy's own:
    `repeats_call` is true inside a language-model span, the others only where that span has the figure itself.
    `error_began` is true for an ERROR span none of whose children in the same task is one: one failure marks every
    span above it, but began once.
    """
    is_llm = spans.kind == "LLM"
    parents = spans.select(
        "trace_id",
        above_span_id="span_id",
        repeats_call=is_llm,
        repeats_tokens=is_llm & spans.prompt_tokens.notnull(),
        repeats_cost=is_llm & spans.cost_usd.notnull(),
    )
    failing = (
        spans.filter(spans.status == "ERROR")
        .select("trace_id", "task_span_id", failing_child_of="parent_id")
        .filter(ibis._.failing_child_of.notnull())
        .distinct()
    )
    joined = spans.left_join(parents, [spans.trace_id == parents.trace_id, spans.parent_id == parents.above_span_id])
    joined = joined.select(
        spans, **{name: parents[name].fill_null(False) for name in ("repeats_call", "repeats_tokens", "repeats_cost")}
    )
    joined = joined.left_join(
        failing,
        [
            joined.trace_id == failing.trace_id,
            joined.task_span_id == failing.task_span_id,
            joined.span_id == failing.failing_child_of,
        ],
    ).select(joined, failing_child_of=failing.failing_child_of)
    error_began = (joined.status == "ERROR") & joined.failing_child_of.isnull()
    return joined.mutate(error_began=error_began).drop("failing_child_of")
