"""The rules of the outbox: keys and threads at each target, when an answer may go, how long a failed message waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.message import Message
from perf_pipeline.notifications.outbox import (
    LONGEST_WAIT,
    MAX_ATTEMPTS,
    after_failure,
    thread_is_ready,
    to_targets,
)
from perf_pipeline.records import NotificationState
from tests.incident_builders import notification

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MESSAGE = Message(title="title")


def test_a_message_to_two_targets_has_a_key_and_a_thread_of_its_own_at_each() -> None:
    made = to_targets("a:update", NotificationKind.ALERT, MESSAGE, ("slack", "on_call"), NOW, thread="a")
    assert [(one.key, one.thread, one.target) for one in made] == [
        ("a:update@slack", "a@slack", "slack"),
        ("a:update@on_call", "a@on_call", "on_call"),
    ]
    assert {one.state for one in made} == {NotificationState.PENDING}


def test_a_message_that_is_only_kept_says_why() -> None:
    [kept] = to_targets("a", NotificationKind.ALERT, MESSAGE, ("slack",), NOW, withheld="It is history.")
    assert (kept.state, kept.note, kept.thread) == (NotificationState.WITHHELD, "It is history.", None)


@pytest.mark.parametrize(
    ("state", "ready"),
    [
        (NotificationState.PENDING, False),
        (NotificationState.CLAIMED, False),
        (NotificationState.SENT, True),
        (NotificationState.WITHHELD, True),
        (NotificationState.UNDELIVERABLE, True),
    ],
)
def test_an_answer_waits_for_what_it_answers_unless_that_will_never_be_sent(
    state: NotificationState, ready: bool
) -> None:
    answer = notification("b", thread="a")
    assert thread_is_ready(answer, notification("a", state=state)) == ready


def test_a_message_that_answers_nothing_or_something_unknown_may_go() -> None:
    assert thread_is_ready(notification("a"), None)
    assert thread_is_ready(notification("b", thread="a"), None)


def test_the_wait_doubles_from_15_seconds_to_half_an_hour() -> None:
    waits = [after_failure(attempts, True, NOW).not_before for attempts in range(1, 12)]
    seconds = [(wait - NOW).total_seconds() for wait in waits if wait]
    assert seconds == [15, 30, 60, 120, 240, 480, 960, 1800, 1800, 1800, 1800]
    assert max(seconds) == LONGEST_WAIT.total_seconds()


def test_a_channel_that_asks_to_wait_longer_is_obeyed() -> None:
    assert after_failure(1, True, NOW, timedelta(hours=2)).not_before == NOW + timedelta(hours=2)
    assert after_failure(1, True, NOW, timedelta(seconds=1)).not_before == NOW + timedelta(seconds=15)


@pytest.mark.parametrize(
    ("attempts", "retryable", "state"),
    [
        (1, True, NotificationState.PENDING),
        (MAX_ATTEMPTS - 1, True, NotificationState.PENDING),
        (MAX_ATTEMPTS, True, NotificationState.UNDELIVERABLE),
        (1, False, NotificationState.UNDELIVERABLE),
    ],
)
def test_what_is_hopeless_is_kept_as_undeliverable(attempts: int, retryable: bool, state: NotificationState) -> None:
    step = after_failure(attempts, retryable, NOW)
    assert step.state is state
    assert (step.not_before is None) == (state is NotificationState.UNDELIVERABLE)
