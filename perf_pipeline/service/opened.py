"""The context of the service, out of an installation's addresses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.service.authentication import Gate
from perf_pipeline.service.context import ServiceContext
from perf_pipeline.standing_now import SHOWN_METRICS
from perf_pipeline.trigger import Trigger
from resources.dagster_webserver import DagsterWebserver
from resources.lake import Lake
from resources.ledger import Ledger
from resources.program_files import ProgramFiles
from resources.table_history import TableHistory

KEPT_DAYS = 90


def service_context(
    book: Ledger,
    fleet: FleetConfig,
    lake_url: str,
    dagster_url: str,
    gate: Gate,
    clock: Callable[[], datetime],
    remember_seconds: float = 5.0,
) -> ServiceContext:
    lake, dagster = Lake(lake_url), DagsterWebserver(dagster_url)
    return ServiceContext(
        book=book,
        fleet=fleet,
        lake=lake,
        history=TableHistory(lake, SHOWN_METRICS, timedelta(days=KEPT_DAYS)),
        files=ProgramFiles(lake_url),
        dagster=dagster,
        trigger=Trigger(book, lake, fleet, dagster, clock),
        gate=gate,
        clock=clock,
        remember_seconds=remember_seconds,
    )
