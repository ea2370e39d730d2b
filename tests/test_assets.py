"""The parts of the assets that need no run: what people are shown, and what a decision rests on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from perf_pipeline.assets.optimization_decisions import completed_tasks
from perf_pipeline.assets.window_asset import column_schema, markdown
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.optimization.policy import CompletedTasks
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.tables import AGENT_METRICS, TASK_COUNTS

NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)
WINDOW = Window(NINE, NINE + timedelta(minutes=30))


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def test_a_table_for_people_has_one_decimal_and_nothing_for_missing() -> None:
    frame = pd.DataFrame({"agent": ["A", None], "score": [1234.5678, np.nan], "tasks": pd.array([1, None], "Int64")})
    assert cells(markdown(frame).value or "") == [["A", "1,234.6", "1"], ["", "", ""]]


def test_a_long_table_for_people_says_how_much_is_left_out() -> None:
    text = markdown(pd.DataFrame({"n": range(60)})).value or ""
    assert len(cells(text.split("\n\n")[0])) == 50
    assert text.endswith("… and 10 more")


def test_a_table_without_rows_says_so() -> None:
    assert markdown(pd.DataFrame({"n": []})).value == "No rows."


def test_the_declared_columns_are_what_the_ui_shows() -> None:
    columns = {column.name: column for column in column_schema(AGENT_METRICS).columns}
    assert list(columns) == AGENT_METRICS.columns
    assert columns["success_rate"].description == "successes / tasks, in percent"
    assert columns["success_rate"].constraints.nullable
    assert columns["success_rate"].constraints.other == ["≥ 0", "≤ 100"]


def counts(*rows: tuple[str, str, int, int | None]) -> pd.DataFrame:
    facts: list[dict[str, Any]] = [
        {
            "window_start": NINE,
            "agent": agent,
            "status": status,
            "tasks_in_window": 0,
            "tasks_total": total,
            "tasks_since_optimization": since,
        }
        for agent, status, total, since in rows
    ]
    return TASK_COUNTS.conform(pd.DataFrame(facts, columns=TASK_COUNTS.columns))


def health(status: SourceStatus, source: str = "tasks", start: datetime = NINE) -> SourceHealth:
    return SourceHealth(source, start, status, "", 0, 0, NINE)


def test_only_completed_tasks_of_the_window_count() -> None:
    table = counts(("A", "completed", 12, 7), ("A", "failed", 5, 5), ("B", "pending", 3, 3))
    earlier = table.assign(window_start=table["window_start"] - pd.Timedelta(minutes=30), tasks_total=99)
    found = completed_tasks(pd.concat([table, earlier]), WINDOW, [health(SourceStatus.COMPLETE)], {})
    assert found == {"A": CompletedTasks(12, 7)}


def test_nothing_that_was_counted_before_an_optimization_came_after_it() -> None:
    table, known = counts(("A", "completed", 12, 7)), [health(SourceStatus.COMPLETE)]
    assert completed_tasks(table, WINDOW, known, {"A": NINE}) == {"A": CompletedTasks(12, 7)}
    assert completed_tasks(table, WINDOW, known, {"A": WINDOW.end}) == {"A": CompletedTasks(12, 0)}
    assert completed_tasks(table, WINDOW, known, {"B": WINDOW.end}) == {"A": CompletedTasks(12, 7)}


def test_counts_of_a_file_from_before_the_column_are_not_taken_for_zero() -> None:
    assert completed_tasks(counts(("A", "completed", 12, None)), WINDOW, [health(SourceStatus.COMPLETE)], {}) is None


@pytest.mark.parametrize(
    ("known", "read"),
    [
        ([health(SourceStatus.COMPLETE)], True),
        ([health(SourceStatus.PARTIAL)], False),
        ([health(SourceStatus.UNAVAILABLE)], False),
        ([health(SourceStatus.COMPLETE, source="spans")], False),
        ([health(SourceStatus.COMPLETE, start=WINDOW.end)], False),
        ([], False),
    ],
)
def test_counts_that_could_not_be_read_in_full_are_not_taken_for_zero(known: list[SourceHealth], read: bool) -> None:
    assert completed_tasks(counts(), WINDOW, known, {}) == ({} if read else None)
