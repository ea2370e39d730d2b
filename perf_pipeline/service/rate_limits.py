"""How often one token, or one address, may ask. Counted in this process only."""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from perf_pipeline.service.problems import Problem

REQUESTS = parse("6000/minute")
CHANGES = parse("120/minute")
"""Requests that change something: all but GET and HEAD."""

REFUSALS = parse("60/minute")
"""Requests without a token that counts, of one address. Those with one are answered all the same."""


class RateLimits:
    def __init__(
        self, requests: RateLimitItem = REQUESTS, changes: RateLimitItem = CHANGES, refusals: RateLimitItem = REFUSALS
    ) -> None:
        self._requests, self._changes, self._refusals = requests, changes, refusals
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def count(self, who: str, *, changes: bool) -> None:
        """Raises Problem 429 where `who` asks too often."""
        self._hit(self._requests, "requests", who)
        if changes:
            self._hit(self._changes, "changes", who)

    def count_refusal(self, address: str) -> None:
        self._hit(self._refusals, "refusals", address)

    def _hit(self, limit: RateLimitItem, what: str, who: str) -> None:
        if self._limiter.hit(limit, what, who):
            return
        wait = max(math.ceil(self._limiter.get_window_stats(limit, what, who).reset_time - time.time()), 1)
        allowed = f"{limit.amount} {what} a minute"
        raise Problem(429, f"Too many requests: {allowed} are allowed. Wait {wait} s.", {"Retry-After": str(wait)})
