"""The partitions: windows in UTC with the open one, days of the calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from perf_pipeline.fleet import FleetConfig, load_fleet
from perf_pipeline.monitoring.windows import window_of_key
from perf_pipeline.partitions import days_partitions, window_cron, windows_partitions

FLEET = load_fleet(Path(__file__).parent.parent / "fleet.yaml")
NOW = datetime(2026, 1, 2, 9, 40, tzinfo=UTC)


def fleet(minutes: int) -> FleetConfig:
    return FLEET.model_copy(update={"window_minutes": minutes})


@pytest.mark.parametrize("minutes", [1, 5, 15, 20, 30, 60])
def test_a_partition_is_a_window_and_the_open_one_is_the_last(minutes: int) -> None:
    keys = windows_partitions(fleet(minutes)).get_partition_keys(current_time=NOW)
    windows = [window_of_key(key, timedelta(minutes=minutes)) for key in keys]
    assert windows[0].start == datetime(2026, 1, 1, tzinfo=UTC)
    assert windows[-1].start <= NOW < windows[-1].end
    assert all(one.end == other.start for one, other in pairwise(windows))


@pytest.mark.parametrize(("minutes", "cron"), [(5, "*/5 * * * *"), (30, "*/30 * * * *"), (60, "0 * * * *")])
def test_the_cadence_is_that_of_the_windows(minutes: int, cron: str) -> None:
    assert window_cron(fleet(minutes)) == cron


def test_a_day_can_be_summed_up_before_it_is_over() -> None:
    assert days_partitions(FLEET).get_partition_keys(current_time=NOW) == ["2026-01-01", "2026-01-02"]
