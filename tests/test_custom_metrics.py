"""A metric of fleet.yaml is computed of each agent and window, and what it does wrong stays with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from perf_pipeline.assets.custom_metrics import compute
from perf_pipeline.fleet import FleetConfig, ScoreWeights
from perf_pipeline.fleet_metrics import MetricConfig
from perf_pipeline.monitoring.custom_metrics import problems, score_part, with_custom_metrics
from perf_pipeline.monitoring.detectors.judgement import CUSTOM, CUSTOM_TASKS
from perf_pipeline.monitoring.score import score
from perf_pipeline.records import FeedbackKind, TaskFeedback
from perf_pipeline.tables import AGENT_TASKS, CUSTOM_METRICS
from resources.metric_functions import MetricFunctions
from resources.metric_value import MetricError
from resources.reading import PhoenixError
from resources.task_sql import TaskSql
from tests.builders import START, Row, frame, metrics_row, shipped_fleet, task, window
from tests.cycle_fixtures import RecordedSpans
from tests.metric_tables import metrics

FUNCTIONS = "tests.custom_metric_functions"
SECONDS = 30.0


def metric(**keys: Any) -> MetricConfig:
    return MetricConfig.model_validate({"name": "mine", "better": "lower", "detection": {"min_change": 1}} | keys)


def fleet_with(*known: MetricConfig) -> FleetConfig:
    return shipped_fleet().model_copy(update={"metrics": known})


def tasks(*rows: Row) -> pd.DataFrame:
    return frame(AGENT_TASKS, [row | {"task_span_id": f"span-{number}"} for number, row in enumerate(rows)])


SOME = tasks(
    task(at=0, completion_tokens=100, task_id="a"),
    task(at=60, completion_tokens=300, ok=False, task_id="b"),
    task(at=2000, task_id="c"),
    task("AuditAgent", at=90, completion_tokens=50, tool_calls=2, task_id="d"),
)
"""InboundAgent has two tasks in window 0 and one, of unknown length, in window 1; AuditAgent one in window 0."""


def computed(
    *known: MetricConfig, of: pd.DataFrame = SOME, spans: RecordedSpans | None = None, seconds: float = SECONDS
) -> pd.DataFrame:
    found = compute(of, fleet_with(*known), spans or RecordedSpans(), seconds)
    assert CUSTOM_METRICS.problems(found) == []
    return found


def values(found: pd.DataFrame) -> dict[tuple[int, str], float | None]:
    """By window number and agent; None where there is none."""
    numbers = (found["window_start"] - pd.Timestamp(START)) // timedelta(minutes=30)
    return {
        (int(number), agent): None if math.isnan(value) else value
        for number, agent, value in zip(numbers, found["agent"], found["value"], strict=True)
    }


def test_an_aggregate_is_computed_of_each_agent_and_window() -> None:
    found = computed(metric(sql="avg(completion_tokens)", unit="tokens"))
    assert values(found) == {(0, "AuditAgent"): 50, (0, "InboundAgent"): 200, (1, "InboundAgent"): None}
    assert list(found["tasks"]) == [1, 2, 1]
    assert set(found["unit"]) == {"tokens"}
    assert found["error"].isna().all()


def test_a_function_is_computed_of_each_agent_and_window() -> None:
    found = computed(metric(function=f"{FUNCTIONS}:mean_tokens"))
    assert values(found) == {(0, "AuditAgent"): 50, (0, "InboundAgent"): 200, (1, "InboundAgent"): None}
    assert found["error"].isna().all()


def test_a_metric_of_some_agents_has_rows_of_these_only() -> None:
    for source in ({"sql": "count(*)"}, {"function": f"{FUNCTIONS}:failed_share"}, {"annotation": "rating"}):
        assert set(computed(metric(agents=("AuditAgent",), **source))["agent"]) == {"AuditAgent"}


def test_a_fleet_without_metrics_and_a_window_without_tasks_have_no_rows() -> None:
    assert computed().empty
    assert computed(metric(sql="count(*)"), of=AGENT_TASKS.empty()).empty


def test_an_aggregate_sees_columns_of_every_kind() -> None:
    sqls = {
        "hours": "max(hour(start_time))",
        "seconds": "max(epoch(end_time) - epoch(start_time))",
        "share": "100.0 * avg(CASE WHEN ok THEN 1 ELSE 0 END)",
        "filtered": "count(*) FILTER (WHERE task_id = 'a')",
        "missing": "count(*) - count(completion_tokens)",
    }
    found = computed(*(metric(name=name, sql=sql) for name, sql in sqls.items()), of=SOME.iloc[:2])
    assert found["error"].isna().all(), list(found["error"])
    assert dict(zip(found["metric"], found["value"], strict=True)) == {
        "hours": 10,
        "seconds": 1,
        "share": 50,
        "filtered": 1,
        "missing": 0,
    }


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("avg(tokens)", 'Referenced column "tokens" not found'),
        ("max(model)", "It gives a str, where a number is needed"),
        ("bool_and(ok)", "It gives a bool, where a number is needed"),
        ("avg(latency_ms) / 0.0 * 0", "no finite number"),
        ("max(read_text('/etc/hostname'))", "DuckDB refused it"),
        ("max(getenv('HOME'))", "DuckDB refused it"),
        ("sum(CAST(task_id AS INTEGER))", "Could not convert string"),
    ],
)
def test_an_aggregate_that_goes_wrong_has_no_value_and_says_why(sql: str, told: str) -> None:
    found = computed(metric(sql=sql), metric(name="other", sql="count(*)"), of=SOME.assign(model="m"))
    mine, other = found[found["metric"] == "mine"], found[found["metric"] == "other"]
    assert mine["value"].isna().all()
    assert mine["error"].str.contains(told, regex=False).all(), list(mine["error"])
    assert list(other["value"]) == [1, 2, 1]
    assert other["error"].isna().all()


def test_where_an_aggregate_fails_for_one_agent_the_others_have_their_values() -> None:
    numbered = SOME.assign(task_id=["1", "2", "3", "not a number"])
    found = computed(metric(sql="sum(CAST(task_id AS INTEGER))"), of=numbered)
    assert values(found) == {(0, "AuditAgent"): None, (0, "InboundAgent"): 3, (1, "InboundAgent"): 3}
    assert list(found["error"].notna()) == [True, False, False]


def test_an_aggregate_that_takes_too_long_is_stopped() -> None:
    many = pd.concat([SOME] * 20_000, ignore_index=True).assign(task_group=0)
    slow = "sum(levenshtein(repeat(task_id, 60), repeat(trace_id, 60)))"
    with TaskSql(many) as sql:
        with pytest.raises(MetricError, match=r"longer than 0\.2 seconds, and was stopped"):
            sql.values(slow, [0], 0.2)
        assert sql.values("count(*)", [0], SECONDS) == {0: 80_000}


@pytest.fixture(scope="module")
def functions() -> Iterator[MetricFunctions]:
    numbered = SOME.assign(task_group=[1, 1, 2, 0])
    with MetricFunctions(numbered) as running:
        yield running


def told_by(functions: MetricFunctions, name: str, seconds: float = SECONDS) -> dict[int, object]:
    found = functions.values(f"{FUNCTIONS}:{name}", [0, 1, 2], seconds)
    return {group: str(value) if isinstance(value, Exception) else value for group, value in found.items()}


def test_a_function_gets_the_tasks_as_the_table_declares_them_and_may_print_and_change_them(
    functions: MetricFunctions,
) -> None:
    assert told_by(functions, "failed_share") == {0: 0, 1: 50, 2: 0}
    assert told_by(functions, "prints") == {0: 1, 1: 2, 2: 1}
    assert told_by(functions, "changes_its_tasks") == {0: 2, 1: 0, 2: 0}
    assert told_by(functions, "failed_share") == {0: 0, 1: 50, 2: 0}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("raises", "It raised KeyError: 'no column retries in 1 tasks'."),
        ("gives_text", "It gives a str, where a number is needed."),
        ("gives_truth", "It gives a bool, where a number is needed."),
        ("gives_nan", "It gives nan, which is no finite number: leave such cases out."),
    ],
)
def test_a_function_that_goes_wrong_has_no_value_and_says_why(functions: MetricFunctions, name: str, told: str) -> None:
    assert told_by(functions, name)[0] == told


def test_where_a_function_fails_for_one_agent_the_others_have_their_values(functions: MetricFunctions) -> None:
    assert told_by(functions, "raises_for_audit") == {0: "It raised ValueError: not of AuditAgent.", 1: 2, 2: 1}


def test_functions_that_cannot_be_had_hang_or_end_their_process_leave_the_others_alone() -> None:
    bad = {
        "hangs": ("never_ends", "It took longer than 4 seconds, and was stopped."),
        "ends": ("ends_its_process", "The process that it ran in ended by itself."),
        "unknown": ("no_such_function", "cannot be imported (AttributeError"),
        "constant": ("NO_FUNCTION", "cannot be imported (TypeError: it is not a function)"),
    }
    known = [metric(name=name, function=f"{FUNCTIONS}:{function}") for name, (function, _) in bad.items()]
    last = metric(name="last", function=f"{FUNCTIONS}:failed_share")
    module = metric(name="module", function="no.such.module:f")
    found = computed(*known, module, last, seconds=4)
    for name, (_, told) in bad.items():
        assert found[found["metric"] == name]["error"].str.contains(told, regex=False).all()
        assert found[found["metric"] == name]["value"].isna().all()
    assert found[found["metric"] == "module"]["error"].str.contains("correct it in fleet.yaml").all()
    assert list(found[found["metric"] == "last"]["value"]) == [0, 50, 0]
    sentences = problems(found)
    assert len(sentences) == 5
    assert "hangs of 2 agents: It took longer than 4 seconds, and was stopped." in sentences


def said(score: float | None, minute: int = 0, **columns: Any) -> TaskFeedback:
    facts: dict[str, Any] = {"name": "rating", "kind": FeedbackKind.HUMAN, "at": START + timedelta(minutes=minute)}
    facts |= {"score": score, "label": None, "explanation": "", "correction": None, "span_id": None, "task_id": None}
    return TaskFeedback(**facts | columns)


def test_an_annotation_counts_as_the_mean_over_the_tasks_that_have_one() -> None:
    spans = RecordedSpans(
        feedback=[
            said(1.0, span_id="span-0"),
            said(0.5, task_id="b"),
            said(0.0, task_id="b", name="another"),
            said(None, task_id="c"),
        ]
    )
    found = computed(metric(annotation="rating"), spans=spans)
    assert values(found) == {(0, "AuditAgent"): None, (0, "InboundAgent"): 0.75, (1, "InboundAgent"): None}
    assert list(found["tasks"]) == [0, 2, 0]
    assert found["error"].isna().all()


def test_of_several_scores_of_a_task_the_newest_of_a_person_holds() -> None:
    feedback = [
        said(0.2, 5, task_id="d"),
        said(0.4, 9, task_id="d"),
        said(1.0, 20, task_id="d", kind=FeedbackKind.JUDGE),
        said(0.9, 30, task_id="d", kind=FeedbackKind.CODE),
    ]
    for order in (feedback, feedback[::-1]):
        found = computed(metric(annotation="rating"), spans=RecordedSpans(feedback=list(order)))
        assert values(found)[0, "AuditAgent"] == 0.4


def test_while_annotations_cannot_be_read_there_is_no_value_and_the_others_have_theirs() -> None:
    down = RecordedSpans(failure=PhoenixError("Phoenix does not answer: check PHOENIX_ENDPOINT.", retryable=True))
    found = computed(metric(annotation="rating"), metric(name="other", sql="count(*)"), spans=down)
    mine = found[found["metric"] == "mine"]
    assert set(mine["error"]) == {"Phoenix does not answer: check PHOENIX_ENDPOINT."}
    assert mine["value"].isna().all()
    assert found[found["metric"] == "other"]["value"].notna().all()


def test_a_value_that_cannot_be_compared_as_a_ratio_is_shown_with_what_to_do() -> None:
    found = computed(metric(sql="avg(tool_calls)", detection={"min_ratio": 2}))
    assert values(found) == {(0, "AuditAgent"): 2, (0, "InboundAgent"): 0, (1, "InboundAgent"): 0}
    assert list(found["error"].notna()) == [False, True, True]
    assert "give detection.min_change" in found["error"].iloc[1]
    assert computed(metric(sql="avg(tool_calls)", watched=False))["error"].isna().all()


def test_values_stand_beside_the_metrics_and_those_of_another_definition_do_not() -> None:
    known = metric(sql="avg(completion_tokens)")
    found = computed(known)
    table = metrics(metrics_row("InboundAgent", 0), metrics_row("AuditAgent", 1))
    joined = with_custom_metrics(table, found, [known])
    assert joined[f"{CUSTOM}mine"].tolist()[0] == 200
    assert joined[f"{CUSTOM_TASKS}mine"].tolist()[0] == 2
    assert math.isnan(joined[f"{CUSTOM}mine"].tolist()[1])
    other = with_custom_metrics(table, found, [metric(sql="sum(completion_tokens)")])
    assert other[f"{CUSTOM}mine"].isna().all()
    assert with_custom_metrics(table, found, []) is table
    assert window(0).start == table["window_start"].iloc[0]


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        ({"objective": 400, "detection": {"min_ratio": 1.4}}, {100: 1, 400: 1, 800: 0.5, 1600: 0, 9000: 0}),
        (
            {"objective": 400, "better": "higher", "detection": {"min_ratio": 1.4}},
            {900: 1, 400: 1, 200: 0.5, 100: 0, 0: 0, -3: 0},
        ),
        ({"objective": 0.8, "better": "higher", "detection": {"min_change": 0.1}}, {1: 1, 0.8: 1, 0.55: 0.5, 0.3: 0}),
        ({"objective": 5, "zero_at": 25}, {0: 1, 5: 1, 15: 0.5, 25: 0, 80: 0}),
        ({"objective": 0, "zero_at": -10, "better": "higher"}, {3: 1, 0: 1, -5: 0.5, -10: 0, -40: 0}),
    ],
    ids=["ratio", "ratio, higher", "difference", "zero_at", "zero_at below zero"],
)
def test_a_part_of_the_score_is_1_at_the_objective_and_falls_to_0(
    keys: dict[str, Any], parts: dict[float, float]
) -> None:
    known = metric(sql="count(*)", **keys)
    assert {value: pytest.approx(score_part(known, value)) for value in parts} == parts


@settings(deadline=None)
@given(
    weights=st.lists(st.tuples(st.floats(0, 100), st.floats(0, 1)), max_size=5),
    success=st.floats(0, 100),
    errors=st.floats(0, 50),
    latency=st.floats(1, 1e6),
)
def test_the_score_stays_within_0_and_100_whatever_the_weights(
    weights: list[tuple[float, float]], success: float, errors: float, latency: float
) -> None:
    split, rule = ScoreWeights(success=55, latency=25, errors=20), shipped_fleet().detection.error_spike
    found = score(success, latency, errors, 0.1, split, 4000, rule, weights)
    alone = score(success, latency, errors, 0.1, split, 4000, rule)
    assert 0 <= found <= 100
    parts = [100 * part for weight, part in weights if weight]
    assert min([alone, *parts]) - 1e-6 <= found <= max([alone, *parts]) + 1e-6


@settings(deadline=None)
@given(
    better=st.sampled_from(["lower", "higher"]),
    objective=st.floats(0.01, 1000),
    values=st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)),
    detection=st.sampled_from([{"min_ratio": 1.4}, {"min_change": 3.0}]),
)
def test_a_better_value_never_adds_less(
    better: str, objective: float, values: tuple[float, float], detection: dict[str, float]
) -> None:
    assume(values[0] != values[1])
    known = metric(sql="count(*)", better=better, objective=objective, weight=5, detection=detection)
    low, high = (score_part(known, value) for value in sorted(values))
    assert 0 <= low <= 1
    assert 0 <= high <= 1
    assert (low >= high) if better == "lower" else (high >= low)
