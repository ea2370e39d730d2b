"""A road to Phoenix's spans. All roads give the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

import pandas as pd

from resources.sources import Arrivals

ARRIVALS_AT_ONCE = 20_000
"""How many arrived spans are looked at in one go, so that an import of old spans does not fill the memory."""


class SpanRoad(Protocol):
    """An open connection to one project. Every method raises PhoenixError."""

    def parts(self, start: datetime, end: datetime) -> Iterator[pd.DataFrame]:
        """The spans with start <= start_time < end (aware), as rows of `span_columns.raw_spans`, in no order."""
        ...

    def arrivals(self, position: str | None, since: datetime, before: datetime) -> Arrivals:
        """See `sources.SpanSource`."""
        ...
