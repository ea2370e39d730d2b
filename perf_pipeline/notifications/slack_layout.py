"""A message in Slack's layout, Block Kit, within Slack's limits.

Text goes into rich-text elements, which hold text and no markup: whatever an agent writes into an error can neither
mention anybody nor forge layout.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from perf_pipeline.message import Button, Line, Message, Section, section
from perf_pipeline.notifications.fitting import MAX_LINE, fitted
from perf_pipeline.notifications.plain_text import commands_of, plain_text, subject
from perf_pipeline.notifications.safe_text import one_line, readable, shorten, web_address

_Elements = list[dict[str, Any]]

MAX_HEADER = 150
MAX_BUTTON = 75
MAX_FALLBACK = 4000
"""Slack splits a longer text into several messages."""


def slack_text(message: Message) -> str:
    """The message as text with Slack's three control characters as entities. Its first line is what phones show."""
    text = "\n\n".join(part for part in (subject(message), plain_text(message)) if part)
    entities = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    shown, length = [], 0
    for character in text:
        escaped = entities.get(character, character)
        length += len(escaped)
        if length >= MAX_FALLBACK:
            return "".join(shown).rstrip() + "…"
        shown.append(escaped)
    return "".join(shown)


def slack_blocks(message: Message, *, clickable: bool = True) -> list[dict[str, Any]]:
    """A header, a block for each section, and the buttons, or where nobody would hear of a click, what to type.

    What Slack would not take is left out, and counted.
    """
    blocks: list[dict[str, Any]] = []
    if title := one_line(message.title):
        blocks.append({"type": "header", "text": _plain(title, MAX_HEADER)})
    commands = () if clickable else tuple(section(command) for command in commands_of(message))
    blocks += _rich_texts(fitted((*message.sections, *commands)))
    if message.buttons and clickable:
        blocks.append({"type": "actions", "elements": [_button(button) for button in message.buttons]})
    return blocks


def _rich_texts(sections: Iterable[Section]) -> list[dict[str, Any]]:
    """A block for each section; a list goes into that of the line which ends in a colon right before it."""
    blocks: list[dict[str, Any]] = []
    ends_in_colon = False
    for part in sections:
        lines = [elements for line in part.lines if (elements := _elements(line))]
        if not lines:
            continue
        element = _list(lines) if part.bulleted else _paragraph(lines)
        if part.bulleted and ends_in_colon:
            blocks[-1]["elements"].append(element)
        else:
            blocks.append({"type": "rich_text", "elements": [element]})
        ends_in_colon = not part.bulleted and lines[-1][-1]["text"].rstrip().endswith(":")
    return blocks


def _list(lines: list[_Elements]) -> dict[str, Any]:
    items = [{"type": "rich_text_section", "elements": elements} for elements in lines]
    return {"type": "rich_text_list", "style": "bullet", "elements": items}


def _paragraph(lines: list[_Elements]) -> dict[str, Any]:
    joined: _Elements = []
    for number, elements in enumerate(lines):
        joined += [{"type": "text", "text": "\n"}] * (number > 0) + elements
    return {"type": "rich_text_section", "elements": joined}


def _elements(line: Line) -> _Elements:
    """Nothing for a line that shows nothing. Spaces at the end are left out."""
    elements: _Elements = []
    left = MAX_LINE
    for piece in line:
        text = shorten(readable(piece.text), left) if left else ""
        left -= len(text)
        if text:
            url = web_address(piece.url)
            element = {"type": "link", "url": url, "text": text} if url else {"type": "text", "text": text}
            elements.append(element | ({"style": {"bold": True}} if piece.bold else {}))
    while elements and not elements[-1]["text"].strip():
        elements.pop()
    return elements


def _button(button: Button) -> dict[str, Any]:
    element: dict[str, Any] = {
        "type": "button",
        "action_id": button.action,
        "text": _plain(one_line(button.text), MAX_BUTTON),
        "value": button.value,
    }
    return element | ({"style": button.style} if button.style else {})


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": shorten(text, limit), "emoji": False}
