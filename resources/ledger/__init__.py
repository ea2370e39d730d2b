"""The ledger: what must never happen twice or be forgotten, in SQLite or PostgreSQL through SQLAlchemy.

Every change of state is a guarded update (`... WHERE state = expected`), so of two processes only one wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError

from resources.ledger.alerts import AlertLedger
from resources.ledger.analyses import AnalysisLedger
from resources.ledger.runs import RunLedger
from resources.ledger.sources import SourceLedger
from resources.ledger.spend import SpendLedger
from resources.ledger.tokens import TokenLedger
from resources.reading import LedgerError


class Ledger(SourceLedger, AlertLedger, AnalysisLedger, RunLedger, SpendLedger, TokenLedger):
    """One installation's ledger. Opening it brings its tables up to date."""


def open_ledger(url: str) -> Ledger:
    """Raises LedgerError where its database cannot be used, in words that do not quote the address."""
    try:
        return Ledger(url)
    except (SQLAlchemyError, OSError) as error:
        raise LedgerError(
            f"The ledger cannot be opened ({type(error).__name__}): check PERF_PIPELINE_LEDGER, that its database "
            "runs, and that this user may write to it.",
            retryable=True,
        ) from error


class LedgerResource(dg.ConfigurableResource):
    """Where the ledger is: an SQLAlchemy address. It may hold a password, so it comes from the environment."""

    url: str = Field(repr=False, description="An SQLAlchemy address, such as sqlite:////var/lib/perf/ledger.db")

    @contextmanager
    def open(self) -> Iterator[Ledger]:
        ledger = Ledger(self.url)
        try:
            yield ledger
        finally:
            ledger.close()
