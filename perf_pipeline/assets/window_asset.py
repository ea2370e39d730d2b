"""What all assets on windows have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
import pandas as pd
import pandera.pandas as pa

from perf_pipeline.checks import schema_spec
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.monitoring.windows import Window, window_of_key
from perf_pipeline.partitions import windows_partitions
from perf_pipeline.tables import Table

MAX_WINDOWS_A_RUN = 96
"""A backfill is cut into runs of at most this many windows, so that one run's memory is bounded."""

LAKE_IO = "lake_io"

FRAME = dg.PythonObjectDagsterType(pd.DataFrame, name="DataFrame")


def window_asset(
    fleet: FleetConfig,
    table: Table,
    group: str,
    kinds: set[str],
    checks: Sequence[dg.AssetCheckSpec] = (),
    deps: Sequence[str | dg.AssetDep] = (),
    dagster_type: Any = FRAME,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """`@dg.asset` for a table of windows."""
    return dg.asset(
        name=table.name,
        description=table.description,
        group_name=group,
        kinds=kinds,
        owners=[fleet.owner],
        partitions_def=windows_partitions(fleet),
        backfill_policy=dg.BackfillPolicy.multi_run(MAX_WINDOWS_A_RUN),
        io_manager_key=LAKE_IO,
        dagster_type=dagster_type,
        metadata={"dagster/column_schema": column_schema(table)},
        check_specs=[schema_spec(table), *checks],
        deps=deps,
    )


def windows_of_run(context: dg.AssetExecutionContext, fleet: FleetConfig) -> list[Window]:
    """The windows that the run materializes, oldest first."""
    return sorted(window_of_key(key, fleet.window) for key in context.partition_keys)


def column_schema(table: Table) -> dg.TableSchema:
    """The table's declaration as Dagster's UI shows it."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                type="string" if str(column.dtype).startswith("str") else str(column.dtype),
                description=column.description,
                constraints=dg.TableColumnConstraints(
                    nullable=column.nullable, other=[_bound(check) for check in column.checks]
                ),
            )
            for name, column in table.schema.columns.items()
        ]
    )


def _bound(check: pa.Check) -> str:
    sign = {"greater_than_or_equal_to": "≥", "less_than_or_equal_to": "≤"}[str(check.name)]
    return f"{sign} {next(iter(check.statistics.values()))}"


def markdown(frame: pd.DataFrame, limit: int = 50) -> dg.MarkdownMetadataValue:
    """A frame as a table that people read: at most `limit` rows, numbers with one decimal, nothing for missing."""
    shown = frame.head(limit).copy()
    for name in [name for name in shown.columns if pd.api.types.is_float_dtype(shown[name])]:
        shown[name] = shown[name].map(lambda value: "" if pd.isna(value) else f"{value:,.1f}")
    text = shown.astype(object).where(shown.notna(), "").to_markdown(index=False, disable_numparse=True)
    if len(frame) > limit:
        text += f"\n\n… and {len(frame) - limit} more"
    return dg.MetadataValue.md(text if len(frame) else "No rows.")
