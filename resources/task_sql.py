"""SQL aggregates over tasks, in a DuckDB of their own that sees these tasks and nothing else.

It has no access to files, network or other frames, and its settings are locked.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from types import TracebackType

import pandas as pd

from resources.metric_value import MetricError, number_of

MEMORY_LIMIT = "1GB"
GROUP = "task_group"

Values = dict[int, float | MetricError | None]
"""By the number of a group: its value, None for none, or why there is no value."""


class TaskSql:
    """`tasks` has the columns of `tables.AGENT_TASKS` and GROUP (int): a value is computed of each group of rows."""

    def __init__(self, tasks: pd.DataFrame) -> None:
        import duckdb
        import pyarrow

        self._connection = duckdb.connect(
            ":memory:", config={"enable_external_access": "false", "memory_limit": MEMORY_LIMIT}
        )
        self._connection.execute("SET python_enable_replacements = false")
        self._connection.register("agent_tasks", pyarrow.Table.from_pandas(tasks, preserve_index=False))
        self._connection.execute("SET lock_configuration = true")

    def __enter__(self) -> TaskSql:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def values(self, aggregate: str, groups: Collection[int], seconds: float) -> Values:
        """The aggregate, an expression that `fleet_sql.check_aggregate` lets through, of each of the groups.

        Where one group fails, the others have their values. Raises MetricError where none can have one, and where it
        takes longer than `seconds`. DuckDB looks at that between blocks of some thousand rows.
        """
        import duckdb

        timer = threading.Timer(seconds, self._connection.interrupt)
        timer.start()
        try:
            return self._of_all(aggregate, groups)
        except duckdb.InterruptException as error:
            raise MetricError(f"It took longer than {seconds:g} seconds, and was stopped.") from error
        except duckdb.Error as error:
            raise MetricError(_sentence(error)) from error
        finally:
            timer.cancel()

    def _of_all(self, aggregate: str, groups: Collection[int]) -> Values:
        import duckdb

        chosen = ", ".join(str(int(group)) for group in groups)
        select = f"SELECT {GROUP}, ({aggregate}) FROM agent_tasks WHERE {GROUP} IN"
        try:
            rows = self._connection.execute(f"{select} ({chosen}) GROUP BY {GROUP}").fetchall()
        except (duckdb.InterruptException, duckdb.ProgrammingError):
            raise
        except duckdb.Error as error:
            # A value that cannot be converted or divided, of one agent, is no reason to have none of the others.
            if len(groups) == 1:
                return {group: MetricError(_sentence(error)) for group in groups}
            return {group: value for one in groups for group, value in self._of_all(aggregate, [one]).items()}
        return {group: _value(given) for group, given in rows}


def _value(given: object) -> float | MetricError | None:
    try:
        return number_of(given)
    except MetricError as error:
        return error


def _sentence(error: Exception) -> str:
    """The first line of what DuckDB says, without the picture of the query."""
    first = str(error).strip().splitlines()[0].rstrip(".")
    return f"DuckDB refused it: {first[:300]}."
