"""Approvals on the local Slack: the question is posted, a ✅ under it is read, and the thread hears the outcome."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from perf_pipeline.approvals import take_reactions
from perf_pipeline.delivery import deliver
from perf_pipeline.fleet_people import Approver
from resources.ledger import Ledger
from resources.slack import SlackResource
from tests.approval_builders import asked, fleet, state
from tests.real.services.slack_server import PEOPLE
from tests.real.slack_fixtures import SlackServer

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]
pytest_plugins = ["tests.real.slack_fixtures"]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


def test_an_approvers_reaction_counts_and_neither_the_bots_nor_one_that_was_taken_back(
    slack_server: SlackServer, book: Ledger
) -> None:
    slack = SlackResource(token=slack_server.token, channel=slack_server.channel, base_url=slack_server.base_url)
    asked(book, now=now())
    deliver(book, {"slack": slack}, now)
    [question] = slack_server.messages()
    person = next(iter(PEOPLE))
    member = slack_server.react(person, "white_check_mark", question["ts"])
    slack_server.unreact(person, "white_check_mark", question["ts"])
    slack_server.call("reactions.add", channel=slack_server.channel_id, timestamp=question["ts"], name="x")
    listed = fleet(Approver(name="ana", slack=member), Approver(name="bot", slack=slack.own_member_id()))
    assert take_reactions(book, listed, {"slack": slack}, now) == ([], [])
    assert state(book) == ("requested", "awaiting_approval")
    slack_server.react(person, "white_check_mark", question["ts"])
    assert take_reactions(book, listed, {"slack": slack}, now) == (["StrategyAgent"], [])
    assert state(book) == ("approved", "ready")
    deliver(book, {"slack": slack}, now)
    [outcome] = slack_server.answers(question["ts"])
    assert "Approved by: ana (reaction" in outcome["text"]
