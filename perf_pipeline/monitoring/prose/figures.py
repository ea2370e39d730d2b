"""The figures in a text, each with its unit and with the part that it plays in its sentence.

That 85% and 12% stand in a fact is not enough: prose that falls from 12% to 85%, or in which 25 of 3 tasks failed, uses
the same figures. So each figure has a role, read from the words beside it, and prose has to leave it in that role.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from perf_pipeline.monitoring.prose.tokens import Token, stem_of, tokens_of
from perf_pipeline.monitoring.prose.vocabulary import FALL, RISE

_STOPS = ",;().:!?–"
_FILLERS = frozenset(("about", "around", "roughly", "approximately", "the", "a", "an", "utc", "just"))
_EARLIER_BEFORE = frozenset(
    (
        *("was", "were", "usual", "usually", "normally", "expected", "against", "versus", "vs", "instead", "baseline"),
        *("previously", "earlier", "compared", "originally"),
    )
)
_USUAL = frozenset(("usual", "usually", "normally", "baseline"))
_EARLIER_AFTER = frozenset(("before", "earlier", "usually", "normally", "expected", "previously", "usual", "baseline"))
_NOW = frozenset(("now", "at", "reached", "reaching", "is", "only", "currently", "stands", "sits"))
_BEGINS = frozenset(("since", "from", "began", "started", "begins", "beginning", "starting", "onset", "start"))
_MEANT_BY = {
    "": ("", "after", "part"),
    "after": ("after", ""),
    "part": ("part",),
}
"""The roles in facts that a role in prose may stand for: a figure without one is what is there now."""


@dataclass(frozen=True)
class Figure:
    """`value` is written in one way only. `unit` is that of a token.

    `role` is "" or one of before, after, part, whole, low, high, level, amount, ratio, lead, duration, share, since
    and until. `follows` are the stems of the words behind it, in its clause: '9 failed tasks' is followed by 'fail'
    and 'task'. `place` is the token's.
    """

    value: str
    unit: str
    role: str = ""
    follows: tuple[str, ...] = ()
    place: int = 0

    def repeats(self, fact: Figure) -> bool:
        """Whether prose that says this figure gives it the value, the unit and the role that the fact gives it."""
        return (
            self.value == fact.value and self.unit == fact.unit and fact.role in _MEANT_BY.get(self.role, (self.role,))
        )


def figures_in(text: str) -> list[Figure]:
    return figures_of(tokens_of(text))


def figures_of(tokens: list[Token]) -> list[Figure]:
    """The figures in their order."""
    return [_figure(tokens, place) for place, token in enumerate(tokens) if token.kind == "figure"]


def _figure(tokens: list[Token], place: int) -> Figure:
    token = tokens[place]
    left = _until_a_stop(reversed(tokens[:place]))[::-1]
    right = _until_a_stop(tokens[place + 1 :])
    unit = token.unit or _unit_shared(tokens[place + 1 :], left)
    before = [one.lower for one in left if one.lower not in _FILLERS]
    after = [one.lower for one in right if one.lower not in _FILLERS]
    follows = tuple(stem_of(word) for word in after[:4])
    if token.unit in ("clock", "date"):
        role = _role_of_time(before)
    else:
        role = _role(unit, before, after, _dash(tokens, place - 1), _dash(tokens, place + 1))
    return Figure(token.text, unit, role, follows, place)


def _until_a_stop(tokens: Iterable[Token]) -> list[Token]:
    return list(takewhile(lambda one: not (one.kind == "mark" and one.text in _STOPS), tokens))


def _dash(tokens: list[Token], place: int) -> bool:
    return 0 <= place < len(tokens) and tokens[place].text == "–"


def _unit_shared(following: list[Token], left: list[Token]) -> str:
    """The unit of the second figure of a pair: '60 to 85 points' are both points."""
    joins = ("to", "–", "→", *(("and",) if any(one.lower == "between" for one in left[-2:]) else ()))
    if len(following) > 1 and following[0].lower in joins and following[1].kind == "figure":
        return following[1].unit
    return ""


def _role_of_time(before: list[str]) -> str:
    nearest = before[-2:]
    if nearest and nearest[-1] in ("by", "until", "before"):
        return "until"
    return "since" if any(word in _BEGINS for word in nearest) else ""


def _role(unit: str, before: list[str], after: list[str], dash_before: bool, dash_after: bool) -> str:
    last, two, next_two = before[-1:], before[-2:], after[:2]
    if unit in ("odds", "chance"):
        return ""
    if unit == "%" and "interval" in after[:3]:
        return "level"
    if unit == "minutes":
        return "lead" if after[:1] in (["before"], ["after"]) or last == ["by"] else "duration"
    if _is_amount(unit, before, after):
        return "amount"
    is_first_of_pair = dash_after or (len(after) > 1 and after[0] in ("to", "and") and _is_number(after[1]))
    if is_first_of_pair and after[:1] == ["and"] and last != ["between"]:
        is_first_of_pair = False
    if is_first_of_pair and last != ["from"]:
        return "low"
    if _is_second_of_pair(before, dash_before):
        return "high"
    if last == ["from"] or after[:1] == ["→"]:
        return "before"
    if last in (["to"], ["→"]):
        return "after"
    if unit == "times":
        return "ratio"
    if last == ["of"] and "instead" in two:
        return "before"
    if _is_part(after) or (after[:1] != ["instead"] and _is_part(after[1:])):
        return "part"
    if last in (["of"], ["in"]) and (any(_is_number(word) for word in before[-3:-1]) or "out" in two):
        return "whole"
    if unit == "%" and (after[:1] == ["of"] or any(word.startswith(("explain", "account")) for word in before[-3:])):
        return "share"
    if any(word in _USUAL for word in before[-6:]):
        return "before"
    if any(word in _EARLIER_BEFORE for word in before[-3:]) or any(word in _EARLIER_AFTER for word in after[:3]):
        return "before"
    return "after" if any(word in _NOW for word in two) or "now" in next_two else ""


def _is_amount(unit: str, before: list[str], after: list[str]) -> bool:
    """By how much something changed ('fell by 12%', 'a loss of 12%', '12% lower'), which is not where it went."""
    if unit == "times":
        return False
    ways = RISE | FALL
    is_of = before[-1:] == ["of"] and bool(ways & set(before[-2:-1]))
    return before[-1:] == ["by"] or is_of or bool(ways & set(after[:1]))


def _is_part(after: list[str]) -> bool:
    """3 [of 25], 3 [out of 25], 3 [errors in 25]"""
    rest = after[1:] if after[:1] == ["out"] else after
    return len(rest) > 1 and rest[0] in ("of", "in") and _is_number(rest[1])


def _is_number(word: str) -> bool:
    return word[:1].isdigit()


def _is_second_of_pair(before: list[str], dash_before: bool) -> bool:
    if dash_before:
        return True
    if len(before) < 2 or before[-1] not in ("to", "and") or not _is_number(before[-2]):
        return False
    return before[-3:-2] == ["between"] if before[-1] == "and" else before[-3:-2] != ["from"]
