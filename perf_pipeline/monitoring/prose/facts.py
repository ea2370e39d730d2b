"""A fact taken apart: whom it is about, what it holds, and the words of others that it quotes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise, takewhile

from perf_pipeline.monitoring.prose.figures import Figure, figures_of
from perf_pipeline.monitoring.prose.tokens import Token, stem_of, stems_of, tokens_of, words_in
from perf_pipeline.monitoring.prose.vocabulary import (
    CONCEPT_OF,
    FALL,
    FUNCTION,
    METRICS,
    NAMES,
    NEGATORS,
    RISE,
    THINGS,
    word_set,
)

_SUBJECT = re.compile(r"^([^:.,;]{1,60}): (?=\S)")
_TITLE = re.compile(r"(?<=onset): (.*?)(?= \([^()]*\)| \(\S+ → \S+\)|\.?$)")
_VERSIONS = re.compile(r"\(([^\s()]+) → ([^\s()]+)\)")
_LONGEST_SUBJECT = 3
_VERBS = word_set("fell rose may had")
_WIDE = word_set("no neither nor none")


@dataclass(frozen=True)
class Fact:
    """`subject` is the agent before the colon, or "". `title` is what somebody called a change: words that are not the
    product's own. `stems`, `names`, `figures`, `concepts` and `denied` (stems under a negation) leave it out.
    """

    text: str
    subject: str
    title: tuple[Token, ...]
    tokens: tuple[Token, ...]
    figures: tuple[Figure, ...]
    stems: frozenset[str]
    names: frozenset[str]
    concepts: frozenset[str]
    denied: frozenset[str]
    versions: tuple[str, str] | None

    @property
    def metrics(self) -> frozenset[str]:
        return self.concepts & METRICS

    @property
    def measures(self) -> frozenset[str]:
        """The stems of what rose or fell, as in 'Helpfulness fell': a fleet may have metrics of its own."""
        named = list(takewhile(lambda one: one.lower not in _VERBS, self.tokens))
        is_change = self.subject and len(named) < len(self.tokens)
        return frozenset(stems_of([one for one in named if one.lower not in FUNCTION])) if is_change else frozenset()

    @property
    def things(self) -> set[str]:
        """What it lays the blame on: names, kinds of things, and the words behind these ('provider anthropic')."""
        words = [token.lower for token in self.tokens]
        values = {then for one, then in pairwise(words) if CONCEPT_OF.get(one) in THINGS}
        return (set(self.names) - NAMES) | (self.concepts & THINGS) | (values - FUNCTION)

    @property
    def goes_up(self) -> bool:
        return bool(self.words & RISE) or "as many" in self.text

    @property
    def goes_down(self) -> bool:
        return bool(self.words & FALL) or self.text.split(": ")[-1].startswith(("Only ", "No task"))

    @property
    def is_tentative(self) -> bool:
        return "may" in self.words

    @property
    def is_past(self) -> bool:
        return "had" in self.words

    @property
    def is_change(self) -> bool:
        return "onset" in self.words

    @property
    def is_severity(self) -> bool:
        return self.text.startswith("The severity is ")

    @property
    def words(self) -> set[str]:
        return {token.lower for token in self.tokens}


def fact_of(text: str) -> Fact:
    statement, title = text, ""
    if quoted := _TITLE.search(text):
        title = quoted[1]
        statement = text[: quoted.start()] + text[quoted.end() :]
    leads = _SUBJECT.match(statement)
    subject = leads[1] if leads and len(leads[1].split()) <= _LONGEST_SUBJECT else ""
    tokens = tokens_of(statement)
    versions = _VERSIONS.search(statement)
    found = tuple(versions.groups()) if versions else None
    return Fact(
        text=text,
        subject=subject,
        title=tuple(tokens_of(title)),
        tokens=tuple(tokens),
        figures=tuple(figures_of(tokens)),
        stems=frozenset(stems_of(tokens)) | frozenset(_stems_within(tokens)),
        names=frozenset(token.lower for token in tokens if token.kind == "name"),
        concepts=frozenset(_concepts(tokens, statement)),
        denied=frozenset(denied_in(tokens)),
        versions=(found[0], found[1]) if found else None,
    )


def denied_in(tokens: list[Token]) -> list[str]:
    """The stems under a negation: 'not' denies the next word, 'no' what follows up to the end of its clause."""
    found = []
    for place, token in enumerate(tokens):
        if token.lower in NEGATORS:
            following = tokens[place + 1 :]
            scope = _clause_of(following) if token.lower in _WIDE else following[:1]
            found += [stem_of(one.text) for one in scope if one.kind == "word" and one.lower not in FUNCTION]
    return found


def _clause_of(tokens: list[Token]) -> list[Token]:
    sentence = list(takewhile(lambda one: one.text not in (".", ";", ":", "where", "which", "but", "while"), tokens))
    is_list = any(one.lower in ("or", "nor") for one in sentence)
    return sentence if is_list else list(takewhile(lambda one: one.text != ",", sentence))


def concepts_of(tokens: list[Token]) -> set[str]:
    """What prose is about. A name does not count: RateLimitError does not speak of errors as a metric."""
    return {CONCEPT_OF[token.lower] for token in tokens if token.kind == "word" and token.lower in CONCEPT_OF}


def _concepts(tokens: list[Token], statement: str) -> set[str]:
    found = concepts_of(tokens) | {CONCEPT_OF[one.lower] for one in tokens if one.lower in CONCEPT_OF}
    if any(token.kind == "name" and "error" in words_in(token) for token in tokens):
        found.add("error name")
    if "by chance" in statement:
        found.add("chance")
    if "onset" in statement:
        found.add("change")
    return found - ({"traffic"} if "expected" not in statement else set())


def _stems_within(tokens: list[Token]) -> list[str]:
    return [stem_of(word) for token in tokens for word in words_in(token)]
