"""Posting to a local Slack, through a proxy that drops connections, limits rates and refuses blocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from resources.reading import SlackError
from resources.slack import SlackResource
from resources.sources import PostedMessage
from tests.wire.slack_fault_proxy import Answer

if TYPE_CHECKING:
    from tests.real.slack_fixtures import SlackServer

pytest_plugins = ["tests.real.slack_fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]

BLOCKS: list[dict[str, Any]] = [{"type": "section", "text": {"type": "mrkdwn", "text": "*InboundAgent* fell to 0 %"}}]
HOUR_AGO = timedelta(hours=1)


def resource(server: SlackServer, **others: Any) -> SlackResource:
    values = {"token": server.token, "channel": server.channel, "base_url": server.base_url}
    return SlackResource(**{**values, **others})


def test_a_message_stands_in_the_channel_with_its_blocks_and_key(slack_server: SlackServer) -> None:
    posted = resource(slack_server).post("InboundAgent: größer als 50 % 🔴", BLOCKS, "incident-1:open")
    (message,) = slack_server.messages()
    assert posted == PostedMessage(slack_server.channel_id, message["ts"])
    assert message["text"] == "InboundAgent: größer als 50 % 🔴"
    assert message["blocks"] == BLOCKS
    assert message["metadata"] == {"event_type": "perf_pipeline_message", "event_payload": {"key": "incident-1:open"}}
    assert (message["unfurl_links"], message["unfurl_media"]) == (False, False)


@pytest.mark.parametrize("how", ["name with #", "name", "ID"])
def test_the_channel_may_be_given_by_name_or_id(slack_server: SlackServer, how: str) -> None:
    channel = {
        "name with #": slack_server.channel,
        "name": slack_server.channel.removeprefix("#"),
        "ID": slack_server.channel_id,
    }[how]
    slack = resource(slack_server, channel=channel)
    posted = slack.post("text", [], "key")
    assert slack.find("key", datetime.now(UTC)) == posted


def test_a_posted_message_is_found_by_its_key_alone(slack_server: SlackServer) -> None:
    slack = resource(slack_server)
    slack.post("first", BLOCKS, "key-1")
    second = slack.post("second", BLOCKS, "key-2")
    slack_server.call("chat.postMessage", channel=slack_server.channel_id, text="key-3")
    since = datetime.now(UTC) - HOUR_AGO
    assert slack.find("key-2", since) == second
    assert slack.find("key-3", since) is None


def test_the_history_is_searched_to_its_end(slack_server: SlackServer) -> None:
    slack = resource(slack_server)
    oldest = slack.post("oldest", [], "the-key")
    for index in range(20):
        slack_server.call("chat.postMessage", channel=slack_server.channel_id, text=str(index))
    slack_server.proxy.page_limit = 7
    assert slack.find("the-key", datetime.now(UTC) - HOUR_AGO, channel_id=slack_server.channel_id) == oldest
    assert len(slack_server.proxy.requests_to("conversations.history")) >= 3
    assert slack_server.proxy.requests_to("conversations.list") == []


def test_a_channel_far_down_the_list_is_found_by_its_name(slack_server: SlackServer) -> None:
    slack = resource(slack_server)
    posted = slack.post("text", [], "key")
    slack_server.proxy.page_limit = 1
    assert slack.find("key", datetime.now(UTC)) == posted
    assert len(slack_server.proxy.requests_to("conversations.list")) >= 3


def test_a_connection_dropped_before_slack_took_the_message_leaves_none(slack_server: SlackServer) -> None:
    slack = resource(slack_server)
    slack_server.proxy.faults = ["drop before forwarding"]
    with pytest.raises(SlackError, match="not known whether Slack posted the message") as caught:
        slack.post("text", BLOCKS, "key")
    assert (caught.value.retryable, caught.value.surely_refused) == (True, False)
    assert slack.find("key", datetime.now(UTC) - HOUR_AGO) is None
    assert slack_server.messages() == []


def test_a_connection_dropped_after_slack_took_the_message_does_not_post_twice(slack_server: SlackServer) -> None:
    slack = resource(slack_server)
    slack_server.proxy.faults = ["drop after forwarding"]
    with pytest.raises(SlackError) as caught:
        slack.post("text", BLOCKS, "key")
    assert (caught.value.retryable, caught.value.surely_refused) == (True, False)
    (message,) = slack_server.messages()
    assert slack.find("key", datetime.now(UTC) - HOUR_AGO) == PostedMessage(slack_server.channel_id, message["ts"])


def test_refused_blocks_are_posted_again_as_text_with_the_same_key(slack_server: SlackServer) -> None:
    slack_server.proxy.refuses_blocks = True
    slack = resource(slack_server)
    posted = slack.post("the text", BLOCKS, "key")
    (message,) = slack_server.messages()
    assert ("blocks" in message, message["text"], message["ts"]) == (False, "the text", posted.ts)
    assert slack.find("key", datetime.now(UTC) - HOUR_AGO) == posted
    assert [("blocks" in form) for form in slack_server.proxy.requests_to("chat.postMessage")] == [True, False]


def test_a_rate_limit_is_waited_for_and_the_message_posted_once(slack_server: SlackServer) -> None:
    slack_server.proxy.faults = [Answer.rate_limit(1)]
    began = time.monotonic()
    resource(slack_server).post("text", BLOCKS, "key")
    assert 1 <= time.monotonic() - began < 4
    assert len(slack_server.messages()) == 1


def test_an_unknown_token_posts_nothing(slack_server: SlackServer) -> None:
    with pytest.raises(SlackError, match="invalid_auth: SLACK_BOT_TOKEN") as caught:
        resource(slack_server, token="xoxb-unknown").post("text", BLOCKS, "key")
    assert (caught.value.retryable, caught.value.surely_refused) == (False, True)
    assert slack_server.messages() == []


def test_an_unknown_channel_is_named_with_its_setting(slack_server: SlackServer) -> None:
    slack = resource(slack_server, channel="#no-such-channel")
    with pytest.raises(SlackError, match=r"channel_not_found for #no-such-channel: check SLACK_CHANNEL.*/invite"):
        slack.post("text", BLOCKS, "key")
    with pytest.raises(SlackError, match="no public channel named #no-such-channel"):
        slack.find("key", datetime.now(UTC))
