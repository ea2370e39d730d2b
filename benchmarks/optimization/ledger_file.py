"""The ledger as its database has it, read past all of its code."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PEAKS = """
CREATE TABLE bench_peaks (account TEXT PRIMARY KEY, peak INTEGER NOT NULL);
CREATE TRIGGER bench_peak AFTER UPDATE ON spend_accounts BEGIN
    INSERT INTO bench_peaks VALUES (NEW.id, NEW.committed)
    ON CONFLICT (account) DO UPDATE SET peak = max(peak, excluded.peak);
END;
"""
"""The most that an account ever held: at the end it holds less than while calls were under way."""

Tokens = tuple[int, int]
"""Of a call: sent and received."""


@dataclass(frozen=True)
class Paid:
    """A call in the ledger, in nanodollars; `tokens` are None where the provider did not say."""

    state: str
    reserved: int
    billed: int
    tokens: Tokens | None = None


@dataclass(frozen=True)
class Account:
    """What an account holds, and the most that it ever held, in nanodollars."""

    committed: int = 0
    peak: int = 0


class LedgerFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def watch_peaks(self) -> None:
        """From now on, remember the most that each account held."""
        with closing(self._connected()) as connection:
            connection.executescript(PEAKS)

    def account(self, account: str) -> Account:
        query = """
            SELECT committed, coalesce(peak, 0) FROM spend_accounts LEFT JOIN bench_peaks ON account = id WHERE id = ?
        """
        rows = self._rows(query, account)
        return Account(*rows[0]) if rows else Account()

    def paid(self, request_id: str) -> list[Paid]:
        query = "SELECT state, reserved, billed, input_tokens, output_tokens FROM spend WHERE request_id = ?"
        return [
            Paid(state, reserved, billed, None if sent is None else (sent, received))
            for state, reserved, billed, sent, received in self._rows(query, request_id)
        ]

    def billed_to(self, account: str) -> int:
        """The sum over the calls that name the account, in nanodollars."""
        query = "SELECT coalesce(sum(billed), 0) FROM spend, json_each(spend.accounts) WHERE json_each.value = ?"
        return self._rows(query, account)[0][0]

    def _rows(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with closing(self._connected()) as connection:
            return connection.execute(query, values).fetchall()

    def _connected(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=30)
