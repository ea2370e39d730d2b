"""A ✅ or ❌ of a listed approver under the question is an answer, once it is seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from perf_pipeline.approvals import POLLED_AT_ONCE, take_reactions
from perf_pipeline.delivery import deliver
from perf_pipeline.message import RenderedMessage
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.records import NotificationState, RequestState
from perf_pipeline.sensors.approvals import approvals_sensor
from resources.ledger import Ledger, LedgerResource
from resources.message_file import MessageFileResource
from resources.messenger import PostedMessage, Reaction
from resources.reading import SlackError
from tests.approval_builders import FLEET, NOON, STRANGER, asked, request_to_approve, state

SOON = NOON + timedelta(minutes=1)
BOT = "U0BOT"
YES, NO = "white_check_mark", "x"


@dataclass
class Channel:
    """A channel with emoji: who set which is by message, and by the emoji's name."""

    set_by: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    posts: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    failures: dict[str, SlackError] = field(default_factory=dict)
    can_find: bool = True
    takes_clicks: bool = False

    def describe(self) -> str:
        return "a channel of a test"

    def post(self, message: RenderedMessage, key: str, reply_to: PostedMessage | None = None) -> PostedMessage:  # noqa: ARG002
        self.posts.append(key)
        return PostedMessage("C1", key)

    def find(self, key: str, since: datetime, reply_to: PostedMessage | None = None) -> PostedMessage | None:  # noqa: ARG002
        return None

    def reactions(self, message: PostedMessage) -> list[Reaction]:
        self.read.append(message.ts)
        if message.ts in self.failures:
            raise self.failures[message.ts]
        return [Reaction(name, members) for name, members in self.set_by.get(message.ts, {}).items()]

    def own_member_id(self) -> str:
        return BOT

    def react(self, **members: tuple[str, ...]) -> None:
        self.set_by["approval:request-StrategyAgent@slack"] = members


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    asked(opened)
    yield opened
    opened.close()


@pytest.fixture
def channel(book: Ledger) -> Channel:
    found = Channel()
    deliver(book, {"slack": found}, lambda: NOON)
    return found


def poll(book: Ledger, channel: Channel, now: datetime = SOON) -> list[str]:
    answered, problems = take_reactions(book, FLEET, {"slack": channel}, lambda: now)
    assert problems == []
    return answered


@pytest.mark.parametrize(("emoji", "end"), [(YES, ("approved", "ready")), (NO, ("declined", "declined"))])
def test_an_approvers_reaction_is_their_answer(
    book: Ledger, channel: Channel, emoji: str, end: tuple[str, str]
) -> None:
    channel.react(**{emoji: ("U0ANA",)})
    assert poll(book, channel) == ["StrategyAgent"]
    assert state(book) == end
    outcome = next(note for note in book.notifications() if note.key.endswith(f":{end[0]}@slack"))
    assert "taking it back now changes nothing" in plain_text(outcome.message)


@pytest.mark.parametrize("name", ["+1", "-1", "heavy_check_mark", "eyes", "white_check_mark_2"])
def test_no_other_emoji_answers(book: Ledger, channel: Channel, name: str) -> None:
    channel.react(**{name: ("U0ANA",)})
    assert poll(book, channel) == []
    assert state(book) == ("requested", "awaiting_approval")


def test_the_bots_own_reactions_do_not_count_and_nobody_is_told_off(book: Ledger, channel: Channel) -> None:
    channel.react(white_check_mark=(BOT,), x=(BOT,))
    assert poll(book, channel) == []
    assert [note.key for note in book.notifications()] == ["approval:request-StrategyAgent@slack"]


def test_strangers_reactions_do_not_count_and_the_thread_is_told_once(book: Ledger, channel: Channel) -> None:
    channel.react(white_check_mark=(STRANGER, "U0OTHER"))
    for minute in range(3):
        assert poll(book, channel, SOON + timedelta(minutes=minute)) == []
    notes = [note for note in book.notifications() if note.thread]
    assert [note.thread for note in notes] == ["approval:request-StrategyAgent@slack"]
    assert "Only listed approvers can answer" in plain_text(notes[0].message)
    assert {one.person for one in book.answers("request-StrategyAgent")} == {STRANGER, "U0OTHER"}


def test_a_strangers_no_does_not_stand_above_an_approvers_yes(book: Ledger, channel: Channel) -> None:
    channel.react(x=(STRANGER,), white_check_mark=("U0BEN",))
    assert poll(book, channel) == ["StrategyAgent"]
    assert state(book) == ("approved", "ready")


@pytest.mark.parametrize("order", [(YES, NO), (NO, YES)])
def test_of_a_yes_and_a_no_seen_together_the_no_wins(book: Ledger, channel: Channel, order: tuple[str, str]) -> None:
    members = {YES: ("U0ANA", BOT), NO: ("U0BEN",)}
    channel.react(**{name: members[name] for name in order})
    poll(book, channel)
    assert state(book) == ("declined", "declined")


def test_a_reaction_that_was_taken_back_before_it_was_seen_never_counted(book: Ledger, channel: Channel) -> None:
    channel.react(white_check_mark=("U0ANA",))
    channel.react()
    assert poll(book, channel) == []
    assert state(book) == ("requested", "awaiting_approval")


def test_a_reaction_that_is_taken_back_after_it_was_seen_changes_nothing(book: Ledger, channel: Channel) -> None:
    channel.react(white_check_mark=("U0ANA",))
    poll(book, channel)
    channel.react(x=("U0ANA",))
    assert poll(book, channel) == []
    assert state(book) == ("approved", "ready")


def test_a_reaction_that_is_seen_after_the_time_is_over_does_not_count(book: Ledger, channel: Channel) -> None:
    channel.react(white_check_mark=("U0ANA",))
    assert poll(book, channel, NOON + timedelta(hours=48)) == []
    assert state(book) == ("requested", "awaiting_approval")


def test_a_reaction_of_somebody_who_is_listed_later_counts_while_it_stands(book: Ledger, channel: Channel) -> None:
    channel.react(white_check_mark=("U0ANA",))
    nobody = FLEET.model_copy(update={"approvals": FLEET.approvals.model_copy(update={"approvers": ()})})
    take_reactions(book, nobody, {"slack": channel}, lambda: SOON)
    assert state(book) == ("requested", "awaiting_approval")
    assert poll(book, channel) == ["StrategyAgent"]
    assert [one.accepted for one in book.answers("request-StrategyAgent")] == [True]


def test_a_message_that_was_not_posted_yet_is_not_asked_for(book: Ledger) -> None:
    assert poll(book, channel := Channel()) == []
    assert channel.read == []


def test_a_channel_without_reactions_is_left_out(book: Ledger, tmp_path: Path) -> None:
    file = MessageFileResource(path=str(tmp_path / "messages.jsonl"))
    deliver(book, {"slack": file}, lambda: NOON)
    assert take_reactions(book, FLEET, {"slack": file}, lambda: SOON) == ([], [])


def test_a_question_whose_message_is_gone_does_not_hold_up_the_others(book: Ledger, channel: Channel) -> None:
    asked(book, request_to_approve("AuditAgent"))
    deliver(book, {"slack": channel}, lambda: NOON)
    channel.failures["approval:request-StrategyAgent@slack"] = SlackError("It was deleted.", retryable=False)
    channel.set_by["approval:request-AuditAgent@slack"] = {YES: ("U0ANA",)}
    assert take_reactions(book, FLEET, {"slack": channel}, lambda: SOON) == (["AuditAgent"], ["It was deleted."])


def test_where_slack_is_down_it_is_asked_once_a_turn(book: Ledger, channel: Channel) -> None:
    asked(book, request_to_approve("AuditAgent"))
    deliver(book, {"slack": channel}, lambda: NOON)
    down = SlackError("Slack is down.", retryable=True)
    channel.failures = {f"approval:request-{agent}@slack": down for agent in ("StrategyAgent", "AuditAgent")}
    assert take_reactions(book, FLEET, {"slack": channel}, lambda: SOON) == ([], ["Slack is down."])
    assert len(channel.read) == 1


def test_many_questions_are_read_in_turns_and_none_is_left_out(book: Ledger, channel: Channel) -> None:
    agents = [f"Agent{number:02}" for number in range(POLLED_AT_ONCE + 3)]
    asked(book, *(request_to_approve(agent) for agent in agents))
    deliver(book, {"slack": channel}, lambda: NOON)
    for turn in range(3):
        before = len(channel.read)
        poll(book, channel, SOON + timedelta(seconds=15 * turn))
        assert len(channel.read) - before == POLLED_AT_ONCE
    assert len(set(channel.read)) == len(agents) + 1


def test_the_sensor_asks_takes_reactions_and_ends_what_is_late(tmp_path: Path) -> None:
    ledger = LedgerResource(url=f"sqlite:///{tmp_path / 'ledger.db'}")
    channel = Channel()
    resources = {"ledger": ledger, "messenger_slack": channel}
    sensor = approvals_sensor(FLEET)

    def tick() -> str | None:
        with dg.build_sensor_context(resources=resources) as context:
            return sensor.evaluate_tick(context).skip_message

    now = datetime.now(UTC)
    with ledger.open() as opened:
        asked(opened, request_to_approve("AuditAgent"), now=now - timedelta(hours=49))
        opened.request_optimization(request_to_approve())
        assert tick() == "Asked for StrategyAgent. Expired for AuditAgent."
        assert state(opened, "request-AuditAgent") == ("expired", "expired")
        deliver(opened, {"slack": channel}, lambda: now)
        channel.react(white_check_mark=("U0ANA",))
        assert tick() == "Answered by a reaction for StrategyAgent."
        assert state(opened) == ("approved", "ready")
        assert tick() == "Nothing to ask, to answer or to end."


def test_a_decline_at_one_target_stands_against_an_approval_at_another(book: Ledger, channel: Channel) -> None:
    other = Channel()
    key = "approval:request-StrategyAgent"
    book.enqueue(replace(book.notifications_by_key([f"{key}@slack"])[f"{key}@slack"], **at_sales(key)))
    deliver(book, {"slack": channel, "sales": other}, lambda: NOON)
    channel.set_by[f"{key}@slack"] = {"white_check_mark": ("U0ANA",)}
    other.set_by[f"{key}@sales"] = {"x": ("U0BEN",)}
    answered, _ = take_reactions(book, FLEET, {"slack": channel, "sales": other}, lambda: SOON)
    assert answered == ["StrategyAgent"]
    [request] = [one for one in book.optimization_requests() if one.agent == "StrategyAgent"]
    assert request.state is RequestState.DECLINED


def at_sales(key: str) -> dict[str, Any]:
    waiting = {"state": NotificationState.PENDING, "claimed_by": None, "sent_at": None, "message_ts": None}
    return waiting | {"key": f"{key}@sales", "target": "sales", "attempts": 0}


def test_a_reaction_that_is_seen_after_the_time_to_answer_comes_too_late(book: Ledger, channel: Channel) -> None:
    """Reading reactions takes time: it is the moment after it that counts."""
    [approval] = book.approvals()
    channel.react(white_check_mark=("U0ANA",))
    times = iter([SOON, SOON, approval.expires_at])
    assert take_reactions(book, FLEET, {"slack": channel}, lambda: next(times)) == ([], [])
    [kept] = book.answers(approval.request_id)
    assert not kept.accepted
