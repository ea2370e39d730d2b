"""A road to Phoenix's spans. All roads give the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

import pandas as pd

from perf_pipeline.records import TaskPayload
from resources.sources import Arrivals, TaskPlace

ARRIVALS_AT_ONCE = 20_000
"""How many arrived spans are looked at in one go, so that an import of old spans does not fill the memory."""

PAYLOADS_AT_ONCE = 50
"""For how many spans one request asks by their ids. What an agent was asked and answered may be megabytes each."""


class SpanRoad(Protocol):
    """An open connection to one project. Every method raises PhoenixError."""

    def parts(self, start: datetime, end: datetime) -> Iterator[pd.DataFrame]:
        """The spans with start <= start_time < end (aware), as rows of `span_columns.raw_spans`, in no order."""
        ...

    def arrivals(self, position: str | None, since: datetime, before: datetime) -> Arrivals:
        """See `sources.SpanSource`."""
        ...

    def payloads(self, tasks: Sequence[TaskPlace]) -> Iterator[TaskPayload]:
        """See `sources.SpanSource.read_payloads`. Phoenix has a span_id once, whatever its trace."""
        ...


def span_ids(tasks: Sequence[TaskPlace]) -> list[str]:
    """The ids of the tasks' topmost spans, each once."""
    return list(dict.fromkeys(task.span_id for task in tasks))
