"""What a run works with, what it says on its way, and how it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.records import OptimizationRun
from resources.lake import Lake
from resources.ledger import Ledger
from resources.program_files import ProgramFiles
from resources.sources import SpanSource

PRODUCTION = "production"
"""The alias that agents run."""

DATASET = "dataset.json"
BASELINE = "baseline.json"
REPORT = "report.md"


class RunRefused(Exception):
    """The request cannot be run as it is. The message says what to change."""


class RunInterrupted(Exception):
    """The run could not go on. It is taken up again where `again_at` says when."""

    def __init__(self, trouble: str, again_at: datetime | None) -> None:
        super().__init__(trouble)
        self.again_at = again_at


@dataclass(frozen=True)
class RunProgress:
    """How far a run is: the part that it is in, candidates that were tried, the best one's points on the validation
    examples, and US dollars that are spent."""

    part: str
    spent_usd: float = 0.0
    candidates: int = 0
    best_points: float | None = None


@dataclass(frozen=True)
class RunTools:
    """`key_of` gives the secret in an environment variable, None where it is not set."""

    book: Ledger
    lake: Lake
    files: ProgramFiles
    spans: SpanSource
    fleet: FleetConfig
    key_of: Callable[[str], str | None]
    clock: Callable[[], datetime]
    on_progress: Callable[[RunProgress], None]


@dataclass(frozen=True)
class RunResult:
    """How the run ended, and its report."""

    run: OptimizationRun
    report: str
