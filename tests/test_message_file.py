"""The embedded messenger: a file of lines that survives a killed writer and any text."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from resources.message_file import MessageFileResource

BLOCKS = [{"type": "divider"}]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "messages.jsonl"


@pytest.fixture
def messenger(file: Path) -> MessageFileResource:
    return MessageFileResource(path=str(file))


def test_a_message_is_a_line_and_is_found_by_its_key(messenger: MessageFileResource, file: Path) -> None:
    before = datetime.now(UTC)
    posted = messenger.post("text", BLOCKS, "alert:1")
    [line] = file.read_text().splitlines()
    assert json.loads(line) == {"key": "alert:1", "posted_at": posted.ts, "text": "text", "blocks": BLOCKS}
    assert messenger.find("alert:1", before) == posted
    assert posted.channel == "messages.jsonl"


def test_what_was_not_posted_or_only_earlier_is_not_found(messenger: MessageFileResource) -> None:
    before = datetime.now(UTC)
    assert messenger.find("alert:1", before) is None
    messenger.post("text", BLOCKS, "alert:1")
    assert messenger.find("alert:2", before) is None
    assert messenger.find("alert:1", datetime.now(UTC) + timedelta(seconds=1)) is None


@pytest.mark.parametrize("text", ["two\nlines", "next\u2028line", "next\u0085line", "🚨 ü", '{"key": "forged"}'])
def test_any_text_stays_one_message(messenger: MessageFileResource, file: Path, text: str) -> None:
    before = datetime.now(UTC)
    posted = messenger.post(text, BLOCKS, "alert:1")
    assert messenger.find("alert:1", before) == posted
    assert messenger.find("forged", before) is None
    assert json.loads(file.read_bytes())["text"] == text


def test_half_a_line_of_a_killed_writer_loses_no_later_message(messenger: MessageFileResource, file: Path) -> None:
    before = datetime.now(UTC)
    first = messenger.post("text", BLOCKS, "alert:1")
    with file.open("a") as stream:
        stream.write('{"key": "alert:2", "posted_at": "2026')
    assert messenger.find("alert:2", before) is None
    third = messenger.post("text", BLOCKS, "alert:3")
    assert messenger.find("alert:1", before) == first
    assert messenger.find("alert:2", before) is None
    assert messenger.find("alert:3", before) == third


def test_it_says_where_messages_go_and_how_to_send_them_to_slack(messenger: MessageFileResource, file: Path) -> None:
    assert str(file) in messenger.describe()
    assert "SLACK_BOT_TOKEN" in messenger.describe()
