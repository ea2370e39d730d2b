"""Every request of a message to Slack, spoiled in every way: the message stands there once, where it belongs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from perf_pipeline.message import RenderedMessage
from resources.messenger import PostedMessage
from resources.reading import SlackError
from resources.slack import SlackResource
from tests.wire.slack_fault_proxy import UPLOAD, Answer, Fault

if TYPE_CHECKING:
    from tests.real.slack_fixtures import SlackServer

pytest_plugins = ["tests.real.slack_fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]

BLOCKS: list[dict[str, Any]] = [{"type": "divider"}]
PLAIN = RenderedMessage(title="t", plain="p", slack_text="s", slack_blocks=BLOCKS)
WITH_PICTURE = RenderedMessage(title="t", plain="p", slack_text="s", slack_blocks=BLOCKS, picture=b"PNG")
POST = "chat.postMessage"
UPLOADING = ("files.getUploadURLExternal", UPLOAD, "files.completeUploadExternal")
FAULTS: dict[str, Fault] = {
    "429": Answer.rate_limit(1),
    "429, too long to wait for": Answer.rate_limit(60),
    "500": Answer(500),
    "500, but done": "500 after forwarding",
    "dropped, not done": "drop before forwarding",
    "dropped, but done": "drop after forwarding",
}
SEARCHES = [
    (False, "dropped, not done", "conversations.list"),
    (False, "dropped, not done", "conversations.history"),
    (False, "dropped, but done", "conversations.list"),
    (False, "500, but done", "conversations.history"),
    (True, "dropped, not done", "conversations.replies"),
    (True, "dropped, not done", "conversations.history"),
    (True, "500, but done", "conversations.replies"),
]
"""Whether the message is an answer, what became of its posting, and a request by which it is looked for then."""

IN_THREAD = pytest.mark.parametrize("in_thread", [False, True], ids=["channel", "thread"])


@pytest.fixture(autouse=True)
def _no_pauses(local_slack: str, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 (it needs its pauses)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


@pytest.fixture
def slack(slack_server: SlackServer) -> SlackResource:
    return SlackResource(token=slack_server.token, channel=slack_server.channel, base_url=slack_server.base_url)


def deliver(slack: SlackResource, message: RenderedMessage, reply_to: PostedMessage | None) -> PostedMessage:
    """As the outbox does it: after a failure the message is looked for before it is posted again."""
    since = datetime.now(UTC) - timedelta(minutes=1)
    for attempt in range(6):
        try:
            found = slack.find("key", since, reply_to) if attempt else None
            return found or slack.post(message, "key", reply_to)
        except SlackError as error:
            if not error.retryable:
                raise
    raise AssertionError("The message could not be delivered.")


def delivered(
    server: SlackServer, slack: SlackResource, message: RenderedMessage, in_thread: bool, faults: dict[str, list[Fault]]
) -> dict[str, Any]:
    """The message as it stands in Slack, which is once, and in no other place, after these faults, which all came."""
    root = slack.post(PLAIN, "root") if in_thread else None
    server.proxy.faults_of = faults
    posted = deliver(slack, message, root)
    assert not any(faults.values())
    (found,) = server.answers(root.ts) if root else server.messages()
    assert (posted.channel, posted.ts) == (server.channel_id, found["ts"])
    assert len(server.messages()) == 1
    return found


@IN_THREAD
@pytest.mark.parametrize("message", [PLAIN, WITH_PICTURE], ids=["plain", "picture"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_message_whose_posting_is_spoiled_stands_there_once(
    slack_server: SlackServer, slack: SlackResource, message: RenderedMessage, in_thread: bool, fault: str
) -> None:
    found = delivered(slack_server, slack, message, in_thread, {POST: [FAULTS[fault]]})
    assert [block["type"] for block in found["blocks"]] == ["divider", *(["image"] if message.picture else [])]


@IN_THREAD
@pytest.mark.parametrize("method", UPLOADING)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_message_whose_picture_is_spoiled_stands_there_once(
    slack_server: SlackServer, slack: SlackResource, in_thread: bool, method: str, fault: str
) -> None:
    found = delivered(slack_server, slack, WITH_PICTURE, in_thread, {method: [FAULTS[fault]]})
    waited_for = fault == "429"
    assert [block["type"] for block in found["blocks"]] == ["divider", "image" if waited_for else "context"]


@pytest.mark.parametrize(("in_thread", "posting", "method"), SEARCHES)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_message_that_could_not_be_looked_for_stands_there_once(
    slack_server: SlackServer, slack: SlackResource, in_thread: bool, posting: str, method: str, fault: str
) -> None:
    delivered(slack_server, slack, PLAIN, in_thread, {POST: [FAULTS[posting]], method: [FAULTS[fault]]})


@IN_THREAD
def test_a_message_that_is_spoiled_again_and_again_stands_there_once(
    slack_server: SlackServer, slack: SlackResource, in_thread: bool
) -> None:
    faults: list[Fault] = ["drop before forwarding", Answer(500), Answer.rate_limit(60), "drop after forwarding"]
    delivered(slack_server, slack, WITH_PICTURE, in_thread, {POST: faults})
