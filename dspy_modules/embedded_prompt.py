"""What a DSPy prompt asks: its signature, instructions, examples and inputs, read back from the messages.

Understands the prompts of DSPy's ChatAdapter and JSONAdapter. What does not belong here: how to answer them.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

HEADER = re.compile(r"^\[\[ ## (\w+) ## \]\][ \t]*", re.MULTILINE)
FIELD = re.compile(r"^\d+\. `(\w+)` \((.*?)\):(.*)$", re.MULTILINE)
OBJECTIVE = "your objective is:"
JSON_ANSWER = "Outputs will be a JSON object"
COMPLETED = "[[ ## completed ## ]]"

Message = Mapping[str, str]
"""A message of a prompt: `role` is system, user or assistant; `content` is its text."""


@dataclass(frozen=True)
class Field:
    """A field of the signature. `choices` are the values that it may take; None where any value will do."""

    name: str
    type: str
    description: str
    choices: tuple[Any, ...] | None


@dataclass(frozen=True)
class Example:
    """A demonstration in the prompt: input texts and output values, by field."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, Any]


@dataclass(frozen=True)
class Prompt:
    """A prompt in the terms of its signature. `as_json` says which of the two adapters waits for the answer."""

    instructions: str
    outputs: tuple[Field, ...]
    examples: tuple[Example, ...]
    query: Mapping[str, str]
    as_json: bool


def read_prompt(messages: Sequence[Message]) -> Prompt:
    """The prompt that DSPy wrote into these messages. Raises ValueError where they are not from DSPy's adapters."""
    system = "\n".join(message["content"] for message in messages if message["role"] == "system")
    turns = [message for message in messages if message["role"] != "system"]
    if "Your output fields are:" not in system or not turns:
        raise ValueError("The embedded model reads only the prompts of DSPy's ChatAdapter and JSONAdapter.")
    described = system.split("Your output fields are:", 1)[1].split("All interactions will be structured", 1)[0]
    return Prompt(
        instructions=textwrap.dedent(system.rpartition(OBJECTIVE)[2]).strip(),
        outputs=tuple(_field(*found) for found in FIELD.findall(described)),
        examples=tuple(
            Example(_sections(asked["content"]), _answer_values(answered["content"]))
            for asked, answered in pairwise(turns)
            if (asked["role"], answered["role"]) == ("user", "assistant")
        ),
        query=_sections(turns[-1]["content"].rpartition("\n\nRespond with ")[0]),
        as_json=expects_json(messages),
    )


def expects_json(messages: Sequence[Message]) -> bool:
    """Whether JSONAdapter wrote the prompt, be it the program's own adapter or ChatAdapter's second attempt."""
    return any(JSON_ANSWER in message["content"] for message in messages if message["role"] == "system")


def write_answer(prompt: Prompt, values: Mapping[str, Any]) -> str:
    """The answer in the layout that the prompt's adapter parses."""
    if prompt.as_json:
        return json.dumps(dict(values), ensure_ascii=False)
    written = [
        f"[[ ## {name} ## ]]\n{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in values.items()
    ]
    return "\n\n".join([*written, COMPLETED])


@cache
def _literals(type_name: str) -> tuple[Any, ...]:
    # Kept: CPython 3.11's parser now and then fails in threads (SystemError), and prompts name few types.
    return tuple(ast.literal_eval(type_name.removeprefix("Literal")))


def _field(name: str, type_name: str, description: str) -> Field:
    choices: tuple[Any, ...] | None = None
    if type_name.startswith("Literal["):
        choices = _literals(type_name)
    elif type_name == "bool":
        choices = (True, False)
    return Field(name, type_name, description.strip(), choices)


def _sections(text: str) -> dict[str, str]:
    headers = list(HEADER.finditer(text))
    ends = [*(header.start() for header in headers), len(text)][1:]
    return {
        header.group(1): text[header.end() : end].strip()
        for header, end in zip(headers, ends, strict=True)
        if header.group(1) != "completed"
    }


def _answer_values(text: str) -> dict[str, Any]:
    sections = _sections(text)
    if sections:
        return dict(sections)
    try:
        values = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return values if isinstance(values, dict) else {}
