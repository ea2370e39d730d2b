"""People agree to an optimization, or not: who counts, to what, until when, and what they read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from perf_pipeline.approvals import ask_for_approvals, expire_approvals, take_answer
from perf_pipeline.fleet_people import ApprovalsConfig, NotificationsConfig
from perf_pipeline.notifications.approval_messages import Prospect, approval_message
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.optimization.approvals import fingerprint, judge, question
from perf_pipeline.records import Answer, ApprovalState, RequestState
from resources.ledger import Ledger, schema
from tests.approval_builders import (
    ANA,
    BEN,
    CLEO,
    FLEET,
    NOON,
    asked,
    attempt,
    fleet,
    known,
    request_to_approve,
    state,
)

REQUEST = request_to_approve()
QUESTION = question(REQUEST, FLEET, NOON)
LATER = NOON + timedelta(minutes=10)
DUE = NOON + timedelta(hours=48)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


def change_cap(book: Ledger, cap: float) -> None:
    """Somebody changes what the request may cost, in the database."""
    with book._engine.begin() as connection:
        connection.execute(sa.update(schema.optimization_requests).values(max_cost_usd=cap))


def texts(book: Ledger) -> dict[str, str]:
    return {note.key: f"{note.message.title}\n{plain_text(note.message)}" for note in book.notifications()}


# What an answer binds to


@pytest.mark.parametrize(
    "change",
    [
        {"agent": "AuditAgent"},
        {"optimizer": "MIPROv2"},
        {"max_cost_usd": 30.01},
        {"completed_tasks": 53},
        {"window_start": NOON},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_fingerprint_changes_with_anything_that_is_asked(change: dict[str, object]) -> None:
    assert fingerprint(replace(REQUEST, **change)) != fingerprint(REQUEST)


def test_the_fingerprint_is_the_same_wherever_the_request_was_read() -> None:
    elsewhere = REQUEST.window_start.astimezone(timezone(timedelta(hours=5, minutes=30)))
    same = replace(REQUEST, max_cost_usd=30, window_start=elsewhere, state=RequestState.READY, reasons=())
    assert fingerprint(same) == fingerprint(REQUEST)


def test_a_request_that_was_read_back_from_the_ledger_has_its_fingerprint(book: Ledger) -> None:
    odd = request_to_approve(max_cost_usd=0.1 + 0.2, window_start=NOON.replace(microsecond=123456))
    book.request_optimization(odd)
    assert [fingerprint(one) for one in book.optimization_requests()] == [fingerprint(odd)]


# Who counts, and when


@pytest.mark.parametrize("approver", [ANA, BEN, CLEO], ids=lambda one: one.name)
def test_a_listed_approver_may_answer(approver: object) -> None:
    assert judge(QUESTION, REQUEST, Answer.APPROVE, QUESTION.fingerprint, approver, FLEET, LATER).accepted  # type: ignore[arg-type]


def test_a_stranger_is_told_who_may_answer_and_nothing_of_the_request() -> None:
    verdict = judge(QUESTION, REQUEST, Answer.APPROVE, QUESTION.fingerprint, None, FLEET, LATER)
    assert not verdict.accepted
    assert "ana, ben, cleo" in verdict.reply
    unknown = judge(None, None, Answer.APPROVE, "", None, FLEET, LATER)
    assert unknown == verdict


def test_where_nobody_is_listed_the_reply_names_the_setting() -> None:
    alone = FLEET.model_copy(update={"approvals": ApprovalsConfig()})
    verdict = judge(QUESTION, REQUEST, Answer.APPROVE, QUESTION.fingerprint, None, alone, LATER)
    assert not verdict.accepted
    assert "approvals.approvers in fleet.yaml" in verdict.reply


def test_an_answer_counts_until_the_moment_it_is_due() -> None:
    def at(now: datetime) -> bool:
        return judge(QUESTION, REQUEST, Answer.APPROVE, QUESTION.fingerprint, ANA, FLEET, now).accepted

    assert at(DUE - timedelta(microseconds=1))
    assert not at(DUE)


def test_a_clock_that_lags_behind_the_one_that_asked_does_no_harm(book: Ledger) -> None:
    asked(book)
    assert take_answer(book, FLEET, attempt(), NOON - timedelta(minutes=3)).accepted


def test_an_answer_to_another_fingerprint_does_not_count() -> None:
    verdict = judge(QUESTION, REQUEST, Answer.APPROVE, "0123456789abcdef", ANA, FLEET, LATER)
    assert not verdict.accepted
    assert "no longer what you were shown" in verdict.reply


@pytest.mark.parametrize("answer", Answer)
def test_an_answer_moves_the_approval_and_its_request_together_and_the_thread_hears_of_it(
    book: Ledger, answer: Answer
) -> None:
    asked(book)
    assert take_answer(book, FLEET, attempt(answer), LATER).accepted
    expected = ("approved", "ready") if answer is Answer.APPROVE else ("declined", "declined")
    assert state(book) == expected
    told = next(note for note in book.notifications() if note.key.endswith(f":{expected[0]}@slack"))
    assert told.thread == "approval:request-StrategyAgent@slack"
    assert "ana (button, 2026-11-22 12:10 UTC)" in plain_text(told.message)


def test_the_first_answer_stands_and_the_second_is_told_whose_that_was(book: Ledger) -> None:
    asked(book)
    take_answer(book, FLEET, attempt(Answer.APPROVE, ANA), LATER)
    second = take_answer(book, FLEET, attempt(Answer.DECLINE, BEN), LATER + timedelta(minutes=1))
    assert not second.accepted
    assert second.reply == "It is answered already: ana approved it at 2026-11-22 12:10 UTC. The first answer stands."
    assert state(book) == ("approved", "ready")


def test_an_answer_that_is_given_twice_is_kept_once_and_said_to_have_counted(book: Ledger) -> None:
    asked(book)
    take_answer(book, FLEET, attempt(), LATER)
    again = take_answer(book, FLEET, attempt(), LATER)
    assert again.reply == "You approved it already, at 2026-11-22 12:10 UTC."
    assert [one.accepted for one in book.answers(REQUEST.id)] == [True]


def test_somebody_who_changes_their_mind_is_told_that_it_is_too_late(book: Ledger) -> None:
    asked(book)
    take_answer(book, FLEET, attempt(Answer.APPROVE), LATER)
    assert "You approved it" in take_answer(book, FLEET, attempt(Answer.DECLINE), LATER).reply
    assert state(book) == ("approved", "ready")


def test_every_refused_attempt_is_kept_with_what_was_replied(book: Ledger) -> None:
    asked(book)
    verdict = take_answer(book, FLEET, attempt(approver=None, person="mallory (U0STRANGER)"), LATER)
    [kept] = book.answers(REQUEST.id)
    assert (kept.person, kept.accepted, kept.reply) == ("mallory (U0STRANGER)", False, verdict.reply)
    assert state(book) == ("requested", "awaiting_approval")


def test_a_request_nobody_was_asked_about_cannot_be_approved(book: Ledger) -> None:
    book.request_optimization(REQUEST)
    verdict = take_answer(book, FLEET, attempt(), LATER)
    assert (verdict.accepted, "sensor 'approvals'" in verdict.reply) == (False, True)


def test_a_request_that_runs_on_its_own_waits_for_nobody(book: Ledger) -> None:
    book.request_optimization(request_to_approve(state=RequestState.READY))
    assert "waits for nobody's approval" in take_answer(book, FLEET, attempt(), LATER).reply
    assert ask_for_approvals(book, FLEET, LATER) == []


def test_a_request_that_was_withdrawn_needs_no_answer(book: Ledger) -> None:
    asked(book)
    with book._engine.begin() as connection:
        connection.execute(sa.update(schema.optimization_requests).values(state="cancelled"))
    assert "withdrawn" in take_answer(book, FLEET, attempt(), LATER).reply
    assert expire_approvals(book, FLEET, DUE) == []
    assert state(book) == ("requested", "cancelled")


@pytest.mark.parametrize("answer", Answer)
def test_an_amount_that_was_changed_after_the_message_is_agreed_to_by_no_answer(book: Ledger, answer: Answer) -> None:
    asked(book)
    change_cap(book, 3000)
    verdict = take_answer(book, FLEET, attempt(answer), LATER)
    assert not verdict.accepted
    assert "no longer what you were shown" in verdict.reply
    assert state(book) == ("requested", "awaiting_approval")
    # Nor by one who presents the new fingerprint: that is not what people were asked.
    assert not take_answer(book, FLEET, attempt(answer, request=known(book)[1], id="new"), LATER).accepted


def test_an_amount_that_is_changed_between_the_look_and_the_answer_is_not_agreed_to(book: Ledger) -> None:
    asked(book)
    approval, seen = known(book)
    change_cap(book, 3000)
    settled = replace(approval, state=ApprovalState.APPROVED, answered_by="ana")
    assert not book.settle_approval(settled, (), asked=seen)
    assert state(book) == ("requested", "awaiting_approval")


def test_a_changed_request_expires_all_the_same(book: Ledger) -> None:
    asked(book)
    change_cap(book, 3000)
    assert expire_approvals(book, FLEET, DUE) == ["StrategyAgent"]


# Asking, and ending


def test_people_are_asked_once_about_each_request(book: Ledger) -> None:
    assert book.request_optimization(REQUEST)
    assert ask_for_approvals(book, FLEET, NOON) == ["StrategyAgent"]
    assert ask_for_approvals(book, FLEET, LATER) == []
    assert [note.key for note in book.notifications()] == ["approval:request-StrategyAgent@slack"]


def test_slack_is_asked_also_where_the_routes_send_approvals_elsewhere(book: Ledger) -> None:
    config = NotificationsConfig.model_validate(
        {
            "targets": {"mail": {"kind": "apprise", "url_variable": "MAIL"}},
            "routes": [{"to": ["mail"], "kinds": ["approval"]}],
        }
    )
    book.request_optimization(REQUEST)
    ask_for_approvals(book, FLEET.model_copy(update={"notifications": config}), NOON)
    assert {note.target for note in book.notifications()} == {"slack", "mail"}


def test_what_nobody_answers_expires_once_and_says_so(book: Ledger) -> None:
    asked(book)
    assert expire_approvals(book, FLEET, DUE - timedelta(seconds=1)) == []
    assert expire_approvals(book, FLEET, DUE) == ["StrategyAgent"]
    assert expire_approvals(book, FLEET, DUE) == []
    assert state(book) == ("expired", "expired")
    assert "Nobody had answered by 2026-11-24 12:00 UTC" in texts(book)["approval:request-StrategyAgent:expired@slack"]
    assert "expired" in take_answer(book, FLEET, attempt(), DUE).reply


def test_two_people_who_click_at_once_give_one_answer(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'ledger.db'}"
    books = [Ledger(address) for _ in range(2)]
    for number in range(20):
        request = request_to_approve(id=f"r{number}", agent=f"Agent{number}")
        asked(books[0], request)
        attempts = [attempt(Answer.APPROVE, ANA, request), attempt(Answer.DECLINE, BEN, request)] * 2
        with ThreadPoolExecutor(4) as pool:
            verdicts = list(pool.map(take_answer, books * 2, [FLEET] * 4, attempts, [LATER] * 4))
        winners = [one for one, verdict in zip(attempts, verdicts, strict=True) if verdict.accepted]
        assert len(winners) == 1
        approved = winners[0].answer is Answer.APPROVE
        assert state(books[1], request.id) == (("approved", "ready") if approved else ("declined", "declined"))
        ends = [note.key for note in books[0].notifications() if note.key.startswith(f"approval:r{number}:")]
        assert len(ends) == 1
        assert known(books[1], request.id)[0].answered_by == winners[0].person
    for book in books:
        book.close()


# What people read


def test_the_question_says_what_why_at_what_cost_until_when_and_how_to_answer() -> None:
    message = approval_message(REQUEST, QUESTION, Prospect((20, 40)), fleet(ANA, BEN))
    assert message.title == "🗳️ APPROVAL NEEDED: optimize StrategyAgent for at most $30"
    assert plain_text(message) == (
        "Agent: StrategyAgent\n"
        "Optimizer: GEPA: reflects on failed tasks and rewrites the agent's instructions\n"
        "Cost: at most $30; nothing is spent before you approve\n"
        "\n"
        "Why:\n"
        "- 22 completed tasks since the last optimization, 20 are needed\n"
        "\n"
        "Expected: 20 to 40 % better, relative: a prior from the literature, not a promise\n"
        "Measured so far: none measured yet\n"
        "\n"
        "Answer by: 2026-11-24 12:00 UTC\n"
        "Who can answer: ana, ben\n"
        "How: in Slack with a button or a ✅ or ❌ reaction, anywhere with 'perf-pipeline approve "
        "request-StrategyAgent'. The first answer stands."
    )


@pytest.mark.parametrize(
    ("gains", "words"),
    [
        ((), "none measured yet"),
        ((12.4,), "+12 %, from 1 optimization"),
        ((-3.0, 12.0, 30.0), "+12 % typically (-3 to +30 %), from 3 optimizations"),
    ],
)
def test_past_gains_stand_beside_what_is_expected(gains: tuple[float, ...], words: str) -> None:
    text = plain_text(approval_message(REQUEST, QUESTION, Prospect((20, 40), gains), FLEET))
    assert f"Measured so far: {words}\n" in text


def test_a_question_that_nobody_can_answer_says_so() -> None:
    alone = FLEET.model_copy(update={"approvals": ApprovalsConfig()})
    assert "Nobody is listed as an approver" in plain_text(approval_message(REQUEST, QUESTION, Prospect(None), alone))


def test_times_are_those_of_the_teams_clock(book: Ledger) -> None:
    in_berlin = FLEET.model_copy(update={"timezone": "Europe/Berlin"})
    book.request_optimization(REQUEST)
    ask_for_approvals(book, in_berlin, NOON.astimezone(UTC))
    assert "Answer by: 2026-11-24 13:00 CET" in texts(book)["approval:request-StrategyAgent@slack"]
