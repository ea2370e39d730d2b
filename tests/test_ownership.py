"""Every span belongs to the task of its nearest ancestor that begins one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given

from perf_pipeline.monitoring.ownership import count_unowned, own_spans, spans_of_traces
from tests.builders import LENGTH, START, Row, owned_spans, recorded_spans, span, spans_table
from tests.span_forests import Reference, forest_settings, forests


def owners(found: dict[tuple[str, str], Row]) -> dict[str, str | None]:
    """For spans of one trace: which task each belongs to."""
    return {span_id: each["task_span_id"] for (_, span_id), each in found.items()}


def test_a_task_is_the_topmost_span_of_its_agent() -> None:
    rows = [span("t", "top", None, "A"), span("t", "step", "top", "A"), span("t", "call", "step", kind="LLM")]
    found = owned_spans(rows)
    assert owners(found) == {"top": "top", "step": "top", "call": "top"}


def test_an_agent_that_another_agent_calls_has_a_task_of_its_own() -> None:
    rows = [
        span("t", "lead", None, "A"),
        span("t", "step", "lead"),
        span("t", "helper", "step", "B"),
        span("t", "call", "helper", kind="LLM"),
    ]
    found = owned_spans(rows)
    assert owners(found) == {"lead": "lead", "step": "lead", "helper": "helper", "call": "helper"}
    assert found["t", "helper"]["caller"] == "A"
    assert found["t", "lead"]["caller"] is None


def test_an_agent_called_back_by_the_one_that_it_called_has_a_second_task() -> None:
    rows = [span("t", "a1", None, "A"), span("t", "b", "a1", "B"), span("t", "a2", "b", "A")]
    found = owned_spans(rows)
    assert owners(found) == {"a1": "a1", "b": "b", "a2": "a2"}
    assert found["t", "a2"]["caller"] == "B"


def test_an_agent_nested_in_itself_is_one_task() -> None:
    rows = [
        span("t", "outer", None, "A", kind="AGENT"),
        span("t", "between", "outer"),
        span("t", "inner", "between", "A", kind="AGENT"),
    ]
    found = owned_spans(rows)
    assert set(owners(found).values()) == {"outer"}


def test_spans_above_the_agent_belong_to_nobody() -> None:
    rows = [span("t", "request", None), span("t", "agent", "request", "A")]
    found = owned_spans(rows)
    assert owners(found) == {"request": None, "agent": "agent"}


def test_a_trace_that_names_no_agent_is_named_by_the_class_of_its_topmost_span() -> None:
    agents = {
        "LeadAgent.forward": "LeadAgent",
        "ChatAdapter.__call__": "ChatAdapter",
        "Predict(StringSignature).forward": None,
        "POST /leads": None,
    }
    tops = [span(name, "top", None, name=name) for name in agents]
    calls = [span(name, "call", "top", kind="LLM", name="LM.__call__") for name in agents]
    found = owned_spans(tops + calls)
    for name, agent in agents.items():
        assert found[name, "top"]["agent"] == agent
        assert found[name, "call"]["agent"] is None
        assert found[name, "call"]["task_span_id"] == ("top" if agent else None)


def test_a_class_names_no_agent_where_a_span_of_the_trace_does() -> None:
    rows = [span("t", "top", None, name="Router.forward"), span("t", "agent", "top", "A")]
    found = owned_spans(rows)
    assert owners(found) == {"top": None, "agent": "agent"}


def test_a_task_that_still_runs_waits_with_all_its_spans() -> None:
    rows = [
        span("t", "step", "still-running", "A"),
        span("t", "call", "step", "A", kind="LLM"),
        span("t", "tool", "step", kind="TOOL"),
    ]
    found = owned_spans(rows)
    assert all(each["task_span_id"] is None and each["waits"] for each in found.values())


def test_an_agent_span_whose_parent_was_not_read_begins_a_task() -> None:
    rows = [span("t", "agent", "not-read", "A", kind="AGENT"), span("t", "step", "agent", "A")]
    found = owned_spans(rows)
    assert owners(found) == {"agent": "agent", "step": "agent"}


def test_another_agent_below_a_running_one_has_its_task_already() -> None:
    rows = [span("t", "step", "still-running", "A"), span("t", "helper", "step", "B"), span("t", "call", "helper")]
    found = owned_spans(rows)
    assert owners(found) == {"step": None, "helper": "helper", "call": "helper"}
    assert found["t", "helper"]["caller"] == "A"
    assert not found["t", "call"]["waits"]


def test_the_same_span_id_in_two_traces_is_two_spans() -> None:
    rows = [span("t1", "s", None, "A"), span("t1", "c", "s"), span("t2", "s", None, "B"), span("t2", "c", "s")]
    found = owned_spans(rows)
    assert found["t1", "s"]["agent"] == "A"
    assert found["t2", "s"]["agent"] == "B"
    assert {each["task_span_id"] for each in found.values()} == {"s"}


@pytest.mark.parametrize("agent", [None, "A"])
def test_spans_that_are_their_own_ancestors_belong_to_nobody(agent: str | None) -> None:
    lengths = (1, 2, 5)
    cycles = [span(f"t{size}", f"s{n}", f"s{(n + 1) % size}", agent) for size in lengths for n in range(size)]
    below = [span(f"t{size}", "below", "s0") for size in lengths]
    assert {each["task_span_id"] for each in owned_spans(cycles + below).values()} == {None}


@pytest.mark.parametrize("levels", [2, 65, 300])
def test_a_chain_of_any_depth_is_owned_to_its_end(levels: int) -> None:
    chain = [span("t", f"s{n}", f"s{n - 1}" if n else None, None if n else "A") for n in range(levels)]
    assert set(owners(owned_spans(chain[::-1])).values()) == {"s0"}


@forest_settings
@given(forests())
def test_every_forest_is_owned_as_one_walks_it_in_whatever_order_its_spans_come(rows: list[Row]) -> None:
    assert owned_spans(rows) == Reference(rows).ownership()


def test_every_span_that_dspy_wrote_belongs_to_its_one_task() -> None:
    found = owned_spans(recorded_spans())
    assert {each["task_span_id"] for each in found.values()} == {"s0"}
    assert {each["agent"] for each in found.values()} == {"lead_agent"}


def test_spans_of_traces_reach_beyond_the_window_in_both_directions() -> None:
    rows = [
        span("across", "before", None, at=-60),
        span("across", "inside", "before", at=0),
        span("across", "after", "before", at=1800),
        span("earlier", "s", None, at=-0.001),
        span("later", "s", None, at=1800),
    ]
    found = spans_of_traces(spans_table(rows), START, START + LENGTH).to_pandas()
    assert sorted(found["span_id"]) == ["after", "before", "inside"]


def test_spans_of_nobody_and_spans_that_wait_are_counted_apart_and_by_their_own_start() -> None:
    rows = [
        span("owned", "top", None, "A"),
        span("owned", "step", "top", at=1),
        span("nobody", "top", None, name="GET /", at=2),
        span("waiting", "step", "still-running", "A", at=3),
        span("waiting", "call", "step", "A", at=4),
        span("cycle", "s", "s", at=5),
        span("owned", "late", "top", at=1800),
        span("nobody-before", "top", None, name="GET /", at=-1),
    ]
    owned = own_spans(spans_table(rows))
    assert count_unowned(owned, START, START + LENGTH) == (6, 2, 2)
    assert count_unowned(owned, START + LENGTH, START + 2 * LENGTH) == (1, 0, 0)
    assert count_unowned(owned, START + timedelta(days=1), START + timedelta(days=2)) == (0, 0, 0)
