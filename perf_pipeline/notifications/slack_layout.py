"""A message in Slack's layout, Block Kit, within Slack's limits.

Text goes into rich-text elements, which hold text and no markup: whatever an agent writes into an error can neither
mention anybody nor forge layout.
"""

from __future__ import annotations

from typing import Any

from perf_pipeline.message import Button, Line, Message, Section
from perf_pipeline.notifications.plain_text import one_line, plain_text

MAX_TEXT = 3000
MAX_HEADER = 150
MAX_BLOCKS = 50
MAX_FALLBACK = 4000


def slack_text(message: Message) -> str:
    """The message as text with Slack's three control characters as entities."""
    text = shorten(f"{one_line(message.title)}\n\n{plain_text(message)}".strip(), MAX_FALLBACK)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def slack_blocks(message: Message) -> list[dict[str, Any]]:
    header = {"type": "plain_text", "text": shorten(one_line(message.title), MAX_HEADER), "emoji": False}
    blocks: list[dict[str, Any]] = [{"type": "header", "text": header}]
    blocks += [_rich_text(section) for section in message.sections if section.lines]
    if message.buttons:
        blocks.append({"type": "actions", "elements": [_button(button) for button in message.buttons]})
    return blocks


def shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _rich_text(section: Section) -> dict[str, Any]:
    lines = [{"type": "rich_text_section", "elements": _elements(line)} for line in section.lines]
    if section.bulleted:
        return {"type": "rich_text", "elements": [{"type": "rich_text_list", "style": "bullet", "elements": lines}]}
    joined: list[dict[str, Any]] = []
    for number, line in enumerate(lines):
        joined += [{"type": "text", "text": "\n"}] * (number > 0) + line["elements"]
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": joined}]}


def _elements(line: Line) -> list[dict[str, Any]]:
    elements: list[dict[str, Any]] = []
    for piece in line:
        text = shorten(piece.text, MAX_TEXT)
        element = {"type": "link", "url": piece.url, "text": text} if piece.url else {"type": "text", "text": text}
        elements.append(element | ({"style": {"bold": True}} if piece.bold else {}))
    return elements


def _button(button: Button) -> dict[str, Any]:
    element: dict[str, Any] = {
        "type": "button",
        "action_id": button.action,
        "text": {"type": "plain_text", "text": button.text, "emoji": False},
        "value": button.value,
    }
    return element | ({"style": button.style} if button.style else {})
