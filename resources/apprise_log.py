"""What Apprise logs while a message is sent: for us alone, because addresses, which hold secrets, are in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_said: ContextVar[list[logging.LogRecord] | None] = ContextVar("what Apprise said", default=None)


@contextmanager
def kept_out_of_logs() -> Iterator[list[logging.LogRecord]]:
    """The list fills with what Apprise, and the HTTP library below it, log in the block; no handler gets any of it.

    Apprise sends in threads of its own, which have a copy of the context, and so the same list.
    """
    for name in ("apprise", "urllib3.connectionpool"):
        log = logging.getLogger(name)
        # Filters of a logger come before all handlers, wherever they are attached. Adding one twice adds it once.
        log.addFilter(_take)
    # Why something failed is said among the lines for debugging only.
    logging.getLogger("apprise").setLevel(logging.DEBUG)
    said: list[logging.LogRecord] = []
    token = _said.set(said)
    try:
        yield said
    finally:
        _said.reset(token)


def _take(record: logging.LogRecord) -> bool:
    said = _said.get()
    if said is not None:
        said.append(record)
    return said is None and record.name != "apprise"
