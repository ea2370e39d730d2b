"""Who may use the HTTP service: tokens, of which only digests are kept, and the sessions of browsers."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from perf_pipeline.records import ApiToken, Scope
from resources.ledger import schema
from resources.ledger.connection import LedgerConnection

USE_NOTED_EVERY = timedelta(hours=1)
"""When a token was last used is noted this coarsely, so that reading does not write to the database each time."""


class TokenLedger(LedgerConnection):
    def add_token(self, token: ApiToken) -> bool:
        """False, and nothing changes, where its id is known."""
        return self._insert_new(schema.api_tokens, asdict(token))

    def tokens(self) -> list[ApiToken]:
        """All of them, oldest first."""
        table = schema.api_tokens
        return [_token(row) for row in self._all(sa.select(table).order_by(table.c.created_at, table.c.id))]

    def usable_token(self, digest: str, now: datetime) -> ApiToken | None:
        """The token of this digest, unless it was revoked or has expired."""
        rows = self._all(sa.select(schema.api_tokens).where(schema.api_tokens.c.digest == digest))
        token = _token(rows[0]) if rows else None
        return token if token and token.is_usable(now) else None

    def has_usable_tokens(self, now: datetime) -> bool:
        table = schema.api_tokens
        usable = table.c.revoked_at.is_(None) & (table.c.expires_at.is_(None) | (table.c.expires_at > now))
        return bool(self._all(sa.select(table.c.id).where(usable).limit(1)))

    def note_use(self, token: ApiToken, now: datetime) -> None:
        """Note that a token was used, if that was noted longer than `USE_NOTED_EVERY` ago."""
        if token.last_used_at is not None and now - token.last_used_at < USE_NOTED_EVERY:
            return
        table = schema.api_tokens
        self._update_one(sa.update(table).where(table.c.id == token.id).values(last_used_at=now))

    def revoke_token(self, token_id: str, person: str, now: datetime) -> bool:
        """End a token, and the sessions that were begun with it. False where there is none that could be ended."""
        tokens, sessions = schema.api_tokens, schema.browser_sessions
        revoke = sa.update(tokens).where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
        with self._engine.begin() as connection:
            done = connection.execute(revoke.values(revoked_at=now, revoked_by=person))
            connection.execute(sa.delete(sessions).where(sessions.c.token_id == token_id))
            return done.rowcount == 1

    def open_session(self, digest: str, token: ApiToken, expires_at: datetime, now: datetime) -> None:
        """Begin the session of a browser; those that have expired are forgotten."""
        table = schema.browser_sessions
        with self._engine.begin() as connection:
            connection.execute(sa.delete(table).where(table.c.expires_at <= now))
            connection.execute(sa.insert(table).values(digest=digest, token_id=token.id, expires_at=expires_at))

    def session_token(self, digest: str, now: datetime) -> ApiToken | None:
        """The token that a session was begun with, unless either of them has ended."""
        tokens, sessions = schema.api_tokens, schema.browser_sessions
        session = (sessions.c.digest == digest) & (sessions.c.expires_at > now)
        query = sa.select(tokens).join(sessions, sessions.c.token_id == tokens.c.id).where(session)
        rows = self._all(query)
        token = _token(rows[0]) if rows else None
        return token if token and token.is_usable(now) else None

    def close_session(self, digest: str) -> None:
        table = schema.browser_sessions
        with self._engine.begin() as connection:
            connection.execute(sa.delete(table).where(table.c.digest == digest))


def _token(row: dict[str, Any]) -> ApiToken:
    return ApiToken(**{**row, "scopes": tuple(Scope(scope) for scope in row["scopes"])})
