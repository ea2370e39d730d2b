"""How tokens of the HTTP service are made, and what is kept of them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime

from perf_pipeline.records import ApiToken, Scope

PREFIX = "perfpipe_"
"""By which people, and scanners of leaked secrets, know what they have found."""


def new_token(
    name: str,
    person: str,
    scopes: Iterable[Scope],
    created_by: str,
    now: datetime,
    expires_at: datetime | None = None,
) -> tuple[str, ApiToken]:
    """The secret, which is shown once, and what is recorded of it."""
    secret = new_secret()
    ordered = tuple(scope for scope in Scope if scope in set(scopes))
    return secret, ApiToken(secrets.token_hex(4), digest(secret), name, person, ordered, now, created_by, expires_at)


def new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """SHA-256, in hex. A slow hash protects passwords, which can be guessed; nobody guesses 256 random bits, and every
    request pays for the hash."""
    return hashlib.sha256(secret.encode()).hexdigest()
