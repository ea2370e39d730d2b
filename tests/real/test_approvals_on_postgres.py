"""Approvals on a real PostgreSQL: of people who answer at once, one is first, as on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from perf_pipeline.approvals import take_answer
from perf_pipeline.records import Answer
from resources.ledger import Ledger
from tests.approval_builders import ANA, BEN, FLEET, NOON, asked, attempt, known, request_to_approve, state
from tests.real.services.postgrest import postgres

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]


@pytest.fixture(scope="module")
def books() -> Iterator[list[Ledger]]:
    with postgres() as address:
        opened = [Ledger(address) for _ in range(2)]
        yield opened
        for book in opened:
            book.close()


def test_two_people_who_click_at_once_give_one_answer(books: list[Ledger]) -> None:
    for number in range(40):
        request = request_to_approve(id=f"r{number}", agent=f"Agent{number}", max_cost_usd=0.1 + 0.2)
        asked(books[0], request)
        attempts = [attempt(Answer.APPROVE, ANA, request), attempt(Answer.DECLINE, BEN, request)] * 2
        with ThreadPoolExecutor(4) as pool:
            verdicts = list(pool.map(take_answer, books * 2, [FLEET] * 4, attempts, [NOON + timedelta(minutes=1)] * 4))
        [winner] = [one for one, verdict in zip(attempts, verdicts, strict=True) if verdict.accepted]
        approved = winner.answer is Answer.APPROVE
        assert state(books[1], request.id) == (("approved", "ready") if approved else ("declined", "declined"))
        assert known(books[1], request.id)[0].answered_by == winner.person
        ends = [note.key for note in books[0].notifications() if note.key.startswith(f"approval:r{number}:")]
        assert len(ends) == 1


def test_a_request_of_slacks_is_taken_once(books: list[Ledger]) -> None:
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda number: books[number % 2].see_slack_request("v0=1", NOON), range(8)))
    assert sum(taken) == 1
    assert books[0].see_slack_request("v0=2", NOON + timedelta(hours=2))
    assert books[0].see_slack_request("v0=1", NOON + timedelta(hours=2))
