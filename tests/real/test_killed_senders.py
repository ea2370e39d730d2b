"""Senders that are killed with SIGKILL between the claim of a message and its mark: each message is said once.

`make bench-notifications` tries every line; these are some of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from benchmarks.notifications import crash_scenarios as scenarios
from benchmarks.notifications.crash_test import (
    SLACK_HAS_IT,
    SLACK_HAS_IT_NOT,
    CrashTest,
    Death,
    Laboratory,
    laboratory,
)
from benchmarks.notifications.messages import alert, answer_to
from perf_pipeline.records import NotificationState

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("killed-senders")) as running:
        yield running


@pytest.fixture
def crash_test(lab: Laboratory, request: pytest.FixtureRequest) -> Iterator[CrashTest]:
    with lab.crash_test(re.sub("[^a-z]+", "-", request.node.name)) as test:
        yield test


def test_a_sender_may_be_killed_at_any_line(crash_test: CrashTest) -> None:
    crash_test.sweep_lines(alert, stride=23)
    assert crash_test.tally.kills >= 3
    assert crash_test.audit().problems == []


def test_a_sender_may_be_killed_or_cut_off_while_slack_is_asked(crash_test: CrashTest) -> None:
    crash_test.sweep_requests(alert)
    assert (crash_test.tally.kills, crash_test.tally.drops) == (3, 2)
    assert crash_test.audit().problems == []


@pytest.mark.parametrize("first", [SLACK_HAS_IT, SLACK_HAS_IT_NOT], ids=["posted", "unposted"])
def test_who_takes_an_answer_over_may_be_killed_too(crash_test: CrashTest, first: Death) -> None:
    crash_test.enqueue(alert("the-alert"))
    assert not crash_test.send()
    crash_test.sweep_lines(answer_to("the-alert"), first, stride=67)
    assert crash_test.tally.kills > crash_test.tally.rounds >= 2
    assert crash_test.audit().problems == []


def test_two_senders_empty_one_outbox_together(crash_test: CrashTest) -> None:
    scenarios.two_senders(crash_test, stride=8)
    assert crash_test.audit().messages == 3 * 6
    assert crash_test.audit().problems == []


def test_an_incident_is_told_once_by_two_who_find_it(crash_test: CrashTest) -> None:
    assert scenarios.run(scenarios.two_tellers, crash_test, stride=8).problems == []


def test_a_message_that_stands_twice_in_slack_or_not_at_all_is_noticed(crash_test: CrashTest) -> None:
    for name in ("said-twice", "said-once"):
        crash_test.enqueue(alert(name))
    assert not crash_test.send()
    said_twice, _ = crash_test.book.notifications()
    metadata = json.dumps({"event_type": "perf_pipeline_message", "event_payload": {"key": said_twice.key}})
    crash_test.slack.call("chat.postMessage", channel=crash_test.channel_id, text="again", metadata=metadata)
    crash_test.enqueue(alert("never-said"))
    found = crash_test.audit()
    assert [len(found.lost), len(found.twice), len(found.misplaced), len(found.wrong_in_ledger)] == [1, 1, 0, 0]
    assert NotificationState.PENDING in found.lost[0]
