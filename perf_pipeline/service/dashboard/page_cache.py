"""Pages as they were a moment ago: many readers of one page cost as much as one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta

SHOWN_FOR = timedelta(seconds=10)
"""New windows come every few minutes at most; what people do on the command line may take so long to be seen."""

MAX_PAGES = 500


class PageCache:
    def __init__(self) -> None:
        self._pages: dict[Hashable, tuple[datetime, str]] = {}
        self._locks: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def page(self, key: Hashable, now: datetime, make: Callable[[], str]) -> str:
        """The page of this key, made anew where it is older than `SHOWN_FOR`; who asks meanwhile waits for it."""
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            known = self._pages.get(key)
            if known is not None and timedelta(0) <= now - known[0] < SHOWN_FOR:
                return known[1]
            text = make()
        with self._lock:
            self._pages[key] = (now, text)
            self._forget_old()
        return text

    def _forget_old(self) -> None:
        """Within the lock. Addresses are the readers' to choose, so that their number is bounded."""
        if len(self._pages) <= MAX_PAGES:
            return
        newest = sorted(self._pages, key=lambda key: self._pages[key][0], reverse=True)[: MAX_PAGES // 2]
        self._pages = {key: self._pages[key] for key in newest}
        self._locks = {key: lock for key, lock in self._locks.items() if key in self._pages or lock.locked()}
