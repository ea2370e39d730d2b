"""Words and names in prose that neither a fact nor the vocabulary holds."""

from __future__ import annotations

from collections.abc import Sequence

from perf_pipeline.monitoring.prose.facts import Fact
from perf_pipeline.monitoring.prose.tokens import Token, stem_of, stems_of, words_in
from perf_pipeline.monitoring.prose.vocabulary import (
    ADVICE,
    CLAIMS,
    CONCEPT_OF,
    CONCEPTS,
    FREE,
    FUNCTION,
    NAMES,
    ORDERS,
    is_ordinary,
    word_set,
)

_PLAIN = frozenset("–—→’‘“”…≈×\n")
_KINDS = word_set("model tool step provider")
_PERSONS = word_set("agent model tool provider service bot")
_BEFORE_A_PERSON = FUNCTION | word_set(
    """
    affected failing failed slow slower same earlier previous current suspected newer new older old last likely each
    every other fallback backup call calling explains use pin switch check compare restart inspect retry replace
    different causes caused cause smaller cheaper faster restore contact
    """
)


def strange_characters(prose: str, facts: Sequence[Fact]) -> list[str]:
    """Characters that look like others or like nothing, and those of markup: none that a fact does not hold."""
    known = {character for fact in facts for character in fact.text}
    strange = [one for one in prose if not (" " <= one <= "~" or one in _PLAIN or one in known or one.isdecimal())]
    return [f"the character U+{ord(one):04X} is in no fact" for one in dict.fromkeys(strange)]


def unknown_words(tokens: list[Token], facts: Sequence[Fact], *, advice: bool) -> list[str]:
    """The words and names, as they stand, that no fact holds and that are not in the vocabulary.

    A sentence that speaks of a change may repeat its title from the beginning, as far as it does.
    """
    free = quoted_places(tokens, facts)
    found = []
    for place, token in enumerate(tokens):
        if token.kind not in ("word", "name") or place in free or is_harmless(tokens, place):
            continue
        last = _last_word(tokens, place)
        if not _is_known(token, facts, advice=advice) or _names_a_person(token, last, facts):
            found.append(token.text)
    return found


def is_harmless(tokens: Sequence[Token], place: int) -> bool:
    """'only' before a figure, 'out' of '9 out of 10', and 'than' of 'slower than usual': they claim nothing there."""
    follows = [token.lower for token in tokens[place + 1 : place + 3]]
    is_figure = [token.kind == "figure" for token in tokens[place + 1 : place + 3]]
    word = tokens[place].lower
    return (
        (word == "only" and is_figure[:1] == [True])
        or (word == "out" and follows[:1] == ["of"] and is_figure[1:] == [True])
        or (word == "against" and is_figure[:1] == [True])
        or (word == "than" and follows[:1] in (["usual"], ["expected"], ["before"], ["normally"]))
    )


def _is_known(token: Token, facts: Sequence[Fact], *, advice: bool) -> bool:
    text = token.lower
    if text in NAMES or any(text in fact.names or text == fact.subject.lower() for fact in facts):
        return True
    if token.kind == "name":
        return False
    if not token.opens and token.text[:1].isupper():
        return any(stem_of(text) in fact.stems for fact in facts)
    return all(_is_known_word(word, facts, advice=advice) for word in words_in(token))


def _is_known_word(word: str, facts: Sequence[Fact], *, advice: bool) -> bool:
    stem = stem_of(word)
    if word in CLAIMS and word not in ADVICE:
        return any(word in fact.words for fact in facts)
    if any(stem in fact.stems for fact in facts):
        return True
    if is_ordinary(word, advice=advice) and (advice or word not in CONCEPT_OF):
        return True
    if advice and any(stem in _lent_by_title(fact) for fact in facts):
        return True
    if word in CONCEPT_OF:
        concept = CONCEPT_OF[word]
        return concept in FREE or any(concept in _lent(fact) for fact in facts)
    return False


def _lent_by_title(fact: Fact) -> set[str]:
    stems = stems_of(list(fact.title))
    return set() if stems & {stem_of(word) for word in ORDERS} else stems - {stem_of(word) for word in CLAIMS}


def _lent(fact: Fact) -> set[str]:
    """The concepts that a fact is about, and that its figures imply: where the success rate fell, tasks failed."""
    lent = set(fact.concepts)
    if "success" in lent:
        lent.add("failure")
    return lent


def _names_a_person(token: Token, last: Token | None, facts: Sequence[Fact]) -> bool:
    """'the latency agent' is a name made of ordinary words."""
    parts = words_in(token)
    if not parts or stem_of(parts[-1]) not in _PERSONS:
        return False
    if len(parts) > 1:
        return not any(token.lower in fact.text.lower() for fact in facts)
    if last is None or last.kind == "figure" or last.lower in _BEFORE_A_PERSON:
        return False
    known = any(last.lower in fact.names or stem_of(last.text) in fact.stems for fact in facts)
    return not (known or last.lower in NAMES) or last.lower in CONCEPT_OF


def misnamed_things(tokens: Sequence[Token], facts: Sequence[Fact]) -> list[str]:
    """Names that prose calls a tool, a model, a step or a provider, and that no fact calls so."""
    wrong = []
    for last, token, follows in zip([None, *tokens], tokens, tokens[1:], strict=False):
        if last is not None and last.lower == "which":
            continue
        concept = CONCEPT_OF.get(token.lower, "")
        if concept in _KINDS and any(follows.lower in fact.names for fact in facts):
            called = any(follows.lower in fact.names and concept in fact.concepts for fact in facts)
            wrong += [] if called else [f"no fact calls {follows.text} a {concept}"]
    return wrong


def _last_word(tokens: list[Token], place: int) -> Token | None:
    return tokens[place - 1] if place and tokens[place - 1].kind != "mark" else None


def _speaks_of_a_change(tokens: list[Token]) -> bool:
    words = CONCEPTS["deployment"] | CONCEPTS["change"] | {"change", "changes", "onset"}
    return any(token.lower in words for token in tokens)


def quoted_places(tokens: list[Token], facts: Sequence[Fact]) -> set[int]:
    """Where a sentence that speaks of a change repeats the beginning of its title."""
    if not _speaks_of_a_change(tokens):
        return set()
    places: set[int] = set()
    for fact in facts:
        title = [one for one in fact.title if one.kind != "mark"]
        if not title or stems_of(list(title)) & {stem_of(word) for word in ORDERS}:
            continue
        for place in range(len(tokens)):
            places |= _run(tokens, place, title)
    return places


def _run(tokens: list[Token], place: int, title: list[Token]) -> set[int]:
    """Where the title is repeated from its first word on; without quotation marks it lends no words of `CLAIMS`."""
    in_quotes = place > 0 and tokens[place - 1].text in "\"“‘'`"
    found: set[int] = set()
    for expected in title:
        while place < len(tokens) and tokens[place].kind == "mark" and tokens[place].text in ":;,()":
            found.add(place)
            place += 1
        if place >= len(tokens) or stem_of(tokens[place].text) != stem_of(expected.text):
            break
        if in_quotes or expected.lower not in CLAIMS:
            found.add(place)
        place += 1
    return found if len(found) > 1 or len(title) == 1 else set()
