"""Metrics of fleet.yaml are checked when it is loaded, and an error names the key and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from perf_pipeline.fleet import FleetConfig, FleetError, load_fleet
from perf_pipeline.fleet_detection import ChangePolicy, RatioPolicy
from perf_pipeline.fleet_metrics import TAKEN, MetricConfig
from perf_pipeline.fleet_sql import check_aggregate
from perf_pipeline.monitoring.detectors.registry import detectors
from perf_pipeline.monitoring.findings import FAMILIES
from tests.builders import LENGTH, shipped_fleet

SHIPPED = Path(__file__).parents[1] / "fleet.yaml"
LENGTH_OF_ANSWERS: dict[str, Any] = {"name": "answer_length", "sql": "avg(completion_tokens)", "better": "lower"}


def loaded(tmp_path: Path, *metrics: dict[str, Any], **detection: object) -> FleetConfig:
    content = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    content["metrics"] = list(metrics)
    content["detection"] |= detection
    path = tmp_path / "fleet.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_fleet(path)


def error_of(tmp_path: Path, *metrics: dict[str, Any]) -> str:
    with pytest.raises(FleetError) as error:
        loaded(tmp_path, *metrics)
    return str(error.value)


def metric(**keys: Any) -> MetricConfig:
    return MetricConfig.model_validate(LENGTH_OF_ANSWERS | keys)


def test_a_metric_of_each_kind_is_read(tmp_path: Path) -> None:
    fleet = loaded(
        tmp_path,
        LENGTH_OF_ANSWERS | {"unit": "tokens", "objective": 400},
        {"name": "user_rating", "annotation": "user_feedback", "better": "higher", "objective": 0.8, "weight": 10},
        {"name": "retries", "function": "my_agents.metrics:retries", "better": "lower", "agents": ["InboundAgent"]},
    )
    assert [one.kind for one in fleet.metrics] == ["sql", "annotation", "function"]
    assert fleet.metrics[2].applies_to("InboundAgent")
    assert not fleet.metrics[2].applies_to("AuditAgent")
    assert all(one.applies_to("AuditAgent") for one in fleet.metrics[:2])


def test_a_fleet_file_that_was_written_before_there_were_metrics_is_read_as_before() -> None:
    content = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    assert "metrics" not in content
    assert not {"unnoticed_failures", "missing_traces", "unseen_errors"} & set(content["detection"])
    fleet = load_fleet(SHIPPED)
    assert fleet.metrics == ()
    assert fleet.detection.missing_traces.min_rise == 15


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"colour": "red"}, "metrics.0.colour: is not a setting"),
        ({"better": "more"}, "metrics.0.better"),
        ({"sql": None}, "answer_length needs one of sql, function and annotation, and has none of them"),
        ({"function": "a:b"}, "answer_length needs one of sql, function and annotation, and has sql and function"),
        ({"sql": None, "function": "no import path"}, "metrics.0.function"),
        ({"name": "Answer Length"}, "metrics.0.name"),
        ({"name": "latency"}, "latency is the name of something built in"),
        ({"name": "missing_traces"}, "missing_traces is the name of something built in"),
        ({"weight": 10}, "weight: answer_length has one, and so needs an objective"),
        ({"zero_at": 10}, "zero_at: answer_length has one, and so needs an objective"),
        ({"objective": 400, "zero_at": 300}, "zero_at: that of answer_length must lie above its objective"),
        ({"objective": 0, "weight": 5}, "objective: that of answer_length is compared as a ratio"),
        ({"agents": ["Nobody"]}, "answer_length names the agents Nobody, which agents lacks"),
        ({"detection": {}}, "metrics.0.detection: needs either min_ratio (times) or min_change"),
        ({"detection": {"min_ratio": 2, "min_change": 3}}, "metrics.0.detection: needs either"),
        ({"detection": {"min_ratio": 1}}, "metrics.0.detection.min_ratio"),
        ({"sql": "avg("}, "that of answer_length cannot be read as SQL"),
    ],
)
def test_what_is_wrong_is_found_when_the_file_is_loaded(tmp_path: Path, keys: dict[str, Any], told: str) -> None:
    given = {key: value for key, value in (LENGTH_OF_ANSWERS | keys).items() if value is not None}
    assert told in error_of(tmp_path, given)


def test_a_name_stands_once(tmp_path: Path) -> None:
    assert "answer_length is listed twice" in error_of(tmp_path, LENGTH_OF_ANSWERS, LENGTH_OF_ANSWERS)


def test_no_metric_can_be_taken_for_something_built_in() -> None:
    every = detectors(shipped_fleet().detection, LENGTH)
    built_in = {*FAMILIES, *FAMILIES.values(), *(one.metric for one in every), *(one.finding for one in every)}
    assert built_in <= TAKEN


@pytest.mark.parametrize(
    "sql",
    [
        "avg(completion_tokens)",
        "100.0 * avg(CASE WHEN task_status = 'escalated' THEN 1 ELSE 0 END)",
        "count(*) FILTER (WHERE ok) / count(*)",
        "quantile_cont(latency_ms, 0.9) -- the slow ones",
        "mad(latency_ms)",
        "max(llm_ms) - min(llm_ms)",
    ],
)
def test_an_aggregate_is_let_through_and_written_anew_without_comments(sql: str) -> None:
    assert "--" not in check_aggregate(sql)
    assert "/*" not in check_aggregate(sql)


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("completion_tokens", "is no aggregate"),
        ("1", "is no aggregate"),
        ("*", "is no aggregate"),
        ("avg(llm_ms) + tool_ms", "has tool_ms outside of an aggregate"),
        ("avg(llm_ms), avg(tool_ms)", "must be one expression; it has several"),
        ("avg(x) FROM raw_spans", "without FROM"),
        ("avg(x) FROM agent_tasks --", "without FROM"),
        ("avg(x); DROP TABLE agent_tasks", "without FROM"),
        ("(SELECT avg(x) FROM read_csv('/etc/passwd'))", "may not hold a query of its own"),
        ("avg((SELECT 1))", "may not hold a query of its own"),
        ("sum(count(*)) OVER ()", "may not have a window function"),
        ("avg(ok", "cannot be read as SQL"),
    ],
)
def test_anything_but_one_aggregate_is_refused(sql: str, told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("(", r"\(")):
        check_aggregate(sql)


def test_how_a_metric_is_compared_follows_from_its_kind_and_unit_unless_it_is_said() -> None:
    assert metric().rule == RatioPolicy.model_validate(
        {"min_ratio": 1.4, "severity": {"medium": 1.4**2, "high": 1.4**3.3, "critical": 1.4**5}}
    )
    percent = metric(unit="%").rule
    assert isinstance(percent, ChangePolicy)
    assert (percent.min_change, percent.severity.high) == (10, 25)
    said = metric(unit="%", detection={"min_change": 2, "severity": {"medium": 3, "high": 4, "critical": 5}}).rule
    assert isinstance(said, ChangePolicy)
    assert (said.min_change, said.severity.critical) == (2, 5)
    rating = MetricConfig(name="rating", annotation="user_feedback", better="higher").rule
    assert isinstance(rating, ChangePolicy)
    assert rating.min_change == 0.1


def test_the_definition_changes_with_what_is_computed_and_not_with_what_is_made_of_it() -> None:
    same = [
        metric(),
        metric(objective=400, weight=5),
        metric(agents=("InboundAgent",)),
        metric(detection={"min_ratio": 3}),
    ]
    assert len({one.definition for one in same}) == 1
    others = [metric(sql="sum(completion_tokens)"), metric(unit="tokens"), metric(better="higher"), metric(unit="%")]
    assert len({one.definition for one in [metric(), *others]}) == 5
