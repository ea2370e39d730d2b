"""The figures in a text, each with its unit and with what stands before it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FIGURE = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"|(?P<clock>\b\d{1,2}:\d\d\b(?::\d\d)?)"
    r"|(?P<odds>\b1 ?: ?\d[\d,]*)"
    r"|(?P<dollar>\$ ?)?(?P<number>\d[\d,]*(?:\.\d+)?)(?: ?(?P<unit>%|[a-z]+\b))?",
    re.IGNORECASE,
)
_UNITS = {
    "%": "%",
    "percent": "%",
    "point": "points",
    "points": "points",
    "pp": "points",
    "ms": "ms",
    "milliseconds": "ms",
    "s": "s",
    "sec": "s",
    "second": "s",
    "seconds": "s",
    "min": "min",
    "minute": "min",
    "minutes": "min",
    "h": "h",
    "hour": "h",
    "hours": "h",
    "day": "days",
    "days": "days",
    "times": "times",
    "x": "times",
    "fold": "times",
    "k": "thousand",
    "thousand": "thousand",
    "million": "million",
    "m": "million",
    "usd": "$",
    "dollars": "$",
}
_BEFORE = re.compile(r"([A-Za-z]+)\W*$")

WHOLE_NUMBER_WORDS = frozenset(
    (
        *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
        *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty", "thirty", "forty"),
        *("fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "hundreds", "thousand", "thousands", "million"),
        *("millions", "billion", "dozen", "dozens", "half", "halves", "halved", "third", "thirds", "quarter"),
        *("quarters", "fifth", "fifths", "tenth", "tenths", "zero", "twice", "thrice", "double", "doubled", "doubling"),
        *("triple", "tripled", "tripling", "quadruple", "quadrupled", "tenfold", "twofold", "threefold", "hundredfold"),
        *("couple", "several", "numerous", "countless", "twofold", "single", "percent", "per-cent"),
    )
)
"""Numbers that stand in letters: prose is to write its figures in digits, as the facts do."""


@dataclass(frozen=True)
class Figure:
    """`value` is written in one way only ('1,200.0' is '1200'). `unit` is "" where none is said, 'clock' and 'date' for
    times. `follows` is the word before it, in small letters."""

    value: str
    unit: str
    follows: str

    @property
    def is_time(self) -> bool:
        return self.unit in ("clock", "date")

    def repeats(self, fact: Figure) -> bool:
        """Whether prose that says this figure says what the fact says. A unit may be left out, and not be added."""
        return self.value == fact.value and self.unit in ("", fact.unit)


def figures_in(text: str) -> list[Figure]:
    """The figures in their order. Digits of other scripts count: they are read like 0 to 9."""
    plain = "".join(str(int(character)) if character.isdecimal() else character for character in text)
    found = []
    for match in _FIGURE.finditer(plain):
        before = _BEFORE.search(plain[: match.start()])
        follows = before.group(1).lower() if before else ""
        if match["date"]:
            found.append(Figure(match["date"], "date", follows))
        elif match["clock"]:
            found.append(Figure(match["clock"].lstrip("0") or "0", "clock", follows))
        elif match["odds"]:
            found.append(Figure(re.sub(r"[ ,]", "", match["odds"]), "odds", follows))
        else:
            unit = "$" if match["dollar"] else _UNITS.get((match["unit"] or "").lower(), "")
            found.append(Figure(_value(match["number"]), unit, follows))
    return found


def _value(number: str) -> str:
    plain = number.replace(",", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain.lstrip("0") or "0"
