"""A task sums up its own spans, each figure once."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given

from perf_pipeline.tables import AGENT_TASKS
from tests.builders import START, Row, recorded_spans, span, tasks_of
from tests.span_forests import Reference, forest_settings, forests


def one_task(rows: list[Row]) -> pd.Series:
    tasks = tasks_of(rows)
    assert len(tasks) == 1
    return tasks.iloc[0]


def test_one_failure_is_one_failed_task_although_it_leaves_six_error_spans() -> None:
    rows = recorded_spans("failed")
    assert [row["status"] for row in rows] == ["ERROR"] * 6
    task = one_task(rows)
    assert not task["ok"]
    assert task["error_count"] == 1
    assert task["spans"] == 6
    assert task["error_type"] == "dspy.utils.exceptions.LMServerError"
    assert task["error_message"].startswith("LMServerError")
    assert task["latency_ms"] == rows[0]["latency_ms"]


def test_errors_are_counted_where_they_began() -> None:
    task = one_task(recorded_spans("fallback_failed"))
    assert not task["ok"]
    assert task["error_count"] == 2, "the chat adapter failed, and then the JSON adapter"
    assert task["llm_calls"] == 2


def test_a_fallback_that_recovered_keeps_the_task_ok() -> None:
    rows = recorded_spans("fallback_failed")
    for row in rows:
        if row["name"] != "ChatAdapter.__call__":
            row.update(status="OK", status_message=None, error_type=None)
    task = one_task(rows)
    assert task["ok"]
    assert task["error_count"] == 1
    assert pd.isna(task["error_type"])
    assert pd.isna(task["error_message"])


def test_a_task_that_answered_knows_its_model_and_the_time_spent_in_it() -> None:
    rows = recorded_spans("answered")
    task = one_task(rows)
    assert task["ok"]
    assert (task["agent"], task["model"], task["provider"]) == ("lead_agent", "gpt-4o-mini", "openai")
    assert task["llm_ms"] == rows[-1]["latency_ms"]
    assert pd.isna(task["prompt_tokens"]), "DSPy's own engine reports no tokens, and missing is not zero"


def test_a_task_without_a_status_is_not_a_failure() -> None:
    assert one_task([span("t", "top", None, "A", status="UNSET")])["ok"]


def test_errors_belong_to_the_task_that_they_began_in() -> None:
    rows = [
        span("t", "lead", None, "A", at=0),
        span("t", "helper", "lead", "B", at=1, status="ERROR"),
        span("t", "call", "helper", kind="LLM", at=2, status="ERROR"),
    ]
    tasks = tasks_of(rows).set_index("agent")
    assert tasks["ok"].to_dict() == {"A": True, "B": False}
    assert tasks["error_count"].to_dict() == {"A": 0, "B": 1}
    assert tasks["parent_agent"].dropna().to_dict() == {"B": "A"}
    assert tasks["llm_calls"].to_dict() == {"A": 0, "B": 1}


@pytest.mark.parametrize(
    ("outer", "inner", "tokens", "cost"),
    [
        ({"prompt_tokens": 100, "cost_usd": 0.5}, {"prompt_tokens": 100, "cost_usd": 0.5}, 100, 0.5),
        ({}, {"prompt_tokens": 100, "cost_usd": 0.5}, 100, 0.5),
        ({"prompt_tokens": 100, "cost_usd": 0.5}, {}, 100, 0.5),
        ({"prompt_tokens": 100}, {"prompt_tokens": 100, "cost_usd": 0.5}, 100, 0.5),
    ],
)
def test_a_call_that_the_client_library_reports_again_is_counted_once(
    outer: Row, inner: Row, tokens: int, cost: float
) -> None:
    rows = [
        span("t", "top", None, "A", ms=2000),
        span("t", "dspy", "top", kind="LLM", at=1, ms=900, **outer),
        span("t", "client", "dspy", kind="LLM", at=1.1, ms=800, **inner),
    ]
    task = one_task(rows)
    assert (task["llm_calls"], task["llm_ms"]) == (1, 900)
    assert (task["prompt_tokens"], task["cost_usd"]) == (tokens, cost)


def test_tokens_that_only_the_topmost_span_notes_are_taken_from_it() -> None:
    rows = [
        span("t", "top", None, "A", prompt_tokens=70, completion_tokens=30, cost_usd=0.25),
        span("t", "call", "top", kind="LLM"),
    ]
    task = one_task(rows)
    assert (task["prompt_tokens"], task["completion_tokens"], task["cost_usd"]) == (70, 30, 0.25)


def test_what_only_an_inner_span_knows_reaches_the_task() -> None:
    rows = [
        span("t", "top", None, "A"),
        span("t", "step", "top", at=1, session_id="session", task_id="first", program_version="v2"),
        span("t", "step2", "top", at=2, session_id="session", task_id="second", program_version="v3"),
    ]
    task = one_task(rows)
    assert (task["session_id"], task["task_id"], task["program_version"]) == ("session", "first", "v2")


def test_the_type_of_an_error_is_the_exception_recorded_or_else_the_one_noted_first() -> None:
    examples: list[tuple[Row, str | None]] = [
        ({"error_type": "app.RateLimit", "status_message": "TimeoutError: late"}, "app.RateLimit"),
        ({"status_message": "TimeoutError: the model did not answer"}, "TimeoutError"),
        ({"status_message": "httpx.ReadTimeout"}, "httpx.ReadTimeout"),
        ({"status_message": "it went wrong: TimeoutError"}, None),
        ({"status_message": "ErrorsOfJudgement were made"}, None),
        ({}, None),
    ]
    rows = [span(f"t{n}", "top", None, "A", status="ERROR", **columns) for n, (columns, _) in enumerate(examples)]
    found = tasks_of(rows)["error_type"]
    assert [name if pd.notna(name) else None for name in found] == [error_type for _, error_type in examples]


def test_the_step_that_failed_first_is_the_deepest_and_not_one_of_those_above_it() -> None:
    task = one_task(recorded_spans("failed"))
    deepest = recorded_spans("failed")[-1]
    assert (task["first_failing_step"], task["first_failing_kind"]) == (deepest["name"], deepest["kind"])
    assert task["first_failing_error"] == "dspy.utils.exceptions.LMServerError"


def test_of_two_errors_the_step_is_that_which_began_first() -> None:
    rows = [
        span("t", "top", None, "A", status="ERROR", error_type="Late"),
        span("t", "first", "top", at=1, status="ERROR", name="search", kind="TOOL"),
        span("t", "second", "top", at=2, status="ERROR", name="crm", kind="TOOL", error_type="Late"),
    ]
    task = one_task(rows)
    assert (task["first_failing_step"], task["first_failing_kind"]) == ("search", "TOOL")
    assert pd.isna(task["first_failing_error"]), "the other step's error is not its own"


def test_a_task_that_recovered_knows_where_it_had_failed_and_one_without_errors_knows_none() -> None:
    rows = [span("t", "top", None, "A"), span("t", "call", "top", at=1, status="ERROR", name="search")]
    assert one_task(rows)["first_failing_step"] == "search"
    assert one_task([span("t", "top", None, "A")])[["first_failing_step", "first_failing_kind"]].isna().all()


def test_the_slowest_step_is_the_one_with_the_longest_time_of_its_own() -> None:
    rows = [
        span("t", "top", None, "A", ms=1000, name="A.forward"),
        span("t", "chain", "top", ms=900, name="chain"),
        span("t", "call", "chain", kind="LLM", at=0.1, ms=300, name="LM"),
        span("t", "tool", "chain", kind="TOOL", at=0.5, ms=350, name="search"),
    ]
    task = one_task(rows)
    assert (task["slowest_step"], task["slowest_step_ms"]) == ("search", 350)


def test_waiting_for_another_agent_is_the_time_of_the_call_and_not_of_the_caller() -> None:
    rows = [
        span("t", "lead", None, "A", ms=1000, name="A.forward"),
        span("t", "call", "lead", kind="TOOL", ms=900, name="ask"),
        span("t", "helper", "call", "B", at=0.2, ms=400, name="B.forward"),
    ]
    tasks = tasks_of(rows).set_index("agent")
    assert (tasks.loc["A", "slowest_step"], tasks.loc["A", "slowest_step_ms"]) == ("call of B", 900)
    assert (tasks.loc["B", "slowest_step"], tasks.loc["B", "slowest_step_ms"]) == ("B.forward", 400)


def test_the_tools_that_a_task_called_are_each_named_once() -> None:
    rows = [
        span("t", "top", None, "A"),
        span("t", "1", "top", kind="TOOL", tool="search"),
        span("t", "2", "top", kind="TOOL", tool="crm"),
        span("t", "3", "top", kind="TOOL", tool="search"),
        span("t", "4", "top", kind="TOOL", name="unnamed"),
    ]
    assert one_task(rows)["tools"] == "crm\nsearch\nunnamed"
    assert pd.isna(one_task([span("t", "top", None, "A")])["tools"])


def test_a_task_belongs_to_the_window_it_began_in_with_the_spans_that_follow_later() -> None:
    rows = [
        span("t", "top", None, "A", at=1799, ms=5000),
        span("t", "call", "top", kind="LLM", at=1801),
        span("next", "top", None, "A", at=1800),
        span("before", "top", None, "A", at=-1),
    ]
    tasks = tasks_of(rows, windows=1)
    assert list(tasks["trace_id"]) == ["t"]
    assert tasks["llm_calls"][0] == 1


def test_a_task_whose_end_is_not_known_has_no_latency() -> None:
    task = one_task([span("t", "top", None, "A", ms=None)])
    assert pd.isna(task["latency_ms"])
    assert pd.isna(task["end_time"])


def test_no_spans_give_no_tasks() -> None:
    assert tasks_of([]).equals(AGENT_TASKS.empty())


@forest_settings
@given(forests())
def test_every_forest_sums_up_as_one_walks_it_in_whatever_order_its_spans_come(rows: list[Row]) -> None:
    expected = Reference(rows).tasks()
    tasks = tasks_of(rows, windows=3)
    assert AGENT_TASKS.problems(tasks) == []
    assert min(row["start_time"] for row in rows) >= START
    columns = list(next(iter(expected.values()))) if expected else ["agent"]
    values = tasks[columns].astype(object).where(tasks[columns].notna(), None)
    keys = zip(tasks["trace_id"], tasks["task_span_id"], strict=True)
    found = {key: dict(zip(columns, row, strict=True)) for key, row in zip(keys, values.to_numpy(), strict=True)}
    assert found == expected
