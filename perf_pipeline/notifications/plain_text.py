"""A message as text without markup, for e-mail, SMS, terminals and files."""

from __future__ import annotations

from perf_pipeline.message import Line, Message, Piece, Section
from perf_pipeline.notifications.safe_text import calling_nobody, one_line, readable, web_address

HEADLINE_MARK = " · "
COMMANDS = {"acknowledge": "To acknowledge: perf-pipeline ack"}
"""What to type where there are no buttons."""


def plain_text(message: Message) -> str:
    """All but the title: one line for each line, an empty line between sections, links as `text (address)`.

    A list stands right below the line that ends in a colon.
    """
    text = ""
    for section in message.sections:
        if part := _section(section):
            below = section.bulleted and text.endswith(":")
            text += ("\n" if below else "\n\n" if text else "") + part
    commands = "\n".join(map(calling_nobody, commands_of(message)))
    return "\n\n".join(part for part in (text, commands) if part)


def commands_of(message: Message) -> list[str]:
    """What to type in the place of the buttons, one line each."""
    return [
        f"{COMMANDS[button.action]} {one_line(button.value)}".rstrip()
        for button in message.buttons
        if button.action in COMMANDS
    ]


def subject(message: Message) -> str:
    """The title with what is the matter, for where only the first line is seen."""
    return HEADLINE_MARK.join(calling_nobody(part) for part in map(one_line, (message.title, message.headline)) if part)


def _section(section: Section) -> str:
    bullet = "- " if section.bulleted else ""
    return "\n".join(bullet + line for line in map(_line, section.lines) if line)


def _line(line: Line) -> str:
    return calling_nobody(one_line("".join(map(_piece, line))))


def _piece(piece: Piece) -> str:
    address = web_address(piece.url)
    return f"{readable(piece.text)} ({address})" if address else piece.text
