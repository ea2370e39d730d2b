"""Which requests are to be run now, and which are given up: a run that died is taken up again, not for ever."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from perf_pipeline.records import OptimizationRequest, OptimizationRun, RequestState

MAX_LAUNCHES = 12
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)


@dataclass(frozen=True)
class LaunchedRun:
    """A Dagster run of a request. `ended_at` (UTC) is None while it waits or runs."""

    request_id: str
    ended_at: datetime | None


@dataclass(frozen=True)
class Launch:
    request_id: str
    agent: str
    number: int


@dataclass(frozen=True)
class Launches:
    """`given_up` are the requests that were launched too often without an end."""

    due: tuple[Launch, ...]
    given_up: tuple[str, ...]


def launches(
    requests: Iterable[OptimizationRequest],
    runs: Mapping[str, OptimizationRun],
    launched: Sequence[LaunchedRun],
    now: datetime,
) -> Launches:
    """`runs` are the ledger's, by request. A request waits while a Dagster run of it is not over, while the ledger says
    so, and for a pause that grows with each launch."""
    due, given_up = [], []
    for request in requests:
        if request.state not in (RequestState.READY, RequestState.RUNNING):
            continue
        own = [run for run in launched if run.request_id == request.id]
        if any(run.ended_at is None for run in own):
            continue
        if len(own) >= MAX_LAUNCHES:
            given_up.append(request.id)
        elif all(now >= time for time in _waits(runs.get(request.id), [run.ended_at for run in own if run.ended_at])):
            due.append(Launch(request.id, request.agent, len(own) + 1))
    return Launches(tuple(due), tuple(given_up))


def _waits(run: OptimizationRun | None, ends: Sequence[datetime]) -> list[datetime]:
    """The times before which the request is not launched again."""
    waits = [max(ends) + min(FIRST_PAUSE * 2 ** (len(ends) - 1), LONGEST_PAUSE)] if ends else []
    if run is not None and run.not_before is not None:
        waits.append(run.not_before)
    return waits
