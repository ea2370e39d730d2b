"""The lake: one Parquet file per table and partition, under any fsspec address, read in place by DuckDB.

Layout: `<table>/date=YYYY-MM-DD/HHMM.parquet`, the partition's start in UTC. A file is written whole under a
temporary name and renamed, so a reader sees the old rows or the new ones, never a mixture.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd
from upath import UPath

from perf_pipeline.tables import Table
from resources.lake_partition import PartitionReplacement

if TYPE_CHECKING:
    import ibis


ROWS_PER_BATCH = 20_000


class Lake:
    """The tables of an installation. Times are UTC; frames have the columns and dtypes of their `Table`."""

    def __init__(self, url: str) -> None:
        self.root = UPath(url)

    def is_reachable(self) -> bool:
        """Whether it can be listed now. One that nothing was written to yet can."""
        try:
            if self.root.exists():
                next(iter(self.root.iterdir()), None)
        except OSError:
            return False
        return True

    def prove_writable(self) -> None:
        """Write a small file and take it away again. Raises OSError where that cannot be done."""
        probe = self.root / f".probe-{uuid.uuid4().hex}"
        self.root.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"written by perf-pipeline doctor")
        probe.unlink()

    def path(self, table: Table, start: datetime) -> UPath:
        return self.root / table.name / f"date={start:%Y-%m-%d}" / f"{start:%H%M}.parquet"

    def write(self, table: Table, start: datetime, frame: pd.DataFrame) -> None:
        """Replace the partition that begins at `start`."""
        write_parquet(self.path(table, start), table.conform(frame))

    def replacing(self, table: Table, start: datetime) -> PartitionReplacement:
        """The rows that are to stand in the partition that begins at `start`, given in parts."""
        return PartitionReplacement(table, self.path(table, start))

    def count(self, table: Table, start: datetime) -> int | None:
        """How many rows the partition that begins at `start` holds; None where it does not exist."""
        path = self.path(table, start)
        if not path.exists():
            return None
        from pyarrow.parquet import read_metadata

        with path.open("rb") as file:
            return read_metadata(file).num_rows

    def files(self, table: Table, start: datetime, end: datetime) -> list[UPath]:
        """The files of the partitions that begin in `[start, end)`, oldest first."""
        found: list[UPath] = []
        for day in _days(start, end):
            folder = self.root / table.name / f"date={day:%Y-%m-%d}"
            if not folder.is_dir():
                continue
            for file in sorted(folder.glob("[0-9]*.parquet"), key=lambda path: path.name):
                begins = datetime.strptime(f"{day:%Y-%m-%d} {file.stem}", "%Y-%m-%d %H%M").replace(tzinfo=UTC)
                if start <= begins < end:
                    found.append(file)
        return found

    def written(self, table: Table, start: datetime, end: datetime) -> dict[datetime, datetime]:
        """When the partitions of the table that begin in `[start, end)` were last written (UTC), by their start."""
        return {
            _start_of_file(file): datetime.fromtimestamp(file.stat().st_mtime, UTC)
            for file in self.files(table, start, end)
        }

    def batches(self, table: Table, start: datetime) -> Iterator[pd.DataFrame]:
        """The rows of the partition that begins at `start`, some at a time; none where it does not exist."""
        path = self.path(table, start)
        if not path.exists():
            return
        from pyarrow.parquet import ParquetFile

        with path.open("rb") as file:
            for batch in ParquetFile(file).iter_batches(ROWS_PER_BATCH):
                yield batch.to_pandas()

    def read(self, table: Table, start: datetime, end: datetime) -> pd.DataFrame:
        """The rows of the partitions that begin in `[start, end)`; no rows where none exists."""
        return read_parquet(table, self.files(table, start, end))

    def connect(self) -> ibis.BaseBackend:
        """A new DuckDB inside this process, for `scan` and the expressions over it."""
        import ibis

        return ibis.duckdb.connect()

    def scan(self, connection: ibis.BaseBackend, table: Table, start: datetime, end: datetime) -> ibis.Table:
        """The same rows as a lazy Ibis table, so that an engine reads only the columns that it needs.

        A column that an older file lacks is read as missing values.
        """
        import ibis

        files = self.files(table, start, end)
        declared = ibis.memtable(table.empty())
        if not files:
            return declared
        if not _is_local(self.root):
            connection.con.register_filesystem(self.root.fs)  # pyright: ignore[reportAttributeAccessIssue]
        addresses = [_address(file) for file in files]
        rows = connection.read_parquet(addresses, hive_partitioning=False, union_by_name=True)  # pyright: ignore[reportArgumentType]
        lacking = {name: ibis.null(kind) for name, kind in declared.schema().items() if name not in rows.columns}
        return rows.mutate(**lacking).select(*table.columns)


class LakeResource(dg.ConfigurableResource):
    """Where the lake lies: a folder, or an address such as s3://bucket/prefix."""

    url: str

    def open(self) -> Lake:
        return Lake(self.url)


class LakeIOManager(dg.UPathIOManager):
    """Partitions of assets as files of the lake. One output may span several windows: it is split by them.

    Rows that do not fit their declared schema are not written: the asset's blocking check says what is wrong.
    """

    extension = ".parquet"

    def __init__(self, lake: Lake, tables: dict[str, Table]) -> None:
        super().__init__(base_path=lake.root)
        self._lake = lake
        self._tables = tables

    def get_path_for_partition(
        self,
        context: dg.InputContext | dg.OutputContext,  # noqa: ARG002 (Dagster's signature)
        path: UPath,
        partition: str,
    ) -> UPath:
        start = start_of_key(partition)
        return path / f"date={start:%Y-%m-%d}" / f"{start:%H%M}"

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame) -> None:
        table = self._tables[context.asset_key.path[-1]]
        frame = table.conform(obj)
        if table.problems(frame):
            context.log.error(f"The rows of {table.name} do not fit its schema: its partitions stay as they were.")
            return
        starts = sorted(start_of_key(key) for key in context.asset_partition_keys)
        for start, rows in split_by_start(frame, table.time_column, starts):
            self._lake.write(table, start, rows)

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        """All partitions that the input asks for and that exist, as one frame."""
        table = self._tables[context.asset_key.path[-1]]
        paths = [self._lake.path(table, start_of_key(key)) for key in context.asset_partition_keys]
        return read_parquet(table, [path for path in paths if path.exists()])

    def dump_to_path(self, context: dg.OutputContext, obj: pd.DataFrame, path: UPath) -> None:  # noqa: ARG002
        write_parquet(path, obj)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> pd.DataFrame:
        return read_parquet(self._tables[context.asset_key.path[-1]], [path])


def start_of_key(key: str) -> datetime:
    """The start of a partition from its key: 2026-11-22-09:30 for a window, 2026-11-22 for a day."""
    form = "%Y-%m-%d" if len(key) == len("2026-11-22") else "%Y-%m-%d-%H:%M"
    return datetime.strptime(key, form).replace(tzinfo=UTC)


def split_by_start(
    frame: pd.DataFrame, time_column: str, starts: Sequence[datetime]
) -> Iterator[tuple[datetime, pd.DataFrame]]:
    """Each partition's rows, empty ones included. A row belongs to the last partition that began by its time.

    Raises ValueError for a row that is older than all of them: it would be lost.
    """
    if len(starts) == 1:
        yield starts[0], frame
        return
    bounds = pd.DatetimeIndex(list(starts))
    position = bounds.searchsorted(pd.DatetimeIndex(frame[time_column]), side="right") - 1
    if len(frame) and position.min() < 0:
        raise ValueError(f"A row of {frame[time_column].min()} lies before the first partition, {starts[0]}.")
    for index, start in enumerate(starts):
        yield start, frame[position == index]


def read_parquet(table: Table, files: Sequence[UPath]) -> pd.DataFrame:
    """The files' rows as one frame. A column that an older file lacks is read as missing values."""
    if not files:
        return table.empty()
    from pyarrow import Schema, dataset

    schema = Schema.from_pandas(table.empty(), preserve_index=False)
    filesystem = None if _is_local(files[0]) else files[0].fs
    paths = [file.path for file in files]
    rows = dataset.dataset(paths, schema=schema, format="parquet", filesystem=filesystem).to_table()
    return table.conform(rows.to_pandas())


def write_parquet(path: UPath, frame: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with temporary.open("wb") as file:
        frame.to_parquet(file, index=False, compression="zstd")
    temporary.rename(path)


def _start_of_file(file: UPath) -> datetime:
    return datetime.strptime(f"{file.parent.name} {file.stem}", "date=%Y-%m-%d %H%M").replace(tzinfo=UTC)


def _is_local(file: UPath) -> bool:
    return file.protocol in ("", "file", "local")


def _address(file: UPath) -> str:
    return file.path if _is_local(file) else str(file)


def _days(start: datetime, end: datetime) -> Iterator[datetime]:
    day = start.replace(hour=0, minute=0, second=0, microsecond=0)
    while day < end:
        yield day
        day += timedelta(days=1)
