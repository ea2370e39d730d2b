"""Work that is given up at a deadline."""

from __future__ import annotations

import threading

from perf_pipeline.analysts.deadline import Late, done_within


def test_what_is_done_and_what_fails_is_told_in_the_order_of_the_work() -> None:
    failure = ValueError("no")

    def fails() -> int:
        raise failure

    assert done_within(30, [lambda: 1, fails, lambda: 3]) == [1, failure, 3]


def test_work_that_hangs_is_late_and_holds_up_nothing_else() -> None:
    never = threading.Event()
    try:
        first, second = done_within(0.2, [never.wait, lambda: True])
        assert isinstance(first, Late)
        assert second is True
    finally:
        never.set()


def test_no_work_is_done_at_once() -> None:
    assert done_within(0, []) == []
