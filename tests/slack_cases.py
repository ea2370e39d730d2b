"""Messages, prepared answers, and a resource, for tests of the Slack resource without a Slack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from perf_pipeline.message import RenderedMessage
from resources.messenger import PostedMessage
from resources.slack import SlackResource
from tests.wire.slack_fault_proxy import TOKEN, Answer, FaultProxy, fault_proxy

BLOCKS: list[dict[str, Any]] = [{"type": "divider"}]
MESSAGE = RenderedMessage(title="Title", plain="plain", slack_text="text", slack_blocks=BLOCKS)
ROOT = PostedMessage("C000000001", "1.000000")
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    with fault_proxy() as running:
        yield running


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the client would sleep for; it does not."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


def resource(proxy: FaultProxy, **others: Any) -> SlackResource:
    return SlackResource(**{"token": TOKEN, "channel": "#alerts", "base_url": proxy.base_url, **others})


def posted() -> Answer:
    return Answer(body=json.dumps({"ok": True, "channel": "C000000001", "ts": "1.000001"}))


def last_post(proxy: FaultProxy) -> dict[str, Any]:
    return proxy.requests_to("chat.postMessage")[-1]
