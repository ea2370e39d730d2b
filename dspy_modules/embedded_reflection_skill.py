"""How the embedded model writes instructions: it turns feedback and examples into rules that its task skill follows.

Understands what GEPA asks (an instruction, and examples with feedback), its request to shorten, and MIPROv2's request
for an instruction. Like the task skill it knows no data set: a rule holds words of the examples in the prompt.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dspy_modules.embedded_prompt import Prompt
from dspy_modules.embedded_task_skill import words

# Fixed beforehand: a longer instruction is paid for at every answer.
WORDS_A_PHRASE = 3
PHRASES_AN_EXAMPLE = 3
PHRASES_A_VALUE = 16
VALUES = 12

RULE = re.compile(r'^- If the input mentions ("[^"]+"(?:, "[^"]+")*), answer (.+)\.$')
EXPECTED = re.compile(
    r"\b(?:expected|correct|should be|should have been)\b[^'\"`\n]{0,30}['\"`]([^'\"`\n]{1,40})['\"`]", re.IGNORECASE
)
CHARACTERS = re.compile(r"(\d+) characters")

Rules = Mapping[str, Sequence[str]]
"""Phrases, by the value to answer where the input mentions one of them."""


@dataclass(frozen=True)
class Case:
    """An input, the value that was expected for it, and whether it was answered."""

    text: str
    expected: str
    was_right: bool = False


def written_instruction(prompt: Prompt) -> dict[str, str]:
    """The instruction that an optimizer's prompt asks for, by the name of its field; empty for any other prompt."""
    asked = prompt.query
    limit = _limit(asked.get("length_limit", ""))
    match [field.name for field in prompt.outputs]:
        case [*_, "new_instruction"]:
            cases = cases_of_feedback(asked.get("examples_with_feedback", ""))
            return {"new_instruction": rewritten(asked.get("current_instruction", ""), cases, limit)}
        case [*_, "shortened_instruction"]:
            return {"shortened_instruction": rewritten(asked.get("instruction", ""), (), limit)}
        case [*_, "proposed_instruction"]:
            cases = cases_of_demonstrations(asked.get("task_demos", ""))
            return {"proposed_instruction": rewritten(asked.get("basic_instruction", ""), cases, limit)}
    return {}


def rewritten(instruction: str, cases: Sequence[Case], limit: int | None = None) -> str:
    """The instruction with rules added for what went wrong, in at most `limit` characters.

    What it says already stays, rules included, as far as the limit allows.
    """
    text, known = _read(instruction)
    rules = _learned(known, cases)
    written = _write(text, rules)
    while limit is not None and len(written) > limit and rules:
        rules = _without_one_phrase(rules)
        written = _write(text, rules)
    return written[:limit]


def cases_of_feedback(examples: str) -> list[Case]:
    """The cases of GEPA's examples, JSON, whose feedback names in quotes what was expected."""
    try:
        listed = json.loads(examples)
    except json.JSONDecodeError:
        return []
    cases: list[Case] = []
    for example in listed if isinstance(listed, list) else []:
        if not isinstance(example, Mapping):
            continue
        if found := EXPECTED.search(str(example.get("Feedback", ""))):
            expected = found.group(1).strip()
            answered = _values(example.get("Generated Outputs"))
            cases.append(Case(" ".join(_values(example.get("Inputs"))), expected, expected in answered))
    return cases


def cases_of_demonstrations(demonstrations: str) -> list[Case]:
    """The cases of MIPROv2's examples: blocks of lines, the first with an input and the last with its value."""
    cases: list[Case] = []
    for block in re.split(r"\n\s*\n", demonstrations):
        values = [line.partition(": ")[2].strip() for line in block.strip().splitlines()]
        if len(values) > 1 and re.fullmatch(r"\w{1,40}", values[-1]):
            cases.append(Case(values[0], values[-1]))
    return cases


def _learned(known: Rules, cases: Sequence[Case]) -> Rules:
    """The known rules, and phrases from the wrong cases that speak for one value alone."""
    rules = {value: list(phrases) for value, phrases in known.items()}
    speaks_for = _values_by_stem(known, cases)
    for case in cases:
        if case.was_right or (case.expected not in rules and len(rules) >= VALUES):
            continue
        telling = [word for word, stem in _telling_words(case.text) if speaks_for[stem] == {case.expected}]
        phrases = rules.setdefault(case.expected, [])
        new = [phrase for phrase in _phrases(telling) if phrase not in phrases]
        phrases.extend(new[: max(0, PHRASES_A_VALUE - len(phrases))])
    return rules


def _values_by_stem(rules: Rules, cases: Iterable[Case]) -> Mapping[str, set[str]]:
    """For each word's stem, the values with which it was seen, in rules and in right and wrong cases."""
    seen: dict[str, set[str]] = defaultdict(set)
    for value, phrases in rules.items():
        for stem in words(" ".join(phrases)):
            seen[stem].add(value)
    for case in cases:
        for stem in words(case.text):
            seen[stem].add(case.expected)
    return seen


def _telling_words(text: str) -> list[tuple[str, str]]:
    """The telling words as they are written, in lower case, with their stems."""
    return [(word, stem) for word in re.findall(r"[^\W_]+", text.lower()) for stem in words(word)]


def _phrases(telling: Sequence[str]) -> list[str]:
    """Short ones: on a new text a short phrase is found more often than a long one."""
    distinct = list(dict.fromkeys(telling))[: WORDS_A_PHRASE * PHRASES_AN_EXAMPLE]
    return [" ".join(distinct[start : start + WORDS_A_PHRASE]) for start in range(0, len(distinct), WORDS_A_PHRASE)]


def _read(instruction: str) -> tuple[str, Rules]:
    """The instruction's rules, and the text around them."""
    rules: dict[str, list[str]] = {}
    text: list[str] = []
    for line in instruction.splitlines():
        if rule := RULE.match(line):
            phrases = re.findall(r'"([^"]+)"', rule.group(1))
            rules[rule.group(2)] = list(dict.fromkeys([*rules.get(rule.group(2), []), *phrases]))
        else:
            text.append(line)
    return "\n".join(text).strip(), rules


def _write(text: str, rules: Rules) -> str:
    quoted = {value: ", ".join(f'"{phrase}"' for phrase in phrases) for value, phrases in rules.items() if phrases}
    lines = [f"- If the input mentions {phrases}, answer {value}." for value, phrases in quoted.items()]
    return "\n".join([text, *lines]).strip()


def _without_one_phrase(rules: Rules) -> Rules:
    """Without the newest phrase of the value that has most of them."""
    longest = max(rules, key=lambda value: len(rules[value]))
    shorter = {**rules, longest: rules[longest][:-1]}
    return {value: phrases for value, phrases in shorter.items() if phrases}


def _limit(sentence: str) -> int | None:
    found = CHARACTERS.search(sentence)
    return int(found.group(1)) if found else None


def _values(fields: Any) -> list[str]:
    return [str(value) for value in fields.values()] if isinstance(fields, Mapping) else [str(fields)]
