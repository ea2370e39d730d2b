"""Messages of every kind that the outbox sends: alone, as an answer in a thread, with a picture, too long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO

from PIL import Image

from benchmarks.notifications.sender import TARGET
from perf_pipeline.fleet_people import NotificationKind
from perf_pipeline.message import Button, Message, bullets, labelled, section
from perf_pipeline.records import Notification

MANY_SECTIONS = 60
"""More than the 50 blocks that Slack takes."""

MessagesOf = Callable[[str], list[Notification]]
"""The messages of one round, from a name that no other round has; an answer after what it answers."""


def alert(name: str) -> list[Notification]:
    return [_notification(name, _content(name))]


def with_picture(name: str) -> list[Notification]:
    content = _content(name).model_copy(update={"picture_text": "The success rate falls."})
    return [_notification(name, content, picture=_picture())]


def too_long(name: str) -> list[Notification]:
    sections = tuple(section(f"Agent {number} fails in {name}.") for number in range(MANY_SECTIONS))
    return [_notification(name, Message(title=f"Alert {name}", sections=sections))]


def answer_to(parent: str) -> MessagesOf:
    """Answers to one message that has been sent before."""
    return lambda name: [_notification(name, _content(name), thread=key_of(parent))]


def picture_in_thread(parent: str) -> MessagesOf:
    def messages(name: str) -> list[Notification]:
        content = Message(title=f"Summary {name}", picture_text="The success rate falls.", announce=True)
        return [_notification(name, content, picture=_picture(), thread=key_of(parent))]

    return messages


def alert_and_answer(name: str) -> list[Notification]:
    """Both wait; the answer must follow."""
    answered = _notification(f"{name}-alert", _content(name))
    later = answered.created_at + timedelta(milliseconds=1)
    return [answered, _notification(f"{name}-answer", _content(name), thread=answered.key, at=later)]


def key_of(name: str) -> str:
    return f"bench:{name}@{TARGET}"


def _notification(
    name: str,
    content: Message,
    *,
    picture: bytes | None = None,
    thread: str | None = None,
    at: datetime | None = None,
) -> Notification:
    at = at or datetime.now(UTC)
    return Notification(key_of(name), NotificationKind.ALERT, content, at, TARGET, thread=thread, picture=picture)


def _content(name: str) -> Message:
    return Message(
        title=f"PERFORMANCE ALERT {name}",
        sections=(section(labelled("Agent", "InboundAgent")), bullets(["It fails.", "It fails again."])),
        buttons=(Button(action="acknowledge", text="Acknowledge", value=name),),
    )


def _picture() -> bytes:
    file = BytesIO()
    Image.new("RGB", (40, 20), "white").save(file, "PNG")
    return file.getvalue()
