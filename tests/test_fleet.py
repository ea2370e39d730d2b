"""fleet.yaml: what it may hold, and the sentence that each wrong key earns."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from perf_pipeline.fleet import Approval, FleetConfig, FleetError, Severity, load_fleet
from perf_pipeline.fleet_detection import SeveritySteps

SHIPPED = Path(__file__).parent.parent / "fleet.yaml"


def with_change(folder: Path, key: str, value: Any) -> Path:
    """The shipped fleet.yaml with the value at a dotted key; `...` removes the key."""
    content = yaml.safe_load(SHIPPED.read_text())
    *parents, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    place = content
    for part in parents:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    file = folder / "fleet.yaml"
    file.write_text(yaml.safe_dump(content, allow_unicode=True))
    return file


def sentences(file: Path) -> list[str]:
    with pytest.raises(FleetError) as caught:
        load_fleet(file)
    heading, *lines = str(caught.value).splitlines()
    assert heading == f"{file} has {len(lines)} wrong setting(s):"
    return lines


def test_the_shipped_file_holds_the_seven_agents_and_the_thresholds_of_the_seeds() -> None:
    fleet = load_fleet(SHIPPED)
    assert set(fleet.agent_names) == {
        "StrategyAgent",
        "InboundAgent",
        "FollowUpAgent",
        "ResearchAgent",
        "AuditAgent",
        "AccountOrchestrator",
        "Introspection",
    }
    policies = {name: fleet.optimization_policy(agent) for name in fleet.agent_names if (agent := fleet.agent(name))}
    strategic = policies.pop("StrategyAgent")
    assert (strategic.optimizer, strategic.min_tasks, strategic.max_cost_usd) == ("GEPA", 20, 30)
    assert (strategic.approval, strategic.expected_improvement) == (Approval.REQUIRED, (20, 40))
    for policy in policies.values():
        assert (policy.optimizer, policy.min_tasks, policy.max_cost_usd) == ("BootstrapFewShot", 10, 5)
        assert (policy.approval, policy.expected_improvement) == (Approval.AUTOMATIC, (10, 25))
    assert (fleet.window, fleet.daily_summary_at) == (timedelta(minutes=30), time(9, 0))


@pytest.mark.parametrize(
    ("key", "value", "parts"),
    [
        ("timezone", "Mars/Base", ["timezone", "Europe/Berlin", "'Mars/Base'"]),
        ("timezone", "../etc/passwd", ["timezone", "'../etc/passwd'"]),
        ("timezone", ..., ["timezone", "is missing"]),
        ("daily_summary_at", "25:00", ["daily_summary_at", "'25:00'"]),
        ("daily_summary_at", 540, ["daily_summary_at", '"09:00"', "540"]),
        ("daily_summary_at", "09:00:30", ["daily_summary_at", '"09:00"', "'09:00:30'"]),
        ("owner", "the team", ["owner", "'the team'"]),
        ("slack_channel", "ai performance", ["slack_channel", "'ai performance'"]),
        ("history_start", "soon", ["history_start", "'soon'"]),
        ("window_minutes", 7, ["window_minutes", "must divide 60", "7"]),
        ("window_minutes", 0, ["window_minutes", "0"]),
        ("window_minutes", 90, ["window_minutes", "60", "90"]),
        ("lateness_windows", -1, ["lateness_windows", "-1"]),
        ("longest_task_hours", 0, ["longest_task_hours", "0"]),
        ("catch_up_hours", float("inf"), ["catch_up_hours", "finite", "inf"]),
        ("catch_up_hours", 1e12, ["catch_up_hours", "8784"]),
        ("catch_up_after_minutes", 0, ["catch_up_after_minutes", "0"]),
        ("act_within_hours", "two", ["act_within_hours", "'two'"]),
        ("act_within_hours", float("nan"), ["act_within_hours", "nan"]),
        ("agent_attributes", [], ["agent_attributes", "[]"]),
        ("score_weights.success", 50, ["score_weights", "sum to 100", "95"]),
        ("score_weights.latency", -25, ["score_weights.latency", "-25"]),
        ("detection.false_alarms_per_agent_week", 0, ["detection.false_alarms_per_agent_week", "0"]),
        ("detection.memory_days", 0, ["detection.memory_days", "0"]),
        ("detection.assumed_success_rate", 100, ["detection.assumed_success_rate", "100"]),
        ("detection.new_normal_days", -1, ["detection.new_normal_days", "-1"]),
        ("detection.reopen_within_hours", -1, ["detection.reopen_within_hours", "-1"]),
        ("detection.baseline_days", 7, ["detection.baseline_days", "check its spelling"]),
        ("detection.score_drop.min_drop", -1, ["detection.score_drop.min_drop", "-1"]),
        ("detection.success_drop.min_drop", 101, ["detection.success_drop.min_drop", "101"]),
        ("detection.error_spike.min_ratio", 1, ["detection.error_spike.min_ratio", "1"]),
        ("detection.latency_increase.severity.high", 1.1, ["detection.latency_increase.severity", "must rise"]),
        ("detection.error_spike", ..., ["detection.error_spike", "is missing"]),
        ("optimization_policies.strategic.approval", "maybe", ["optimization_policies.strategic.approval", "'maybe'"]),
        ("optimization_policies.strategic.max_cost_usd", -1, ["strategic.max_cost_usd", "-1"]),
        ("optimization_policies.execution.min_tasks", 0, ["execution.min_tasks", "0"]),
        ("optimization_policies.execution.expected_improvement", [25, 10], ["expected_improvement", "lower", "25"]),
        ("cool_down_hours", -1, ["cool_down_hours", "-1"]),
        ("monthly_budget_usd", 0, ["monthly_budget_usd", "0"]),
        ("agents", [], ["agents", "[]"]),
        ("agents.1.name", "StrategyAgent", ["agents", "StrategyAgent", "twice"]),
        (
            "agents.1.policy",
            "strategical",
            ["agents", "InboundAgent", "'strategical'", "there are execution, strategic"],
        ),
        ("agents.1.latency_objective_ms", 0, ["agents.1.latency_objective_ms", "0"]),
        ("agents.1.latency_objective", 4000, ["agents.1.latency_objective", "check its spelling"]),
        ("ignored_agents", ["AuditAgent"], ["ignored_agents", "AuditAgent"]),
        ("windows_minutes", 30, ["windows_minutes", "check its spelling"]),
    ],
)
def test_a_wrong_key_earns_one_sentence_with_its_name_and_value(
    tmp_path: Path, key: str, value: Any, parts: list[str]
) -> None:
    [line] = sentences(with_change(tmp_path, key, value))
    assert line.startswith("- ")
    assert line.endswith(".")
    for part in parts:
        assert part in line


def test_every_wrong_key_is_named_at_once(tmp_path: Path) -> None:
    with_change(tmp_path, "timezone", "Mars/Base")
    content = yaml.safe_load((tmp_path / "fleet.yaml").read_text()) | {"cool_down_hours": -1, "typo": 1}
    (tmp_path / "fleet.yaml").write_text(yaml.safe_dump(content))
    assert len(sentences(tmp_path / "fleet.yaml")) == 3


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a: [", "is not valid YAML"),
        (b"- a\n- b\n", "must be a mapping of settings; it holds list"),
        (b"", "must be a mapping of settings; it holds NoneType"),
        ("owner: é".encode("latin-1"), "is not UTF-8 text"),
    ],
)
def test_a_file_that_is_not_a_fleet_is_refused_in_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_bytes(content)
    with pytest.raises(FleetError, match=sentence) as caught:
        load_fleet(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_names_the_variable_to_set(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="set PERF_PIPELINE_FLEET"):
        load_fleet(tmp_path / "nowhere.yaml")


def test_an_unquoted_time_of_day_does_not_become_another_time(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(SHIPPED.read_text().replace('daily_summary_at: "09:00"', "daily_summary_at: 9:00"))
    [line] = sentences(file)
    assert line.startswith("- daily_summary_at:")


@pytest.mark.parametrize(
    ("effect", "severity"),
    [(0, "low"), (11.9, "low"), (12, "medium"), (25, "high"), (49.9, "high"), (50, "critical"), (100, "critical")],
)
def test_a_severity_begins_at_its_step(effect: float, severity: str) -> None:
    assert SeveritySteps(medium=12, high=25, critical=50).of(effect) == severity


def test_severities_rise_from_low_to_critical() -> None:
    assert [severity.rank for severity in (Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL)] == [
        0,
        1,
        2,
        3,
    ]


def test_an_agents_own_weights_stand_above_those_of_the_fleet(tmp_path: Path) -> None:
    own = {"success": 100, "latency": 0, "errors": 0}
    fleet = load_fleet(with_change(tmp_path, "agents.0.score_weights", own))
    assert fleet.weights(fleet.agent("StrategyAgent")).success == 100
    assert fleet.weights(fleet.agent("InboundAgent")) == fleet.score_weights
    assert fleet.weights(None) == fleet.score_weights


def test_lengths_of_time_follow_from_the_file(tmp_path: Path) -> None:
    fleet: FleetConfig = load_fleet(with_change(tmp_path, "lateness_windows", 3))
    assert fleet.lateness == timedelta(minutes=90)
    assert (fleet.act_within, fleet.catch_up) == (timedelta(hours=2), timedelta(hours=48))
    assert fleet.summary_within == timedelta(days=1, hours=9)
    assert fleet.history_start_utc == datetime(2026, 1, 1, tzinfo=UTC)
    assert fleet.agent("Nobody") is None
