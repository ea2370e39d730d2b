"""Posting to a local Slack, through a proxy that drops connections, limits rates and refuses blocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from perf_pipeline.message import RenderedMessage
from resources.messenger import PostedMessage
from resources.reading import SlackError
from resources.slack import SlackResource
from tests.wire.slack_fault_proxy import CHAT_ONLY_TOKEN, DOCUMENTED_TOKEN, Answer

if TYPE_CHECKING:
    from tests.real.slack_fixtures import SlackServer

pytest_plugins = ["tests.real.slack_fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]

BLOCKS: list[dict[str, Any]] = [{"type": "section", "text": {"type": "mrkdwn", "text": "*InboundAgent* fell to 0 %"}}]
PNG = b"\x89PNG\r\n\x1a\n\x00\xff"
HOUR_AGO = timedelta(hours=1)


def message(text: str = "text", **others: Any) -> RenderedMessage:
    return RenderedMessage(**{"title": "t", "plain": text, "slack_text": text, "slack_blocks": BLOCKS, **others})


def with_picture() -> RenderedMessage:
    return message(picture=PNG, picture_text="The score falls from 90 to 40")


def resource(server: SlackServer, **others: Any) -> SlackResource:
    values = {"token": server.token, "channel": server.channel, "base_url": server.base_url}
    return SlackResource(**{**values, **others})


def an_hour_ago() -> datetime:
    return datetime.now(UTC) - HOUR_AGO


def test_a_message_stands_in_the_channel_with_its_blocks_and_key(slack_server: SlackServer) -> None:
    posted = resource(slack_server).post(message("InboundAgent: größer als 50 % 🔴"), "incident-1:open")
    (found,) = slack_server.messages()
    assert posted == PostedMessage(slack_server.channel_id, found["ts"])
    assert found["text"] == "InboundAgent: größer als 50 % 🔴"
    assert found["blocks"] == BLOCKS
    assert found["metadata"] == {"event_type": "perf_pipeline_message", "event_payload": {"key": "incident-1:open"}}
    assert (found["unfurl_links"], found["unfurl_media"]) == (False, False)
    assert (found["parse"], found["link_names"], found["mrkdwn"]) == ("none", False, False)


@pytest.mark.parametrize("how", ["name with #", "name", "ID"])
def test_the_channel_may_be_given_by_name_or_id(slack_server: SlackServer, how: str) -> None:
    channel = {
        "name with #": slack_server.channel,
        "name": slack_server.channel.removeprefix("#"),
        "ID": slack_server.channel_id,
    }[how]
    slack = resource(slack_server, channel=channel)
    posted = slack.post(message(), "key")
    assert slack.find("key", datetime.now(UTC)) == posted


def test_the_documented_scopes_are_enough(slack_server: SlackServer) -> None:
    slack = resource(slack_server, token=DOCUMENTED_TOKEN)
    root = slack.post(with_picture(), "root")
    answer = slack.post(with_picture(), "answer", root)
    assert (slack.find("root", an_hour_ago()), slack.find("answer", an_hour_ago(), root)) == (root, answer)
    member = slack_server.react("alice", "x", root.ts)
    (reaction,) = slack.reactions(root)
    assert reaction.members == (member,)
    assert slack.own_member_id() == slack_server.call("auth.test")["user_id"]


# Looking for a message


def test_a_posted_message_is_found_by_its_key_alone(slack_server: SlackServer) -> None:
    slack = resource(slack_server)
    slack.post(message("first"), "key-1")
    second = slack.post(message("second"), "key-2")
    slack_server.call("chat.postMessage", channel=slack_server.channel_id, text="key-3")
    assert slack.find("key-2", an_hour_ago()) == second
    assert slack.find("key-3", an_hour_ago()) is None


def test_the_history_is_searched_to_its_end(slack_server: SlackServer) -> None:
    slack = resource(slack_server, channel=slack_server.channel_id)
    oldest = slack.post(message("oldest"), "the-key")
    for index in range(20):
        slack_server.call("chat.postMessage", channel=slack_server.channel_id, text=str(index))
    slack_server.proxy.page_limit = 7
    assert slack.find("the-key", an_hour_ago()) == oldest
    assert len(slack_server.proxy.requests_to("conversations.history")) >= 3
    assert slack_server.proxy.requests_to("conversations.list") == []


def test_a_channel_far_down_the_list_is_found_by_its_name(slack_server: SlackServer) -> None:
    slack = resource(slack_server)
    posted = slack.post(message(), "key")
    slack_server.proxy.page_limit = 1
    assert slack.find("key", datetime.now(UTC)) == posted
    assert len(slack_server.proxy.requests_to("conversations.list")) >= 3


# Threads


def test_an_answer_stands_in_the_thread_and_is_found_there(slack_server: SlackServer) -> None:
    slack = resource(slack_server)
    root = slack.post(message("root"), "root")
    other = slack.post(message("other"), "other")
    answer = slack.post(message("worse"), "answer", root)
    assert [found["ts"] for found in slack_server.messages()] == [root.ts, other.ts]
    (found,) = slack_server.answers(root.ts)
    assert (found["ts"], found["text"], found["thread_ts"]) == (answer.ts, "worse", root.ts)
    assert "reply_broadcast" not in found
    assert slack.find("answer", an_hour_ago(), root) == answer
    assert slack.find("answer", an_hour_ago(), other) is None
    assert slack.find("answer", an_hour_ago()) is None


def test_an_announced_answer_is_marked_for_the_channel(slack_server: SlackServer) -> None:
    slack = resource(slack_server)
    root = slack.post(message("root"), "root")
    slack.post(message("recovered", announce=True), "answer", root)
    assert [found["reply_broadcast"] for found in slack_server.answers(root.ts)] == [True]


def test_a_thread_is_searched_to_its_end(slack_server: SlackServer) -> None:
    slack = resource(slack_server)
    root = slack.post(message("root"), "root")
    for index in range(20):
        slack_server.call("chat.postMessage", channel=root.channel, thread_ts=root.ts, text=str(index))
    last = slack.post(message("last"), "the-key", root)
    slack_server.proxy.page_limit = 7
    assert slack.find("the-key", an_hour_ago(), root) == last
    assert len(slack_server.proxy.requests_to("conversations.replies")) == 4


def test_an_answer_that_stands_alone_is_found(slack_server: SlackServer) -> None:
    slack = resource(slack_server)
    root = slack.post(message("root"), "root")
    slack_server.proxy.faults_of = {"chat.postMessage": [Answer.refusal("cannot_reply_to_message")]}
    alone = slack.post(message("worse"), "answer", root)
    slack_server.call("chat.delete", channel=root.channel, ts=root.ts)
    assert [found["ts"] for found in slack_server.messages()] == [alone.ts]
    assert slack.find("answer", an_hour_ago(), root) == alone


# Pictures


def test_a_picture_is_shown_by_the_message_and_nowhere_else(slack_server: SlackServer) -> None:
    resource(slack_server).post(with_picture(), "key")
    (found,) = slack_server.messages()
    section, image = found["blocks"]
    assert (section, image["alt_text"]) == (BLOCKS[0], "The score falls from 90 to 40")
    assert slack_server.file(image["slack_file"]["id"]) == PNG
    file = slack_server.call("files.info", file=image["slack_file"]["id"])["file"]
    assert (file["channels"], file["groups"], file["is_public"]) == ([], [], False)


def test_a_picture_that_slack_scans_first_is_shown_once_it_has(
    slack_server: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.slack.PICTURE_PAUSES_SECONDS", (0.01, 0.01))
    slack_server.proxy.scans = 2
    resource(slack_server).post(with_picture(), "key")
    (found,) = slack_server.messages()
    assert [block["type"] for block in found["blocks"]] == ["section", "image"]
    assert len(slack_server.proxy.requests_to("chat.postMessage")) == 3


def test_without_the_scope_for_pictures_the_message_says_so(slack_server: SlackServer) -> None:
    resource(slack_server, token=CHAT_ONLY_TOKEN).post(with_picture(), "key")
    (found,) = slack_server.messages()
    section, context = found["blocks"]
    assert section == BLOCKS[0]
    assert "lacks files:write" in context["elements"][0]["text"]


# Reactions


def test_reactions_are_read_as_they_are_now_with_everybody(slack_server: SlackServer) -> None:
    slack = resource(slack_server)
    posted = slack.post(message(), "key")
    alice, bob = (slack_server.react(name, "white_check_mark", posted.ts) for name in ("alice", "bob"))
    carol = slack_server.react("carol", "x", posted.ts)
    found = {reaction.name: set(reaction.members) for reaction in slack.reactions(posted)}
    assert found == {"white_check_mark": {alice, bob}, "x": {carol}}
    slack_server.unreact("carol", "x", posted.ts)
    assert [reaction.name for reaction in slack.reactions(posted)] == ["white_check_mark"]


def test_reactions_that_slack_does_not_name_completely_are_not_taken_for_all(slack_server: SlackServer) -> None:
    slack = resource(slack_server)
    posted = slack.post(message(), "key")
    slack_server.react("alice", "x", posted.ts)
    slack_server.react("bob", "x", posted.ts)
    slack_server.proxy.names_at_most = 1
    with pytest.raises(SlackError, match="only 1 of the 2 people who reacted with :x:"):
        slack.reactions(posted)


def test_without_the_scope_for_reactions_it_is_named(slack_server: SlackServer) -> None:
    slack = resource(slack_server, token=CHAT_ONLY_TOKEN)
    posted = slack.post(message(), "key")
    with pytest.raises(SlackError, match="lacks reactions:read"):
        slack.reactions(posted)


# Refusals


def test_refused_blocks_are_posted_again_as_text_with_the_same_key(slack_server: SlackServer) -> None:
    slack_server.proxy.refuses_blocks = True
    slack = resource(slack_server)
    posted = slack.post(message("the text"), "key")
    (found,) = slack_server.messages()
    assert ("blocks" in found, found["text"], found["ts"]) == (False, "the text", posted.ts)
    assert slack.find("key", an_hour_ago()) == posted
    assert [("blocks" in form) for form in slack_server.proxy.requests_to("chat.postMessage")] == [True, False]


def test_a_rate_limit_is_waited_for_and_the_message_posted_once(slack_server: SlackServer) -> None:
    slack_server.proxy.faults = [Answer.rate_limit(1)]
    began = time.monotonic()
    resource(slack_server).post(message(), "key")
    assert time.monotonic() - began >= 1
    assert len(slack_server.messages()) == 1


def test_an_unknown_token_posts_nothing(slack_server: SlackServer) -> None:
    with pytest.raises(SlackError, match="invalid_auth: SLACK_BOT_TOKEN") as caught:
        resource(slack_server, token="xoxb-unknown").post(message(), "key")
    assert (caught.value.retryable, caught.value.surely_refused) == (False, True)
    assert slack_server.messages() == []


def test_an_unknown_channel_is_named_with_its_setting(slack_server: SlackServer) -> None:
    slack = resource(slack_server, channel="#no-such-channel")
    with pytest.raises(SlackError, match=r"channel_not_found for #no-such-channel: check SLACK_CHANNEL.*/invite"):
        slack.post(message(), "key")
    with pytest.raises(SlackError, match="no public channel named #no-such-channel"):
        slack.find("key", datetime.now(UTC))
