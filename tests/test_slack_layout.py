"""Whatever a message says, Slack takes it, calls nobody and shows the text as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from slack_sdk.models.blocks import Block

from perf_pipeline.message import Button, Message, Piece, bold, bullets, labelled, line, section
from perf_pipeline.notifications.safe_text import one_line
from perf_pipeline.notifications.slack_layout import slack_blocks, slack_text
from tests.alert_stories import alert_stories
from tests.message_content import HOSTILE, messages


def elements_of(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every element that holds text, of rich text."""
    for block in blocks:
        for part in block.get("elements", ()) if block["type"] == "rich_text" else ():
            sections = part["elements"] if part["type"] == "rich_text_list" else [part]
            for one in sections:
                assert one["type"] == "rich_text_section"
                yield from one["elements"]


def shown_in(blocks: list[dict[str, Any]]) -> str:
    return "".join(element["text"] for element in elements_of(blocks))


def assert_slack_takes(blocks: list[dict[str, Any]]) -> None:
    """The documented limits, and what Slack's own library and the documented schema of rich text ask for."""
    assert len(blocks) <= 48, "50, less one for a picture and one for what is said of it"
    assert len(json.dumps(blocks, ensure_ascii=False)) < 12_000 + sum(
        len(button["value"]) for block in blocks if block["type"] == "actions" for button in block["elements"]
    )
    for block in blocks:
        parsed = Block.parse(block)
        assert parsed is not None
        parsed.validate_json()
        assert parsed.to_dict() == block
        assert set(block) <= {"type", "text", "elements"}
        if block["type"] == "header":
            assert 1 <= len(block["text"]["text"]) <= 150
        elif block["type"] == "actions":
            assert 1 <= len(block["elements"]) <= 25
            assert len({button["action_id"] for button in block["elements"]}) == len(block["elements"])
            for button in block["elements"]:
                assert 1 <= len(button["text"]["text"]) <= 75
                assert len(button["value"]) <= 2000
        else:
            assert block["type"] == "rich_text"
            for part in block["elements"]:
                assert_rich_text(part)


def assert_rich_text(part: dict[str, Any]) -> None:
    if part["type"] == "rich_text_list":
        assert (set(part), part["style"]) == ({"type", "style", "elements"}, "bullet")
        assert part["elements"]
        for item in part["elements"]:
            assert item["type"] == "rich_text_section"
            assert_rich_text(item)
        return
    assert (part["type"], set(part)) == ("rich_text_section", {"type", "elements"})
    assert part["elements"]
    assert sum(len(element["text"]) for element in part["elements"]) <= 3000
    for element in part["elements"]:
        assert element["type"] in ("text", "link")
        assert set(element) <= {"type", "text", "style"} | ({"url"} if element["type"] == "link" else set())
        assert 1 <= len(element["text"]) <= 3000
        assert element.get("style", {"bold": True}) == {"bold": True}
        assert element["text"] == "\n" or "\n" not in element["text"]
        if element["type"] == "link":
            assert re.match(r"https?://[^@\s]+$", element["url"])


@settings(max_examples=150, deadline=None)
@given(messages)
def test_any_message_is_within_slacks_limits_and_schema(message: Message) -> None:
    assert_slack_takes(slack_blocks(message))


@settings(max_examples=150, deadline=None)
@given(messages)
def test_no_control_sequence_survives_in_the_text(message: Message) -> None:
    text = slack_text(message)
    assert len(text) <= 4000
    assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", text)
    assert not re.search(r"@(here|channel|everyone)\b", text, re.IGNORECASE)
    text.encode()


@pytest.mark.parametrize("name", alert_stories())
def test_every_message_about_incidents_is_taken_whole(name: str) -> None:
    message = alert_stories()[name]
    blocks = slack_blocks(message)
    assert_slack_takes(blocks)
    shown = shown_in(blocks)
    assert all(piece.text in shown for part in message.sections for pieces in part.lines for piece in pieces)


@pytest.mark.parametrize("outside", [text for text in HOSTILE if len(text) < 1000])
def test_text_from_outside_is_shown_as_it_is_and_forges_no_line(outside: str) -> None:
    blocks = slack_blocks(Message(title="Title", sections=(section(labelled("Agent", outside), "next"),)))
    assert_slack_takes(blocks)
    agent, following = shown_in(blocks).split("\n")
    assert agent.split() == ["Agent:", *one_line(outside).split()]
    assert following == "next"


def test_an_address_that_is_not_of_the_web_is_shown_without_a_link() -> None:
    pieces = (Piece(text="4bf9", url="https://phoenix.example/4bf9"), Piece(text="00f0", url="javascript:alert(1)"))
    [_, block] = slack_blocks(Message(title="Title", sections=(section(line(*pieces)),)))
    assert block["elements"][0]["elements"] == [
        {"type": "link", "url": "https://phoenix.example/4bf9", "text": "4bf9"},
        {"type": "text", "text": "00f0"},
    ]


def test_a_list_is_in_the_block_of_the_line_that_announces_it() -> None:
    message = Message(title="Title", sections=(section(labelled("Details")), bullets([line(bold("one"), " thing")])))
    [_, block] = slack_blocks(message)
    assert block["elements"] == [
        {"type": "rich_text_section", "elements": [{"type": "text", "text": "Details:", "style": {"bold": True}}]},
        {
            "type": "rich_text_list",
            "style": "bullet",
            "elements": [
                {
                    "type": "rich_text_section",
                    "elements": [
                        {"type": "text", "text": "one", "style": {"bold": True}},
                        {"type": "text", "text": " thing"},
                    ],
                }
            ],
        },
    ]


def test_a_line_of_10000_characters_is_shortened() -> None:
    blocks = slack_blocks(Message(title="Title", sections=(section("x" * 10_000),)))
    assert_slack_takes(blocks)
    assert shown_in(blocks) == "x" * 2999 + "…"


def test_a_message_of_500_lines_says_how_many_there_is_no_room_for() -> None:
    lines = [f"line {number:03}" for number in range(500)]
    for message in (
        Message(title="Title", sections=(section(*lines),)),
        Message(title="Title", sections=(bullets(lines),)),
        Message(title="Title", sections=tuple(section(one) for one in lines)),
    ):
        blocks = slack_blocks(message)
        assert_slack_takes(blocks)
        shown = shown_in(blocks)
        left_out = re.search(r"… and (\d+) more lines that Slack has no room for$", shown)
        assert left_out
        assert len(re.findall(r"line \d{3}", shown)) + int(left_out[1]) == 500


def test_a_long_text_ends_within_slacks_limit_and_never_within_an_entity() -> None:
    for length in range(790, 810):
        text = slack_text(Message(title="T" * (length % 7), sections=(section("&" * length),)))
        assert len(text) <= 4000
        assert not re.search(r"&(?!amp;)", text)


def test_where_nobody_hears_of_clicks_the_message_says_what_to_type() -> None:
    button = Button(action="acknowledge", text="Acknowledge", value="alert:1", style="primary")
    message = Message(title="title", sections=(section("text"),), buttons=(button,))
    kinds = [block["type"] for block in slack_blocks(message)]
    without = slack_blocks(message, clickable=False)
    assert (kinds, [block["type"] for block in without]) == (
        ["header", "rich_text", "actions"],
        ["header", "rich_text", "rich_text"],
    )
    assert "perf-pipeline ack alert:1" in str(without[-1])


def test_phones_show_what_is_the_matter_in_the_first_line() -> None:
    first = slack_text(alert_stories("UTC")["alert"]).splitlines()[0]
    assert first == "🚨 PERFORMANCE ALERT · InboundAgent: Success rate fell from 85% to 0% since 13:30 UTC"
