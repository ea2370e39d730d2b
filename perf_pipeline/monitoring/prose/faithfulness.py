"""Whether prose says what the facts say, and nothing else.

The rules are strict on purpose: prose that is turned away costs a sentence that reads less well, and prose that lies
costs a wrong decision at night. They go from small to large:

1. characters (`words`): none that looks like another one, hides, or marks up;
2. words (`words`, `vocabulary`): each stands in a fact or in a closed list;
3. figures (`figures`): each with the unit and in the role that a fact gives it;
4. clauses (`clauses`, `holding`): one fact holds all that a clause says;
5. claims (`claims`, `versions`, `meanings`): directions, denials, orders in time, causes, and what ordinary words can
   still be made to say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from perf_pipeline.monitoring.prose.claims import bold_causes, wrong_denials, wrong_directions, wrong_orders
from perf_pipeline.monitoring.prose.clauses import clauses_of, named_subject
from perf_pipeline.monitoring.prose.facts import Fact, concepts_of, fact_of
from perf_pipeline.monitoring.prose.holding import held_by_no_fact
from perf_pipeline.monitoring.prose.meanings import wrong_in_clause, wrong_in_sentence
from perf_pipeline.monitoring.prose.tokens import Token, split_at, tokens_of
from perf_pipeline.monitoring.prose.versions import swapped_versions
from perf_pipeline.monitoring.prose.vocabulary import METRICS, word_set
from perf_pipeline.monitoring.prose.words import misnamed_things, strange_characters, unknown_words

MOST_WORDS = 60
_OPEN = word_set("if whether until unless when once which what who where how")
_STATES = word_set("is are was were has have had seems appears remains stays")
_REASONS = word_set("because due caused causes")
_PHRASES = re.compile(
    r"\b(?:most|more|very) (?=likely\b|probable\b|probably\b)|\bright (?=before\b|after\b)|(?<=\bfail )over\b", re.I
)
"""Words that claim something elsewhere, and nothing where they stand in these phrases."""


def unfaithful(prose: str, facts: Sequence[str], *, advice: bool = False) -> list[str]:
    """What the prose says without a fact, a sentence each; empty where it is faithful.

    `advice` says what to do: it may speak of any part of an agent, deny and generalise, but neither name nor count
    what no fact holds.
    """
    known = [fact_of(fact) for fact in facts]
    tokens = tokens_of(_PHRASES.sub("", prose))
    words = [token for token in tokens if token.kind != "mark"]
    if not any(token.kind == "word" for token in words):
        return ["it says nothing"]
    if len(words) > MOST_WORDS:
        return [f"it has {len(words)} words"]
    found = strange_characters(prose, known)
    sentences = split_at(tokens, ".!?")
    for sentence in sentences:
        found += [f"'{word}' is in no fact" for word in unknown_words(sentence, known, advice=advice)]
        found += misnamed_things(sentence, known) + swapped_versions(sentence, known, advice=advice)
        for part in split_at(sentence, ";:"):
            found += wrong_orders(part, known)
        if not advice:
            found += bold_causes(sentence, known) + wrong_in_sentence(sentence, known)
    if advice:
        found += [wrong for told in _statements(sentences) for wrong in unfaithful(told, facts)]
    found += [] if advice else wrong_denials(tokens, known)
    found += _wrong_clauses(sentences, known, advice=advice)
    return list(dict.fromkeys(found))


def _statements(sentences: list[list[Token]]) -> list[str]:
    """The parts of advice that state something, and so have to be as faithful as any prose: 'the provider is down'.

    What stands behind 'if' or 'whether', and what asks, states nothing.
    """
    found = []
    for sentence in sentences:
        is_open = False
        for part in split_at(sentence, ",;:()–"):
            words = [token.lower for token in part]
            is_open = is_open or bool(_OPEN & set(words))
            states = bool(_STATES & set(words)) and words[0] not in _STATES
            if (states and not is_open) or _REASONS & set(words):
                found.append(" ".join(str(token) for token in part))
    return found


def _wrong_clauses(sentences: list[list[Token]], facts: Sequence[Fact], *, advice: bool) -> list[str]:
    """What the clauses say of the agent and of the metrics that were named last."""
    found: list[str] = []
    subject, metrics, said = "", frozenset[str](), set[str]()
    for sentence in sentences:
        said |= {token.lower for token in sentence} | concepts_of(sentence)
        for clause in clauses_of(sentence, facts):
            named = named_subject(clause.tokens, facts)
            subject = named or subject
            heard = [fact for fact in facts if not subject or fact.subject in ("", subject)]
            found += wrong_directions(clause.own, heard, metrics, advice=advice)
            metrics = frozenset(concepts_of(clause.own) & METRICS) or metrics
            found += [] if advice else wrong_in_clause(clause.own, named, heard, facts)
            found += held_by_no_fact(clause, facts, subject, metrics, said, advice=advice)
    return found
