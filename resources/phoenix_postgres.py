"""The PostgreSQL road: Phoenix's own tables, read past the server. For volume: it costs Phoenix's process nothing."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from perf_pipeline.records import TaskFeedback, TaskPayload
from resources.jsonb_columns import last_text_column, text_column, value_column
from resources.payloads import INPUT, OUTPUT, payload_of
from resources.phoenix_annotations import FEEDBACK_AT_ONCE, feedback_of_row
from resources.phoenix_json import batches
from resources.phoenix_positions import IDS_LOOKED_BACK
from resources.phoenix_project import find_project
from resources.phoenix_road import ARRIVALS_AT_ONCE, PAYLOADS_AT_ONCE, span_ids
from resources.phoenix_tables import (
    NEWEST_SPAN,
    PROJECTS,
    annotations_query,
    arrivals_query,
    attributes_query,
    spans_query,
)
from resources.postgres_connection import PostgresConnection, open_postgres
from resources.sources import Arrivals, TaskPlace
from resources.span_attributes import KIND_ATTRIBUTE
from resources.span_columns import ATTRIBUTE, EXCEPTION_TYPE

if TYPE_CHECKING:
    import pyarrow as pa


@contextmanager
def open_postgres_road(
    database_url: str, project: str, attributes: Sequence[str], timeout_seconds: float
) -> Iterator[PostgresRoad]:
    """The road to a project, given by name or id, in the database that PHOENIX_SQL_DATABASE_URL names.

    It reads the tables projects, traces and spans, for feedback also span_annotations, and writes nothing. Raises
    PhoenixError.
    """
    with open_postgres(database_url, timeout_seconds) as connection:
        yield PostgresRoad(connection, _project_row(connection, project), attributes)


class PostgresRoad:
    """Reads one project, named by its row's id."""

    def __init__(self, connection: PostgresConnection, project: int, attributes: Sequence[str]) -> None:
        self._connection = connection
        self._project = project
        self._attributes = attributes

    def parts(self, start: datetime, end: datetime) -> Iterator[pd.DataFrame]:
        query = spans_query(self._project, [KIND_ATTRIBUTE, *self._attributes], start, end)
        with self._connection.snapshot() as snapshot, closing(snapshot.batches(query)) as batches:
            for batch in batches:
                yield _rows(batch, self._attributes)

    def arrivals(self, position: str | None, since: datetime, before: datetime) -> Arrivals:
        with self._connection.snapshot() as snapshot:
            newest = snapshot.table(NEWEST_SPAN).column("newest")[0].as_py()
            after = _span_row(position)
            # In a database that was set up anew, ids begin again.
            after = None if after is None or after > newest else after - IDS_LOOKED_BACK
            found = snapshot.table(arrivals_query(self._project, after, since, before, ARRIVALS_AT_ONCE))
        reached = found.column("id")[-1].as_py() if len(found) == ARRIVALS_AT_ONCE else newest
        return Arrivals(_global_id("Span", reached), _arrived(found))

    def payloads(self, tasks: Sequence[TaskPlace]) -> Iterator[TaskPayload]:
        for asked in batches(span_ids(tasks), PAYLOADS_AT_ONCE):
            # The reader of the payloads may take its time, which no open snapshot should.
            with self._connection.snapshot() as snapshot:
                found = snapshot.table(attributes_query(self._project, asked, (INPUT, OUTPUT))).combine_chunks()
            names, *values = (column.combine_chunks() for column in found.columns)
            for span_id, given, answered in zip(names.to_pylist(), *map(value_column, values), strict=True):
                yield payload_of(span_id, {INPUT: given, OUTPUT: answered})

    def feedback(self, tasks: Sequence[TaskPlace]) -> list[TaskFeedback]:
        """See `sources.SpanSource.read_feedback`. Raises PhoenixError, also where the table may not be read."""
        with self._connection.snapshot() as snapshot:
            return [
                feedback_of_row(row)
                for asked in batches(span_ids(tasks), FEEDBACK_AT_ONCE)
                for row in snapshot.table(annotations_query(self._project, asked)).to_pylist()
            ]


def _project_row(connection: PostgresConnection, wanted: str) -> int:
    """The row's id of the project with that name, else with that id of Phoenix's interfaces. Raises PhoenixError."""
    with connection.snapshot() as snapshot:
        rows = snapshot.table(PROJECTS).to_pylist()
    projects = [{"name": row["name"], "id": _global_id("Project", row["id"]), "row": row["id"]} for row in rows]
    return find_project(projects, wanted, f"Phoenix's database at {connection.address.public}")["row"]


def _rows(batch: pa.RecordBatch, attributes: Sequence[str]) -> pd.DataFrame:
    """The answer to `spans_query`, for the span's kind and the attributes, as rows of `span_columns.raw_spans`."""
    span_id, trace_id, parent_id, name, start, end, status, message, exceptions, kind, *values = batch.columns
    columns = {
        "span_id": text_column(span_id),
        "trace_id": text_column(trace_id),
        "parent_id": text_column(parent_id),
        "name": text_column(name),
        # The table's own column knows only the kinds of that version of Phoenix.
        "span_kind": value_column(kind).fillna("UNKNOWN"),
        "start_time": start.to_pandas(),
        "end_time": end.to_pandas(),
        "status_code": text_column(status),
        "status_message": text_column(message),
        EXCEPTION_TYPE: last_text_column(exceptions),
    }
    present = {
        attribute: value for attribute, value in zip(attributes, values, strict=True) if value.null_count < len(value)
    }
    return pd.DataFrame(columns | {ATTRIBUTE + attribute: value_column(value) for attribute, value in present.items()})


def _arrived(found: pa.Table) -> pd.DataFrame:
    """The answer to `arrivals_query` as `sources.Arrivals` names it."""
    found = found.combine_chunks()
    return pd.DataFrame(
        {
            "trace_id": text_column(found.column("trace_id")),
            "span_id": text_column(found.column("span_id")),
            "start_time": found.column("start_time").to_pandas(),
        }
    )


def _global_id(kind: str, row: int) -> str:
    """A row's id as Phoenix's interfaces name it, so that a position is one for every road."""
    return b64encode(f"{kind}:{row}".encode()).decode()


def _span_row(position: str | None) -> int | None:
    """The row's id in a position; None where there is none."""
    if not position:
        return None
    try:
        kind, _, row = b64decode(position, validate=True).decode().partition(":")
        return int(row) if kind == "Span" else None
    except ValueError:
        return None
