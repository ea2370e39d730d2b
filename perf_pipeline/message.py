"""A message to people as content: what it says, without the markup of any channel.

Text that comes from outside (names, errors) is only ever the `text` of a piece, so that no channel takes it for markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Piece(_Content):
    """A stretch of text: plain, bold, or a link."""

    text: str
    bold: bool = False
    url: str | None = None


Line = tuple[Piece, ...]


class Section(_Content):
    """Lines that belong together, with a gap before the next section; each with a bullet where `bulleted`."""

    lines: tuple[Line, ...]
    bulleted: bool = False


class Button(_Content):
    """What a reader can do. `value` says what it is done to, and comes back with the click."""

    action: Literal["acknowledge", "silence", "approve", "decline"]
    text: Annotated[str, Field(max_length=75)]
    value: Annotated[str, Field(max_length=2000)]
    style: Literal["primary", "danger"] | None = None


class Message(_Content):
    """`headline` says what is the matter, for where only the first line is seen: push notifications, subjects.
    `picture_text` says in words what the picture that goes with the message shows, where there is one. `announce`
    shows an answer in a thread to the whole channel, and not only to those who follow the thread."""

    title: str
    headline: str = ""
    sections: tuple[Section, ...] = ()
    buttons: tuple[Button, ...] = ()
    picture_text: str | None = None
    announce: bool = False


def line(*pieces: str | Piece) -> Line:
    return tuple(piece if isinstance(piece, Piece) else Piece(text=piece) for piece in pieces)


def bold(text: str) -> Piece:
    return Piece(text=text, bold=True)


def labelled(label: str, *pieces: str | Piece) -> Line:
    """`label: pieces`, the label in bold."""
    return line(bold(f"{label}:"), " ", *pieces)


def section(*lines: Line | str, bulleted: bool = False) -> Section:
    return Section(lines=tuple(line(item) if isinstance(item, str) else item for item in lines), bulleted=bulleted)


def bullets(lines: Iterable[Line | str]) -> Section:
    return section(*lines, bulleted=True)


@dataclass(frozen=True)
class RenderedMessage:
    """A message as the channels take it: each uses what it can show.

    `plain` is text without any markup, the title not in it. `subject` is the title with what is the matter, for
    channels that show one line first. `slack_text` is what Slack shows where it shows no blocks: in the notifications
    of phones, and where it refuses `slack_blocks`. `picture` is a PNG, `picture_text` says what it shows.
    """

    title: str
    plain: str
    slack_text: str
    slack_blocks: list[dict[str, Any]]
    picture: bytes | None = None
    picture_text: str | None = None
    announce: bool = False
    subject: str = ""
