"""What the Slack resource makes of each answer; no Slack stands behind the proxy here."""

from __future__ import annotations

import json

import pytest

from perf_pipeline.message import RenderedMessage
from resources.messenger import Messenger, PostedMessage, Reaction, ReactionSource
from resources.reading import SlackError
from resources.slack_connection import MAX_RATE_LIMIT_WAIT_SECONDS
from resources.slack_refusals import BLOCK_REFUSALS, THREAD_REFUSALS
from tests.slack_cases import BLOCKS, MESSAGE, NOW, ROOT, last_post, posted, resource
from tests.wire.slack_fault_proxy import TOKEN, Answer, FaultProxy, fault_proxy

pytest_plugins = ["tests.slack_cases"]


def failure(proxy: FaultProxy, *faults: Answer) -> SlackError:
    proxy.faults = list(faults)
    with pytest.raises(SlackError) as caught:
        resource(proxy).post(MESSAGE, "key")
    assert TOKEN not in str(caught.value)
    return caught.value


def test_slack_is_a_messenger_in_which_people_can_react(proxy: FaultProxy) -> None:
    slack: Messenger = resource(proxy)
    assert isinstance(slack, ReactionSource)


# Refusals


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("invalid_auth", "invalid_auth: SLACK_BOT_TOKEN is wrong, expired or revoked"),
        ("token_revoked", "token_revoked: SLACK_BOT_TOKEN is wrong, expired or revoked"),
        ("channel_not_found", "channel_not_found for #alerts: check SLACK_CHANNEL"),
        ("not_in_channel", "invite the bot to it with /invite"),
        ("no_text", "Slack refused the request: no_text. Slack's page on chat.postMessage"),
    ],
)
def test_a_refusal_names_the_setting_to_change_and_no_retry_helps(proxy: FaultProxy, error: str, sentence: str) -> None:
    found = failure(proxy, Answer.refusal(error))
    assert sentence in str(found)
    assert (found.retryable, found.surely_refused) == (False, True)
    assert len(proxy.requests) == 1


def test_a_missing_scope_is_named(proxy: FaultProxy) -> None:
    found = failure(proxy, Answer.refusal("missing_scope", needed="chat:write", provided="users:read"))
    assert "SLACK_BOT_TOKEN lacks chat:write" in str(found)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500),
        Answer(503, body="upstream connect error", content_type="text/plain"),
        Answer.refusal("fatal_error"),
        Answer.refusal("internal_error"),
    ],
)
def test_a_failing_slack_may_have_posted_and_is_not_asked_again(proxy: FaultProxy, answer: Answer) -> None:
    found = failure(proxy, answer)
    assert (found.retryable, found.surely_refused) == (True, False)
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("error", sorted(BLOCK_REFUSALS))
def test_refused_blocks_are_tried_once_as_text(proxy: FaultProxy, error: str) -> None:
    proxy.faults = [Answer.refusal(error), posted()]
    assert resource(proxy).post(MESSAGE, "key").ts == "1.000001"
    first, second = proxy.requests_to("chat.postMessage")
    assert first["metadata"] == second["metadata"]
    assert ("blocks" in first, "blocks" in second) == (True, False)


def test_a_text_that_is_refused_like_blocks_is_not_tried_for_ever(proxy: FaultProxy) -> None:
    found = failure(proxy, *[Answer.refusal("invalid_arguments")] * 3)
    assert (len(proxy.requests), found.surely_refused) == (2, True)


def test_a_page_of_html_is_not_slack(proxy: FaultProxy) -> None:
    found = failure(proxy, Answer(200, body="<html></html>", content_type="text/html"))
    assert "SLACK_BASE_URL" in str(found)
    assert not found.retryable


def test_a_slack_that_is_down_is_named_by_its_setting() -> None:
    with fault_proxy() as proxy:
        stopped = resource(proxy)
    with pytest.raises(SlackError, match="SLACK_BASE_URL") as caught:
        stopped.post(MESSAGE, "key")
    assert (caught.value.retryable, caught.value.surely_refused) == (True, False)


# Rate limits


def test_a_rate_limit_longer_than_a_message_may_wait_is_an_error_at_once(
    proxy: FaultProxy, pauses: list[float]
) -> None:
    found = failure(proxy, Answer.rate_limit(MAX_RATE_LIMIT_WAIT_SECONDS + 1))
    assert (found.retryable, found.surely_refused, pauses) == (True, True, [])
    assert found.not_for_seconds == MAX_RATE_LIMIT_WAIT_SECONDS + 1


def test_rate_limits_one_after_the_other_are_waited_for_up_to_the_same_limit(
    proxy: FaultProxy, pauses: list[float]
) -> None:
    half = MAX_RATE_LIMIT_WAIT_SECONDS // 2
    failure(proxy, *[Answer.rate_limit(half)] * 3)
    assert pauses == [half, half]


def test_a_short_rate_limit_is_waited_for(proxy: FaultProxy, pauses: list[float]) -> None:
    proxy.faults = [Answer.rate_limit(2), posted()]
    resource(proxy).post(MESSAGE, "key")
    assert pauses == [2]


# Threads


def test_an_answer_goes_to_the_thread_of_what_it_answers(proxy: FaultProxy) -> None:
    proxy.faults = [posted()]
    resource(proxy).post(MESSAGE, "key", PostedMessage("C000000009", "5.000001"))
    sent = last_post(proxy)
    assert (sent["channel"], sent["thread_ts"], "reply_broadcast" in sent) == ("C000000009", "5.000001", False)


@pytest.mark.parametrize(("reply_to", "shown"), [(ROOT, True), (None, None)])
def test_only_an_announced_answer_is_shown_to_the_channel_as_well(
    proxy: FaultProxy, reply_to: PostedMessage | None, shown: bool | None
) -> None:
    proxy.faults = [posted()]
    announced = RenderedMessage(title="t", plain="p", slack_text="s", slack_blocks=BLOCKS, announce=True)
    resource(proxy).post(announced, "key", reply_to)
    assert last_post(proxy).get("reply_broadcast") == shown


@pytest.mark.parametrize("error", sorted(THREAD_REFUSALS))
def test_an_answer_stands_alone_where_its_thread_is_gone_or_closed(proxy: FaultProxy, error: str) -> None:
    proxy.faults = [Answer.refusal(error), posted()]
    assert resource(proxy).post(MESSAGE, "key", ROOT) == PostedMessage("C000000001", "1.000001")
    first, second = proxy.requests_to("chat.postMessage")
    assert second == {name: value for name, value in first.items() if name != "thread_ts"}


def test_neither_mentions_nor_markup_are_looked_for_in_the_text(proxy: FaultProxy) -> None:
    proxy.faults = [posted()]
    resource(proxy).post(MESSAGE, "key")
    sent = last_post(proxy)
    assert (sent["parse"], sent["link_names"], sent["mrkdwn"]) == ("none", False, False)
    assert (sent["unfurl_links"], sent["unfurl_media"]) == (False, False)


# Looking for a message


def test_a_history_that_cannot_be_read_is_not_an_absent_message(proxy: FaultProxy) -> None:
    proxy.faults = [Answer.refusal("missing_scope", needed="channels:history")]
    with pytest.raises(SlackError, match="lacks channels:history"):
        resource(proxy, channel="C000000001").find("key", NOW)


def test_a_thread_that_cannot_be_read_is_not_an_absent_message(proxy: FaultProxy) -> None:
    proxy.faults = [Answer.refusal("missing_scope")]
    with pytest.raises(SlackError, match=r"lacks channels:history \(groups:history for a private channel\)"):
        resource(proxy).find("key", NOW, ROOT)


def test_a_failure_while_searching_does_not_speak_of_posting(proxy: FaultProxy) -> None:
    proxy.faults = [Answer(500)]
    with pytest.raises(SlackError) as caught:
        resource(proxy).find("key", NOW, ROOT)
    assert str(caught.value) == "Slack failed (HTTP 500). Nothing needs to be set; try again later."


def test_an_answer_is_looked_for_in_the_channel_too_as_its_thread_may_have_been_gone(proxy: FaultProxy) -> None:
    metadata = {"event_type": "perf_pipeline_message", "event_payload": {"key": "key"}}
    history = {"ok": True, "messages": [{"ts": "7.000001", "user": "U0BOT", "metadata": metadata}]}
    proxy.faults = [Answer.refusal("thread_not_found"), Answer(body=json.dumps(history)), BOT]
    assert resource(proxy).find("key", NOW, ROOT) == PostedMessage("C000000001", "7.000001")
    methods = ["conversations.replies", "conversations.history", "auth.test"]
    assert [method for method, _ in proxy.requests] == methods


def test_a_message_of_another_app_with_our_key_is_not_ours(proxy: FaultProxy) -> None:
    metadata = {"event_type": "perf_pipeline_message", "event_payload": {"key": "key"}}
    messages = [{"ts": "7.000001", "user": "U0EVIL", "bot_id": "B0EVIL", "metadata": metadata}]
    proxy.faults = [Answer(body=json.dumps({"ok": True, "messages": messages})), BOT]
    assert resource(proxy, channel="C000000001").find("key", NOW) is None


BOT = Answer(body=json.dumps({"ok": True, "user_id": "U0BOT", "bot_id": "B0BOT"}))


# Reactions


def test_reactions_are_asked_for_with_everybody_who_set_them(proxy: FaultProxy) -> None:
    reactions = [{"name": "x", "count": 2, "users": ["U1", "U2"]}, {"name": "eyes", "count": 1, "users": ["U3"]}]
    proxy.faults = [Answer(body=json.dumps({"ok": True, "message": {"reactions": reactions}}))]
    assert resource(proxy).reactions(ROOT) == [Reaction("x", ("U1", "U2")), Reaction("eyes", ("U3",))]
    assert proxy.requests == [("reactions.get", {"channel": ROOT.channel, "timestamp": ROOT.ts, "full": "1"})]


def test_a_message_without_reactions_has_none(proxy: FaultProxy) -> None:
    proxy.faults = [Answer(body='{"ok": true, "message": {"text": "t"}}')]
    assert resource(proxy).reactions(ROOT) == []


def test_reactions_with_somebody_unnamed_are_an_error(proxy: FaultProxy) -> None:
    reactions = [{"name": "x", "count": 3, "users": ["U1", "U2"]}]
    proxy.faults = [Answer(body=json.dumps({"ok": True, "message": {"reactions": reactions}}))]
    with pytest.raises(SlackError, match="only 2 of the 3 people who reacted with :x:") as caught:
        resource(proxy).reactions(ROOT)
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("error", "sentence"),
    [("missing_scope", "lacks reactions:read"), ("message_not_found", "the message was deleted")],
)
def test_reactions_that_cannot_be_read_say_why(proxy: FaultProxy, error: str, sentence: str) -> None:
    proxy.faults = [Answer.refusal(error)]
    with pytest.raises(SlackError, match=sentence):
        resource(proxy).reactions(ROOT)


# Secrets


def test_a_token_that_no_header_can_hold_is_refused_before_it_is_sent(proxy: FaultProxy) -> None:
    with pytest.raises(SlackError, match="SLACK_BOT_TOKEN is empty or contains") as caught:
        resource(proxy, token="xoxb-secret\nsecond").post(MESSAGE, "key")
    assert "secret" not in str(caught.value)
    assert proxy.requests == []


def test_the_token_is_in_no_repr(proxy: FaultProxy) -> None:
    assert TOKEN not in repr(resource(proxy))


def test_the_channel_says_where_it_posts(proxy: FaultProxy) -> None:
    assert resource(proxy).describe() == f"Slack channel #alerts at {proxy.base_url}"
