"""A partition of the lake that is written in parts, so that a window of any size passes through bounded memory.

The parts go to a scratch file; only `commit` puts the partition in the place of the one that stood there before.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pandas as pd
from upath import UPath

from perf_pipeline.tables import Table, TableError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetWriter

MERGE_MEMORY = "512MB"


class PartitionReplacement:
    """The rows that are to replace a partition; use it as a context manager. Left without `commit`, nothing changes.

    In a table with a key, rows of a key that came before are left out. `given` counts what was added, `rows` what was
    committed.
    """

    def __init__(self, table: Table, path: UPath) -> None:
        self._table = table
        self._path = path
        self._key = list(table.schema.unique or [])
        self._first: pd.DataFrame | None = None
        self._parts: ParquetWriter | None = None
        self._kept = 0
        self.given = 0
        self.rows = 0

    def __enter__(self) -> Self:
        self._scratch = Path(tempfile.mkdtemp(prefix="perf-pipeline-"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._parts is not None:
            self._parts.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def duplicates(self) -> int:
        """How many of the added rows were left out; not told where rows were kept."""
        return 0 if self._kept else self.given - self.rows

    def add_kept(self, rows: pd.DataFrame) -> None:
        """Rows that stood in the partition before; of a key that was added anew, nothing is kept."""
        self._kept += len(rows)
        self.given -= len(rows)
        self.add(rows)

    def add(self, part: pd.DataFrame) -> None:
        """Some of the partition's rows. Raises TableError where they do not fit the table."""
        frame = self._table.conform(part)
        self.given += len(frame)
        if self._key:
            frame = frame.drop_duplicates(self._key, ignore_index=True)
        if problems := self._table.problems(frame):
            raise TableError(" ".join(problems))
        # One part is the rule, and needs no second file.
        if self._first is None and self._parts is None:
            self._first = frame
            return
        if self._first is not None:
            self._append(self._first)
            self._first = None
        self._append(frame)

    def commit(self) -> None:
        """Put the rows in their place, in order of time."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        merged = self._scratch / "merged.parquet"
        if self._parts is None:
            frame = self._table.empty() if self._first is None else self._first
            frame.sort_values(self._order).to_parquet(merged, index=False, compression="zstd")
            self.rows = len(frame)
        else:
            self._parts.close()
            self.rows = self._merge(merged)
        _move(merged, self._path)

    @property
    def _order(self) -> list[str]:
        return list(dict.fromkeys([self._table.time_column, *self._key]))

    @property
    def _parts_file(self) -> Path:
        return self._scratch / "parts.parquet"

    def _append(self, frame: pd.DataFrame) -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        rows = pa.Table.from_pandas(frame, preserve_index=False)
        if self._parts is None:
            self._parts = ParquetWriter(self._parts_file, rows.schema, compression="lz4")
        self._parts.write_table(rows.cast(self._parts.schema))

    def _merge(self, merged: Path) -> int:
        import duckdb

        parts = f"read_parquet('{self._parts_file}')"
        order = ", ".join(self._order)
        with duckdb.connect() as connection:
            connection.execute(f"SET memory_limit = '{MERGE_MEMORY}'")
            connection.execute(f"SET temp_directory = '{self._scratch / 'spilled'}'")
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET preserve_insertion_order = false")
            source = parts
            if self._key and self._has_duplicates(connection, parts):
                key = ", ".join(self._key)
                source = f"(SELECT * FROM {parts} QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {order}) = 1)"
            copied = connection.execute(
                f"COPY (SELECT * FROM {source} ORDER BY {order}) TO '{merged}' (FORMAT parquet, COMPRESSION zstd)"
            ).fetchone()
        assert copied is not None
        return int(copied[0])

    def _has_duplicates(self, connection: object, parts: str) -> bool:
        key = ", ".join(self._key)
        found = connection.execute(  # pyright: ignore[reportAttributeAccessIssue]
            f"SELECT count(*) <> (SELECT count(*) FROM (SELECT DISTINCT {key} FROM {parts})) FROM {parts}"
        ).fetchone()
        return bool(found[0])


def _move(file: Path, path: UPath) -> None:
    """The file's content under the path, which shows the old rows or the new ones, never a mixture."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with file.open("rb") as source, temporary.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    temporary.rename(path)
