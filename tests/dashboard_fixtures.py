"""The dashboard over a real lake and ledger, asked without a network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from fastapi import FastAPI
from fastapi.params import Depends
from fastapi.testclient import TestClient

from benchmarks.dashboard_data import write_lake, write_ledger
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.records import SourceHealth, SourceStatus
from perf_pipeline.service.app import create_app
from perf_pipeline.service.authentication import Gate
from perf_pipeline.service.dashboard.router import dashboard_router
from perf_pipeline.tables import AGENT_METRICS
from resources.lake import Lake
from resources.ledger import Ledger
from tests.builders import LENGTH, frame, metrics_row, shipped_fleet
from tests.service_fixtures import context_of

NOW = datetime(2026, 11, 22, 12, 10, tzinfo=UTC)
"""Ten minutes after a window has closed."""

LAST = NOW.replace(minute=0)
"""When the newest window closed."""


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def trace_url(trace_id: str) -> str | None:
    return f"http://phoenix.example/redirects/traces/{trace_id}"


@contextmanager
def installation(folder: Path, agents: Sequence[str] = (), days: int = 2) -> Iterator[tuple[Lake, Ledger]]:
    """An empty one, or one with history of these agents up to NOW."""
    lake, book = Lake(str(folder / "lake")), Ledger(f"sqlite:///{folder / 'ledger.db'}")
    if agents:
        write_lake(lake, agents, days, NOW, LENGTH)
        write_ledger(book, agents, days, NOW, LENGTH)
    try:
        yield lake, book
    finally:
        book.close()


def dashboard(
    lake: Lake,
    book: Ledger,
    fleet: FleetConfig | None = None,
    clock: Clock | None = None,
    read: Sequence[Depends] = (),
) -> TestClient:
    """A browser before the pages. The history is not warmed, so that nothing runs beside the test."""
    config, now = fleet or shipped_fleet(), clock or Clock()
    pages = dashboard_router(book, lake, config, now, trace_url, read, warm=False)
    gate = Gate(book, now, open_to_this_machine=True, local_person="ana")
    app: FastAPI = create_app(context_of(book, config, now, gate=gate), pages=[pages])
    return TestClient(app, "http://127.0.0.1:8080", raise_server_exceptions=True, client=("127.0.0.1", 50000))


def starts(count: int, end: datetime = LAST, every: timedelta = LENGTH) -> pd.DatetimeIndex:
    """Starts of the last windows before `end`, oldest first."""
    return pd.date_range(end - count * every, end, freq=every, inclusive="left", unit="us")


def scored(**scores: list[float]) -> pd.DataFrame:
    """Of each agent's last windows the scores; NaN for a window in which it did nothing."""
    rows = [
        metrics_row(agent, 0, 0 if math.isnan(score) else 10) | {"window_start": start, "score": score}
        for agent, values in scores.items()
        for start, score in zip(starts(len(values)), values, strict=True)
    ]
    return frame(AGENT_METRICS, rows)


def readings(*statuses: SourceStatus | None, source: str = "spans", reason: str = "") -> list[SourceHealth]:
    """How the last windows were read, oldest first; None for one that was not."""
    return [
        SourceHealth(
            source, start.to_pydatetime(), status, "" if status == "complete" else reason, 5, 0, start + LENGTH
        )
        for start, status in zip(starts(len(statuses)), statuses, strict=True)
        if status
    ]
