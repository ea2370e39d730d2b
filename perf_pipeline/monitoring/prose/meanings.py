"""Sentences whose words are all known, and that mean what no fact says.

Each rule answers one way to lie with ordinary words: 'the deployment failed', 'success rate is as usual', 'it may be
chance', 'tasks fell', 'likely due to a surge'.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from perf_pipeline.monitoring.prose.facts import Fact, concepts_of
from perf_pipeline.monitoring.prose.figures import figures_of
from perf_pipeline.monitoring.prose.tokens import Token, split_at, stem_of, words_in
from perf_pipeline.monitoring.prose.vocabulary import (
    CAUSAL,
    CONCEPT_OF,
    CONCEPTS,
    FALL,
    FUNCTION,
    GUESSES,
    HEDGES,
    METRICS,
    RISE,
    THINGS,
    word_set,
)

_NORMS = word_set("usual usually normally typical typically expected baseline")
_SIDES = word_set("than from against below instead compared")
_MATCHES = word_set("match matches matched matching")
_MOVES = word_set(
    "rose fell dropped increased grew climbed jumped spiked surged soared decreased declined collapsed sank"
)
_TROUBLES = word_set("trouble problem issue")
_LEADS = word_set("times not often percent utc")
_SUFFERED = METRICS | {"failure"}
RELATIONS = CAUSAL | word_set("before after preceded precedes followed follows following since coincides coincided")
"""Words that say how two things stand to one another: a clause with one may speak of both."""

_GIVES_A_CAUSE = (
    ("due", "to"),
    ("because", "of"),
    ("caused", "by"),
    ("triggered", "by"),
    ("cause", ":"),
    ("cause", "is"),
)
_NOT_MEASURED = word_set("task tasks severity evidence interval onset")
_NOUNS_OF_CHANGE = word_set("rise increase jump spike surge growth drop fall decline loss")


def wrong_in_sentence(sentence: Sequence[Token], facts: Sequence[Fact]) -> list[str]:
    """What the rules for whole sentences find."""
    return [
        *blameless_guesses(sentence, facts),
        *odds_without_name(sentence),
        *ranges_without_name(sentence),
        *changes_as_causes(sentence),
        *bare_since(sentence),
        *bare_before(sentence),
    ]


def wrong_in_clause(clause: Sequence[Token], named: str, heard: Sequence[Fact], facts: Sequence[Fact]) -> list[str]:
    """What the rules for clauses find. `named` is the agent in it, `heard` are the facts that may be about that one."""
    return [
        *bare_norms(clause, heard),
        *mixed_up_things(clause, heard),
        *other_times(clause),
        *subjects_of_change(clause, heard),
        *unmeasured_changes(clause, heard),
        *other_agents_trouble(clause, named, facts),
    ]


def _subjects(facts: Sequence[Fact]) -> set[str]:
    return {fact.subject.lower() for fact in facts if fact.subject}


def blameless_guesses(sentence: Sequence[Token], facts: Sequence[Fact]) -> list[str]:
    """'Likely the rate of tasks': a guess at a cause blames something that the facts blame, and no agent."""
    words = [token.lower for token in sentence]
    for place, word in enumerate(words):
        behind = [one for one in words[place + 1 : place + 4] if one not in HEDGES]
        if word in _subjects(facts) and behind[:1] and behind[0] in CAUSAL - {"because", "due"}:
            return ["no fact blames the agent"]
    is_located = bool(set(words) & _TROUBLES) and bool(set(words) & {"with", "in", "from", "lies"})
    if not (is_located or set(words) & (GUESSES | CAUSAL)) or any(fact.is_tentative for fact in facts):
        return []
    causes = [fact for fact in facts if not fact.subject and not fact.is_severity]
    blamed = {thing for fact in causes for thing in fact.things}
    blamed |= {word for fact in causes for name in fact.names for word in _parts(name, fact)} - {"rate", "error"}
    blamed |= {version for fact in facts if fact.versions for version in map(str.lower, fact.versions)}
    if any(fact.is_change for fact in facts):
        blamed |= CONCEPTS["deployment"] | CONCEPTS["change"] | {"change"}
    return [] if set(words) & blamed else ["it guesses at a cause that no fact names"]


def _parts(name: str, fact: Fact) -> list[str]:
    return [word for token in fact.tokens if token.lower == name for word in words_in(token) if len(word) > 3]


def _speaks(token: Token) -> bool:
    return token.kind != "mark" and token.kind != "figure" and token.lower not in FUNCTION


def other_times(clause: Sequence[Token]) -> list[str]:
    """'the previous model', 'an earlier incident': a thing of another time than that which the facts speak of."""
    for token, follows in pairwise(clause):
        if token.lower in ("previous", "earlier", "current", "present") and _speaks(follows):
            return [f"no fact speaks of the {token.text} {follows.text}"]
    return []


def subjects_of_change(clause: Sequence[Token], facts: Sequence[Fact]) -> list[str]:
    """'The rate limit fell': only what is measured rises and falls."""
    stands = _words(clause) & {"up", "down", "higher", "lower"}
    is_measured = any(one.kind == "figure" for one in clause) or bool(concepts_of(list(clause)) & _SUFFERED)
    if stands and not is_measured and _words(clause) & {"is", "are", "was", "were", "went", "goes", "going"}:
        return ["no fact measures what is up or down"]
    for last, token, follows in zip([None, None, *clause], [None, *clause], clause, strict=False):
        if token is None or follows.lower not in _MOVES or token.kind != "word":
            continue
        word = token.lower
        measured = word in _subjects(facts) or any(stem_of(word) in fact.measures for fact in facts)
        is_rate = word == "rate" and last is not None and CONCEPT_OF.get(last.lower) in _SUFFERED
        is_rate = is_rate or (word == "task" and last is not None and last.lower in ("a", "per"))
        is_metric = is_rate or CONCEPT_OF.get(word) in _SUFFERED
        if not (measured or is_metric or word in FUNCTION | HEDGES | RISE | FALL | _LEADS):
            return [f"no fact measures '{token.text}'"]
    return []


def bare_norms(clause: Sequence[Token], facts: Sequence[Fact]) -> list[str]:
    """'as usual' without the figure that is usual."""
    if _words(clause) & _MATCHES and _words(clause) & _NORMS:
        return ["no fact says that anything is as usual"]
    if any(token.kind == "figure" for token in clause) or _words(clause) & _SIDES:
        return []
    for token, follows in zip(clause, [*clause[1:], None], strict=True):
        pair = f"{token.lower} {follows.lower if follows else ''}".strip()
        if token.lower in _NORMS and not (follows and any(pair in fact.text.lower() for fact in facts)):
            return [f"'{token.text}' stands without its figure"]
    return []


def odds_without_name(sentence: Sequence[Token]) -> list[str]:
    """'1 in 1,000' is a chance, '1 : 1,000' is evidence, and neither is said without the other."""
    units, words = {token.unit for token in sentence}, _words(sentence)
    chance = bool(words & {"chance", "odds", "probability"})
    wrong = []
    if ("chance" in units) != ("chance" in words) and not ("chance" in units and chance):
        wrong.append("chance and its figure stand together")
    if words & {"often", "less"} and "chance" not in units:
        wrong.append("'less often' stands without its figure")
    if "odds" in units and not words & {"evidence", "odds"}:
        wrong.append("evidence and its figure stand together")
    return wrong


def bare_since(sentence: Sequence[Token]) -> list[str]:
    """'since the tool started' moves the onset to an event."""
    for place, token in enumerate(sentence):
        behind = sentence[place + 1 : place + 4]
        is_dated = any(one.kind == "figure" for one in behind) or any(one.lower in ("onset", "then") for one in behind)
        if token.lower == "since" and not is_dated:
            return ["'since' stands without a time"]
    return []


def bare_before(sentence: Sequence[Token]) -> list[str]:
    """'The same happened before', without a figure of that time."""
    for part in split_at(list(sentence), ",;:()–"):
        roles = {figure.role for figure in figures_of(part)}
        if part[-1].lower in ("before", "earlier", "previously") and not roles & {"before", "lead"}:
            return [f"'{part[-1].text}' stands without its figure"]
    return []


def ranges_without_name(sentence: Sequence[Token]) -> list[str]:
    words = _words(sentence)
    is_range = any(
        one.kind == "figure" and then.kind == "figure" and between.lower in ("to", "–", "and")
        for one, between, then in zip(sentence, sentence[1:], sentence[2:], strict=False)
    )
    ends_in_points = any(token.unit in ("points", "times") for token in sentence)
    named = words & {"interval", "loss", "lost", "from"}
    return ["an interval is not called so"] if is_range and ends_in_points and not named else []


def mixed_up_things(clause: Sequence[Token], facts: Sequence[Fact]) -> list[str]:
    """'The deployment failed': a thing, and what happened to something else."""
    concepts = concepts_of(list(clause))
    things, happened = concepts & THINGS, concepts & (METRICS | {"failure"})
    if not things or not happened or _words(clause[1:]) & RELATIONS:
        return []
    if any(things <= fact.concepts and happened <= fact.concepts for fact in facts):
        return []
    return [f"no fact says that of the {' and '.join(sorted(things))}"]


def other_agents_trouble(clause: Sequence[Token], subject: str, facts: Sequence[Fact]) -> list[str]:
    """Of several agents, what one suffers is not said of another."""
    subjects = {fact.subject for fact in facts if fact.subject}
    if not subject or len(subjects) < 2:
        return []
    suffered = {concept for fact in facts if fact.subject == subject for concept in fact.concepts}
    suffered |= {"failure"} if "success" in suffered else set()
    said = concepts_of(list(clause)) & (METRICS | {"failure"})
    return [f"no fact says that {subject} has a trouble of {one}" for one in sorted(said - suffered)]


def unmeasured_changes(clause: Sequence[Token], facts: Sequence[Fact]) -> list[str]:
    """'Tasks fell' speaks of traffic, and 'the severity rose' of nothing that is measured."""
    if concepts_of(list(clause)) & METRICS or any("traffic" in fact.metrics for fact in facts):
        return []
    words = [token.lower for token in clause]
    if words[:2] in (["tasks", "are"], ["tasks", "were"]) and any(token.unit == "times" for token in clause):
        return ["how many tasks there are is in no fact"]
    for place, word in enumerate(words):
        behind = words[place + 1 : place + 3]
        behind = behind[1:] if behind[:1] and behind[0] in ("has", "have", "had") else behind[:1]
        goes = behind and behind[0] in RISE | FALL
        counted = word in ("fewer", "higher", "lower") and words[place + 1 : place + 2] in (["tasks"], ["task"])
        noun = word in _NOUNS_OF_CHANGE and words[place + 1 : place + 2] in (["in"], ["of"])
        of_tasks = noun and words[place + 2 : place + 3] in (["tasks"], ["task"])
        if (word in _NOT_MEASURED and goes) or counted or of_tasks:
            return [f"'{clause[place].text}' did not change in any fact"]
    return []


def changes_as_causes(sentence: Sequence[Token]) -> list[str]:
    """'Due to a surge': what the facts hold as the effect, given as the cause; or a change as the effect."""
    words = [token.lower for token in sentence]
    changes = CONCEPTS["deployment"] | {"change"}
    for place, pair in enumerate(pairwise(words)):
        behind = words[place + 2 : place + 5]
        if pair in _GIVES_A_CAUSE and set(behind[:2]) & (RISE | FALL):
            return ["a rise or a fall is no cause"]
        if (
            pair[0] in ("caused", "causes", "triggered", "triggers")
            and pair[1] != "by"
            and {pair[1], *behind[:2]} & changes
        ):
            return ["no fact gives the change as an effect"]
    return []


def _words(tokens: Sequence[Token]) -> set[str]:
    return {token.lower for token in tokens if token.kind == "word"}
