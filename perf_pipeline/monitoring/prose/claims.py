"""Claims in words: which way something went, what it came after, what it came of, what is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from perf_pipeline.monitoring.prose.facts import Fact, concepts_of, denied_in
from perf_pipeline.monitoring.prose.tokens import Token, stem_of
from perf_pipeline.monitoring.prose.vocabulary import (
    CAUSAL,
    CONCEPTS,
    FALL,
    FUNCTION,
    HEDGES,
    METRICS,
    NEGATORS,
    ORDINARY_STEMS,
    PAST,
    RISE,
    word_set,
)

_CHANGE = CONCEPTS["deployment"] | CONCEPTS["change"] | {"change", "changes"}
_ONSET = RISE | FALL | {"onset", "began", "begin", "begins", "started", "starts", "start", "incident", "regression"}
_ONSET |= {word for concept in (*METRICS, "failure") for word in CONCEPTS[concept]} | {"trouble", "problem", "it"}
_ORDERS = {
    "before": "before",
    "preceded": "before",
    "precedes": "before",
    "preceding": "before",
    "after": "after",
    "followed": "after",
    "follows": "after",
    "following": "after",
}
_UNSURE = word_set("may might could possibly perhaps probably likely suspected")
_GOES = word_set("go goes going went gone come came began begins started starts")
_FAILING = {"success", "failure"}
_OPPOSITE = {"before": "after", "after": "before"}


def wrong_directions(
    clause: Sequence[Token], facts: Sequence[Fact], earlier: Iterable[str], *, advice: bool
) -> list[str]:
    """What the clause says of a metric that no fact about it says. `earlier` are the metrics that 'it' stands for."""
    words = {token.lower for token in clause if token.kind == "word"}
    own = concepts_of(list(clause)) & METRICS
    said = words & PAST if advice else words
    if advice and not said:
        return []
    wrong = []
    if "failure" in concepts_of(list(clause)) and not own:
        return _wrong_failures(said, facts)
    meant = own or (
        set(earlier) if words & {"it", "its", "which", "that"} or _begins_with_a_direction(clause) else set()
    )
    stems = {stem_of(word) for word in words}
    for metric in sorted(meant) or [""]:
        about = [fact for fact in facts if not metric or metric in fact.metrics]
        if not metric and any(_is_custom(fact, stems) for fact in facts):
            about = [fact for fact in facts if _is_custom(fact, stems)]
        if not about:
            wrong.append(f"no fact is about {metric}")
            continue
        up, down = bool(said & RISE), bool(said & FALL)
        if up and not down and not any(fact.goes_up for fact in about):
            wrong.append(f"{metric or 'nothing'} went up in no fact")
        if down and not up and not any(fact.goes_down for fact in about):
            wrong.append(f"{metric or 'nothing'} went down in no fact")
        unsure = words & _UNSURE and said & (RISE | FALL) and not words & CAUSAL
        if metric and unsure and not any(fact.is_tentative for fact in about):
            wrong.append(f"that {metric} changed is certain")
        if metric and said & PAST | said & (RISE | FALL) and all(fact.is_tentative for fact in about):
            wrong += [] if words & (HEDGES | {"certain"}) else [f"that {metric} changed is not certain"]
    return wrong


def _is_custom(fact: Fact, stems: set[str]) -> bool:
    return not fact.metrics and bool(fact.measures & stems - ORDINARY_STEMS)


def _begins_with_a_direction(clause: Sequence[Token]) -> bool:
    """'and rose' says of the metric before it that it rose."""
    words = [token.lower for token in clause if token.kind == "word"]
    meaning = [place for place, word in enumerate(words) if word not in FUNCTION]
    moving = [place for place in meaning if words[place] not in _GOES]
    first = moving[0] if moving else None
    return (
        first is not None and words[first] in RISE | FALL and words[max(0, first - 1)] not in ("a", "an", "the", "this")
    )


def _wrong_failures(said: set[str], facts: Sequence[Fact]) -> list[str]:
    """More tasks fail where the success rate fell."""
    up, down = bool(said & RISE), bool(said & FALL)
    rose = any(
        fact.goes_down if "success" in fact.metrics else fact.goes_up for fact in facts if fact.concepts & _FAILING
    )
    fell = any(fact.goes_up for fact in facts if "success" in fact.metrics)
    wrong = ["failures rose in no fact"] if up and not down and not rose else []
    return wrong + (["failures fell in no fact"] if down and not up and not fell else [])


def wrong_denials(tokens: list[Token], facts: Sequence[Fact]) -> list[str]:
    """What the prose denies and no fact does, and what it says although the facts only hold it denied."""
    denied = {stem for fact in facts for stem in fact.denied}
    affirmed = {stem for fact in facts for stem in fact.stems - fact.denied} | ORDINARY_STEMS
    here = denied_in(tokens)
    wrong = [f"no fact denies '{stem}'" for stem in here if stem not in denied]
    if not denied and any(token.lower in NEGATORS for token in tokens):
        wrong.append("no fact denies anything")
    said = {stem_of(token.text) for token in tokens if token.kind == "word"} - set(here)
    return wrong + [f"the facts deny '{stem}'" for stem in sorted(said & (denied - affirmed))]


def wrong_orders(sentence: Sequence[Token], facts: Sequence[Fact]) -> list[str]:
    """Whether a change is said to have come before or after the onset where the facts say that it came otherwise."""
    known = {
        order for fact in facts if fact.is_change for order in ("before", "after") if f"{order} the onset" in fact.text
    }
    wrong = []
    for place, token in enumerate(sentence):
        order = _ORDERS.get(token.lower)
        if order is None:
            continue
        follows = sentence[place + 1 : place + 2]
        if follows and follows[0].lower == "by" and token.lower in ("followed", "preceded"):
            order = _OPPOSITE[order]
        left, right = _nearest(reversed(sentence[:place]), stop=""), _nearest(sentence[place + 1 :], stop=",;.")
        if right and not left:
            left = {"change": "onset", "onset": "change"}[right]
        if {left, right} == {"change", "onset"}:
            claimed = order if left == "change" else _OPPOSITE[order]
            wrong += [] if claimed in known else [f"no fact says that the change came {claimed} the onset"]
    return wrong


def _nearest(tokens: Iterable[Token], stop: str) -> str:
    for token in tokens:
        if token.kind == "mark" and token.text in stop and stop:
            return ""
        if token.lower in _CHANGE:
            return "change"
        if token.lower in _ONSET:
            return "onset"
    return ""


def bold_causes(sentence: Sequence[Token], facts: Sequence[Fact]) -> list[str]:
    """A cause that is told like something proven, or of a change that came too late to be it."""
    words = {token.lower for token in sentence}
    explains = any(word.startswith("explain") for word in words) and "%" not in {token.unit for token in sentence}
    bold = sorted(words & CAUSAL) + (["explains"] if explains else [])
    if not bold:
        return []
    changes = [fact.text for fact in facts if fact.is_change]
    if words & _CHANGE and changes and not any("before the onset" in text for text in changes):
        return ["the change came after the onset"]
    return [] if words & HEDGES else [f"'{bold[0]}' is told as if it were proven"]
