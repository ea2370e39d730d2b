"""A message of the outbox as the channels take it."""

from __future__ import annotations

from perf_pipeline.message import RenderedMessage, section
from perf_pipeline.notifications.plain_text import plain_text, subject
from perf_pipeline.notifications.safe_text import calling_nobody, one_line, shorten
from perf_pipeline.notifications.slack_layout import slack_blocks, slack_text
from perf_pipeline.records import Notification

MAYBE_AGAIN = "The sender was interrupted: you may have got this message already."
MAX_PICTURE_TEXT = 2000
"""What Slack takes as the words for an image."""


def render(notification: Notification, *, clickable: bool = True, maybe_again: bool = False) -> RenderedMessage:
    """`clickable` says whether anybody would hear of a click on a button; `maybe_again`, for a channel that cannot be
    searched, that an earlier sender may have posted the message."""
    message = notification.message
    if maybe_again:
        message = message.model_copy(update={"sections": (*message.sections, section(MAYBE_AGAIN))})
    return RenderedMessage(
        title=calling_nobody(one_line(message.title)),
        subject=subject(message),
        plain=plain_text(message),
        slack_text=slack_text(message),
        slack_blocks=slack_blocks(message, clickable=clickable),
        picture=notification.picture,
        picture_text=shorten(one_line(message.picture_text), MAX_PICTURE_TEXT) if message.picture_text else None,
        announce=message.announce,
    )
