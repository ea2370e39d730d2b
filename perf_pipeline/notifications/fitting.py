"""How much of a message goes into Slack's blocks: what is left out is counted."""

from __future__ import annotations

from collections.abc import Sequence

from perf_pipeline.message import Line, Section, section
from perf_pipeline.notifications.safe_text import readable, web_address

MAX_LINE = 3000
"""Characters of one line, and of the lines of one section: what Slack documents for a text object."""

MAX_SECTIONS = 45
"""Slack takes 50 blocks; the header, the buttons, a picture and what is said about the rest need some."""

MAX_MESSAGE = 9000
"""Characters of all blocks, as JSON. Slack documents no limit and refuses blocks of about 13,000 with
msg_blocks_too_long (github.com/slackapi/bolt-js/issues/2509, and less in 2867); the buttons need some, too."""

LINE_COST, PIECE_COST = 60, 60
"""Characters of JSON around a line's and a piece's text."""


def fitted(sections: Sequence[Section]) -> list[Section]:
    """The sections with the lines that fit, and one more line that counts the rest."""
    kept: list[Section] = []
    left, left_out = MAX_MESSAGE, 0
    for part in sections:
        parts: list[list[Line]] = [[]]
        length = 0
        for line in part.lines:
            shown = min(sum(len(readable(piece.text)) for piece in line), MAX_LINE)
            if not shown:
                continue
            cost = _cost(line, shown)
            if left_out or cost > left:
                left_out += 1
                continue
            length += shown + 1
            if length > MAX_LINE and not part.bulleted:
                parts.append([])
                length = shown + 1
            if len(kept) + len(parts) > MAX_SECTIONS:
                left_out += 1
                continue
            left -= cost
            parts[-1].append(line)
        kept += [Section(lines=tuple(lines), bulleted=part.bulleted) for lines in parts if lines]
    if left_out:
        kept.append(section(f"… and {left_out} more line{'s' if left_out > 1 else ''} that Slack has no room for"))
    return kept


def _cost(line: Line, shown: int) -> int:
    addresses = sum(len(web_address(piece.url) or "") for piece in line)
    return shown + addresses + PIECE_COST * len(line) + LINE_COST
