"""What is said of requests that are tried again."""

from __future__ import annotations

import stamina


def say_nothing_of_retries() -> None:
    """In this process, from now on: stamina writes to where a command writes its answer."""
    stamina.instrumentation.set_on_retry_hooks([])
