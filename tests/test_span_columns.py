"""Fields and attributes of a span become the columns of raw_spans, the same from every road."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.tables import RAW_SPANS
from resources.span_attributes import COLUMN_ATTRIBUTES, FIELD_OF_COLUMN, KIND_ATTRIBUTE, KIND_OF_VALUE
from resources.span_columns import ATTRIBUTE, EXCEPTION_TYPE, needs_exception, raw_spans

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
AGENT_ATTRIBUTES = ("agent.name", "metadata.agent_name", "agent_name")
DOCUMENT = (Path(__file__).parent.parent / "docs/other-tracers.md").read_text()


def span_row(attributes: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return (
        {
            "span_id": "1" * 16,
            "trace_id": "1" * 32,
            "parent_id": None,
            "name": "look_up.__call__",
            "span_kind": None,
            "start_time": START,
            "end_time": START + timedelta(seconds=1),
            "status_code": "UNSET",
            "status_message": "",
        }
        | fields
        | {ATTRIBUTE + name: value for name, value in (attributes or {}).items()}
    )


def row(attributes: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    frame = raw_spans(pd.DataFrame([span_row(attributes, **fields)]), AGENT_ATTRIBUTES)
    assert RAW_SPANS.problems(frame) == []
    return {str(name): None if pd.isna(value) else value for name, value in frame.to_dict("records")[0].items()}


@pytest.mark.parametrize(
    ("attributes", "column", "expected"),
    [
        ({"agent.name": "A", "agent_name": "B"}, "agent", "A"),
        ({"agent_name": "B", "agent.name": "A"}, "agent", "A"),
        ({"agent.name": " ", "agent_name": "B"}, "agent", "B"),
        ({"metadata.agent_name": "M", "agent_name": "B"}, "agent", "M"),
        ({"metadata.task_id": 17}, "task_id", "17"),
        ({"llm.token_count.prompt": 12, "gen_ai.usage.input_tokens": 3}, "prompt_tokens", 12),
        ({"gen_ai.usage.input_tokens": "3"}, "prompt_tokens", 3),
        ({"llm.token_count.prompt": "many"}, "prompt_tokens", None),
        ({"llm.token_count.prompt": 10**30}, "prompt_tokens", None),
        ({"llm.token_count.prompt": -1}, "prompt_tokens", None),
        ({"llm.token_count.prompt": {"many": 1}}, "prompt_tokens", None),
        ({"llm.cost.total": 0.25}, "cost_usd", 0.25),
        ({"llm.cost.total": float("inf")}, "cost_usd", None),
        ({"gen_ai.agent.version": "v7"}, "program_version", "v7"),
        ({"llm.model_name": ["gpt"]}, "model", None),
        ({"llm.model_name": "gpt", "gen_ai.request.model": "gpt-9"}, "model", "gpt-9"),
        ({"llm.provider": "azure", "gen_ai.provider.name": "azure.ai.openai"}, "provider", "azure.ai.openai"),
        ({"llm.system": "vertexai", "gen_ai.system": "gcp.vertex_ai"}, "provider", "gcp.vertex_ai"),
    ],
)
def test_a_column_takes_the_first_attribute_that_holds_a_value(
    attributes: dict[str, Any], column: str, expected: object
) -> None:
    assert row(attributes)[column] == expected


@pytest.mark.parametrize(
    ("attributes", "column", "expected"),
    [
        ({"mlflow.llm.model": '"gpt-9"'}, "model", "gpt-9"),
        ({"mlflow.llm.model": "gpt-9"}, "model", "gpt-9"),
        ({"mlflow.chat.tokenUsage": '{"input_tokens": 5, "output_tokens": 7}'}, "prompt_tokens", 5),
        ({"mlflow.chat.tokenUsage": '{"input_tokens": 5, "output_tokens": 7}'}, "completion_tokens", 7),
        ({"mlflow.chat.tokenUsage": {"input_tokens": 5}}, "prompt_tokens", 5),
        ({"mlflow.chat.tokenUsage": '{"input_tokens": 5'}, "prompt_tokens", None),
        ({"mlflow.chat.tokenUsage": "12"}, "prompt_tokens", None),
        ({"mlflow.llm.cost": '{"total_cost": 0.5}'}, "cost_usd", 0.5),
        ({"langfuse.observation.model.name": "gpt-9"}, "model", "gpt-9"),
        ({"langfuse.observation.usage_details": '{"input": 5, "output": 7}'}, "prompt_tokens", 5),
        ({"langfuse.observation.usage_details": '{"input": 5, "output": 7}'}, "completion_tokens", 7),
        ({"langfuse.observation.cost_details": '{"input": 1, "total": 1.5}'}, "cost_usd", 1.5),
    ],
)
def test_what_other_tracers_write_as_json_is_unpacked(
    attributes: dict[str, Any], column: str, expected: object
) -> None:
    assert row(attributes)[column] == expected


def test_an_agent_named_in_langfuse_metadata_loses_its_quotes() -> None:
    name = "langfuse.trace.metadata.agent_name"
    frame = raw_spans(pd.DataFrame([span_row({name: '"StrategyAgent"'})]), [name])
    assert frame["agent"].tolist() == ["StrategyAgent"]


@pytest.mark.parametrize(
    ("recorded", "attributes", "kind"),
    [
        ("llm", {}, "LLM"),
        (None, {}, "UNKNOWN"),
        ("CHAIN", {"gen_ai.operation.name": "chat"}, "CHAIN"),
        ("UNKNOWN", {"gen_ai.operation.name": "chat"}, "LLM"),
        (None, {"gen_ai.operation.name": "execute_tool"}, "TOOL"),
        (None, {"gen_ai.operation.name": "of my own"}, "UNKNOWN"),
        (None, {"mlflow.spanType": '"CHAT_MODEL"'}, "LLM"),
        (None, {"mlflow.spanType": "PARSER"}, "UNKNOWN"),
        (None, {"langfuse.observation.type": "generation"}, "LLM"),
        (None, {"langfuse.observation.type": "span"}, "UNKNOWN"),
    ],
)
def test_the_kind_is_the_recorded_one_else_that_of_the_operation(
    recorded: str | None, attributes: dict[str, Any], kind: str
) -> None:
    assert row(attributes, span_kind=recorded)["kind"] == kind


@pytest.mark.parametrize(
    ("kind", "attributes", "tool"),
    [("TOOL", {}, "look_up"), ("TOOL", {"tool.name": "search"}, "search"), ("CHAIN", {}, None)],
)
def test_a_tool_is_named_by_its_attribute_else_by_the_name_of_its_span(
    kind: str, attributes: dict[str, Any], tool: str | None
) -> None:
    assert row(attributes, span_kind=kind)["tool"] == tool


@pytest.mark.parametrize(
    ("message", "noted", "recorded", "expected", "exception_needed"),
    [
        ("ValueError: no", "KeyError", "a.B", "ValueError", False),
        ("no luck", "openai.RateLimitError", "a.B", "RateLimitError", False),
        ("no luck", "_OTHER", "a.b.LastError", "LastError", True),
        ("no luck", None, "a.b.LastError", "LastError", True),
        ("", "500", None, "500", False),
        ("", None, None, None, True),
    ],
)
def test_the_type_of_an_error_comes_from_the_message_the_attribute_or_the_exception(
    message: str, noted: str | None, recorded: str | None, expected: str | None, exception_needed: bool
) -> None:
    fields = {"status_message": message, EXCEPTION_TYPE: recorded}
    assert row({"error.type": noted}, status_code="ERROR", **fields)["error_type"] == expected
    assert row({"error.type": noted}, status_code="OK", **fields)["error_type"] is None
    failed = pd.DataFrame([span_row({"error.type": noted}, status_code="ERROR", status_message=message)])
    assert needs_exception(failed).tolist() == [exception_needed]


@pytest.mark.parametrize(
    ("parent", "kept"), [("0" * 16, None), ("", None), (None, None), ("0" * 15 + "1", "0" * 15 + "1")]
)
def test_a_parent_of_zeros_is_no_parent(parent: str | None, kept: str | None) -> None:
    assert row(parent_id=parent)["parent_id"] == kept


@pytest.mark.parametrize(
    ("end", "kept", "latency"),
    [
        (START + timedelta(milliseconds=1, microseconds=500), True, 1.5),
        (START - timedelta(seconds=1), True, None),
        (datetime(1970, 1, 1, tzinfo=UTC), False, None),
        (None, False, None),
    ],
)
def test_a_span_that_did_not_end_after_its_start_has_no_latency(
    end: datetime | None, kept: bool, latency: float | None
) -> None:
    found = row(end_time=end)
    assert found["latency_ms"] == latency
    assert found["end_time"] == (end if kept else None)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
names = st.sampled_from(
    [*AGENT_ATTRIBUTES, *KIND_OF_VALUE, "error.type", *(name for names in COLUMN_ATTRIBUTES.values() for name in names)]
)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.dictionaries(names, values, max_size=6), max_size=3))
def test_whatever_the_attributes_hold_the_rows_fit_the_table(spans: list[dict[str, Any]]) -> None:
    rows = [span_row(found, span_id=f"{number:016x}", status_code="ERROR") for number, found in enumerate(spans)]
    frame = raw_spans(pd.DataFrame(rows, columns=None if rows else list(span_row())), AGENT_ATTRIBUTES)
    assert len(frame) == len(spans)
    assert RAW_SPANS.problems(frame) == []


def documented(column: str) -> list[tuple[str, str, str]]:
    """A line of the document's tables: each name in it with the field after an arrow, or with the kind after it."""
    line = re.search(rf"^\| `{re.escape(column)}` \| (.*) \|$", DOCUMENT, re.MULTILINE)
    assert line is not None, f"{column} is missing"
    return re.findall(r"`([^`]+)`(?: → `([^`]+)`| ([A-Z]+))?", line[1])


@pytest.mark.parametrize("column", COLUMN_ATTRIBUTES)
def test_the_document_names_the_attributes_of_a_column_in_order(column: str) -> None:
    expected = [(name, FIELD_OF_COLUMN.get(name, {}).get(column, ""), "") for name in COLUMN_ATTRIBUTES[column]]
    assert documented(column) == expected


def test_the_document_names_the_attributes_of_a_kind_in_order() -> None:
    assert [name for name, *_ in documented("kind")] == [KIND_ATTRIBUTE, *KIND_OF_VALUE]


@pytest.mark.parametrize("attribute", KIND_OF_VALUE)
def test_the_document_names_the_kinds_of_an_attribute(attribute: str) -> None:
    assert documented(attribute) == [(value, "", kind) for value, kind in KIND_OF_VALUE[attribute].items()]
