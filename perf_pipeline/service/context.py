"""What the routes work on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.service.authentication import Gate
from perf_pipeline.trigger import Trigger
from resources.dagster_webserver import DagsterWebserver
from resources.lake import Lake
from resources.ledger import Ledger
from resources.program_files import ProgramFiles
from resources.table_history import TableHistory


@dataclass(frozen=True)
class ServiceContext:
    """An installation that is open, who may ask about it, and the clock (aware).

    `history` holds `standing_now.SHOWN_METRICS`. What is expensive is answered from memory for `remember_seconds`.
    """

    book: Ledger
    fleet: FleetConfig
    lake: Lake
    history: TableHistory
    files: ProgramFiles
    dagster: DagsterWebserver
    trigger: Trigger
    gate: Gate
    clock: Callable[[], datetime]
    remember_seconds: float = 5.0
