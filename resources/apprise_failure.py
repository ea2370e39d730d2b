"""Why Apprise could not deliver a message, read off what it logged, without the secrets of the address."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

SHORTEST_SECRET = 3
LONG_SECRET = 8
LONGEST_REASON = 300
PASSING_REFUSALS = frozenset({408, 409, 423, 425, 429})
"""HTTP statuses below 500 with which a server says that the same request may be taken later."""

STATUS = re.compile(r"\berror=(\d{3})\b")
EXPLANATION = re.compile(r"^(Socket Exception|[\w/]+ Exception|Response Details):?\s*", re.IGNORECASE)
"""How the lines begin, among those for debugging, which say what went wrong. The others show what was sent."""

NEVER_REACHED = re.compile(
    r"Connection refused|Failed to resolve|Name or service not known|Temporary failure in name resolution"
    r"|No route to host|Network is unreachable|CERTIFICATE_VERIFY_FAILED|\b535\b|AUTH extension not supported"
)
"""With these, it did not come to the point where a message is handed over."""


@dataclass(frozen=True)
class Failure:
    """`reason` is a phrase without secrets. `surely_refused` is true only where the channel cannot have the message."""

    reason: str
    retryable: bool
    surely_refused: bool


def failure_of(said: Iterable[tuple[str, str]], address: str) -> Failure:
    """What Apprise's log entries, as pairs of level and text, say of a message that it did not deliver."""
    warnings, explanations = [], []
    for level, text in said:
        if level in ("WARNING", "ERROR", "CRITICAL"):
            warnings.append(text)
        elif found := EXPLANATION.match(text):
            explanations.append(_essence(text[found.end() :]))
    statuses = [int(status) for text in warnings for status in STATUS.findall(text)]
    refused = bool(statuses) and all(400 <= status < 500 for status in statuses)
    unreached = bool(explanations) and not statuses and all(NEVER_REACHED.search(text) for text in explanations)
    hopeless = refused and not PASSING_REFUSALS & set(statuses)
    parts = [_one_line(without_secrets(text, address)).rstrip(". ") for text in (*warnings, *explanations)]
    reason = "; ".join(dict.fromkeys(part for part in parts if part)) or "Apprise gave no reason"
    return Failure(reason[:LONGEST_REASON], retryable=not hopeless, surely_refused=refused or unreached)


def without_secrets(text: str, address: str) -> str:
    """The text without anything of the address but its scheme and its port, whichever way it is encoded."""
    secrets = sorted(_secrets(address), key=len, reverse=True)
    patterns = (
        # Within a word, a short one is chance, and hiding it would make the rest hard to read.
        re.escape(secret) if len(secret) >= LONG_SECRET else rf"(?<!\w){re.escape(secret)}(?!\w)"
        for secret in secrets
    )
    return re.sub("|".join(patterns), "***", text, flags=re.IGNORECASE) if secrets else text


def _secrets(address: str) -> set[str]:
    place, _, query = address.strip().partition("://")[2].partition("?")
    host_and_user, slash, path = place.partition("/")
    # A port is no secret, and as a number it would be found in statuses and times.
    user, at, host = re.sub(r":\d{1,5}$", "", host_and_user).rpartition("@")
    values = [value for pair in re.split("[&#]", query) for value in pair.partition("=")[2:]]
    wholes = [user, host, *re.split("[/?#]", slash + path), *values]
    pieces = [piece for whole in wholes for piece in (whole, *re.split("[:@,;/]+", whole))]
    pieces += [unquote(piece) for piece in pieces]
    # Where a piece is shown with escapes of one character, what stands between these is still found.
    pieces += [run for piece in pieces for run in re.findall(r"\w{4,}", piece)]
    if at:
        pieces.append(base64.b64encode(unquote(user).encode()).decode())
    return {piece for piece in pieces if len(piece) >= SHORTEST_SECRET}


def _essence(text: str) -> str:
    """An explanation without what surrounds it: the objects of the HTTP library, the quotes of bytes, pages of HTML."""
    if "Caused by" in text:
        return text.rsplit(": ", 1)[-1].strip("'\")>( ")
    text = re.sub(r"^b(['\"])(.*)\1$", r"\2", text.strip(), flags=re.DOTALL)
    return "" if text.startswith("<") else text


def _one_line(text: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
