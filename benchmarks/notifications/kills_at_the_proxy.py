"""How a sender dies, or loses its connection, at a request that a proxy before Slack sees."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field
from enum import StrEnum

from tests.wire.fault_proxy import Exchange, FaultProxy
from tests.wire.http_server import Request


class Moment(StrEnum):
    KILLED_BEFORE_SLACK = "killed when the proxy had the request and Slack did not"
    KILLED_UNANSWERED = "killed when Slack had the request, before it answered the sender"
    KILLED_ANSWERED = "killed when the answer was on its way"
    DROPPED_BEFORE_SLACK = "connection dropped before Slack had the request"
    DROPPED_UNANSWERED = "connection dropped after Slack had the request"

    @property
    def kills(self) -> bool:
        return self in (Moment.KILLED_BEFORE_SLACK, Moment.KILLED_UNANSWERED, Moment.KILLED_ANSWERED)

    @property
    def reaches_slack(self) -> bool:
        return self not in (Moment.KILLED_BEFORE_SLACK, Moment.DROPPED_BEFORE_SLACK)


@dataclass(frozen=True)
class AtRequest:
    """`number` counts the requests of one sender from 1, or only those whose path ends with `method`."""

    number: int
    moment: Moment
    method: str = ""


@dataclass
class Trap:
    """Waits at the proxy for one request of one sender. `sprung` says whether it came."""

    death: AtRequest
    sprung: bool = False
    _pid: int = 0
    _seen: int = 0
    _victim_is_known: threading.Event = field(default_factory=threading.Event)

    def set_for(self, proxy: FaultProxy) -> None:
        proxy.misbehave(self._spring, times=1, only=self._is_the_one)

    def expect(self, pid: int) -> None:
        self._pid = pid
        self._victim_is_known.set()

    def _is_the_one(self, request: Request) -> bool:
        self._seen += request.path.endswith(self.death.method)
        return self._seen == self.death.number and request.path.endswith(self.death.method)

    def _spring(self, exchange: Exchange) -> None:
        self.sprung = True
        moment = self.death.moment
        if moment.reaches_slack:
            answer = exchange.forward(exchange.request)
            if moment is Moment.KILLED_ANSWERED:
                exchange.send(answer)
        if moment.kills:
            self._victim_is_known.wait()
            os.kill(self._pid, signal.SIGKILL)
        exchange.hang_up()
