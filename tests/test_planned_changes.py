"""Planned changes: which windows of which agents a deployment or a new version touches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import ibis
import pandas as pd

from perf_pipeline.monitoring.planned_changes import count_planned_changes, first_uses, new_versions
from perf_pipeline.tables import AGENT_TASKS

START = datetime(2026, 11, 22, 9, tzinfo=UTC)
WINDOW = timedelta(minutes=30)


def grid() -> pd.DataFrame:
    starts = [START, START + WINDOW]
    return pd.DataFrame([{"agent": agent, "window_start": start} for start in starts for agent in ("A", "B")])


def used(*tasks: tuple[str, str | None, int]) -> pd.DataFrame:
    """The first uses of versions in tasks: agent, version, and minutes after START."""
    named = [(agent, version, START + timedelta(minutes=after)) for agent, version, after in tasks]
    table = AGENT_TASKS.view("agent", "program_version", "start_time")
    return first_uses(ibis.memtable(table.conform(pd.DataFrame(named, columns=table.columns)))).to_pandas()


def changes(*rows: tuple[str | None, int]) -> pd.DataFrame:
    return pd.DataFrame([(agent, START + timedelta(minutes=after)) for agent, after in rows], columns=["agent", "time"])


def counted(events: pd.DataFrame, versions: pd.DataFrame) -> list[int]:
    return count_planned_changes(grid(), events, versions, WINDOW).tolist()


def test_a_change_counts_in_the_window_that_holds_it_and_for_its_agent_only() -> None:
    assert counted(changes(("A", 29), ("B", 30)), new_versions(used(), used())) == [1, 0, 0, 1]


def test_a_change_of_the_whole_fleet_counts_for_every_agent() -> None:
    assert counted(changes((None, 5), ("A", 6)), new_versions(used(), used())) == [2, 1, 0, 0]


def test_a_version_that_was_not_in_use_the_day_before_is_a_change_at_its_first_task() -> None:
    versions = new_versions(used(("A", "v2", 40), ("A", "v2", 35), ("A", "v1", 3)), used(("A", "v1", -60)))
    assert versions["program_version"].tolist() == ["v2"]
    assert versions["time"].tolist() == [START + timedelta(minutes=35)]
    assert counted(changes(), versions) == [0, 0, 1, 0]


def test_an_agents_first_version_is_not_a_change_but_its_second_is() -> None:
    versions = new_versions(used(("A", "v1", 1), ("A", "v2", 2), ("B", None, 3)), used(("B", "v7", -9)))
    assert versions[["agent", "program_version"]].to_numpy().tolist() == [["A", "v2"]]


def test_an_agent_that_was_known_without_a_version_begins_with_its_first_one() -> None:
    assert new_versions(used(("A", "v1", 1)), used(("A", None, -9))).empty


def test_the_version_of_another_agent_is_not_known_of_this_one() -> None:
    versions = new_versions(used(("A", "v2", 1), ("B", "v2", 2)), used(("A", "v1", -9), ("B", "v2", -9)))
    assert versions[["agent", "program_version"]].to_numpy().tolist() == [["A", "v2"]]
