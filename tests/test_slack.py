"""What the Slack resource makes of each answer; no Slack stands behind the proxy here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from resources.reading import SlackError
from resources.slack import BLOCK_REFUSALS, MAX_RATE_LIMIT_WAIT_SECONDS, SlackResource
from tests.wire.slack_fault_proxy import TOKEN, Answer, FaultProxy, fault_proxy

BLOCKS: list[dict[str, Any]] = [{"type": "divider"}]
POSTED = Answer(200, body='{"ok": true, "channel": "C000000001", "ts": "1.000001"}')


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with fault_proxy() as running:
        yield running


def resource(proxy: FaultProxy, **others: Any) -> SlackResource:
    return SlackResource(**{"token": TOKEN, "channel": "#alerts", "base_url": proxy.base_url, **others})


def failure(proxy: FaultProxy, *faults: Answer) -> SlackError:
    proxy.faults = list(faults)
    with pytest.raises(SlackError) as caught:
        resource(proxy).post("text", BLOCKS, "key")
    assert TOKEN not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("invalid_auth", "invalid_auth: SLACK_BOT_TOKEN is wrong, expired or revoked"),
        ("token_revoked", "token_revoked: SLACK_BOT_TOKEN is wrong, expired or revoked"),
        ("channel_not_found", "channel_not_found for #alerts: check SLACK_CHANNEL"),
        ("not_in_channel", "invite the bot to it with /invite"),
        ("no_text", "Slack refused the request: no_text"),
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
    proxy.faults = [Answer.refusal(error), POSTED]
    assert resource(proxy).post("text", BLOCKS, "key").ts == "1.000001"
    first, second = proxy.requests_to("chat.postMessage")
    assert first["metadata"] == second["metadata"]
    assert ("blocks" in first, "blocks" in second) == (True, False)


def test_a_rate_limit_longer_than_a_call_may_wait_is_an_error_at_once(proxy: FaultProxy) -> None:
    began = time.monotonic()
    found = failure(proxy, Answer.rate_limit(MAX_RATE_LIMIT_WAIT_SECONDS + 1))
    assert time.monotonic() - began < 2
    assert (found.retryable, found.surely_refused) == (True, True)


def test_a_short_rate_limit_is_waited_for(proxy: FaultProxy) -> None:
    proxy.faults = [Answer.rate_limit(1), POSTED]
    began = time.monotonic()
    resource(proxy).post("text", BLOCKS, "key")
    assert time.monotonic() - began >= 1


def test_a_page_of_html_is_not_slack(proxy: FaultProxy) -> None:
    found = failure(proxy, Answer(200, body="<html></html>", content_type="text/html"))
    assert "SLACK_BASE_URL" in str(found)
    assert not found.retryable


def test_a_slack_that_is_down_is_named_by_its_setting() -> None:
    with fault_proxy() as proxy:
        stopped = resource(proxy)
    with pytest.raises(SlackError, match="SLACK_BASE_URL") as caught:
        stopped.post("text", BLOCKS, "key")
    assert (caught.value.retryable, caught.value.surely_refused) == (True, False)


def test_a_history_that_cannot_be_read_is_not_an_absent_message(proxy: FaultProxy) -> None:
    proxy.faults = [Answer.refusal("missing_scope", needed="channels:history")]
    with pytest.raises(SlackError, match="lacks channels:history"):
        resource(proxy).find("key", datetime.now(UTC), channel_id="C000000001")


def test_a_failure_while_searching_does_not_speak_of_posting(proxy: FaultProxy) -> None:
    proxy.faults = [Answer(500)]
    with pytest.raises(SlackError) as caught:
        resource(proxy).find("key", datetime.now(UTC), channel_id="C000000001")
    assert str(caught.value) == "Slack failed (HTTP 500). Nothing needs to be set; try again later."


def test_a_token_that_no_header_can_hold_is_refused_before_it_is_sent(proxy: FaultProxy) -> None:
    with pytest.raises(SlackError, match="SLACK_BOT_TOKEN is empty or contains") as caught:
        resource(proxy, token="xoxb-secret\nsecond").post("text", BLOCKS, "key")
    assert "secret" not in str(caught.value)
    assert proxy.requests == []


def test_the_token_is_in_no_repr(proxy: FaultProxy) -> None:
    assert TOKEN not in repr(resource(proxy))


def test_the_channel_says_where_it_posts(proxy: FaultProxy) -> None:
    assert resource(proxy).describe() == f"Slack channel #alerts at {proxy.base_url}"
