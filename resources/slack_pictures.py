"""Pictures in Slack: a file that the bot uploads for itself, and an image block that shows it in a message."""

from __future__ import annotations

import json
from typing import Any

from resources.reading import SlackError
from resources.slack_connection import SlackConnection, retry_after_seconds

FILE_NAME = "picture.png"
MAX_ALT_TEXT = 2000
MAX_BLOCKS = 50


def can_hold_a_picture(blocks: list[dict[str, Any]]) -> bool:
    """Whether one more block fits. A message of text alone gets none: Slack would show the block in place of it."""
    return 0 < len(blocks) < MAX_BLOCKS


def upload_picture(connection: SlackConnection, picture: bytes) -> str:
    """Uploads a PNG, to no channel, and returns Slack's ID of it. Needs the scope files:write. Raises SlackError.

    Nobody sees the file until a message shows it, so an upload may be repeated or left behind. Slack scans it for a
    while after this, and refuses messages that show it until then.
    """
    ticket = connection.call("files.getUploadURLExternal", filename=FILE_NAME, length=len(picture))
    file_id, url = ticket.get("file_id"), ticket.get("upload_url")
    if not isinstance(file_id, str) or not isinstance(url, str):
        raise SlackError("Slack did not say where to upload the picture.", retryable=True)
    _send(connection, url, picture)
    connection.call("files.completeUploadExternal", files=json.dumps([{"id": file_id, "title": FILE_NAME}]))
    return file_id


def with_picture(blocks: list[dict[str, Any]], file_id: str, alt_text: str) -> list[dict[str, Any]]:
    """The blocks with the picture at their end, but before the buttons, which close a message."""
    image = {"type": "image", "slack_file": {"id": file_id}, "alt_text": alt_text[:MAX_ALT_TEXT]}
    end = len(blocks) - (blocks[-1]["type"] == "actions")
    return [*blocks[:end], image, *blocks[end:]]


def with_note(blocks: list[dict[str, Any]], note: str) -> list[dict[str, Any]]:
    """The blocks with a small line below them."""
    return [*blocks, {"type": "context", "elements": [{"type": "plain_text", "text": note, "emoji": False}]}]


def _send(connection: SlackConnection, url: str, picture: bytes) -> None:
    """Neither the token nor, in errors, the address leaves this function: the address alone allows the upload."""
    import httpx

    while True:
        try:
            answer = httpx.post(url, content=picture, timeout=connection.timeout_seconds)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SlackError(
                f"The connection to Slack's file store failed ({type(error).__name__}). Check the network.",
                retryable=True,
            ) from None
        if answer.status_code != 429:
            break
        connection.wait_out(retry_after_seconds(dict(answer.headers)))
    if not answer.is_success:
        raise SlackError(f"Slack's file store answered HTTP {answer.status_code}.", retryable=True)
