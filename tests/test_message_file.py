"""The embedded messenger: a file of lines that survives a killed writer and any text."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from perf_pipeline.message import RenderedMessage
from resources.message_file import MessageFileResource
from resources.messenger import PostedMessage

BLOCKS = [{"type": "divider"}]


def message(plain: str = "text") -> RenderedMessage:
    return RenderedMessage("title", plain, "slack text", BLOCKS, picture=b"\x89PNG", picture_text="a chart")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "messages.jsonl"


@pytest.fixture
def messenger(file: Path) -> MessageFileResource:
    return MessageFileResource(path=str(file))


def test_a_message_is_a_line_and_is_found_by_its_key(messenger: MessageFileResource, file: Path) -> None:
    before = datetime.now(UTC)
    posted = messenger.post(message(), "alert:1")
    [line] = file.read_text().splitlines()
    assert json.loads(line) == {
        "key": "alert:1",
        "posted_at": posted.ts,
        "reply_to": None,
        "title": "title",
        "text": "text",
        "blocks": BLOCKS,
        "picture_text": "a chart",
    }
    assert messenger.find("alert:1", before) == posted
    assert posted.channel == "messages.jsonl"


def test_an_answer_names_the_message_that_it_answers(messenger: MessageFileResource, file: Path) -> None:
    before = datetime.now(UTC)
    first = messenger.post(message(), "alert:1")
    answer = messenger.post(message("recovered"), "alert:1:update", first)
    assert json.loads(file.read_text().splitlines()[1])["reply_to"] == first.ts
    assert messenger.find("alert:1:update", before, first) == answer


def test_what_was_not_posted_or_only_earlier_is_not_found(messenger: MessageFileResource) -> None:
    before = datetime.now(UTC)
    assert messenger.find("alert:1", before) is None
    messenger.post(message(), "alert:1")
    assert messenger.find("alert:2", before) is None
    assert messenger.find("alert:1", datetime.now(UTC) + timedelta(seconds=1)) is None


@pytest.mark.parametrize("text", ["two\nlines", "next\u2028line", "next\u0085line", "🚨 ü", '{"key": "forged"}'])
def test_any_text_stays_one_message(messenger: MessageFileResource, file: Path, text: str) -> None:
    before = datetime.now(UTC)
    posted = messenger.post(message(text), "alert:1")
    assert messenger.find("alert:1", before) == posted
    assert messenger.find("forged", before) is None
    assert json.loads(file.read_bytes())["text"] == text


def test_half_a_line_of_a_killed_writer_loses_no_later_message(messenger: MessageFileResource, file: Path) -> None:
    before = datetime.now(UTC)
    first = messenger.post(message(), "alert:1")
    with file.open("a") as stream:
        stream.write('{"key": "alert:2", "posted_at": "2026')
    assert messenger.find("alert:2", before) is None
    third = messenger.post(message(), "alert:3", PostedMessage("messages.jsonl", first.ts))
    assert messenger.find("alert:1", before) == first
    assert messenger.find("alert:2", before) is None
    assert messenger.find("alert:3", before) == third


def test_it_says_where_messages_go_and_how_to_send_them_to_slack(messenger: MessageFileResource, file: Path) -> None:
    assert str(file) in messenger.describe()
    assert "SLACK_BOT_TOKEN" in messenger.describe()
