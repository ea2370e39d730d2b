"""How the embedded model answers a task: from names, written rules and examples in the prompt, and nothing else.

It has no weights and knows no data set, so a better prompt is the only thing that can make it better: rules in
the instructions (`- If the input mentions "cancel", "refund", answer churn.`) and examples near the input.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from dspy_modules.embedded_prompt import Field, Prompt

# Fixed beforehand and never fitted to any data: a rule or a near example says more than a name does.
NAME_WEIGHT = 1.0
RULE_WEIGHT = 2.0
EXAMPLE_WEIGHT = 2.0
# The second and third best rule or example back up the best one.
SUPPORT = 0.25

SUFFIXES = ("ingly", "edly", "ing", "ies", "ied", "ed", "es", "s", "al")
STOP_WORDS = (
    "a about after again all also am an and any are as at be because been before being both but by can could did do "
    "does during each for from get got had has have he her here hi him his how i if in into is it its just know let "
    "like made make may me more most my no not of on only or other our out over own please same say she should so "
    "some such tell than thank thanks that the their them then there these they this to too until up us use very want "
    "was we were what when where which while who why will with would you your hello"
)
COMMON_WORDS = frozenset(STOP_WORDS.split())


def answer(prompt: Prompt) -> dict[str, Any]:
    """A value for each output field of the prompt, in its order."""
    query = " ".join(prompt.query.values())
    nearness = _nearness(query, [" ".join(map(str, example.inputs.values())) for example in prompt.examples])
    values: dict[str, Any] = {}
    reasons: list[str] = []
    for field in prompt.outputs:
        shown = [example.outputs.get(field.name) for example in prompt.examples]
        if field.choices is not None:
            values[field.name], reason = _choose(field, prompt.instructions, query, nearness, shown)
            reasons.append(reason)
        else:
            values[field.name] = _free_value(field, prompt.instructions, query, nearness, shown)
    if "reasoning" in values:
        values["reasoning"] = " ".join(reasons) or "The answer quotes what the input says about the question."
    return values


def words(text: str) -> list[str]:
    """The telling words of a text: lower case, without common words, cut to their stems."""
    found = re.findall(r"[^\W_]+", text.lower())
    return [_stem(word) for word in found if word not in COMMON_WORDS and len(word) > 1]


def _stem(word: str) -> str:
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word.removesuffix(suffix) + ("y" if suffix in ("ies", "ied") else "")
    return word


def _nearness(query: str, texts: Sequence[str]) -> list[float]:
    """Cosine of the query and each text, 0 to 1, over words and word pairs weighted by their rarity."""
    documents = [_features(text) for text in texts]
    rarity = _rarity(documents)
    wanted = _features(query)
    length = _length(wanted, rarity)
    return [
        sum(wanted[feature] * count * rarity(feature) ** 2 for feature, count in document.items() if feature in wanted)
        / (length * _length(document, rarity))
        for document in documents
    ]


def _features(text: str) -> Counter[str]:
    single = words(text)
    return Counter(single) + Counter(f"{first} {second}" for first, second in pairwise(single))


def _rarity(documents: Sequence[Iterable[str]]) -> Callable[[str], float]:
    frequency = Counter(feature for document in documents for feature in set(document))
    return lambda feature: math.log((1 + len(documents)) / (1 + frequency[feature])) + 1


def _length(features: Counter[str], rarity: Callable[[str], float]) -> float:
    return math.sqrt(sum((count * rarity(feature)) ** 2 for feature, count in features.items())) or 1.0


def _choose(
    field: Field, instructions: str, query: str, nearness: Sequence[float], shown: Sequence[Any]
) -> tuple[Any, str]:
    choices = field.choices or ()
    rules = _rule_strengths(instructions, [str(choice) for choice in choices], query)
    said = set(words(query))

    def evidence(choice: Any) -> tuple[float, float, float]:
        name = set(words(str(choice).replace("_", " ")))
        by_name = len(name & said) / max(1, len(name))
        near = [near for near, value in zip(nearness, shown, strict=True) if str(value) == str(choice)]
        return by_name, _supported(rules[str(choice)]), _supported(near)

    def score(choice: Any) -> float:
        by_name, by_rule, by_example = evidence(choice)
        return NAME_WEIGHT * by_name + RULE_WEIGHT * by_rule + EXAMPLE_WEIGHT * by_example + _tie_break(choice, query)

    best = max(choices, key=score)
    by_name, by_rule, by_example = evidence(best)
    reason = f"{field.name}: {best} (name {by_name:.2f}, rules {by_rule:.2f}, examples {by_example:.2f})."
    return best, reason


def _supported(strengths: Sequence[float]) -> float:
    ordered = sorted(strengths, reverse=True)
    return ordered[0] + SUPPORT * sum(ordered[1:3]) if ordered else 0.0


def _tie_break(choice: Any, query: str) -> float:
    digest = hashlib.sha256(f"{choice}|{query}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 * 1e-3


def _rule_strengths(instructions: str, choices: Sequence[str], query: str) -> dict[str, list[float]]:
    """How well the query fits each rule's phrases, 0 to 1, by the value that the rule asks for.

    A rule is a line of the instructions with quoted phrases, and after the last of them the value.
    """
    phrases: dict[str, set[str]] = {choice: set() for choice in choices}
    for line in instructions.splitlines():
        quoted = list(re.finditer(r"\"([^\"]+)\"", line))
        if quoted and (value := _named_choice(line[quoted[-1].end() :], choices)):
            phrases[value].update(match.group(1) for match in quoted)
    stems = {phrase: set(words(phrase)) for group in phrases.values() for phrase in group}
    rarity = _rarity(list(stems.values()))
    said = set(words(query))

    def strength(phrase: str) -> float:
        whole = sum(rarity(stem) for stem in stems[phrase])
        return (sum(rarity(stem) for stem in stems[phrase] & said) / whole) ** 2 if whole else 0.0

    return {choice: [strength(phrase) for phrase in sorted(group)] for choice, group in phrases.items()}


def _named_choice(text: str, choices: Sequence[str]) -> str | None:
    longest_first = sorted(choices, key=len, reverse=True)
    return next((choice for choice in longest_first if re.search(rf"(?<!\w){re.escape(choice)}(?!\w)", text)), None)


def _free_value(field: Field, instructions: str, query: str, nearness: Sequence[float], shown: Sequence[Any]) -> Any:
    usable = [(near, value) for near, value in zip(nearness, shown, strict=True) if near > 0 and value is not None]
    if usable:
        return max(usable, key=lambda pair: pair[0])[1]
    plain: Mapping[str, Any] = {"int": 0, "float": 0.0}
    if field.type in plain:
        return plain[field.type]
    if field.type.startswith("list"):
        return []
    return _most_related_sentence(query, f"{field.name} {field.description} {instructions}")


def _most_related_sentence(text: str, topic: str) -> str:
    wanted = set(words(topic.replace("_", " ")))
    sentences = re.split(r"(?<=[.!?])\s+", text)
    return max(sentences, key=lambda sentence: len(wanted & set(words(sentence))))
