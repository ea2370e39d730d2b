"""The code location as Dagster sees it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from perf_pipeline.definitions import build_defs
from perf_pipeline.fleet import FleetConfig, load_fleet
from perf_pipeline.installation import installed_resources
from perf_pipeline.jobs import (
    INCIDENT_ANALYSES,
    MONITORING,
    OPTIMIZATION,
    OPTIMIZATION_RUNS,
    SUMMARY,
    WEEKLY,
    range_tags,
)
from perf_pipeline.settings import read_settings
from perf_pipeline.tables import TABLES

FLEET: FleetConfig = load_fleet(Path(__file__).parent.parent / "fleet.yaml")


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_defs(FLEET, installed_resources(read_settings({}), FLEET))


def test_they_are_consistent(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_there_is_one_asset_a_table_with_its_description_owner_and_columns(definitions: dg.Definitions) -> None:
    specs = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
    runs = specs.pop(OPTIMIZATION_RUNS)
    assert runs.group_name == "optimization"
    assert specs.pop(INCIDENT_ANALYSES).group_name == "performance"
    assert set(specs) == set(TABLES)
    for name, spec in specs.items():
        assert spec.description == TABLES[name].description
        assert list(spec.owners) == [FLEET.owner]
        assert spec.group_name in {"telemetry", "performance", "decisions"}
        assert [column.name for column in spec.metadata["dagster/column_schema"].columns] == TABLES[name].columns


def test_every_asset_has_a_blocking_schema_check(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    blocking = {key.asset_key.to_user_string() for key in graph.asset_check_keys if graph.get(key).blocking}
    assert blocking == set(TABLES)


def test_the_graph_leads_from_telemetry_to_decisions(definitions: dg.Definitions) -> None:
    specs = definitions.resolve_all_asset_specs()
    parents = {
        spec.key.to_user_string(): {dep.asset_key.to_user_string() for dep in spec.deps} - {spec.key.to_user_string()}
        for spec in specs
    }
    assert parents == {
        "raw_spans": set(),
        "raw_logs": set(),
        "task_counts": set(),
        "task_states": set(),
        "change_events": set(),
        "agent_tasks": {"raw_spans", "task_states"},
        "custom_metrics": {"agent_tasks"},
        "agent_metrics": {"agent_tasks", "custom_metrics", "raw_logs", "task_states", "change_events"},
        "detector_states": {"agent_metrics"},
        "anomalies": {"detector_states", "agent_tasks", "change_events"},
        "incident_analyses": {"anomalies"},
        "optimization_decisions": {"agent_metrics", "anomalies", "task_counts"},
        "optimization_runs": {"optimization_decisions"},
        "daily_summary": {"custom_metrics", "agent_metrics", "anomalies", "optimization_decisions"},
        "weekly_summary": {"custom_metrics", "agent_metrics", "anomalies", "optimization_decisions"},
    }


def test_the_jobs_divide_the_assets_between_them(definitions: dg.Definitions) -> None:
    def assets(job: str) -> set[str]:
        layer = definitions.resolve_job_def(job).asset_layer
        return {key.to_user_string() for key in layer.selected_asset_keys}

    assert assets(SUMMARY) == {"daily_summary"}
    assert assets(WEEKLY) == {"weekly_summary"}
    assert assets(OPTIMIZATION) == {OPTIMIZATION_RUNS}
    assert assets(MONITORING) == (set(TABLES) | {INCIDENT_ANALYSES}) - {"daily_summary", "weekly_summary"}


@pytest.mark.parametrize("job", [MONITORING, SUMMARY, WEEKLY, OPTIMIZATION])
def test_a_job_runs_in_one_process(definitions: dg.Definitions, job: str) -> None:
    assert definitions.resolve_job_def(job).executor_def.name == "in_process"


def test_a_range_of_windows_is_two_tags() -> None:
    assert range_tags("a", "b") == {
        "dagster/asset_partition_range_start": "a",
        "dagster/asset_partition_range_end": "b",
    }


def test_schedules_and_sensors_are_those_of_the_product(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    assert {schedule.name for schedule in repository.schedule_defs} == {
        "monitoring_schedule",
        "daily_summary_schedule",
        "weekly_summary_schedule",
    }
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "missing_windows",
        "notifications",
        "approvals",
        "optimization_requests",
        "optimization_launches",
    }
