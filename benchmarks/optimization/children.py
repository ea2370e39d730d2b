"""Runs in forked children, which may be killed at any moment, and workers that start them.

A fork takes milliseconds, and everything is imported already. It is safe because no process that forks has threads.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from benchmarks.optimization.model_server_process import ModelServerProcess, model_server_process
from benchmarks.optimization.quiet import silence

WORKERS = 2
PATIENCE_SECONDS = 120
FORK = get_context("fork")
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Ended(Generic[Result]):
    """How a child ended: with a result, killed as was planned, or because it hung."""

    result: Result | None
    was_killed: bool = False
    has_hung: bool = False


def in_child(
    work: Callable[[], Result], kill_after: float | None = None, patience: float = PATIENCE_SECONDS
) -> Ended[Result]:
    """Do the work in a child, which is sent SIGKILL after `kill_after` seconds, or as one that hangs after `patience`,
    unless it is done before. Raises RuntimeError with the child's traceback."""
    _refuse_threads()
    ours, theirs = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_report, args=(work, theirs))
    process.start()
    theirs.close()
    is_done = ours.poll(patience if kill_after is None else kill_after)
    if not is_done:
        process.kill()
    try:
        answer = ours.recv()
    except EOFError:
        process.join()
        if is_done:
            raise RuntimeError(f"A child ended without a result, with code {process.exitcode}.") from None
        return Ended(None, was_killed=kill_after is not None, has_hung=kill_after is None)
    finally:
        ours.close()
    process.join()
    return Ended(_unpacked(answer))


def in_workers(
    work: Callable[[ModelServerProcess, Item], Result], items: Sequence[Item], workers: int = WORKERS
) -> Iterator[Result]:
    """Do the work for each item, in processes with a model server each; the results as they come."""
    _refuse_threads()
    open_ends: list[Any] = []
    processes = []
    for number in range(workers):
        ours, theirs = FORK.Pipe(duplex=False)
        process = FORK.Process(target=_work_off, args=(work, items[number::workers], theirs))
        process.start()
        theirs.close()
        open_ends.append(ours)
        processes.append(process)
    try:
        while open_ends:
            for end in wait(open_ends):
                assert isinstance(end, Connection)
                try:
                    answer = end.recv()
                except EOFError:
                    open_ends.remove(end)
                    continue
                yield _unpacked(answer)
    finally:
        for process in processes:
            if open_ends:
                process.terminate()
            process.join()


def _report(work: Callable[[], Any], to: Connection) -> None:
    silence()
    try:
        to.send((work(), None))
    except BaseException:  # noqa: BLE001 (the parent raises it)
        to.send((None, traceback.format_exc()))
    to.close()


def _work_off(work: Callable[[ModelServerProcess, Any], Any], items: Sequence[Any], to: Connection) -> None:
    try:
        with model_server_process() as server:
            for item in items:
                to.send((work(server, item), None))
    except BaseException:  # noqa: BLE001 (the parent raises it)
        to.send((None, traceback.format_exc()))
    to.close()


def _unpacked(answer: tuple[Any, str | None]) -> Any:
    result, trouble = answer
    if trouble is not None:
        raise RuntimeError(trouble)
    return result


def _refuse_threads() -> None:
    if threading.active_count() > 1:
        raise RuntimeError(f"This process has threads, so it must not fork: {threading.enumerate()}.")
