"""A message as text without markup, for e-mail, SMS, terminals and files."""

from __future__ import annotations

import unicodedata

from perf_pipeline.message import Line, Message, Section


def plain_text(message: Message) -> str:
    """All but the title: one line for each line, an empty line between sections, links as `text (address)`."""
    return "\n\n".join(_section(section) for section in message.sections if section.lines)


def one_line(text: str) -> str:
    """The text on one line, without characters that are not seen: some of them turn the direction of what follows,
    and so forge what a reader sees."""
    seen = "".join(
        character for character in text if unicodedata.category(character) not in ("Cc", "Cf") or character.isspace()
    )
    return " ".join(seen.split())


def _section(section: Section) -> str:
    bullet = "- " if section.bulleted else ""
    return "\n".join(bullet + _line(line) for line in section.lines)


def _line(line: Line) -> str:
    return one_line("".join(f"{piece.text} ({piece.url})" if piece.url else piece.text for piece in line))
