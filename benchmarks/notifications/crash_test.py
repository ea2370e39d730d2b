"""Senders are killed at every point between the claim of a message and its mark, and others take over.

A round puts new messages into the outbox and lets senders die over them, one after the other; the last one lives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.notifications.audit import Audit, LocalSlack, audit
from benchmarks.notifications.kills_at_the_proxy import AtRequest, Moment, Trap
from benchmarks.notifications.messages import MessagesOf
from benchmarks.notifications.sender import AtLine, SenderJob, Senders, was_killed
from perf_pipeline.notifications.outbox import LONGEST_WAIT
from perf_pipeline.records import Notification
from resources.ledger import Ledger
from tests.real.services.slack_server import running_slack
from tests.wire import fault_proxy, slack_fault_proxy

TAKEOVER_AFTER = LONGEST_WAIT + timedelta(minutes=1)
"""By then a claim is over, and whatever waits after a failure is due."""

SLACK_HAS_IT = AtRequest(1, Moment.KILLED_UNANSWERED, "chat.postMessage")
SLACK_HAS_IT_NOT = AtRequest(1, Moment.KILLED_BEFORE_SLACK, "chat.postMessage")

Death = AtLine | AtRequest


@dataclass
class Tally:
    """`kills` are processes that ended by SIGKILL, and `points` the different places at which they did; `drops` are
    connections that were cut, `takeovers` senders that came after another."""

    kills: int = 0
    points: int = 0
    drops: int = 0
    takeovers: int = 0
    rounds: int = 0

    def add(self, other: Tally) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass
class CrashTest:
    """A ledger, a channel of a local Slack behind proxies, and senders to kill. Each scenario has one of its own."""

    name: str
    ledger_url: str
    book: Ledger
    slack: LocalSlack
    channel_id: str
    proxy: fault_proxy.FaultProxy
    strict: slack_fault_proxy.FaultProxy
    senders: Senders
    tally: Tally = field(default_factory=Tally)
    _names: Iterator[int] = field(default_factory=count)

    @property
    def job(self) -> SenderJob:
        base_url = f"{self.proxy.url}/api/"
        return SenderJob(self.ledger_url, base_url, slack_fault_proxy.TOKEN, f"#{self.name}")

    def new_name(self) -> str:
        return f"{self.name}-{next(self._names):04d}"

    def enqueue(self, messages: Sequence[Notification]) -> None:
        for message in messages:
            assert self.book.enqueue(message), f"{message.key} was used before."

    def round(self, messages: MessagesOf, deaths: Sequence[Death]) -> list[bool]:
        """Which of the deaths came about; a sender that survives its own leaves the next ones nothing to do."""
        self.enqueue(messages(self.new_name()))
        self.tally.rounds += 1
        happened = [self.send(number, death) for number, death in enumerate(deaths)]
        assert not self.send(len(deaths))
        return happened

    def send(self, number: int = 0, death: Death | None = None, **job_settings: Any) -> bool:
        """One sender, the `number`-th that looks after the messages, from 0; whether its death came about."""
        self.tally.takeovers += number > 0
        job = replace(self.job, **{"clock_ahead": number * TAKEOVER_AFTER, **job_settings})
        if not isinstance(death, AtRequest):
            killed = was_killed(self.senders.start(replace(job, death=death)))
            self.tally.kills += killed
            return killed
        trap = Trap(death)
        trap.set_for(self.proxy)
        try:
            process = self.senders.start(job)
            trap.expect(process.pid or 0)
            killed = was_killed(process)
        finally:
            self.proxy.heal()
        assert killed == (trap.sprung and death.moment.kills)
        self.tally.kills += killed
        self.tally.drops += trap.sprung and not killed
        return trap.sprung

    def sweep_lines(self, messages: MessagesOf, *before: Death, stride: int = 1, anywhere: bool = False) -> None:
        """A round for every `stride`-th line at which the sender, or the one that takes over after `before`, can die,
        until one outlives its death."""
        for line in count(1, stride):
            if not self.round(messages, [*before, AtLine(line, anywhere)])[-1]:
                return
            self.tally.points += 1

    def sweep_requests(self, messages: MessagesOf, *before: Death) -> None:
        """A round for every request of the sender, and everything that can befall it there."""
        for number in count(1):
            for moment in Moment:
                if not self.round(messages, [*before, AtRequest(number, moment)])[-1]:
                    return
                self.tally.points += moment.kills

    def audit(self, *, answers_may_stand_alone: bool = False, messages: int | None = None) -> Audit:
        """`messages` is how many the outbox should hold, where it was not this test that put them there."""
        outbox = self.book.notifications()
        result = audit(self.slack.standing(self.channel_id), outbox, answers_may_stand_alone)
        if messages is not None and len(outbox) > messages:
            result.twice += [
                f"{message.key} ({message.message.title}) tells a trouble again."
                for message in outbox
                if message.thread
            ]
        return result


@dataclass(frozen=True)
class Laboratory:
    """The local Slack behind its proxies, in which scenarios get a channel each."""

    folder: Path
    slack: LocalSlack
    proxy: fault_proxy.FaultProxy
    strict: slack_fault_proxy.FaultProxy
    senders: Senders

    @contextmanager
    def crash_test(self, name: str, ledger_url: str | None = None) -> Iterator[CrashTest]:
        url = ledger_url or f"sqlite:///{self.folder / f'{name}.db'}"
        book = Ledger(url)
        try:
            yield CrashTest(
                name, url, book, self.slack, self.slack.new_channel(name), self.proxy, self.strict, self.senders
            )
        finally:
            book.close()


@contextmanager
def laboratory(folder: Path) -> Iterator[Laboratory]:
    with ExitStack() as stack:
        upstream = stack.enter_context(running_slack(folder / "slack.log"))
        strict = stack.enter_context(slack_fault_proxy.fault_proxy(upstream))
        proxy = stack.enter_context(fault_proxy.fault_proxy(strict.base_url.removesuffix("/api/")))
        # The addresses to upload pictures to shall lead through this proxy too.
        strict.base_url = f"{proxy.url}/api/"
        slack = LocalSlack(upstream)
        stack.callback(slack.close)
        yield Laboratory(folder, slack, proxy, strict, Senders())
