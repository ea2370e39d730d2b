"""What the routes work on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.service.authentication import Gate
from resources.lake import Lake
from resources.ledger import Ledger
from resources.program_files import ProgramFiles


@dataclass(frozen=True)
class ServiceContext:
    """An installation that is open, who may ask about it, and the clock (aware)."""

    book: Ledger
    fleet: FleetConfig
    lake: Lake
    files: ProgramFiles
    gate: Gate
    clock: Callable[[], datetime]
