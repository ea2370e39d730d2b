"""A run's identity follows from what is optimized, its money never exceeds its cap, and its failures end."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_targets import ModelConfig, TargetConfig
from perf_pipeline.optimization.run_plan import (
    BASELINE_SHARE,
    FIRST_PAUSE,
    LEAST_GATE_SHARE,
    LONGEST_PAUSE,
    MAX_ATTEMPTS,
    MOST_GATE_SHARE,
    budget_of,
    month_limits,
    next_attempt,
    run_configuration,
    run_id,
)
from tests.builders import shipped_fleet
from tests.optimization_fixtures import fleet_with, target
from tests.run_builders import NOON

caps = st.floats(0.0001, 100_000)


@given(cap=caps, baseline=st.none() | st.floats(0, 1_000_000))
def test_no_part_of_a_run_may_bring_its_spending_above_the_cap(cap: float, baseline: float | None) -> None:
    budget = budget_of(cap, baseline)
    assert 0 < budget.baseline_usd < budget.search_usd < budget.gate_usd == cap


@given(cap=caps, baseline=st.none() | st.floats(0, 1_000_000))
def test_the_gate_keeps_a_tenth_to_a_half_of_the_cap(cap: float, baseline: float | None) -> None:
    budget = budget_of(cap, baseline)
    kept = budget.gate_usd - budget.search_usd
    assert kept >= LEAST_GATE_SHARE * cap * (1 - 1e-9)
    assert kept <= MOST_GATE_SHARE * cap * (1 + 1e-9)


@given(cap=caps, share=st.floats(0, BASELINE_SHARE))
def test_a_candidate_that_costs_twice_the_baseline_can_be_gated(cap: float, share: float) -> None:
    budget = budget_of(cap, share * cap)
    assert budget.gate_usd - budget.search_usd >= 2 * share * cap * (1 - 1e-9)


@given(cap=caps, costs=st.tuples(st.floats(0, 1000), st.floats(0, 1000)))
def test_a_dearer_baseline_leaves_no_more_for_the_search(cap: float, costs: tuple[float, float]) -> None:
    cheap, dear = (budget_of(cap, cost) for cost in sorted(costs))
    assert dear.search_usd <= cheap.search_usd


@pytest.mark.parametrize(
    ("baseline", "search"), [(None, 9.0), (0.0, 9.0), (0.25, 9.0), (0.5, 8.0), (1.25, 5.0), (2.5, 5.0)]
)
def test_four_times_the_baselines_cost_is_set_aside(baseline: float | None, search: float) -> None:
    budget = budget_of(10, baseline)
    assert (budget.baseline_usd, budget.search_usd, budget.gate_usd) == (2.5, pytest.approx(search), 10)


ASKED: dict[str, Any] = {
    "agent": "InboundAgent",
    "optimizer": "GEPA",
    "baseline": "a" * 16,
    "data": "0123456789abcdef",
    "configuration": {"target": {"metric": "m:m", "threads": 2}, "models": {"task": {"max_tokens": 4}}},
}


def id_with(**changes: Any) -> str:
    return run_id(**{**ASKED, **changes})


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("agent", "AuditAgent"),
        ("optimizer", "SIMBA"),
        ("baseline", "b" * 16),
        ("baseline", None),
        ("data", "0123456789abcdee"),
        ("configuration", ASKED["configuration"] | {"settings": {}}),
        ("configuration", {"target": {"metric": "m:m", "threads": 3}, "models": {"task": {"max_tokens": 4}}}),
        ("configuration", {"target": {"metric": "m:m", "threads": 2}, "models": {"task": {"max_tokens": 5}}}),
    ],
)
def test_the_id_of_a_run_changes_with_each_thing_it_follows_from(name: str, other: object) -> None:
    assert id_with(**{name: other}) != id_with()


def test_the_id_of_a_run_is_sixteen_hexadecimal_digits() -> None:
    assert len(id_with()) == len(bytes.fromhex(id_with())) * 2 == 16


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def shuffled(value: Any, order: random.Random) -> Any:
    """The same JSON with the keys of each object in another order."""
    if isinstance(value, dict):
        return {name: shuffled(value[name], order) for name in order.sample(sorted(value), len(value))}
    return [shuffled(held, order) for held in value] if isinstance(value, list) else value


@given(configuration=st.dictionaries(st.text(max_size=5), json_values, max_size=4), seed=st.integers())
def test_the_id_of_a_run_does_not_depend_on_the_order_of_keys(configuration: dict[str, Any], seed: int) -> None:
    other = shuffled(configuration, random.Random(seed))
    assert id_with(configuration=configuration) == id_with(configuration=other)


def test_ingredients_do_not_run_into_each_other() -> None:
    assert id_with(agent="A", optimizer="BC") != id_with(agent="AB", optimizer="C")


def configured(**changes: Any) -> FleetConfig:
    return fleet_with({"StrategyAgent": target("StrategyAgent", Path("examples.jsonl"), **changes)})


def test_what_is_pinned_survives_json_and_can_be_loaded_again() -> None:
    fleet = configured()
    pinned = json.loads(json.dumps(run_configuration("StrategyAgent", fleet, "GEPA")))
    agent = fleet.agent("StrategyAgent")
    assert agent
    assert agent.target
    assert TargetConfig.model_validate(pinned["target"]) == agent.target.model_copy(update={"settings": {}})
    assert {name: ModelConfig.model_validate(model) for name, model in pinned["models"].items()} == fleet.models
    assert pinned["settings"] == {"auto": None, "max_metric_calls": 150, "reflection_minibatch_size": 3}


def test_only_the_models_that_the_target_names_are_pinned() -> None:
    unused = {"models": {**configured().models, "unused": configured().models["task"]}}
    fleet = configured(reflection_model=None, settings={}).model_copy(update=unused)
    assert list(run_configuration("StrategyAgent", fleet, "BootstrapFewShot")["models"]) == ["task"]
    judged = configured(judge_model="unused").model_copy(update=unused)
    assert set(run_configuration("StrategyAgent", judged, "GEPA")["models"]) == {"task", "reflection", "unused"}


@pytest.mark.parametrize("agent", ["InboundAgent", "Nobody"])
def test_an_agent_without_a_target_has_nothing_to_pin(agent: str) -> None:
    assert run_configuration(agent, configured(), "GEPA") == {}


def in_fleet(timezone: str, agent_budget: float | None = None) -> FleetConfig:
    fleet = shipped_fleet()
    agents = tuple(
        one.model_copy(update={"monthly_budget_usd": agent_budget if one.name == "InboundAgent" else None})
        for one in fleet.agents
    )
    return fleet.model_copy(update={"timezone": timezone, "agents": agents, "monthly_budget_usd": 100.0})


@pytest.mark.parametrize(
    ("timezone", "now", "month"),
    [
        ("UTC", datetime(2026, 11, 30, 23, 59, tzinfo=UTC), "2026-11"),
        ("Europe/Berlin", datetime(2026, 11, 30, 22, 59, tzinfo=UTC), "2026-11"),
        ("Europe/Berlin", datetime(2026, 11, 30, 23, 0, tzinfo=UTC), "2026-12"),
        ("Europe/Berlin", datetime(2026, 6, 30, 22, 0, tzinfo=UTC), "2026-07"),
        ("America/Los_Angeles", datetime(2027, 1, 1, 7, 59, tzinfo=UTC), "2026-12"),
        ("Pacific/Kiritimati", datetime(2026, 12, 31, 10, 0, tzinfo=UTC), "2027-01"),
    ],
)
def test_a_months_money_is_that_of_the_teams_clock(timezone: str, now: datetime, month: str) -> None:
    assert month_limits("InboundAgent", in_fleet(timezone), now) == {f"month:{month}:fleet": 100.0}


def test_an_agent_with_a_budget_of_its_own_pays_out_of_both() -> None:
    fleet = in_fleet("UTC", 7.5)
    assert month_limits("InboundAgent", fleet, NOON) == {
        "month:2026-11:fleet": 100.0,
        "month:2026-11:agent:InboundAgent": 7.5,
    }
    assert list(month_limits("AuditAgent", fleet, NOON)) == ["month:2026-11:fleet"]
    assert list(month_limits("Nobody", fleet, NOON)) == ["month:2026-11:fleet"]


@pytest.mark.parametrize(("attempts", "minutes"), [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32)])
def test_a_run_that_failed_is_taken_up_again_after_a_pause_that_doubles(attempts: int, minutes: float) -> None:
    assert next_attempt(attempts, False, NOON) == NOON + timedelta(minutes=minutes)


def test_a_run_is_given_up_after_its_last_attempt_and_at_once_where_trying_again_is_of_no_use() -> None:
    assert next_attempt(MAX_ATTEMPTS, False, NOON) is None
    assert [next_attempt(attempts, True, NOON) for attempts in range(1, MAX_ATTEMPTS)] == [None] * (MAX_ATTEMPTS - 1)


@given(attempts=st.integers(1, 1000))
def test_no_pause_is_shorter_than_the_first_or_longer_than_the_longest(attempts: int) -> None:
    again = next_attempt(attempts, False, NOON)
    assert (again is None) is (attempts >= MAX_ATTEMPTS)
    assert again is None or FIRST_PAUSE <= again - NOON <= LONGEST_PAUSE
