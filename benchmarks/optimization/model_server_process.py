"""The model server in a process of its own: whoever forks and kills runs has no threads, and the count outlives them.

A server for each run, one at a time, so that its count is that run's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.optimization.fault_plans import FaultPlan
from benchmarks.optimization.quiet import silence
from tests.wire.fault_proxy import FaultProxy, fault_proxy
from tests.wire.model_server import Body, Call, Fault, ModelServer, model_server

PATIENCE_SECONDS = 30


class ModelServerProcess:
    """The other end of the process. Its methods are for one process at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def open(self, plan: FaultPlan, *, goes_down_at: int | None = None) -> str:
        """Serve for a run: the address, ending in /v1. With the call `goes_down_at` the server starts to refuse
        connections; so it does until `heal`."""
        return self._ask("open", plan, goes_down_at)

    def heal(self) -> None:
        self._ask("heal")

    def close(self) -> tuple[Call, ...]:
        """All calls of the run. Its clients are gone: what was still being worked at is waited for."""
        return self._ask("close")

    def _ask(self, command: str, *arguments: Any) -> Any:
        self._connection.send((command, arguments))
        if not self._connection.poll(2 * PATIENCE_SECONDS):
            raise RuntimeError(f"The model server's process does not answer to {command}.")
        answer = self._connection.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def model_server_process() -> Iterator[ModelServerProcess]:
    # Spawned, not forked: it serves with threads, and holds nothing of the process that starts it.
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ModelServerProcess(ours)
    finally:
        ours.close()
        process.join(PATIENCE_SECONDS)


def _serve(connection: Connection) -> None:
    # A client that was killed resets its connection, and http.server prints a traceback for each.
    silence()
    served = _Served()
    commands: dict[str, Callable[..., Any]] = {"open": served.open, "heal": served.heal, "close": served.close}
    while True:
        try:
            command, arguments = connection.recv()
        except EOFError:
            return
        try:
            connection.send(commands[command](*arguments))
        except Exception as error:  # noqa: BLE001 (the other process raises it)
            connection.send(RuntimeError(f"{command}: {error!r}"))


class _Served:
    """The server of the run at hand."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._server: ModelServer | None = None
        self._proxy: FaultProxy | None = None

    def open(self, plan: FaultPlan, goes_down_at: int | None) -> str:
        self._server = self._stack.enter_context(model_server(plan))
        if goes_down_at is None:
            return self._server.base_url
        self._proxy = self._stack.enter_context(fault_proxy(self._server.base_url.removesuffix("/v1")))
        self._server.plan = _Outage(plan, goes_down_at, self._proxy)
        return f"{self._proxy.url}/v1"

    def heal(self) -> None:
        assert self._proxy is not None
        self._proxy.heal()

    def close(self) -> tuple[Call, ...]:
        assert self._server is not None
        server, self._server, self._proxy = self._server, None, None
        self._stack.close()
        _wait_for_handlers()
        return server.calls


@dataclass(frozen=True)
class _Outage:
    plan: FaultPlan
    at: int
    proxy: FaultProxy

    def __call__(self, number: int, body: Body) -> Fault | None:
        if number == self.at:
            # Connections that are kept alive would outlive the listening socket.
            self.proxy.misbehave(lambda exchange: exchange.hang_up())
            self.proxy.go_down()
        return self.plan(number, body)


def _wait_for_handlers() -> None:
    """Each connection has a thread, which ends with it."""
    end = time.monotonic() + PATIENCE_SECONDS
    while handlers := [thread.name for thread in threading.enumerate() if "process_request_thread" in thread.name]:
        if time.monotonic() > end:
            raise RuntimeError(f"Connections to the model server are still open: {handlers}.")
        time.sleep(0.005)
