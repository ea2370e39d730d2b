"""How a simulated provider misbehaves in a run: reproducible, and the same for whoever asks."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.wire.model_server import SERVER_ERROR, Body, Fault, Hang, rate_limit

RETRY_AFTER_SECONDS = 0.01
HANG_SECONDS = 1.3
"""Longer than the runs' time limit of a call."""

NEVER_SAYS_USAGE: tuple[Fault, ...] = ("no usage",)
FAULTS: tuple[Fault, ...] = (
    rate_limit(RETRY_AFTER_SECONDS),
    SERVER_ERROR,
    "drop before the work",
    "drop after the work",
    "no usage",
    "malformed JSON",
    "unreadable text",
)


@dataclass(frozen=True)
class FaultPlan:
    """`tests.wire.model_server.Plan`: the share `rate` of the calls has one of the `faults`, the call `hangs_at` is not
    answered in time, and every good one takes `latency_seconds`. Pickled, it goes to the server's process."""

    seed: int = 0
    rate: float = 0.0
    faults: tuple[Fault, ...] = FAULTS
    hangs_at: int | None = None
    latency_seconds: float = 0.0

    def __call__(self, number: int, body: Body) -> Fault | None:  # noqa: ARG002
        chance = random.Random(f"{self.seed}:{number}")
        if number == self.hangs_at:
            return Hang(HANG_SECONDS)
        if chance.random() < self.rate:
            return chance.choice(self.faults)
        return Hang(self.latency_seconds) if self.latency_seconds else None

    def of(self, number: int) -> Fault | None:
        """What happened to the call with that number."""
        return self(number, {})
