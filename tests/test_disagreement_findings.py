"""What detectors make of disagreements: a habit is the baseline, a change is a finding that says where to look."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.detector_states import detector_states
from perf_pipeline.monitoring.findings import Finding, FindingState, findings_from_states
from perf_pipeline.monitoring.root_cause import explain
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.tables import AGENT_TASKS
from tests.builders import LENGTH, START, Row, changes, frame, metrics_row, shipped_fleet, task, window
from tests.metric_tables import DAY, events, metrics, watch

FLEET = shipped_fleet()
DISAGREEMENTS = ("unnoticed_failures", "missing_traces", "unseen_errors")


def history(columns: Callable[[int], Row], windows: int = 3 * DAY) -> pd.DataFrame:
    """An agent with 12 tasks a window, 11 of which succeed, and what `columns` says of each window."""
    quiet: Row = {"unnoticed_failures": 0, "finished_rows": 12, "missing_traces": 0, "unseen_errors": 0}
    quiet |= {"tasks": 12, "successes": 11}
    return metrics(*(metrics_row(number=number, **quiet | columns(number)) for number in range(windows)))


def since(number: int, changed: Row) -> Callable[[int], Row]:
    return lambda place: changed if place >= number else {}


CHANGED = [
    ("unnoticed_failures", {"unnoticed_failures": 5, "successes": 6}),
    ("missing_traces", {"missing_traces": 7}),
    ("missing_traces", {"tasks": 0, "successes": 0, "missing_traces": 12}),
    ("unseen_errors", {"unseen_errors": 9, "log_errors": 9}),
]


@pytest.mark.parametrize(("finding", "changed"), CHANGED, ids=["failures", "traces", "no traces at all", "errors"])
def test_a_disagreement_that_begins_is_found_within_two_hours(finding: str, changed: Row) -> None:
    begins = 3 * DAY - 8
    found = events(watch(history(since(begins, changed)), [finding]))
    assert [name for _, name in found] == ["OPENED"]
    assert begins < found[0][0] <= begins + 4


@pytest.mark.parametrize(
    ("habit", "finding"),
    [
        ({"missing_traces": 12}, "missing_traces"),
        ({"missing_traces": 4}, "missing_traces"),
        ({"unnoticed_failures": 3, "successes": 8}, "unnoticed_failures"),
        ({"unseen_errors": 6, "log_errors": 6}, "unseen_errors"),
        ({}, "missing_traces"),
    ],
    ids=["never stamps ids", "stamps most", "never raises", "logs as it goes", "agrees"],
)
def test_what_an_agent_has_always_done_is_no_finding(habit: Row, finding: str) -> None:
    noise = np.random.default_rng(7)

    def some(_number: int) -> Row:
        return {
            name: count if count in (0, 12) or name == "successes" else int(noise.binomial(12, count / 12))
            for name, count in habit.items()
        }

    assert events(watch(history(some), [finding])) == []


def test_an_agent_that_begins_to_stamp_ids_is_no_finding() -> None:
    assert (
        events(watch(history(lambda number: {"missing_traces": 12 if number < 2 * DAY else 0}), ["missing_traces"]))
        == []
    )


def test_while_nothing_was_counted_nothing_is_said_and_nothing_is_over() -> None:
    begins = 3 * DAY - 16

    def then_unread(number: int) -> Row:
        if number < begins:
            return {}
        return {"missing_traces": 8} if number < begins + 4 else {"missing_traces": pd.NA, "finished_rows": pd.NA}

    said = watch(history(then_unread), ["missing_traces"])
    assert [name for _, name in events(said)] == ["OPENED"]
    unread = said[said["number"] >= begins + 4]
    assert not unread["seen"].any()
    assert (unread["phase"] == 2).all()


def test_tables_without_the_counts_mean_that_nothing_was_seen() -> None:
    table = history(since(2 * DAY, {"missing_traces": 12, "unseen_errors": 9, "unnoticed_failures": 6}))
    old = table.drop(columns=["unnoticed_failures", "finished_rows", "missing_traces", "unseen_errors"])
    said = watch(old)
    assert not said[said["finding"].isin(DISAGREEMENTS)]["seen"].any()
    assert events(said[said["finding"].isin(DISAGREEMENTS)]) == []


def told(table: pd.DataFrame, last: int) -> list[Finding]:
    """The findings of window `last`, from the states of all of them."""
    states = detector_states(table, None, FLEET, window(last - 10).start)
    return findings_from_states(states, [window(last).start], FLEET)


@pytest.mark.parametrize(
    ("changed", "type", "begins_with"),
    [
        (
            {"unnoticed_failures": 5, "successes": 6},
            "unnoticed_failures",
            "Tasks that agent_state calls failed and whose spans show no error rose from ",
        ),
        (
            {"missing_traces": 7},
            "missing_traces",
            "Finished rows of agent_state that no span belongs to rose from ",
        ),
        (
            {"unseen_errors": 9, "log_errors": 9},
            "unseen_errors",
            "Error lines in the logs while no task was failing rose from ",
        ),
    ],
)
def test_a_disagreement_is_told_with_its_figures(changed: Row, type: str, begins_with: str) -> None:
    last = 2 * DAY + 7
    found = {one.type: one for one in told(history(since(2 * DAY, changed), last + 1), last)}
    assert found[type].state is FindingState.OPEN
    assert found[type].details.startswith(begins_with)
    assert "since 10:00 UTC" in found[type].details or "since 2026-" in found[type].details
    assert "interval" in found[type].details
    assert "nan" not in found[type].details


def test_lines_of_error_that_no_failing_task_explains_are_not_told_as_lines_of_error_too() -> None:
    last = 2 * DAY + 7
    table = history(since(2 * DAY, {"unseen_errors": 9, "log_errors": 9}), last + 1)
    assert {name for _, name in events(watch(table, ["log_error_spike"]))} == {"OPENED"}
    assert [one.type for one in told(table, last)] == ["unseen_errors"]


def test_lines_of_error_that_failing_tasks_explain_are_told_as_ever() -> None:
    last = 2 * DAY + 7
    found = told(history(since(2 * DAY, {"unseen_errors": 0, "log_errors": 9}), last + 1), last)
    assert [one.type for one in found] == ["log_error_spike"]


def test_a_score_is_not_explained_by_traces_that_are_missing() -> None:
    last = 2 * DAY + 7
    changed = {"missing_traces": 12, "score": 40.0}
    assert {one.type for one in told(history(since(2 * DAY, changed), last + 1), last)} == {
        "missing_traces",
        "score_drop",
    }


def cause_of(type: str, *tasks: Row, **of_finding: Any) -> tuple[str, tuple[str, ...]]:
    finding = Finding(START, "InboundAgent", type, FindingState.OPEN, Severity.HIGH, "", onset=START)
    cause = explain(
        replace(finding, **of_finding),
        frame(AGENT_TASKS, tasks),
        changes(),
        Window(START, START + LENGTH),
        START + timedelta(minutes=30),
    )
    return cause.root_cause, cause.example_traces


@pytest.mark.parametrize(
    ("type", "words"),
    [
        ("unnoticed_failures", "let it raise"),
        ("missing_traces", "exporter reaches the server"),
        ("unseen_errors", "while no task of the agent was failing"),
    ],
)
def test_a_disagreement_says_where_to_look_and_not_that_no_error_stands_out(type: str, words: str) -> None:
    failing = task(at=60, ok=False, error_type="TimeoutError", span_ok=False)
    cause, _ = cause_of(type, failing)
    assert words in cause
    assert "failures are" not in cause
    assert "stands out" not in cause


def test_the_examples_of_unnoticed_failures_are_those_whose_spans_are_well() -> None:
    hidden, open_one = task(at=60, ok=False, span_ok=True), task(at=90, ok=False, span_ok=False)
    _, traces = cause_of("unnoticed_failures", hidden, open_one)
    assert traces == (hidden["trace_id"],)
    assert cause_of("missing_traces", hidden, open_one)[1] == ()


def test_a_share_of_the_bad_is_told_and_not_that_of_the_good() -> None:
    said = watch(history(since(2 * DAY, {"missing_traces": 6})), ["missing_traces"], since=2 * DAY + 1)
    one = said.iloc[0]
    assert one["value"] == 50
    assert 0 <= one["expected"] < 5
    assert 0 <= one["low"] <= one["expected"] <= one["high"] <= 100
    assert not math.isnan(one["effect"])
