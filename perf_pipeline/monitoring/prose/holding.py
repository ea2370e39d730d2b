"""Whether one fact holds all that a clause says, so that nothing moves from one fact to another."""

from __future__ import annotations

from collections.abc import Sequence

from perf_pipeline.monitoring.prose.clauses import Clause, named_subject
from perf_pipeline.monitoring.prose.facts import Fact, concepts_of
from perf_pipeline.monitoring.prose.figures import Figure
from perf_pipeline.monitoring.prose.meanings import RELATIONS
from perf_pipeline.monitoring.prose.tokens import stem_of, words_in
from perf_pipeline.monitoring.prose.vocabulary import (
    ADVICE_STEMS,
    CONCEPT_OF,
    FALL,
    FREE,
    FUNCTION,
    METRICS,
    NAMES,
    ORDINARY_STEMS,
    RISE,
    word_set,
)
from perf_pipeline.monitoring.prose.words import is_harmless

_NOW = word_set("now currently stands sits is")
_COUNTED = frozenset(
    stem_of(word)
    for word in (
        *("task", "agent", "model", "tool", "step", "error", "call", "version", "deployment", "line", "token"),
        *("failure", "provider", "commit", "span", "trace"),
    )
)
_PARTS = ("part", "whole", "before", "share")
_BESIDE_COUNTS = word_set("task tasks only about against compared usual usually expected before instead")
_WHAT_IS_SHARED = RISE | FALL | word_set("it this that trouble problem incident")


def held_by_no_fact(
    clause: Clause, facts: Sequence[Fact], subject: str, metrics: frozenset[str], said: set[str], *, advice: bool
) -> list[str]:
    """A sentence about the clause where no single fact holds its figures, names and what it is about.

    `subject` is the agent and `metrics` are those that the prose spoke of last, `said` is all that it has named.
    """
    borrowed = _borrowed(clause, facts, advice=advice)
    concepts = concepts_of(clause.own) - FREE
    if not clause.figures and (advice or not borrowed):
        return []
    if advice and all(figure.unit == "clock" for figure in clause.figures):
        borrowed, concepts = set(), concepts & (METRICS | {"deployment", "change"})
    several = len({fact.subject for fact in facts if fact.subject}) > 1
    named = named_subject(clause.tokens, facts)
    for fact in facts:
        if fact.subject not in ("", subject or fact.subject) or (several and named and not fact.subject):
            continue
        if clause.figures:
            held = _names_what_it_counts(clause, fact, said) and _holds_figures(
                clause, fact, concepts, metrics, by_the_agent=bool(named) and not borrowed
            )
        else:
            relates = bool({token.lower for token in clause.tokens} & RELATIONS)
            held = concepts & METRICS <= fact.metrics or (relates and not fact.metrics)
            concepts_here = concepts - METRICS - {"failure"} if not fact.concepts & METRICS else concepts - {"failure"}
            held = held and concepts_here <= fact.concepts
        if held and borrowed <= (fact.stems | fact.names):
            return []
    return [f"no fact holds '{clause}'"]


def _borrowed(clause: Clause, facts: Sequence[Fact], *, advice: bool) -> set[str]:
    """The names, and the stems of words, that only a fact can have lent."""
    subjects = {word for fact in facts for word in fact.subject.lower().split()}
    found = set()
    for place, token in enumerate(clause.tokens):
        text = token.lower
        if token.kind in ("mark", "figure") or place in clause.quoted or text in NAMES or text in subjects:
            continue
        if is_harmless(clause.tokens, place):
            continue
        if token.kind == "name":
            found.add(text)
            continue
        free = ORDINARY_STEMS | (ADVICE_STEMS if advice else frozenset())
        if text not in CONCEPT_OF:
            found.update(
                stem for word in words_in(token) if (stem := stem_of(word)) not in free and word not in CONCEPT_OF
            )
    return found - {
        stem for fact in facts if fact.is_severity for stem in fact.stems | fact.names | set(map(stem_of, fact.names))
    }


def _names_what_it_counts(clause: Clause, fact: Fact, said: set[str]) -> bool:
    """'9 of 10 tasks failed' is false where it is 9 of the 10 with one model."""
    if fact.metrics - {"latency"} or fact.is_change or not any(one.role in _PARTS for one in clause.figures):
        return True
    return fact.subject != "" or not fact.things or bool(fact.things & said)


def _holds_figures(
    clause: Clause, fact: Fact, concepts: set[str], metrics: frozenset[str], *, by_the_agent: bool
) -> bool:
    words = {token.lower for token in clause.own if token.kind == "word"}
    if fact.is_change and not concepts & {"change", "deployment"} and not words & {"change", "changes", "onset"}:
        return False
    if fact.is_change:
        concepts = concepts - METRICS - {"failure"}
    if all(one.unit == "clock" for one in clause.figures) and "success" in fact.concepts:
        concepts = concepts - {"failure"}
    if not concepts <= fact.concepts or (fact.metrics and metrics and not fact.metrics & metrics):
        return False
    if fact.is_past and words & _NOW:
        return False
    shares = any(figure.role == "share" for figure in clause.figures)
    if shares and by_the_agent:
        return False
    if not shares and not fact.is_change:
        up, down = bool(words & RISE), bool(words & FALL)
        if (up and not down and not fact.goes_up) or (down and not up and not fact.goes_down):
            return False
    if fact.metrics and any(one.unit == "" and one.role in ("", "part", "whole") for one in clause.figures):
        about = concepts & METRICS or words & (RISE | FALL)
        if not about and words - FUNCTION - _BESIDE_COUNTS - fact.words:
            return False
    return _all_repeat(clause.figures, fact)


def _all_repeat(said: list[Figure], fact: Fact) -> bool:
    """Whether each figure repeats another one of the fact; those without a role keep the fact's order."""
    left = list(fact.figures)
    last = -1
    for figure in said:
        same = next(
            (other for other in left if _repeats(figure, other, fact) and (figure.role or other.place > last)), None
        )
        if same is None:
            return False
        left.remove(same)
        last = last if figure.role else same.place
    return True


def _repeats(figure: Figure, other: Figure, fact: Fact) -> bool:
    if not figure.repeats(other) and not (figure.unit == "clock" and figure.role == "" and figure.value == other.value):
        return False
    if figure.role == "after" and other.role == "" and "traffic" not in fact.metrics:
        return False
    if other.role == "whole" and other.follows[:1] == ("fail",) and figure.follows[:1] not in (("fail",), ("failur",)):
        return False
    if figure.role == "share" and figure.follows[:1] == ("of",):
        return bool(set(figure.follows[1:3]) & {stem_of(word) for word in _WHAT_IS_SHARED})
    counted = figure.follows[0] if figure.follows and figure.unit == "" else ""
    return counted not in _COUNTED or _counts(counted, other, fact)


def _counts(counted: str, other: Figure, fact: Fact) -> bool:
    first = next((word for word in other.follows if word in _COUNTED), "")
    if counted == first or (counted == "failur" and "fail" in other.follows):
        return not (counted == "task" and "in" in other.follows[:1])
    if counted == "task":
        return "traffic" in fact.metrics
    return CONCEPT_OF.get(counted) in fact.metrics and other.role in ("before", "after", "part")
