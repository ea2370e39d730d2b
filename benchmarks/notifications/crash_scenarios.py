"""The scenarios of the crash test. Each runs on a ledger and a channel of its own.

`stride` thins them out: of the lines at which a sender can die, every `stride`-th is tried; 1 is all of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any
from urllib.parse import unquote_plus

from benchmarks.notifications.audit import Audit
from benchmarks.notifications.crash_test import SLACK_HAS_IT, SLACK_HAS_IT_NOT, CrashTest, Death
from benchmarks.notifications.incidents import FLEET_FILE, failing
from benchmarks.notifications.kills_at_the_proxy import AtRequest, Moment
from benchmarks.notifications.messages import (
    MessagesOf,
    alert,
    alert_and_answer,
    answer_to,
    key_of,
    picture_in_thread,
    too_long,
    with_picture,
)
from benchmarks.notifications.sender import AtLine, was_killed
from tests.wire.http_server import Request
from tests.wire.slack_fault_proxy import Answer

TELLING: dict[str, Any] = {"tells": True, "bounds": "tell", "fleet_path": FLEET_FILE, "clock_ahead": timedelta(0)}
CLOCK_DIFFERENCE = timedelta(seconds=2)
"""Of two machines."""

Scenario = Callable[[CrashTest, int], None]

TAKEOVER_LINES = 15
"""From one line at which a sender that takes over dies to the next: most of its lines are steps of one search."""

LIBRARY_LINES = 223
"""The same within SQLAlchemy, the HTTP client and all other libraries."""


def alerts(test: CrashTest, stride: int) -> None:
    _every_death(test, alert, stride)
    test.sweep_lines(alert, stride=LIBRARY_LINES * stride, anywhere=True)


def answers(test: CrashTest, stride: int) -> None:
    _every_death(test, answer_to(_parent(test)), stride)


def pictures(test: CrashTest, stride: int) -> None:
    _every_death(test, with_picture, stride)


def pictures_in_threads(test: CrashTest, stride: int) -> None:
    _every_death(test, picture_in_thread(_parent(test)), stride)


def refused_layouts(test: CrashTest, stride: int) -> None:
    """Slack refuses the blocks, so that the text alone is posted by a second request."""
    test.strict.refuses_blocks = True
    try:
        _every_death(test, too_long, stride, accepted_post=2)
    finally:
        test.strict.refuses_blocks = False


def alerts_with_answers(test: CrashTest, stride: int) -> None:
    test.sweep_requests(alert_and_answer)
    test.sweep_lines(alert_and_answer, stride=stride)


def answers_to_refused_messages(test: CrashTest, stride: int) -> None:
    """Slack refuses the message that is answered, so the answer stands alone; then the message is sent after all."""
    for line in count(1, stride):
        name = test.new_name()
        test.enqueue(alert_and_answer(name))
        test.tally.rounds += 1
        with _refused(test, key_of(f"{name}-alert")):
            killed = test.send(0, AtLine(line))
        refused = test.book.retry_undeliverable()
        assert not test.send(1)
        if not killed:
            assert refused == 1, "Nothing was refused."
            return
        test.tally.points += 1


def many_deaths(test: CrashTest, stride: int) -> None:
    """Whoever takes over dies as well, several times, anyhow."""
    chance = random.Random(5)
    parent = _parent(test)
    for _ in range(60 // stride):
        deaths: list[Death] = [
            chance.choice(
                [AtLine(chance.randint(1, 120)), AtRequest(chance.randint(1, 2), chance.choice(list(Moment)))]
            )
            for _ in range(4)
        ]
        test.round(chance.choice([alert, answer_to(parent)]), deaths)


def two_senders(test: CrashTest, stride: int) -> None:
    """Two daemons empty one outbox together; in every other round one of them is killed."""
    chance = random.Random(6)
    for number in range(24 // stride):
        test.tally.rounds += 1
        for _ in range(3):
            test.enqueue(alert_and_answer(test.new_name()))
        _together(test, AtLine(chance.randint(1, 300)) if number % 2 else None)
        for takeover in (1, 2):
            assert not test.send(takeover)


def two_tellers(test: CrashTest, stride: int) -> None:
    """Two daemons, whose clocks differ, find the same incidents untold; in every other round one of them is killed
    while it tells."""
    chance = random.Random(7)
    for number in range(24 // stride):
        _record_trouble(test)
        _together(test, AtLine(chance.randint(1, 200)) if number % 2 else None, CLOCK_DIFFERENCE, **TELLING)
        assert not test.send(1, **TELLING)


def killed_tellers(test: CrashTest, stride: int) -> None:
    """A sender dies while it puts messages into the outbox and notes what they tell."""
    for line in count(1, stride):
        _record_trouble(test)
        killed = test.send(0, AtLine(line), **TELLING)
        assert not test.send(1, **TELLING)
        if not killed:
            return
        test.tally.points += 1


def on_postgres(test: CrashTest, stride: int) -> None:
    test.sweep_requests(alert)
    test.sweep_lines(alert, stride=5 * stride)
    two_senders(test, 2 * stride)


SCENARIOS: dict[str, Scenario] = {
    "alerts": alerts,
    "answers in a thread": answers,
    "pictures": pictures,
    "pictures in a thread": pictures_in_threads,
    "layouts that Slack refuses": refused_layouts,
    "alerts and their answers": alerts_with_answers,
    "answers to refused messages": answers_to_refused_messages,
    "many deaths": many_deaths,
    "two senders at once": two_senders,
    "two tellers at once": two_tellers,
    "killed tellers": killed_tellers,
}
TELLERS = frozenset({two_tellers, killed_tellers})
"""Scenarios that record incidents, from which the senders make messages: one for each round."""


def run(scenario: Scenario, test: CrashTest, stride: int) -> Audit:
    scenario(test, stride)
    return test.audit(
        answers_may_stand_alone=scenario is answers_to_refused_messages,
        messages=test.tally.rounds if scenario in TELLERS else None,
    )


def _every_death(test: CrashTest, messages: MessagesOf, stride: int, accepted_post: int = 1) -> None:
    """The first sender dies at every request and every line; and so does one that takes over, where Slack has the
    message and where it has not."""
    test.sweep_requests(messages)
    test.sweep_lines(messages, stride=stride)
    for before in (replace(SLACK_HAS_IT, number=accepted_post), SLACK_HAS_IT_NOT):
        test.sweep_requests(messages, before)
        test.sweep_lines(messages, before, stride=TAKEOVER_LINES * stride)


def _parent(test: CrashTest) -> str:
    """The name of a message that has been sent."""
    name = test.new_name()
    test.enqueue(alert(name))
    assert not test.send()
    return name


@contextmanager
def _refused(test: CrashTest, key: str) -> Iterator[None]:
    """Slack refuses to post the message of this key, whatever its layout."""

    def is_it(request: Request) -> bool:
        return request.path.endswith("chat.postMessage") and key in unquote_plus(request.body.decode())

    test.proxy.misbehave(lambda exchange: exchange.send(Answer.refusal("is_archived")), only=is_it)
    try:
        yield
    finally:
        test.proxy.heal()


def _together(
    test: CrashTest, death: AtLine | None, clock_difference: timedelta = timedelta(0), **job_settings: Any
) -> None:
    barrier = test.senders.barrier(2)
    job = replace(test.job, **{**job_settings, "barrier": barrier})
    processes = [
        test.senders.start(replace(job, death=death)),
        test.senders.start(replace(job, clock_ahead=clock_difference)),
    ]
    test.tally.kills += sum(was_killed(process) for process in processes)


def _record_trouble(test: CrashTest) -> None:
    test.tally.rounds += 1
    name = test.new_name()
    test.book.record_incidents([failing(f"{name}-agent-{number}", f"cause of {name}") for number in range(3)])
