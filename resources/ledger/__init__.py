"""The ledger: what must never happen twice or be forgotten, in SQLite or PostgreSQL through SQLAlchemy.

Every change of state is a guarded update (`... WHERE state = expected`), so of two processes only one wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from resources.ledger.alerts import AlertLedger
from resources.ledger.runs import RunLedger
from resources.ledger.sources import SourceLedger
from resources.ledger.spend import SpendLedger
from resources.ledger.tokens import TokenLedger


class Ledger(SourceLedger, AlertLedger, RunLedger, SpendLedger, TokenLedger):
    """One installation's ledger. Opening it brings its tables up to date."""


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
