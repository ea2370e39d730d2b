"""A cause names what the affected tasks have in common, and nothing that the tables do not hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pandas as pd
import pytest

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.findings import Finding, FindingState
from perf_pipeline.monitoring.root_cause import Cause, anomalies_frame, explain, nearest_change, short_error
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.tables import AGENT_TASKS, ANOMALIES
from tests.builders import LENGTH, START, Row, change, changes, frame, task, window

NOTHING = "No single error, model or version stands out"


def finding(type: str = "success_drop", severity: Severity = Severity.HIGH, agent: str = "InboundAgent") -> Finding:
    return Finding(START, agent, type, FindingState.OPEN, severity, "Success rate fell")


def cause_of(tasks: list[Row], type: str = "success_drop", events: pd.DataFrame | None = None) -> Cause:
    known = changes() if events is None else events
    found = anomalies_frame([finding(type)], frame(AGENT_TASKS, tasks), known, LENGTH).iloc[0]
    return Cause(found["root_cause"], found["recommended_action"], tuple(found["example_traces"].split()))


def failed(at: float, error: str | None = "TimeoutError", **columns: str) -> Row:
    return task(at=at, ok=False, error_type=error) | columns


def test_an_error_that_most_failures_share_is_named_without_its_modules() -> None:
    tasks = [failed(at, "dspy.utils.exceptions.LMServerError") for at in range(3)] + [failed(3, "ValueError"), task()]
    assert cause_of(tasks).root_cause == "3 of 4 failures are LMServerError"


def test_errors_that_differ_are_not_made_one() -> None:
    assert cause_of([failed(0, "ValueError"), failed(1, "KeyError"), failed(2, None)]).root_cause == NOTHING


def test_a_model_or_version_counts_only_where_the_agent_had_another() -> None:
    bad = [failed(at, model="new", program_version="v2") for at in range(3)]
    assert cause_of(bad).root_cause == "3 of 3 failures are TimeoutError"
    before = [task(at=-600, model="old", program_version="v1")]
    assert cause_of(before + bad).root_cause == (
        "3 of 3 failures are TimeoutError, all on model new, all on version v2"
    )


def test_tasks_of_other_agents_and_windows_are_not_the_cause() -> None:
    others = [
        task("AuditAgent", ok=False, error_type="ValueError"),
        failed(-1, "ValueError"),
        failed(1800, "ValueError"),
    ]
    assert cause_of([*others, failed(1)]).root_cause == "1 of 1 failures are TimeoutError"
    assert cause_of(others) == Cause(NOTHING, "IMMEDIATE", ())


def test_a_slowdown_says_where_the_time_went_and_shows_the_slowest() -> None:
    tasks = [task(at=at, ms=100.0 + at, llm_ms=80.0 + at, trace_id=f"trace-{at}") for at in range(5)]
    found = cause_of(tasks, "latency_increase")
    assert found.root_cause == "80% of the time was spent in language-model calls"
    assert found.example_traces == ("trace-4", "trace-3", "trace-2")


def test_calls_that_ran_side_by_side_are_at_most_all_of_the_time() -> None:
    found = cause_of([task(ms=100.0, llm_ms=300.0)], "latency_increase")
    assert found.root_cause == "100% of the time was spent in language-model calls"
    assert cause_of([task(ms=None)], "latency_increase").root_cause == NOTHING


def test_recovered_errors_show_the_tasks_that_they_began_in() -> None:
    tasks = [task(at=at, error_count=at % 2, trace_id=f"trace-{at}") for at in range(4)]
    assert cause_of(tasks, "error_spike").example_traces == ("trace-1", "trace-3")


def test_two_tasks_of_one_trace_are_one_example() -> None:
    tasks = [failed(at, trace_id="same", task_span_id=f"s{at}") for at in range(3)] + [failed(9, trace_id="other")]
    assert cause_of(tasks).example_traces == ("same", "other")


@pytest.mark.parametrize(
    ("severity", "action"),
    [
        (Severity.CRITICAL, "IMMEDIATE"),
        (Severity.HIGH, "IMMEDIATE"),
        (Severity.MEDIUM, "INVESTIGATE"),
        (Severity.LOW, "MONITOR"),
    ],
)
def test_the_action_follows_from_the_severity(severity: Severity, action: str) -> None:
    found = explain(finding(severity=severity), frame(AGENT_TASKS, []), changes(), window(), window().end)
    assert found.recommended_action == action


@pytest.mark.parametrize(
    ("at", "agent", "counts"),
    [
        (-7200, None, True),
        (-7201, None, False),
        (1799, "InboundAgent", True),
        (1800, None, False),
        (0, "AuditAgent", False),
    ],
)
def test_a_change_counts_if_it_concerns_the_agent_and_is_at_most_two_hours_old(
    at: float, agent: str | None, counts: bool
) -> None:
    events = changes(change(at, "Use the new model", agent))
    found = nearest_change("InboundAgent", events, window(), window().end)
    assert (found is not None) == counts


def test_the_latest_change_is_named_with_its_time() -> None:
    events = changes(change(-60, "Bump dspy"), change(-3600, "Older"))
    assert cause_of([failed(0)], events=events).root_cause == (
        "1 of 1 failures are TimeoutError; after the deployment of 09:59 UTC: Bump dspy"
    )


def test_tasks_since_the_onset_are_affected_and_not_only_those_of_the_last_window() -> None:
    tasks = frame(AGENT_TASKS, [failed(at, trace_id=f"trace-{at}") for at in (-1, 0, 1800, 3600, 5400)])
    later = replace(finding(), window_start=window(2).start, onset=window(0).start)
    (found,) = anomalies_frame([later], tasks, changes(), LENGTH).to_dict("records")
    assert found["root_cause"] == "3 of 3 failures are TimeoutError"
    assert found["example_traces"] == "trace-0 trace-1800 trace-3600"


@pytest.mark.parametrize(
    ("times", "named"),
    [([-600, 600, 4000], 600), ([-600, 4000], -600), ([4000, 5000], 4000), ([-8000, 12000], None)],
    ids=["the last before it began", "also some time before", "else the first after it", "none near"],
)
def test_the_change_that_came_with_the_trouble_is_named_and_not_a_later_attempt_to_mend_it(
    times: list[int], named: int | None
) -> None:
    affected = Window(window(0).start, window(4).end)
    found = nearest_change("InboundAgent", changes(*(change(at, str(at)) for at in times)), affected, window(0).end)
    assert (None if found is None else int(found["description"])) == named


def test_the_dearest_tasks_are_the_examples_of_a_cost() -> None:
    tasks = [task(at=at, cost_usd=0.1 * at, trace_id=f"trace-{at}") for at in range(5)]
    assert cause_of(tasks, "cost_spike").example_traces == ("trace-4", "trace-3", "trace-2")


def test_tasks_that_did_not_arrive_have_no_examples_and_may_have_a_change() -> None:
    assert cause_of([task()], "silence") == Cause(
        "No change of the agent or of the fleet is known from that time", "IMMEDIATE", ()
    )
    events = changes(change(-60, "Turn the queue off"))
    assert cause_of([], "traffic_drop", events).root_cause == "after the deployment of 09:59 UTC: Turn the queue off"


def test_a_data_gap_blames_no_agent_and_says_what_the_source_said() -> None:
    gap = replace(finding("data_gap", agent="source:spans"), reason="Set PHOENIX_API_KEY.")
    found = explain(gap, frame(AGENT_TASKS, [failed(0)]), changes(), window(), window().end)
    assert found.root_cause == "Set PHOENIX_API_KEY."
    assert found.example_traces == ()


def test_findings_become_rows_that_fit_their_table() -> None:
    tasks = frame(AGENT_TASKS, [failed(0, trace_id="t1"), failed(1, trace_id="t2")])
    found = anomalies_frame([finding(), finding("error_spike")], tasks, changes(), LENGTH)
    assert ANOMALIES.problems(found) == []
    assert list(found["example_traces"]) == ["t1 t2", "t1 t2"]
    start = found["window_start"].iloc[0].to_pydatetime()
    assert isinstance(start, datetime)
    assert start == START
    assert anomalies_frame([], tasks, changes(), LENGTH).equals(ANOMALIES.empty())


def test_an_exception_is_shown_by_its_class() -> None:
    assert short_error("dspy.utils.exceptions.LMServerError") == "LMServerError"
    assert short_error("ValueError") == "ValueError"
