"""A sentence cut into clauses: parts that are each about one thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perf_pipeline.monitoring.prose.facts import Fact
from perf_pipeline.monitoring.prose.figures import Figure, figures_of
from perf_pipeline.monitoring.prose.tokens import Token
from perf_pipeline.monitoring.prose.vocabulary import word_set
from perf_pipeline.monitoring.prose.words import quoted_places

_SPLITS = word_set("and but while whereas because which where when so as")


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
        return " ".join(str(token) for token in self.tokens)


def clauses_of(sentence: list[Token], facts: Sequence[Fact]) -> list[Clause]:
    """The clauses in their order. Figures have the roles that they have in the whole sentence."""
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


def named_subject(tokens: list[Token], facts: Sequence[Fact]) -> str:
    """The agent of a fact that the tokens name, or ""."""
    said = f" {' '.join(token.text for token in tokens)} ".lower()
    return next((fact.subject for fact in facts if fact.subject and f" {fact.subject.lower()} " in said), "")
