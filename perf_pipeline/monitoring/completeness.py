"""How completely the sources were read over a day or a week, and why not where they were not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from perf_pipeline.monitoring.windows import Window
from perf_pipeline.records import SourceHealth, SourceStatus


@dataclass(frozen=True)
class SourceCompleteness:
    """Of so many `windows`, how many a source could not be read for, only in part, or was not read for at all.

    `start` is that of the first of these windows, `end` that of the last, `together` whether they follow each other
    without one that was read in between; `reason` is the one given most often, empty where none was.
    """

    source: str
    windows: int
    unavailable: int = 0
    partial: int = 0
    unread: int = 0
    start: datetime | None = None
    end: datetime | None = None
    together: bool = True
    reason: str = ""

    @property
    def missing(self) -> int:
        return self.unavailable + self.partial + self.unread

    @property
    def complete_percent(self) -> float:
        return 100 * (1 - self.missing / self.windows) if self.windows else 100.0


def completeness(health: Iterable[SourceHealth], windows: Sequence[Window]) -> list[SourceCompleteness]:
    """One for each source that is known in these windows, the spans first, whether or not they were ever read."""
    readings: dict[str, dict[datetime, SourceHealth]] = {"spans": {}}
    for reading in health:
        readings.setdefault(reading.source, {})[reading.window_start] = reading
    return [_of_source(source, known, windows) for source, known in readings.items()]


def of_spans(sources: Sequence[SourceCompleteness]) -> SourceCompleteness:
    """How completely the spans were read, which everything else rests on."""
    return next(source for source in sources if source.source == "spans")


def _of_source(source: str, known: dict[datetime, SourceHealth], windows: Sequence[Window]) -> SourceCompleteness:
    found = [(window, known.get(window.start)) for window in windows]
    lacking = [
        (window, reading) for window, reading in found if not reading or reading.status is not SourceStatus.COMPLETE
    ]
    counts = Counter(reading.status if reading else None for _, reading in lacking)
    reasons = Counter(reading.reason for _, reading in lacking if reading and reading.reason)
    return SourceCompleteness(
        source=source,
        windows=len(windows),
        unavailable=counts[SourceStatus.UNAVAILABLE],
        partial=counts[SourceStatus.PARTIAL],
        unread=counts[None],
        start=lacking[0][0].start if lacking else None,
        end=lacking[-1][0].end if lacking else None,
        together=all(one.end == other.start for (one, _), (other, _) in pairwise(lacking)),
        reason=reasons.most_common(1)[0][0] if reasons else "",
    )
