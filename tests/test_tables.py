"""The declared schemas: what conforms, what is refused, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from perf_pipeline.tables import AGENT_METRICS, RAW_LOGS, RAW_SPANS, TABLES, TASK_COUNTS, Table, TableError

NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)


def counts(**changes: Any) -> pd.DataFrame:
    row = {"window_start": NINE, "agent": "AuditAgent", "status": "completed", "tasks_in_window": 1, "tasks_total": 2}
    row["tasks_since_optimization"] = 2
    return pd.DataFrame([row | changes])


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_a_table_without_rows_fits_its_own_declaration(table: Table) -> None:
    empty = table.empty()
    assert list(empty.columns) == table.columns
    assert table.problems(empty) == []


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_every_column_says_what_it_means_and_the_key_exists(table: Table) -> None:
    assert table.description.endswith(".")
    assert all(column.description for column in table.schema.columns.values())
    assert table.time_column in table.columns
    assert set(table.schema.unique or []) <= set(table.columns)


def test_conforming_orders_columns_drops_others_and_gives_their_types() -> None:
    frame = counts(extra=1, tasks_total=2.0).iloc[:, ::-1]
    found = TASK_COUNTS.conform(frame)
    assert list(found.columns) == TASK_COUNTS.columns
    assert found["tasks_total"].dtype == "int64"
    assert TASK_COUNTS.problems(found) == []


def test_times_of_any_zone_become_utc() -> None:
    found = TASK_COUNTS.conform(counts(window_start=pd.Timestamp("2026-03-01 10:00", tz="Europe/Berlin")))
    assert found["window_start"].iloc[0] == NINE
    assert str(found["window_start"].dtype) == "datetime64[us, UTC]"


def test_a_missing_column_is_named() -> None:
    with pytest.raises(TableError, match=r"^task_counts lacks the column\(s\) agent, status\.$"):
        TASK_COUNTS.conform(counts().drop(columns=["agent", "status"]))


def test_a_value_that_has_not_the_declared_type_names_table_and_column() -> None:
    with pytest.raises(TableError, match=r"^task_counts\.tasks_total cannot be read as int64"):
        TASK_COUNTS.conform(counts(tasks_total="many"))


def test_an_unknown_number_stays_missing_and_does_not_become_zero() -> None:
    row: dict[str, Any] = dict.fromkeys(RAW_SPANS.columns) | {"start_time": NINE, "prompt_tokens": None}
    found = RAW_SPANS.conform(pd.DataFrame([row]))
    assert found[["prompt_tokens", "cost_usd", "latency_ms", "model"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (counts(tasks_total=-1), "task_counts.tasks_total: "),
        (counts(agent=None), "task_counts.agent: "),
        (pd.concat([counts(), counts()]), "fails in "),
    ],
)
def test_a_broken_rule_is_a_sentence_with_the_number_of_cases(frame: pd.DataFrame, sentence: str) -> None:
    problems = TASK_COUNTS.problems(TASK_COUNTS.conform(frame))
    assert problems
    assert all(problem.startswith("task_counts.") and problem.endswith(".") for problem in problems)
    assert any(sentence in problem for problem in problems)


def test_a_table_without_a_key_may_hold_equal_rows() -> None:
    row: dict[str, Any] = {"timestamp": NINE, "severity": "info", "message": "again", "attributes": "{}"}
    frame = RAW_LOGS.conform(pd.DataFrame([row, row], columns=RAW_LOGS.columns))
    assert RAW_LOGS.problems(frame) == []


@pytest.mark.parametrize(("score", "fits"), [(0, True), (100, True), (None, True), (-0.1, False), (100.1, False)])
def test_a_score_lies_between_0_and_100(score: float | None, fits: bool) -> None:
    row: dict[str, Any] = dict.fromkeys(AGENT_METRICS.columns, 0)
    row |= {"agent": "AuditAgent", "window_start": NINE, "trend": "stable", "complete": True, "score": score}
    assert (AGENT_METRICS.problems(AGENT_METRICS.conform(pd.DataFrame([row]))) == []) == fits
