"""A cause names what the affected tasks have in common, and nothing that the tables do not hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pandas as pd
import pytest

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.cause_evidence import CauseEvidence
from perf_pipeline.monitoring.cause_words import chance_in_words, short_error
from perf_pipeline.monitoring.findings import Finding, FindingState
from perf_pipeline.monitoring.nearby_changes import nearest_change
from perf_pipeline.monitoring.root_cause import Cause, anomalies_frame, explain
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.tables import AGENT_TASKS, ANOMALIES
from tests.builders import LENGTH, START, Row, change, changes, frame, task, window

NOTHING = "No single error, model, version, tool or step stands out"


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


def evidence_of(tasks: list[Row], type: str = "success_drop", events: pd.DataFrame | None = None) -> CauseEvidence:
    known = changes() if events is None else events
    found = anomalies_frame([finding(type)], frame(AGENT_TASKS, tasks), known, LENGTH).iloc[0]
    return CauseEvidence.model_validate_json(found["cause_evidence"])


def a_day() -> list[Row]:
    """40 tasks of the day before, on two models, one in twenty of which failed."""
    return [
        task(at=-60 * n, ok=n % 20 != 0, trace_id=f"before-{n}", model="old" if n % 2 else "other")
        for n in range(1, 41)
    ]


def test_the_model_whose_tasks_fail_is_named_with_the_figures_that_say_so() -> None:
    since = [failed(at, model="old", trace_id=f"bad-{at}") for at in range(9)]
    since += [task(at=at, model="other") for at in range(20, 30)]
    since.append(failed(31, model="other"))
    found = cause_of(a_day() + since)
    assert found.root_cause == (
        "10 of 10 failures are TimeoutError (0 of 2 before); 9 of 10 with model old, where 9 of 9 failed (0% before), "
        "100% of the rise; chance alone: less than 1 in a million"
    )
    assert found.example_traces == ("bad-8", "bad-7", "bad-6")
    (explained, *_) = evidence_of(a_day() + since).explanations
    assert (explained.values, explained.affected, explained.tasks) == ({"model": "old"}, 9, 9)
    assert not explained.alternative


def test_a_few_failures_after_a_change_of_the_model_are_no_proof_but_tell_of_the_change() -> None:
    bad = [failed(at, model="new", program_version="v2") for at in range(3)]
    before = [task(at=-60 * n, model="old", program_version="v1") for n in range(1, 13)]
    bad[0]["ok"] = bad[1]["ok"] = True
    assert evidence_of(before + bad).explanations == ()
    assert cause_of(before + bad).root_cause == (
        "1 of 1 failures are TimeoutError; after the first use of new at 10:00 UTC (before: old)"
    )


def test_a_version_that_is_new_since_the_onset_explains_what_fails_since() -> None:
    before = [row | {"program_version": "v1"} for row in a_day()]
    since = [failed(at, model="old" if at % 2 else "other", program_version="v2") for at in range(12)]
    events = changes(change(-120, "Ship v2", "InboundAgent") | {"from_version": "v1", "to_version": "v2"})
    found = cause_of(before + since, events=events)
    assert "all with version v2, where 12 of 12 failed (no task had it before)" in found.root_cause
    assert found.root_cause.endswith("after the deployment of 09:58 UTC: Ship v2 (v1 → v2)")


def test_a_deployment_since_which_all_fail_is_the_cause_and_named_once() -> None:
    since = [failed(at, model="old" if at % 2 else "other") for at in range(12)]
    events = changes(change(-120, "Tune it"), change(-90_000, "Older"))
    assert evidence_of(a_day() + since, events=events).explanations[0].values == {
        "deployment": "2026-03-02 09:58 UTC: Tune it"
    }
    found = cause_of(a_day() + since, events=events)
    assert "all since the deployment, where 12 of 12 failed" in found.root_cause
    assert found.root_cause.endswith("after the deployment of 09:58 UTC: Tune it")


def test_what_hits_all_tasks_alike_is_explained_by_the_error_that_is_new() -> None:
    before = [row | {"first_failing_error": "ValueError"} for row in a_day()]
    since = [failed(at, "QuotaError", model="old" if at % 2 else "other", trace_id=f"t{at}") for at in range(12)]
    explained = evidence_of(before + since).explanations[0]
    assert explained.values == {"error_type": "QuotaError"}
    assert (explained.affected, explained.tasks, explained.usual_rate) == (12, 12, 0)


def test_the_step_that_failed_first_is_named() -> None:
    where = {"first_failing_step": "search", "first_failing_kind": "TOOL", "first_failing_error": "TimeoutError"}
    tasks = [failed(at, **where) for at in range(4)]
    assert cause_of(tasks).root_cause == "4 of 4 failures are TimeoutError, first in search"
    (step,) = evidence_of(tasks).first_failing_steps
    assert (step.name, step.kind, step.error_type, step.tasks, step.of) == ("search", "TOOL", "TimeoutError", 4, 4)


def test_a_change_to_the_value_that_explains_the_trouble_comes_before_a_nearer_one() -> None:
    before = [row | {"program_version": "v1"} for row in a_day()]
    since = [failed(at, model="old" if at % 2 else "other", program_version="v2") for at in range(12)]
    to_v2 = change(-3600, "Ship v2", "InboundAgent") | {"from_version": "v1", "to_version": "v2"}
    found = evidence_of(before + since, events=changes(to_v2, change(-60, "Tidy up", kind="prompt")))
    assert [(one.kind, one.minutes_before_onset) for one in found.changes] == [("deployment", 60), ("prompt", 1)]


def test_tasks_of_other_agents_and_windows_are_not_the_cause() -> None:
    others = [
        task("AuditAgent", ok=False, error_type="ValueError"),
        failed(-1, "ValueError"),
        failed(1800, "ValueError"),
    ]
    assert cause_of([*others, failed(1)]).root_cause == "1 of 1 failures are TimeoutError (0 of 1 before)"
    assert cause_of(others) == Cause(NOTHING, "IMMEDIATE", ())


def test_a_slowdown_says_which_step_took_so_long_and_shows_the_slowest() -> None:
    before = [task(at=-60 * n, ms=100.0 + n, slowest_step="LM", slowest_step_ms=80.0) for n in range(1, 21)]
    before += [task(at=-30, ms=110.0, slowest_step="search", slowest_step_ms=60.0)]
    tasks = [
        task(at=at, ms=2000.0 + at, slowest_step="search", slowest_step_ms=1900.0, trace_id=f"trace-{at}")
        for at in range(9)
    ]
    found = cause_of(before + tasks, "latency_increase")
    assert found.root_cause == "search takes longest in 9 of 9 slow tasks: 1.9 s, usually 60 ms"
    assert found.example_traces == ("trace-8", "trace-7", "trace-6")
    known = evidence_of(before + tasks, "latency_increase")
    assert (known.affected_means, known.usual_affected, known.usual_tasks) == ("slower than 0.12 s", 2, 21)
    assert known.explanations[0].values == {"slowest_step": "search"}


def test_a_task_whose_end_is_not_known_is_neither_slow_nor_fast() -> None:
    found = evidence_of([task(ms=None), task(at=1, ms=100.0)], "latency_increase")
    assert found.tasks == 1


def test_recovered_errors_show_the_tasks_that_they_began_in() -> None:
    tasks = [task(at=at, error_count=at % 2, trace_id=f"trace-{at}") for at in range(4)]
    assert cause_of(tasks, "error_spike").example_traces == ("trace-3", "trace-1")


def test_two_tasks_of_one_trace_are_one_example() -> None:
    tasks = [failed(at, trace_id="same", task_span_id=f"s{at}") for at in range(3)] + [failed(9, trace_id="other")]
    assert cause_of(tasks).example_traces == ("other", "same")


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
    assert found["example_traces"] == "trace-3600 trace-1800 trace-0"


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
    tasks = [task(at=-60 * n, cost_usd=0.05) for n in range(1, 12)]
    tasks += [task(at=at, cost_usd=0.1 * at, trace_id=f"trace-{at}") for at in range(5)]
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
    assert list(found["example_traces"]) == ["t2 t1", "t2 t1"]
    start = found["window_start"].iloc[0].to_pydatetime()
    assert isinstance(start, datetime)
    assert start == START
    assert anomalies_frame([], tasks, changes(), LENGTH).equals(ANOMALIES.empty())


def test_an_exception_is_shown_by_its_class() -> None:
    assert short_error("dspy.utils.exceptions.LMServerError") == "LMServerError"
    assert short_error("ValueError") == "ValueError"


@pytest.mark.parametrize(
    ("p_value", "words"),
    [
        (1e-9, "less than 1 in a million"),
        (0.00029, "about 1 in 3,000"),
        (0.04, "about 1 in 20"),
        (0.2, "about 1 in 5"),
        (0.7, "more likely than not"),
    ],
)
def test_a_chance_is_told_with_one_digit(p_value: float, words: str) -> None:
    assert chance_in_words(p_value) == words
