"""What went into a task and what came out is read from its span's attributes, or said to be unknown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perf_pipeline.records import TaskPayload
from resources.payloads import payload_of

SPAN = "00000000000000a1"

names = st.text(min_size=1).filter(lambda name: name not in {"args", "kwargs", "input_args"})
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))


def inputs_of(value: object) -> Any:
    return payload_of(SPAN, {"input.value": value}).inputs


def outputs_of(value: object) -> Any:
    return payload_of(SPAN, {"output.value": value}).outputs


def test_a_payload_is_what_the_two_attributes_hold() -> None:
    attributes = {"input.value": '{"question": "6*7?"}', "output.value": '{"answer": "42"}', "agent.name": "A"}
    assert payload_of(SPAN, attributes) == TaskPayload(SPAN, {"question": "6*7?"}, {"answer": "42"})


def test_a_failed_task_has_inputs_and_no_outputs() -> None:
    assert payload_of(SPAN, {"input.value": '{"question": "?"}'}) == TaskPayload(SPAN, {"question": "?"}, None)


@pytest.mark.parametrize(
    "value",
    [None, "", "hello", "42", '"text"', "[1]", "null", "{", '{"cut": "of', "{'a': 1}", 42, True, {"a": 1}, "\ud800"],
)
def test_a_payload_that_is_no_json_object_is_none(value: object) -> None:
    assert inputs_of(value) is None
    assert outputs_of(value) is None


def test_a_payload_nested_too_deeply_to_be_read_is_none() -> None:
    assert inputs_of('{"a":' * 100_000 + "1" + "}" * 100_000) is None


@given(st.dictionaries(names, values, max_size=5))
def test_any_json_object_is_read_as_it_was_written(fields: dict[str, Any]) -> None:
    for ascii_only in (True, False):
        written = json.dumps(fields, ensure_ascii=ascii_only)
        assert inputs_of(written) == outputs_of(written) == fields


@pytest.mark.parametrize(("written", "read"), [("NaN", "NaN"), ("-Infinity", "-Infinity"), ('"\\ud800"', "?")])
def test_what_python_writes_and_json_does_not_know_is_text(written: str, read: str) -> None:
    assert outputs_of(f'{{"score": {written}, "answer": "ä"}}') == {"score": read, "answer": "ä"}


@pytest.mark.parametrize(
    "call",
    [
        {"args": [], "kwargs": {"question": "?"}},
        {"kwargs": {"question": "?"}},
        {"input_args": {"question": "?"}},
    ],
)
def test_the_fields_that_a_call_took_as_keywords_are_the_inputs(call: dict[str, Any]) -> None:
    assert inputs_of(json.dumps(call)) == {"question": "?"}


def test_a_call_without_arguments_has_no_fields() -> None:
    assert inputs_of('{"args": [], "kwargs": {}}') == {}


def test_inputs_given_by_position_belong_to_no_known_field() -> None:
    assert inputs_of('{"args": ["?"], "kwargs": {"mode": "react"}}') is None


@pytest.mark.parametrize(
    "fields",
    [
        {"kwargs": {"a": 1}, "question": "?"},
        {"kwargs": "text"},
        {"args": ["ls", "-l"]},
        {"args": "-l", "kwargs": {"a": 1}},
        {"kwargs": {"a": 1}, "input_args": {"b": 2}},
    ],
)
def test_fields_that_are_only_named_like_arguments_stay(fields: dict[str, Any]) -> None:
    assert inputs_of(json.dumps(fields)) == fields


def test_outputs_are_never_taken_for_arguments() -> None:
    assert outputs_of('{"kwargs": {"a": 1}}') == {"kwargs": {"a": 1}}
