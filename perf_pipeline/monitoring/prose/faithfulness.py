"""Whether prose says what the facts say, and nothing else.

The rules are strict on purpose: prose that is turned away costs a sentence that reads less well, and prose that lies
costs a wrong decision at night. A clause may only hold figures of one fact, in that fact's order, so that neither a
changed figure passes, nor two that have swapped their places.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from perf_pipeline.monitoring.prose.claims import metrics_of, unbacked_words, wrong_directions
from perf_pipeline.monitoring.prose.figures import WHOLE_NUMBER_WORDS, Figure, figures_in
from perf_pipeline.monitoring.prose.names import sentences, unknown_names, words_of

_CLAUSE = re.compile(r"[,;()]|\s[-–—]+\s|\b(?:and|but|while|whereas|because|after|before|which|where|when)\b", re.I)
_NOW = frozenset(("now", "currently", "today", "stands", "sits", "remains", "still"))
_EARLIER = frozenset(
    ("was", "were", "before", "usual", "usually", "normally", "baseline", "expected", "earlier", "used")
)
_FROM_TO = re.compile(r"\bfrom (\S+(?: m?s| points)?) to (\S+)", re.I)


def unfaithful(prose: str, facts: Sequence[str], *, advice: bool = False) -> list[str]:
    """What the prose says without a fact, a sentence each; empty where it is faithful.

    `advice` says what to do: it may deny and generalise, but neither name nor count what no fact holds.
    """
    found = [f"'{name}' is in no fact" for name in unknown_names(prose, facts)]
    found += [f"'{word}' is a number in letters" for word in words_of(prose) if word in WHOLE_NUMBER_WORDS]
    found += [f"'{word}' is claimed by no fact" for word in unbacked_words(prose, facts, advice=advice)]
    known = [(fact, figures_in(fact)) for fact in facts]
    before, after = _roles(facts)
    for sentence in sentences(prose):
        if not advice:
            found += wrong_directions(sentence, facts)
        for clause in _CLAUSE.split(sentence):
            said = figures_in(clause)
            if said:
                found += _wrong_figures(clause, said, known)
                found += _wrong_times(clause, said, before, after)
    return list(dict.fromkeys(found))


def _wrong_figures(clause: str, said: list[Figure], known: list[tuple[str, list[Figure]]]) -> list[str]:
    holding = [fact for fact, figures in known if _in_order(said, figures)]
    written = " ".join(clause.split())
    if not holding:
        return [f"no fact has the figures of '{written}' in this order"]
    metrics = metrics_of(clause)
    if metrics and not any(metrics & metrics_of(fact) for fact in holding):
        return [f"the figures of '{written}' are not about {' or '.join(sorted(metrics))}"]
    if not any(_same_way(clause, fact) for fact in holding):
        return [f"'{written}' goes the other way"]
    return []


def _in_order(said: list[Figure], fact: list[Figure]) -> bool:
    rest = iter(fact)
    return all(any(_repeats(figure, other) for other in rest) for figure in said)


def _repeats(figure: Figure, fact: Figure) -> bool:
    # 'since 09:58' of the deployment at 09:58 would move the onset.
    return figure.repeats(fact) and not (figure.is_time and figure.follows == "since" != fact.follows)


def _same_way(clause: str, fact: str) -> bool:
    return not wrong_directions(clause, [fact])


def _roles(facts: Sequence[str]) -> tuple[set[str], set[str]]:
    """The values that something went from, and those that it went to, as far as they are not both."""
    before: set[str] = set()
    after: set[str] = set()
    for fact in facts:
        for first, second in _FROM_TO.findall(fact):
            before.update(figure.value for figure in figures_in(first))
            after.update(figure.value for figure in figures_in(second))
    return before - after, after - before


def _wrong_times(clause: str, said: list[Figure], before: set[str], after: set[str]) -> list[str]:
    words = set(words_of(clause))
    if "from" in words or len(said) > 1:
        return []
    value = said[0].value
    if value in before and words & _NOW and not words & _EARLIER:
        return [f"{value} is what it was before"]
    if value in after and words & _EARLIER and not words & _NOW:
        return [f"{value} is what it is now"]
    return []
