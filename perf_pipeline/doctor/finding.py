"""What a check found, and which question of people it answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.settings import Settings
from resources.lake import Lake
from resources.ledger import Ledger


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class Concern(StrEnum):
    INSTALLATION = "installation"
    DATA = "no data collected"
    OPTIMIZATIONS = "optimizations not triggering"
    MESSAGES = "messages not sending"


@dataclass(frozen=True)
class Finding:
    """`said` is a sentence on how it is, `mend` one on what to do, empty where nothing is to be done."""

    concern: Concern
    check: str
    level: Level
    said: str
    mend: str = ""


@dataclass(frozen=True)
class Examined:
    """The installation that is examined. `resources` are those of `installation.installed_resources`."""

    settings: Settings
    fleet: FleetConfig
    book: Ledger
    lake: Lake
    resources: dict[str, object]


def ok(concern: Concern, check: str, said: str) -> Finding:
    return Finding(concern, check, Level.OK, said)


def warning(concern: Concern, check: str, said: str, mend: str) -> Finding:
    return Finding(concern, check, Level.WARNING, said, mend)


def failed(concern: Concern, check: str, said: str, mend: str = "") -> Finding:
    return Finding(concern, check, Level.FAILED, said, mend)


def is_well(findings: Iterable[Finding]) -> bool:
    return all(finding.level is not Level.FAILED for finding in findings)
