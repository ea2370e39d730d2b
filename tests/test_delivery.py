"""The outbox under failures and crashes: nothing is said twice, and nothing is lost."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from perf_pipeline.delivery import deliver
from perf_pipeline.message import RenderedMessage
from perf_pipeline.notifications.outbox import CLAIM_LIFETIME, FIRST_WAIT, LONGEST_WAIT, MAX_ATTEMPTS
from perf_pipeline.records import Notification, NotificationState
from resources.ledger import Ledger
from resources.messenger import PostedMessage
from resources.reading import SlackError
from tests.incident_builders import notification

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Fate(StrEnum):
    """What befalls a post."""

    POSTED = "posted"
    REFUSED = "refused, and no retry helps"
    NOT_POSTED = "failed before it was posted, as far as anybody can tell"
    SURELY_NOT_POSTED = "failed, and it is known that it was not posted"
    ANSWER_LOST = "posted, but the answer was lost"
    ASKED_TO_WAIT = "refused, and not to be tried again for ten minutes"
    DEFECT = "the messenger failed in a way that it did not foresee"
    KILLED_BEFORE = "the sender was killed before it was posted"
    KILLED_AFTER = "the sender was killed after it was posted"


class Killed(BaseException):
    """The sender's process ends here."""


@dataclass
class Channel:
    """A messenger whose posts meet the fates given, and go well after these."""

    fates: list[Fate] = field(default_factory=list)
    posts: list[str] = field(default_factory=list)
    searches: list[tuple[str, datetime]] = field(default_factory=list)
    search_fails: bool = False

    can_find: bool = True
    takes_clicks: bool = False
    replies: dict[str, PostedMessage | None] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        return "a channel of a test"

    def post(self, message: RenderedMessage, key: str, reply_to: PostedMessage | None = None) -> PostedMessage:
        assert message.title == f"title of {key}"
        assert message.plain.startswith(f"text of {key}")
        self.replies[key] = reply_to
        self.texts[key] = message.plain
        fate = self.fates.pop(0) if self.fates else Fate.POSTED
        if fate is Fate.KILLED_BEFORE:
            raise Killed
        if fate is Fate.REFUSED:
            raise SlackError("Slack refused it: check SLACK_CHANNEL.", retryable=False, surely_refused=True)
        if fate in (Fate.NOT_POSTED, Fate.SURELY_NOT_POSTED):
            surely = fate is Fate.SURELY_NOT_POSTED
            raise SlackError("Slack is down.", retryable=True, surely_refused=surely)
        if fate is Fate.ASKED_TO_WAIT:
            raise SlackError("Too many requests.", retryable=True, surely_refused=True, not_for_seconds=600)
        if fate is Fate.DEFECT:
            raise UnicodeDecodeError("utf-8", b"xoxb-secret", 0, 1, "invalid start byte")
        self.posts.append(key)
        if fate is Fate.KILLED_AFTER:
            raise Killed
        if fate is Fate.ANSWER_LOST:
            raise SlackError("The connection to Slack was lost.", retryable=True)
        return PostedMessage("C1", f"{len(self.posts)}.0")

    def find(self, key: str, since: datetime, reply_to: PostedMessage | None = None) -> PostedMessage | None:
        self.searches.append((key, since))
        assert reply_to == self.replies.get(key, reply_to)
        if not self.can_find:
            return None
        if self.search_fails:
            raise SlackError("Slack is down.", retryable=True)
        return PostedMessage("C1", f"{self.posts.index(key) + 1}.0") if key in self.posts else None


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


def enqueue(ledger: Ledger, key: str = "a", at: datetime = NOON, **changes: Any) -> bool:
    return ledger.enqueue(notification(key, at, **changes))


def run(ledger: Ledger, channel: Channel, now: datetime = NOON) -> Counter[NotificationState]:
    return deliver(ledger, {"slack": channel}, lambda: now)


def state(ledger: Ledger, key: str = "a") -> Notification:
    return next(message for message in ledger.notifications() if message.key == key)


def test_a_message_is_posted_once_and_remembers_where(ledger: Ledger) -> None:
    channel = Channel()
    enqueue(ledger)
    assert run(ledger, channel) == {NotificationState.SENT: 1}
    assert run(ledger, channel) == {}
    found = state(ledger)
    assert channel.posts == ["a"]
    assert (found.state, found.channel, found.message_ts, found.sent_at) == (NotificationState.SENT, "C1", "1.0", NOON)
    assert channel.searches == []


def test_messages_are_posted_oldest_first(ledger: Ledger) -> None:
    channel = Channel()
    for number, key in enumerate("cab"):
        enqueue(ledger, key, NOON + timedelta(seconds=number))
    assert run(ledger, channel, NOON + timedelta(minutes=1)) == {NotificationState.SENT: 3}
    assert channel.posts == ["c", "a", "b"]


def test_a_failed_message_waits_and_is_looked_for_before_it_is_posted_again(ledger: Ledger) -> None:
    channel = Channel([Fate.NOT_POSTED])
    enqueue(ledger)
    assert run(ledger, channel) == {NotificationState.PENDING: 1}
    assert state(ledger).note == "Slack is down."
    assert run(ledger, channel, NOON + FIRST_WAIT - timedelta(seconds=1)) == {}
    assert run(ledger, channel, NOON + FIRST_WAIT) == {NotificationState.SENT: 1}
    assert channel.searches == [("a", NOON)]
    assert channel.posts == ["a"]
    assert state(ledger).note is None


def test_a_message_whose_answer_was_lost_is_found_instead_of_posted_again(ledger: Ledger) -> None:
    channel = Channel([Fate.ANSWER_LOST])
    enqueue(ledger)
    run(ledger, channel)
    assert run(ledger, channel, NOON + FIRST_WAIT) == {NotificationState.SENT: 1}
    assert channel.posts == ["a"]


@pytest.mark.parametrize("fate", [Fate.KILLED_BEFORE, Fate.KILLED_AFTER])
def test_a_message_of_a_killed_sender_is_taken_over_once_its_claim_has_expired(ledger: Ledger, fate: Fate) -> None:
    channel = Channel([fate])
    enqueue(ledger)
    with pytest.raises(Killed):
        run(ledger, channel)
    assert run(ledger, channel, NOON + CLAIM_LIFETIME) == {}
    assert run(ledger, channel, NOON + CLAIM_LIFETIME + timedelta(seconds=1)) == {NotificationState.SENT: 1}
    assert channel.posts == ["a"]


def test_nothing_is_posted_while_it_cannot_be_looked_for(ledger: Ledger) -> None:
    channel = Channel([Fate.ANSWER_LOST], search_fails=True)
    enqueue(ledger)
    run(ledger, channel)
    assert run(ledger, channel, NOON + FIRST_WAIT) == {NotificationState.PENDING: 1}
    assert channel.posts == ["a"]


def test_a_refused_message_is_kept_with_the_reason_and_does_not_hold_up_others(ledger: Ledger) -> None:
    channel = Channel([Fate.REFUSED])
    enqueue(ledger, "a")
    enqueue(ledger, "b")
    assert run(ledger, channel) == {NotificationState.UNDELIVERABLE: 1, NotificationState.SENT: 1}
    assert state(ledger, "a").note == "Slack refused it: check SLACK_CHANNEL."
    assert run(ledger, channel, NOON + timedelta(days=1)) == {}
    assert channel.posts == ["b"]


def test_a_message_is_given_up_after_many_attempts_and_kept(ledger: Ledger) -> None:
    channel = Channel([Fate.NOT_POSTED] * (MAX_ATTEMPTS + 5))
    enqueue(ledger)
    for number in range(MAX_ATTEMPTS + 5):
        run(ledger, channel, NOON + number * LONGEST_WAIT)
    assert (state(ledger).state, state(ledger).attempts) == (NotificationState.UNDELIVERABLE, MAX_ATTEMPTS)
    assert channel.posts == []


def test_an_answer_waits_for_what_it_answers_and_stands_in_its_thread(ledger: Ledger) -> None:
    channel = Channel([Fate.NOT_POSTED])
    enqueue(ledger, "a", NOON)
    enqueue(ledger, "b", NOON + timedelta(seconds=1), thread="a")
    assert run(ledger, channel, NOON + timedelta(seconds=2)) == {NotificationState.PENDING: 1}
    assert run(ledger, channel, NOON + timedelta(minutes=1)) == {NotificationState.SENT: 2}
    assert channel.posts == ["a", "b"]
    assert channel.replies == {"a": None, "b": PostedMessage("C1", "1.0")}


def test_answers_in_a_thread_keep_their_order(ledger: Ledger) -> None:
    channel = Channel([Fate.POSTED, Fate.NOT_POSTED])
    for number, key in enumerate("abc"):
        enqueue(ledger, key, NOON + timedelta(seconds=number), thread=None if key == "a" else "a")
    run(ledger, channel, NOON + timedelta(seconds=5))
    run(ledger, channel, NOON + timedelta(seconds=6))
    assert channel.posts == ["a"]
    run(ledger, channel, NOON + timedelta(minutes=1))
    assert channel.posts == ["a", "b", "c"]


def test_a_channel_that_asks_to_wait_is_left_alone_with_all_that_waits_for_it(ledger: Ledger) -> None:
    channel = Channel([Fate.ASKED_TO_WAIT])
    enqueue(ledger, "a")
    enqueue(ledger, "b")
    enqueue(ledger, "c@pager", target="pager")
    run(ledger, channel, NOON)
    assert run(ledger, channel, NOON + timedelta(minutes=9)) == {}
    assert channel.posts == []
    assert run(ledger, channel, NOON + timedelta(minutes=10)) == {NotificationState.SENT: 2}


def test_an_answer_to_what_was_never_sent_stands_alone(ledger: Ledger) -> None:
    channel = Channel([Fate.REFUSED])
    enqueue(ledger, "a", NOON)
    enqueue(ledger, "b", NOON + timedelta(seconds=1), thread="a")
    run(ledger, channel)
    assert channel.replies == {"a": None, "b": None}
    assert channel.posts == ["b"]


def test_each_target_has_its_own_messenger_and_one_that_fails_holds_up_no_other(ledger: Ledger) -> None:
    slack, pager = Channel([Fate.NOT_POSTED]), Channel()
    enqueue(ledger, "a@slack")
    enqueue(ledger, "a@pager", target="pager")
    outcome = deliver(ledger, {"slack": slack, "pager": pager}, lambda: NOON)
    assert outcome == {NotificationState.PENDING: 1, NotificationState.SENT: 1}
    assert (slack.posts, pager.posts) == ([], ["a@pager"])


def test_a_defect_of_one_messenger_holds_up_no_other_and_its_text_is_not_kept(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    slack, pager = Channel([Fate.DEFECT]), Channel()
    enqueue(ledger, "a@slack")
    enqueue(ledger, "a@pager", at=NOON + timedelta(seconds=1), target="pager")
    outcome = deliver(ledger, {"slack": slack, "pager": pager}, lambda: NOON + timedelta(minutes=1))
    assert outcome == {NotificationState.PENDING: 1, NotificationState.SENT: 1}
    assert "UnicodeDecodeError" in (state(ledger, "a@slack").note or "")
    assert "test_delivery.py" in caplog.text
    assert "xoxb-secret" not in caplog.text + str(state(ledger, "a@slack").note)


def test_a_message_to_a_target_that_was_removed_is_kept_and_says_what_to_do(ledger: Ledger) -> None:
    enqueue(ledger, target="pager")
    assert run(ledger, Channel()) == {NotificationState.UNDELIVERABLE: 1}
    assert "fleet.yaml has no target pager any more" in (state(ledger).note or "")


def test_where_nothing_can_be_looked_up_a_message_of_a_killed_sender_says_that_it_may_be_the_second(
    ledger: Ledger,
) -> None:
    channel = Channel([Fate.KILLED_AFTER], can_find=False)
    enqueue(ledger)
    with pytest.raises(Killed):
        run(ledger, channel)
    assert "you may have got this message already" not in channel.texts["a"]
    run(ledger, channel, NOON + CLAIM_LIFETIME + timedelta(seconds=1))
    assert channel.posts == ["a", "a"]
    assert "you may have got this message already" in channel.texts["a"]


@pytest.mark.parametrize(("fate", "warned"), [(Fate.NOT_POSTED, True), (Fate.SURELY_NOT_POSTED, False)])
def test_where_nothing_can_be_looked_up_a_failed_message_warns_only_if_it_may_have_been_posted(
    ledger: Ledger, fate: Fate, warned: bool
) -> None:
    channel = Channel([fate], can_find=False)
    enqueue(ledger)
    run(ledger, channel)
    run(ledger, channel, NOON + FIRST_WAIT)
    assert channel.posts == ["a"]
    assert ("you may have got this message already" in channel.texts["a"]) == warned


def test_a_target_that_fails_is_left_alone_until_the_next_tick(ledger: Ledger) -> None:
    slack, pager = Channel([Fate.NOT_POSTED]), Channel()
    for number in range(3):
        enqueue(ledger, f"{number}@slack", NOON + timedelta(seconds=number))
        enqueue(ledger, f"{number}@pager", NOON + timedelta(seconds=number), target="pager")
    outcome = deliver(ledger, {"slack": slack, "pager": pager}, lambda: NOON + timedelta(minutes=1))
    assert outcome == {NotificationState.PENDING: 1, NotificationState.SENT: 3}
    assert {message.key: message.attempts for message in ledger.notifications() if message.target == "slack"} == {
        "0@slack": 1,
        "1@slack": 0,
        "2@slack": 0,
    }


def test_a_sender_that_was_stopped_after_claiming_does_not_post_when_it_goes_on(ledger: Ledger) -> None:
    enqueue(ledger)
    # Begin, turn, claim, start of the sending; then the process was suspended.
    times = iter([NOON] * 4 + [NOON + CLAIM_LIFETIME] * 5)
    channel = Channel()
    assert deliver(ledger, {"slack": channel}, lambda: next(times)) == {NotificationState.PENDING: 1}
    assert channel.posts == []
    assert run(ledger, channel, NOON + timedelta(hours=1)) == {NotificationState.SENT: 1}
    assert channel.posts == ["a"]


def test_a_tick_that_takes_long_leaves_the_rest_to_the_next(ledger: Ledger) -> None:
    times = iter(NOON + timedelta(seconds=10 * number) for number in range(100))
    for number in range(9):
        enqueue(ledger, f"{number}")
    channel = Channel()
    sent = deliver(ledger, {"slack": channel}, lambda: next(times))[NotificationState.SENT]
    assert 1 <= sent < 9
    assert run(ledger, channel, NOON + timedelta(hours=1)) == {NotificationState.SENT: 9 - sent}


class Outbox(RuleBasedStateMachine):
    """Senders come and go, Slack fails in every way, time passes: each key is posted at most once, none is lost."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = Ledger(f"sqlite:///{self.folder.name}/ledger.db")
        self.channel = Channel()
        self.now = NOON
        self.enqueued: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
            self.folder.cleanup()

    @rule(key=st.sampled_from("abc"))
    def say(self, key: str) -> None:
        assert enqueue(self.ledger, key, self.now) == (key not in self.enqueued)
        self.enqueued.add(key)

    @rule(fates=st.lists(st.sampled_from(list(Fate)), max_size=3), search_fails=st.booleans())
    def send(self, fates: list[Fate], search_fails: bool) -> None:
        self.channel.fates, self.channel.search_fails = fates, search_fails
        try:
            run(self.ledger, self.channel, self.now)
        except Killed:
            return

    @rule(seconds=st.sampled_from([1, 15, 60, 121, 1800]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def nothing_is_said_twice(self) -> None:
        if hasattr(self, "channel"):
            assert max(Counter(self.channel.posts).values(), default=0) <= 1

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "ledger"):
            return
        known = {message.key: message for message in self.ledger.notifications()}
        assert set(known) == self.enqueued
        for key, message in known.items():
            assert message.state is not NotificationState.SENT or key in self.channel.posts

    @rule()
    def let_all_go_well(self) -> None:
        """Whatever happened before, a healthy Slack has every message in the end that it did not refuse."""
        self.channel.fates, self.channel.search_fails = [], False
        self.now += CLAIM_LIFETIME + LONGEST_WAIT + timedelta(seconds=1)
        run(self.ledger, self.channel, self.now)
        for message in self.ledger.notifications():
            assert message.state in (NotificationState.SENT, NotificationState.UNDELIVERABLE)
            assert message.state is NotificationState.UNDELIVERABLE or message.key in self.channel.posts


TestOutbox = Outbox.TestCase
TestOutbox.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
