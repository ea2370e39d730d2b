"""Text from outside (names, errors, commit messages) made fit for people: on one line, seen whole, calling nobody.

What is not a letter on the page is taken out, because it turns or hides what a reader sees; what looks like a secret
is masked; and what some channel takes for a call or a link is written with a look-alike character that none does.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

MAX_URL = 2000
MAX_READ = 4000
"""More of one text than any channel shows is not even looked at: outside text may be of any length."""

MAX_STACKED_MARKS = 3
MASK = "[hidden]"

_INVISIBLE_THOUGH_A_LETTER = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
_BLANK = "\u2800"

_SECRET = re.compile(
    r"\b(?:xox[a-z]|xapp)-[\w-]{8,}"
    r"|\bsk-(?=[\w-]{0,200}\d)[\w-]{16,}"
    r"|\b(?:gh[a-z]_\w{20,}|github_pat_\w{20,})"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]+)?"
    r"|(?<=://)[^\s/@:]{0,200}:[^\s/@]{1,200}(?=@)"
    r"|(?<=\bBearer )[\w.~+/-]{8,}=*",
    re.IGNORECASE,
)

_CALLS_AND_LINKS = (
    # @here and @everyone, wherever they stand; @U1 and @**all** outside of a word. ana@example.com stays.
    (re.compile(r"@(?=(?:everyone|here|channel|all)\b)|(?<!\w)@(?=[\w&!*_(\[{\"'])", re.IGNORECASE), "＠"),
    # <!channel>, <@U1>, <#C1>; and !channel>, which Apprise makes a call of for Slack.
    (re.compile(r"<(?=\s*[!#@＠])"), "＜"),
    (re.compile(r"!(?=(?:everyone|here|channel|subteam|date)\b)", re.IGNORECASE), "！"),
    # [text](address) shows another text than where it leads.
    (re.compile(r"\](?=\()"), "］"),
)

_ADDRESS = re.compile(r"://|<\w+:")


def readable(text: str) -> str:
    """The text on one line, without characters that are not seen and without what looks like a secret."""
    shown: list[str] = []
    marks = 0
    for character in text if len(text) <= MAX_READ else text[: MAX_READ - 1] + "…":
        if character.isspace() or character == _BLANK:
            character = " "
            if shown and shown[-1] == " ":
                continue
        elif not _is_seen(character):
            continue
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= MAX_STACKED_MARKS:
            shown.append(character)
    return _SECRET.sub(MASK, "".join(shown))


def one_line(text: str) -> str:
    """`readable`, without spaces at the ends."""
    return readable(text).strip()


def calling_nobody(text: str) -> str:
    """The text for channels that look for markup in it: with nothing that they take for a call or a hidden link."""
    for pattern, replacement in _CALLS_AND_LINKS:
        text = pattern.sub(replacement, text)
    # <https://address|text> and <mailto:address|text> do, too.
    return text.replace("|", "｜") if _ADDRESS.search(text) else text


def web_address(url: str | None) -> str | None:
    """The address if it may become a link: of http or https, whole, and without a user's name, which forges hosts."""
    if url is None or len(url) > MAX_URL or not re.fullmatch(r"https?://[^\s<>|\"\\]+", url, re.IGNORECASE):
        return None
    if any(not _is_seen(character) for character in url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.hostname and "@" not in parts.netloc else None


def shorten(text: str, limit: int) -> str:
    """The text, with an ellipsis at its end where it is longer than `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _is_seen(character: str) -> bool:
    category, code = unicodedata.category(character), ord(character)
    if category == "Cn":
        # Without a meaning when this Python was made; there, new emoji get theirs.
        return 0x1F000 <= code <= 0x1FAFF
    # Control and format characters; halves of a character, which no channel can encode; variants of a character, of
    # which any number can follow one.
    hidden = category in ("Cc", "Cf", "Cs", "Co") or 0xE0100 <= code <= 0xE01EF
    return not hidden and character not in _INVISIBLE_THOUGH_A_LETTER
