"""A text cut into words, names, figures and marks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import snowballstemmer

Kind = Literal["word", "name", "figure", "mark"]

UNITS = {
    **dict.fromkeys(("%", "percent"), "%"),
    **dict.fromkeys(("point", "points", "pp"), "points"),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("s", "sec", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "minute", "minutes"), "minutes"),
    **dict.fromkeys(("h", "hour", "hours"), "hours"),
    **dict.fromkeys(("day", "days"), "days"),
    **dict.fromkeys(("x", "×", "times", "fold"), "times"),
    **dict.fromkeys(("k", "thousand"), "thousand"),
    **dict.fromkeys(("m", "million"), "million"),
    **dict.fromkeys(("bn", "billion"), "billion"),
    **dict.fromkeys(("$", "usd", "dollar", "dollars"), "$"),
}

_OPENING = "(\"'“‘`~≈"
_CLOSING = ".,;:!?)\"'”’`…"
_NUMBER = re.compile(r"(\$?)(\d[\d,]*(?:\.\d+)?)(%|[A-Za-z×]+)?")
_RANGE = re.compile(r"(\d[\d,]*(?:\.\d+)?)(%?)[-/](\d[\d,]*(?:\.\d+)?)(%|ms|s|x)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK = re.compile(r"\d{1,2}:\d\d(?::\d\d)?")
_ODDS = re.compile(r"1:(\d[\d,]*)")
_EXCEPTION = re.compile(r"(?:Error|Exception|Timeout|Warning|Interrupt)$")
_WORD = re.compile(r"[A-Za-z]?[a-z]*(?:['’-][A-Za-z]?[a-z]+)*")


@dataclass(frozen=True)
class Token:
    """`text` as it stands; of a figure its value, written in one way only ('1,200.0' is '1200').

    `unit` is one of the values of `UNITS`, 'clock', 'date', 'odds' ('1 : 900'), 'chance' ('1 in 900'), or "".
    `opens` marks the first word of a sentence, which may be written with a capital.
    """

    kind: Kind
    text: str
    unit: str = ""
    opens: bool = False

    def __str__(self) -> str:
        if self.unit in ("%", "$"):
            return f"{self.text}%" if self.unit == "%" else f"${self.text}"
        return f"{self.text} {self.unit}" if self.unit in UNITS.values() else self.text

    @property
    def lower(self) -> str:
        return self.text.lower()


def tokens_of(text: str) -> list[Token]:
    """The tokens in their order. A line break ends a sentence; digits of other scripts are read like 0 to 9."""
    plain = "".join(str(int(one)) if one.isdecimal() else one for one in text)
    plain = re.sub(r"->|→", " → ", plain.replace("\n", " . "))
    plain = re.sub(r"[—–]", " – ", plain)
    plain = re.sub(r"(?<=\d)-fold\b", " fold", plain)
    found: list[Token] = []
    for chunk in plain.split(" "):
        found += _chunk(chunk)
    return _openings(_joined(found))


def _chunk(chunk: str) -> list[Token]:
    opening, closing = [], []
    while chunk and chunk[0] in _OPENING:
        opening.append(Token("mark", chunk[0]))
        chunk = chunk[1:]
    while chunk and chunk[-1] in _CLOSING and not (chunk[-1] == ")" and "(" in chunk):
        closing.append(Token("mark", chunk[-1]))
        chunk = chunk[:-1]
    chunk = re.sub(r"['’]s$", "", chunk)
    return [*opening, *(_classified(chunk) if chunk else []), *reversed(closing)]


def _classified(chunk: str) -> list[Token]:
    if chunk in ("→", "–", "-"):
        return [Token("mark", chunk.replace("-", "–"))]
    if _DATE.fullmatch(chunk):
        return [Token("figure", chunk, "date")]
    if _CLOCK.fullmatch(chunk):
        return [Token("figure", chunk.lstrip("0") or "0", "clock")]
    if odds := _ODDS.fullmatch(chunk):
        return [Token("figure", f"1:{value_of(odds[1])}", "odds")]
    if both := _RANGE.fullmatch(chunk):
        between = Token("word", "of") if "/" in chunk else Token("mark", "–")
        unit = UNITS.get(both[4] or both[2], "")
        return [Token("figure", value_of(both[1]), unit), between, Token("figure", value_of(both[3]), unit)]
    if (number := _NUMBER.fullmatch(chunk)) and (not number[3] or number[3].lower() in UNITS):
        unit = "$" if number[1] else UNITS.get((number[3] or "").lower(), "")
        return [Token("figure", value_of(number[2]), unit)]
    return [Token("word" if _WORD.fullmatch(chunk) else "name", chunk)]


def value_of(number: str) -> str:
    plain = number.replace(",", "")
    whole, point, decimals = plain.partition(".")
    whole, decimals = whole.lstrip("0") or "0", decimals.rstrip("0")
    return f"{whole}.{decimals}" if point and decimals else whole


def _joined(tokens: list[Token]) -> list[Token]:
    """Units and odds that stand apart from their figures, joined to them."""
    found: list[Token] = []
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        if token.kind == "figure" and not token.unit:
            if token.text == "1" and len(rest) > 1 and rest[0].lower in (":", "in") and rest[1].kind == "figure":
                follows = rest[2].lower if len(rest) > 2 else ""
                if rest[0].text == ":" or follows not in ("task", "tasks"):
                    unit = "odds" if rest[0].text == ":" else "chance"
                    token = Token("figure", f"1:{rest[1].text}", unit)
                    rest = rest[2:] if rest[1].unit == "" else [Token("word", rest[1].unit), *rest[2:]]
                    rest = rest[1:] if unit == "chance" and rest and rest[0].lower == "times" else rest
            elif rest and rest[0].kind == "word" and rest[0].lower in UNITS:
                token = Token("figure", token.text, UNITS[rest.pop(0).lower])
        found.append(token)
    return found


def _openings(tokens: list[Token]) -> list[Token]:
    found, opens = [], True
    for token in tokens:
        if token.kind == "mark":
            opens = opens or token.text in ".!?:;–"
            found.append(token)
        else:
            found.append(Token(token.kind, token.text, token.unit, opens))
            opens = False
    return found


def split_at(tokens: list[Token], marks: str) -> list[list[Token]]:
    """The parts between the marks, which are left out; empty parts too."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.kind == "mark" and token.text in marks:
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]


@lru_cache(maxsize=20_000)
def stem_of(word: str) -> str:
    """What the forms of a word have in common (Porter's English stemmer, second version), in small letters.

    A stemmer keeps what it works on, so each call has its own.
    """
    return snowballstemmer.stemmer("english").stemWord(word.lower().replace("’", "'"))


def stems_of(tokens: list[Token]) -> set[str]:
    return {stem_of(token.text) for token in tokens if token.kind == "word"}


def words_in(token: Token) -> list[str]:
    """The words between hyphens, and those of an exception: 'rate', 'limit' and 'error' of RateLimitError."""
    if token.kind == "word":
        return re.split(r"-", token.lower)
    if not _EXCEPTION.search(token.text):
        return []
    return [part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", token.text)]
