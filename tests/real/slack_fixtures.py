"""The fixture `slack_server`: a local Slack behind the fault proxy, with a channel of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.real.services.slack_server import PEOPLE, running_slack
from tests.wire.slack_fault_proxy import TOKEN, FaultProxy, fault_proxy


@dataclass(frozen=True)
class SlackServer:
    """`channel` is a name with #, `channel_id` the same channel's ID. The proxy is what `base_url` leads to."""

    base_url: str
    token: str
    channel: str
    channel_id: str
    proxy: FaultProxy
    upstream: str

    def call(self, method: str, member: str | None = None, **form: Any) -> dict[str, Any]:
        """Calls the local Slack itself, past the proxy: as one of the people in it, or as the bot."""
        token = PEOPLE[member] if member else self.token
        answer = httpx.post(self.upstream + method, data=form, headers={"Authorization": f"Bearer {token}"}).json()
        assert answer["ok"], answer
        return answer

    def messages(self, channel: str | None = None) -> list[dict[str, Any]]:
        """What stands in the channel (an ID; the test's own by default), oldest first, at most 1000 messages."""
        answer = self.call("conversations.history", channel=channel or self.channel_id, limit=1000)
        return [message for message in reversed(answer["messages"]) if "subtype" not in message]

    def answers(self, ts: str) -> list[dict[str, Any]]:
        """What stands in the thread of a message of the test's own channel, that message not included, oldest first."""
        thread = self.call("conversations.replies", channel=self.channel_id, ts=ts)["messages"]
        return [message for message in thread if message["ts"] != ts]

    def react(self, member: str, emoji: str, ts: str) -> str:
        """Lets one of the people react to a message of the test's own channel; their member ID."""
        self.call("reactions.add", member, channel=self.channel_id, timestamp=ts, name=emoji)
        return str(self.call("auth.test", member)["user_id"])

    def unreact(self, member: str, emoji: str, ts: str) -> None:
        self.call("reactions.remove", member, channel=self.channel_id, timestamp=ts, name=emoji)

    def file(self, file_id: str) -> bytes:
        """The content of an uploaded file."""
        url = self.call("files.info", file=file_id)["file"]["url_private"]
        return httpx.get(url, headers={"Authorization": f"Bearer {self.token}"}).content


@pytest.fixture(scope="session")
def local_slack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of the local Slack API, started once a session."""
    with running_slack(tmp_path_factory.mktemp("slack") / "slack.log") as base_url:
        yield base_url


@pytest.fixture
def slack_server(local_slack: str) -> Iterator[SlackServer]:
    name = f"performance-{uuid4().hex[:8]}"
    with fault_proxy(local_slack) as proxy:
        unnamed = SlackServer(proxy.base_url, TOKEN, f"#{name}", "", proxy, local_slack)
        channel_id = unnamed.call("conversations.create", name=name)["channel"]["id"]
        yield SlackServer(proxy.base_url, TOKEN, f"#{name}", channel_id, proxy, local_slack)
