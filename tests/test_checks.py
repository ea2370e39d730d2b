"""The checks on assets: what passes, what does not, and the sentence that says so."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from perf_pipeline.checks import (
    agents_known_result,
    fleet_at_work_result,
    schema_result,
    schema_spec,
    source_complete_result,
    spans_owned_result,
)
from perf_pipeline.fleet import load_fleet
from perf_pipeline.tables import TASK_COUNTS

FLEET = load_fleet(Path(__file__).parent.parent / "fleet.yaml")
NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)


def shown(result: dg.AssetCheckResult) -> str:
    return str(result.metadata["findings"].value)


def test_only_the_schema_blocks_what_follows() -> None:
    assert schema_spec(TASK_COUNTS).blocking


def test_a_frame_that_breaks_its_schema_fails_and_says_where() -> None:
    row = {"window_start": NINE, "agent": "A", "status": "completed", "tasks_in_window": -1, "tasks_total": 1}
    result = schema_result(TASK_COUNTS, TASK_COUNTS.conform(pd.DataFrame([row], columns=TASK_COUNTS.columns)))
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "task_counts.tasks_in_window" in shown(result)
    assert schema_result(TASK_COUNTS, TASK_COUNTS.empty()).passed


def test_a_source_is_complete_without_problems() -> None:
    assert source_complete_result([]).passed
    result = source_complete_result(["Phoenix is down.", "A page was cut."])
    assert not result.passed
    assert shown(result) == "- Phoenix is down.\n- A page was cut."
    assert result.description == "Phoenix is down. A page was cut."


def test_an_agent_that_the_fleet_file_does_not_name_is_a_warning() -> None:
    fleet = FLEET.model_copy(update={"ignored_agents": ("Intern",)})
    assert agents_known_result(["AuditAgent", "Intern"], fleet).passed
    result = agents_known_result(["AuditAgent", "Stranger"], fleet)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert shown(result) == "- Stranger has tasks, but is not in fleet.yaml: add it to agents or ignored_agents."


@pytest.mark.parametrize(
    ("unowned", "total", "passes"), [(0, 0, True), (0, 10, True), (2, 10, True), (3, 10, False), (10, 10, False)]
)
def test_at_most_a_fifth_of_the_spans_may_belong_to_nobody(unowned: int, total: int, passes: bool) -> None:
    assert spans_owned_result(unowned, total).passed == passes


def test_a_complete_window_in_which_nobody_worked_is_named() -> None:
    def result(*rows: tuple[int, bool]) -> dg.AssetCheckResult:
        metrics = pd.DataFrame(rows, columns=["tasks", "complete"]).assign(window_start=pd.Timestamp(NINE))
        return fleet_at_work_result(metrics)

    assert result((0, True), (1, True)).passed
    assert result((0, False)).passed
    idle = result((0, True), (0, True))
    assert not idle.passed
    assert shown(idle) == "- No agent did anything in the window 2026-03-01 09:00 UTC."
