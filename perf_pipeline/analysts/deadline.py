"""Work that is given up at a deadline, whatever it does."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


class Late:
    """Stands for what was not done by the deadline."""


def done_within(seconds: float, work: Sequence[Callable[[], T]]) -> list[T | BaseException | Late]:
    """What each piece of work gave or raised, or that it was late. All are done at once, in threads.

    Work that hangs goes on in a thread that nothing waits for, not even the end of the process.
    """
    done: queue.SimpleQueue[tuple[int, T | BaseException]] = queue.SimpleQueue()

    def do(place: int, one: Callable[[], T]) -> None:
        try:
            done.put((place, one()))
        except BaseException as error:  # noqa: BLE001 (it is the caller's, in another thread)
            done.put((place, error))

    ends = time.monotonic() + seconds
    for place, one in enumerate(work):
        threading.Thread(target=copy_context().run, args=(do, place, one), name="analyst", daemon=True).start()
    results: list[T | BaseException | Late] = [Late() for _ in work]
    for _ in work:
        try:
            place, result = done.get(timeout=max(ends - time.monotonic(), 0))
        except queue.Empty:
            break
        results[place] = result
    return results
