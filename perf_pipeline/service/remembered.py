"""Answers that many ask for at once are made once."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition
from typing import TypeVar

from cachetools import LRUCache, TTLCache, cached

Answer = TypeVar("Answer")


def remembered(make: Callable[[], Answer], seconds: float) -> Callable[[], Answer]:
    """`make`, whose answer stands for so long. Who asks while it is being made waits for it."""
    return cached(TTLCache(maxsize=1, ttl=seconds), condition=Condition())(make)


def remembered_by_key(make: Callable[..., Answer], size: int) -> Callable[..., Answer]:
    """`make`, whose answers stand for as long as they are among the `size` used last: what they follow from must be
    among the arguments."""
    return cached(LRUCache(maxsize=size), condition=Condition())(make)
