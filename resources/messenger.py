"""What the pipeline asks of a channel to people, whichever it is: Slack, e-mail, SMS, a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from perf_pipeline.message import RenderedMessage


@dataclass(frozen=True)
class PostedMessage:
    """Where a message stands: the channel's identity and the message's own, which replies refer to."""

    channel: str
    ts: str


@dataclass(frozen=True)
class Reaction:
    """An emoji under a message: its name without colons, and the member IDs of those who set it."""

    name: str
    members: tuple[str, ...]


class Messenger(Protocol):
    @property
    def can_find(self) -> bool:
        """Whether `find` can tell what became of a message; where it cannot, one may arrive twice after a crash."""
        ...

    @property
    def takes_clicks(self) -> bool:
        """Whether anybody hears of a click on a button in it."""
        ...

    def describe(self) -> str: ...

    def post(self, message: RenderedMessage, key: str, reply_to: PostedMessage | None = None) -> PostedMessage:
        """Post a message with its key, as an answer to another where given. Raises MessengerError."""
        ...

    def find(self, key: str, since: datetime, reply_to: PostedMessage | None = None) -> PostedMessage | None:
        """The message that was posted with the key at or after `since` (aware), if there is one.

        Raises MessengerError where that cannot be said now.
        """
        ...


@runtime_checkable
class ReactionSource(Protocol):
    """A channel in which people can answer with an emoji."""

    def reactions(self, message: PostedMessage) -> list[Reaction]:
        """The reactions under a message, the bot's own included, as they are now. Raises MessengerError."""
        ...

    def own_member_id(self) -> str:
        """Whose reactions are the bot's own. Raises MessengerError."""
        ...
