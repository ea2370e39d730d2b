"""Whether prose says what the facts say, and nothing else.

The rules are strict on purpose: prose that is turned away costs a sentence that reads less well, and prose that lies
costs a wrong decision at night. They go from small to large: characters, words, then clauses, each of which has to
take its figures, its names and what it is about from one fact, so that nothing moves from one fact to another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from perf_pipeline.monitoring.prose.claims import bold_causes, wrong_denials, wrong_directions, wrong_orders
from perf_pipeline.monitoring.prose.facts import Fact, concepts_of, fact_of
from perf_pipeline.monitoring.prose.figures import Figure, figures_of
from perf_pipeline.monitoring.prose.meanings import (
    RELATIONS,
    bare_norms,
    blameless_guesses,
    bare_since,
    changes_as_causes,
    mixed_up_things,
    odds_without_name,
    other_agents_trouble,
    other_times,
    ranges_without_name,
    subjects_of_change,
    unmeasured_changes,
)
from perf_pipeline.monitoring.prose.tokens import Token, split_at, stem_of, tokens_of, words_in
from perf_pipeline.monitoring.prose.versions import swapped_versions
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
)
from perf_pipeline.monitoring.prose.words import (
    is_harmless,
    misnamed_things,
    quoted_places,
    strange_characters,
    unknown_words,
)

MOST_WORDS = 60
_MOST_LIKELY = re.compile(
    r"\b(?:most|more|very) (?=likely\b|probable\b|probably\b)|\bright (?=before\b|after\b)|(?<=\bfail )over\b", re.I
)
_SPLITS = frozenset(("and", "but", "while", "whereas", "because", "which", "where", "when", "so", "as"))
_NOW = frozenset(("now", "currently", "stands", "sits", "is"))
_COUNTED = frozenset(
    stem_of(word)
    for word in ("task", "agent", "model", "tool", "step", "error", "call", "version", "deployment", "line", "token")
) | {stem_of("failure"), stem_of("provider"), stem_of("commit"), stem_of("span"), stem_of("trace")}
_PARTS = ("part", "whole", "before", "share")
_BESIDE_COUNTS = frozenset(("task", "tasks", "only", "about", "against", "compared", "usual", "usually", "expected"))
_BESIDE_COUNTS |= frozenset(("before", "instead"))
_WHAT_IS_SHARED = RISE | FALL | frozenset(("it", "this", "that", "trouble", "problem", "incident"))


@dataclass(frozen=True)
class Clause:
    """A part of a sentence that is about one thing. `quoted` are the places of its tokens that repeat a title."""

    tokens: list[Token]
    figures: list[Figure]
    quoted: frozenset[int]

    @property
    def own(self) -> list[Token]:
        return [token for place, token in enumerate(self.tokens) if place not in self.quoted]

    def __str__(self) -> str:
        return " ".join(token.text for token in self.tokens)


def unfaithful(prose: str, facts: Sequence[str], *, advice: bool = False) -> list[str]:
    """What the prose says without a fact, a sentence each; empty where it is faithful.

    `advice` says what to do: it may deny and generalise, but neither name nor count what no fact holds.
    """
    known = [fact_of(fact) for fact in facts]
    tokens = tokens_of(_MOST_LIKELY.sub("", prose))
    words = [token for token in tokens if token.kind != "mark"]
    if not any(token.kind == "word" for token in words):
        return ["it says nothing"]
    if len(words) > MOST_WORDS:
        return [f"it has {len(words)} words"]
    found = strange_characters(prose, known)
    if not advice:
        found += wrong_denials(tokens, known)
    subjects = {fact.subject.lower() for fact in known if fact.subject}
    subject, metrics, said = "", frozenset[str](), set[str]()
    for whole in split_at(tokens, ".!?"):
        found += [f"'{word}' is in no fact" for word in unknown_words(whole, known, advice=advice)]
        if not advice:
            found += bold_causes(whole, known)
        if not advice:
            found += blameless_guesses(whole, subjects, known)
            found += (
                odds_without_name(whole) + ranges_without_name(whole) + changes_as_causes(whole) + bare_since(whole)
            )
        found += swapped_versions(whole, known, advice=advice)
        found += misnamed_things(whole, known)
        for sentence in split_at(whole, ";:"):
            found += wrong_orders(sentence, known)
        said |= {token.lower for token in whole} | concepts_of(whole)
        for clause in _clauses(whole, known):
            subject = _named_subject(clause.tokens, known) or subject
            heard = [fact for fact in known if not subject or fact.subject in ("", subject)]
            found += wrong_directions(clause.own, heard, metrics, advice=advice)
            metrics = frozenset(concepts_of(clause.own) & METRICS) or metrics
            if not advice:
                found += bare_norms(clause.tokens, heard) + mixed_up_things(clause.own, heard)
                found += other_times(clause.tokens) + subjects_of_change(clause.tokens, subjects)
                found += unmeasured_changes(clause.tokens, heard)
                found += other_agents_trouble(clause.tokens, _named_subject(clause.tokens, known), known)
            found += _held_by_no_fact(clause, known, subject, metrics, said, advice=advice)
    return list(dict.fromkeys(found))


def _clauses(sentence: list[Token], facts: Sequence[Fact]) -> list[Clause]:
    figures = {figure.place: figure for figure in figures_of(sentence)}
    quoted = quoted_places(sentence, facts)
    parts: list[list[int]] = [[]]
    for place, token in enumerate(sentence):
        if token.kind == "mark" and token.text in ",;:()–" and place not in quoted:
            parts.append([])
            continue
        if token.lower in _SPLITS or (token.lower in ("after", "before") and not _is_minutes(sentence, place - 1)):
            parts.append([])
        parts[-1].append(place)
    return [
        Clause(
            [sentence[place] for place in part],
            [figures[place] for place in part if place in figures and place not in quoted],
            frozenset(number for number, place in enumerate(part) if place in quoted),
        )
        for part in parts
        if part
    ]


def _is_minutes(sentence: list[Token], place: int) -> bool:
    return place >= 0 and sentence[place].unit == "minutes"


def _named_subject(tokens: list[Token], facts: Sequence[Fact]) -> str:
    said = f" {' '.join(token.text for token in tokens)} ".lower()
    return next((fact.subject for fact in facts if fact.subject and f" {fact.subject.lower()} " in said), "")


def _held_by_no_fact(
    clause: Clause, facts: Sequence[Fact], subject: str, metrics: frozenset[str], said: set[str], *, advice: bool
) -> list[str]:
    borrowed = _borrowed(clause, facts, advice=advice)
    concepts = concepts_of(clause.own) - FREE
    if not clause.figures and (advice or not borrowed):
        return []
    if advice and all(figure.unit == "clock" for figure in clause.figures):
        borrowed, concepts = set(), concepts & (METRICS | {"deployment", "change"})
    several = len({fact.subject for fact in facts if fact.subject}) > 1
    named = _named_subject(clause.tokens, facts)
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
    return found - {stem for fact in facts if fact.is_severity for stem in fact.stems | fact.names}


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
