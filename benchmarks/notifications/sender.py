"""A sender in a process of its own, which may kill itself with SIGKILL at a line that was chosen before.

`Senders` forks them from one process that has imported everything and runs no threads, so that each costs
milliseconds. It is the outbox's real code that runs here, on a real ledger.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Literal

from perf_pipeline import delivery
from perf_pipeline.fleet import load_fleet
from perf_pipeline.notifications.telling import tellings
from perf_pipeline.situation import situation_now
from resources import ledger as ledger_package
from resources import slack as slack_module
from resources.ledger import Ledger
from resources.slack import SlackResource

TARGET = "slack"
PRELOADED = [__name__, "alembic.command", "httpx", "slack_sdk.web.client", "sqlalchemy.dialects.sqlite"]
PATIENCE_SECONDS = 60

OURS = (
    str(Path(delivery.__file__)),
    str(Path(slack_module.__file__).with_suffix("")),
    str(Path(ledger_package.__file__).parent),
)
"""Where the paths of the files begin whose lines are counted: delivery.py, resources/slack*.py, resources/ledger/."""

BOUNDS: dict[str, tuple[CodeType, CodeType]] = {
    "send": (Ledger.claim.__code__, Ledger.settle.__code__),
    "tell": (Ledger.tell.__code__, Ledger.tell.__code__),
}
"""The functions from whose beginning to whose end a sender may die: from the claim to the mark; while it tells."""


@dataclass(frozen=True)
class AtLine:
    """The sender kills itself before the line with this number of those that it runs within the bounds, counted
    from 1, or as it leaves a function. `anywhere` counts the lines of every library too."""

    number: int
    anywhere: bool = False


@dataclass(frozen=True)
class SenderJob:
    """What a sender does once: telling what the incidents ask for, where `tells`, and then sending what waits.

    Its clock is ahead of the real one by `clock_ahead`. It begins together with the others at `barrier`.
    """

    ledger_url: str
    base_url: str
    token: str
    channel: str
    clock_ahead: timedelta = timedelta(0)
    death: AtLine | None = None
    bounds: Literal["send", "tell"] = "send"
    tells: bool = False
    fleet_path: Path | None = None
    barrier: Barrier | None = None


class Senders:
    def __init__(self) -> None:
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)

    def barrier(self, parties: int) -> Barrier:
        return self._context.Barrier(parties)

    def start(self, job: SenderJob) -> ForkServerProcess:
        process = self._context.Process(target=run, args=(job,), daemon=True)
        process.start()
        return process


def was_killed(process: ForkServerProcess) -> bool:
    """Waits for the sender's end: whether it was killed. Raises RuntimeError where it ended in any other wrong way."""
    process.join(PATIENCE_SECONDS)
    code = process.exitcode
    if code is None:
        process.kill()
        raise RuntimeError(f"A sender was still running after {PATIENCE_SECONDS} s.")
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"A sender ended with exit code {code}: see what it printed.")
    return code != 0


def run(job: SenderJob) -> None:
    book = Ledger(job.ledger_url)
    slack = SlackResource(token=job.token, channel=job.channel, base_url=job.base_url)
    if job.barrier is not None:
        job.barrier.wait(PATIENCE_SECONDS)
    if job.death is not None:
        sys.settrace(LineCounter(job.death, *BOUNDS[job.bounds]))
    try:
        if job.tells:
            tell(book, job)
        delivery.deliver(book, {TARGET: slack}, lambda: datetime.now(UTC) + job.clock_ahead)
    finally:
        sys.settrace(None)
        book.close()


def tell(book: Ledger, job: SenderJob) -> None:
    """What the sensor does before it sends."""
    assert job.fleet_path is not None
    fleet, now = load_fleet(job.fleet_path), datetime.now(UTC) + job.clock_ahead
    for telling in tellings(situation_now(book, fleet, now), fleet, now, lambda _trace: None):
        book.tell(telling)


class LineCounter:
    """A trace function that counts the lines between the call of `first` and the return of `last`."""

    def __init__(self, death: AtLine, first: CodeType, last: CodeType) -> None:
        self._death, self._first, self._last = death, first, last
        self._seen = 0
        self._counting = False

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Callable[..., Any] | None:
        code = frame.f_code
        if not self._death.anywhere and not code.co_filename.startswith(OURS):
            return None
        if event == "call" and code is self._first:
            self._counting = True
        if self._counting and event in ("line", "return"):
            self._seen += 1
            if self._seen == self._death.number:
                os.kill(os.getpid(), signal.SIGKILL)
        if event == "return" and code is self._last:
            self._counting = False
        return self
