"""The lake on a folder and on another fsspec filesystem: whole files, declared columns, no row in a wrong place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf_pipeline.tables import RAW_LOGS, TableError
from resources.lake import Lake, LakeResource, split_by_start, start_of_key

NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)


def logs(*times: datetime) -> pd.DataFrame:
    rows = [
        {"timestamp": time, "severity": "info", "message": f"line {number}", "agent": "AuditAgent", "attributes": "{}"}
        for number, time in enumerate(times)
    ]
    return RAW_LOGS.conform(pd.DataFrame(rows, columns=RAW_LOGS.columns))


@pytest.fixture(params=["folder", "file", "memory"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    name = uuid4().hex
    addresses = {"folder": str(tmp_path / name), "file": f"file://{tmp_path / name}", "memory": f"memory://{name}/lake"}
    return Lake(addresses[request.param])


def scanned(lake: Lake, start: datetime, end: datetime) -> pd.DataFrame:
    return RAW_LOGS.conform(lake.scan(lake.connect(), RAW_LOGS, start, end).to_pandas())


def test_what_is_written_is_read_and_scanned_with_its_declared_types(lake: Lake) -> None:
    written = logs(NINE, NINE + timedelta(microseconds=1))
    lake.write(RAW_LOGS, NINE, written)
    for found in (lake.read(RAW_LOGS, NINE, NINE + HALF_HOUR), scanned(lake, NINE, NINE + HALF_HOUR)):
        pd.testing.assert_frame_equal(found, written)
        assert RAW_LOGS.problems(found) == []


def test_a_partition_is_replaced_whole_and_leaves_no_other_file(lake: Lake) -> None:
    lake.write(RAW_LOGS, NINE, logs(NINE, NINE))
    lake.write(RAW_LOGS, NINE, logs(NINE + timedelta(minutes=5)))
    assert len(lake.read(RAW_LOGS, NINE, NINE + HALF_HOUR)) == 1
    assert [file.name for file in lake.path(RAW_LOGS, NINE).parent.iterdir()] == ["0900.parquet"]


def test_a_write_that_dies_leaves_the_old_rows(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.write(RAW_LOGS, NINE, logs(NINE))

    def die_half_way(_frame: pd.DataFrame, file: object, **_options: object) -> None:
        file.write(b"PAR1 half a file")  # pyright: ignore[reportAttributeAccessIssue]
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(pd.DataFrame, "to_parquet", die_half_way)
        with pytest.raises(KeyboardInterrupt):
            lake.write(RAW_LOGS, NINE, logs(NINE, NINE))
    assert len(lake.read(RAW_LOGS, NINE, NINE + HALF_HOUR)) == 1
    assert len(scanned(lake, NINE, NINE + HALF_HOUR)) == 1
    assert set(lake.written(RAW_LOGS, NINE, NINE + HALF_HOUR)) == {NINE}


def test_a_partition_without_rows_exists_and_is_empty(lake: Lake) -> None:
    lake.write(RAW_LOGS, NINE, RAW_LOGS.empty())
    assert set(lake.written(RAW_LOGS, NINE, NINE + HALF_HOUR)) == {NINE}
    pd.testing.assert_frame_equal(lake.read(RAW_LOGS, NINE, NINE + HALF_HOUR), RAW_LOGS.empty())
    assert scanned(lake, NINE, NINE + HALF_HOUR).empty


def test_what_was_never_written_is_no_rows_and_no_partition(lake: Lake) -> None:
    assert set(lake.written(RAW_LOGS, NINE, NINE + timedelta(days=3))) == set()
    pd.testing.assert_frame_equal(lake.read(RAW_LOGS, NINE, NINE + timedelta(days=3)), RAW_LOGS.empty())
    assert scanned(lake, NINE, NINE + timedelta(days=3)).empty


def test_a_range_takes_the_partitions_that_begin_in_it_across_days_oldest_first(lake: Lake) -> None:
    starts = [datetime(2026, 2, 28, 23, 30, tzinfo=UTC) + number * HALF_HOUR for number in range(3)]
    for start in reversed(starts):
        lake.write(RAW_LOGS, start, logs(start))
    first_two = lake.read(RAW_LOGS, starts[0], starts[2])
    assert [time.to_pydatetime() for time in first_two["timestamp"]] == starts[:2]
    assert set(lake.written(RAW_LOGS, starts[1], starts[2] + HALF_HOUR)) == set(starts[1:])


@pytest.mark.parametrize("newer_beside_it", [False, True])
def test_a_column_that_an_older_file_lacks_is_missing_not_an_error(lake: Lake, newer_beside_it: bool) -> None:
    lake.write(RAW_LOGS, NINE, logs(NINE))
    with lake.path(RAW_LOGS, NINE).open("wb") as file:
        logs(NINE).drop(columns=["agent", "service_id"]).to_parquet(file)
    if newer_beside_it:
        lake.write(RAW_LOGS, NINE + HALF_HOUR, logs(NINE + HALF_HOUR))
    end = NINE + 2 * HALF_HOUR
    for found in (lake.read(RAW_LOGS, NINE, end), scanned(lake, NINE, end).sort_values("timestamp")):
        assert found["agent"].isna().tolist() == [True, False][: len(found)]
        assert len(found) == 1 + newer_beside_it
        assert RAW_LOGS.problems(found) == []


def test_a_frame_that_lacks_a_column_is_not_written(lake: Lake) -> None:
    with pytest.raises(TableError, match=r"raw_logs lacks the column\(s\) message"):
        lake.write(RAW_LOGS, NINE, logs(NINE).drop(columns=["message"]))
    assert set(lake.written(RAW_LOGS, NINE, NINE + HALF_HOUR)) == set()


def test_the_resource_opens_the_lake_at_its_address(tmp_path: Path) -> None:
    LakeResource(url=str(tmp_path)).open().write(RAW_LOGS, NINE, logs(NINE))
    assert (tmp_path / "raw_logs" / "date=2026-03-01" / "0900.parquet").exists()


@pytest.mark.parametrize(
    ("key", "start"),
    [
        ("2026-11-22-09:30", datetime(2026, 11, 22, 9, 30, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
    ],
)
def test_a_partition_key_names_its_start_in_utc(key: str, start: datetime) -> None:
    assert start_of_key(key) == start


def test_a_row_before_the_first_partition_is_an_error_not_a_loss() -> None:
    frame = logs(NINE - timedelta(seconds=1))
    with pytest.raises(ValueError, match="lies before the first partition"):
        list(split_by_start(frame, "timestamp", [NINE, NINE + HALF_HOUR]))


def test_one_partition_takes_every_row() -> None:
    frame = logs(NINE - timedelta(hours=1))
    [(start, rows)] = split_by_start(frame, "timestamp", [NINE])
    assert (start, len(rows)) == (NINE, 1)


@settings(max_examples=40, deadline=None)
@given(seconds=st.lists(st.integers(0, 4 * 1800 - 1), max_size=20))
def test_splitting_keeps_every_row_once_in_the_window_of_its_time(seconds: list[int]) -> None:
    starts = [NINE + number * HALF_HOUR for number in range(4)]
    frame = logs(*(NINE + timedelta(seconds=second) for second in seconds))
    parts = list(split_by_start(frame, "timestamp", starts))
    assert [start for start, _ in parts] == starts
    for start, rows in parts:
        assert rows["timestamp"].between(start, start + HALF_HOUR, inclusive="left").all()
    assert sorted(message for _, rows in parts for message in rows["message"]) == sorted(frame["message"])
