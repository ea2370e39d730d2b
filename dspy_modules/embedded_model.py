"""The embedded language model: a simulated one, inside the process, with neither key nor network.

It stands in for a provider in the demo and in tests. Its answers are computed from the text of the prompt alone
(see `embedded_task_skill` and `embedded_reflection_skill`), so the same prompt always gets the same answer. Its name
says that it is simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import dspy
from dspy import lm15
from dspy.utils.exceptions import AdapterParseError, LMError

from dspy_modules.embedded_prompt import Message, read_prompt, write_answer
from dspy_modules.embedded_reflection_skill import written_instruction
from dspy_modules.embedded_task_skill import answer

EMBEDDED_MODEL = "embedded/simulated-1"
CHARACTERS_PER_TOKEN = 4
MALFORMED_ANSWER = "I am sorry, but I cannot put my answer into the fields that you ask for."


FAILURES = (AdapterParseError, LMError)
"""What a program raises when the model fails it."""


class Fault(StrEnum):
    """How the model can fail instead of answering, in ways that providers really do."""

    MALFORMED = "malformed"
    RATE_LIMITED = "rate_limited"
    TIMED_OUT = "timed_out"


Faults = Callable[[Sequence[Message], str], Fault | None]
"""Says for the messages and the model's name how the call fails; None lets it succeed. A pure function."""


def no_faults(messages: Sequence[Message], model: str) -> Fault | None:  # noqa: ARG001
    return None


def embedded_lm(model: str = EMBEDDED_MODEL, faults: Faults = no_faults) -> dspy.LM:
    """A `dspy.LM` on the embedded model, without cache and retries, so that every call and fault is seen."""
    return dspy.LM(model, engine=EmbeddedModel(faults), cache=False, num_retries=0)


class EmbeddedModel:
    """DSPy's engine protocol: one `lm15.Request` in, one `lm15.Response` out. Holds no state, so threads may share it.

    `complete` raises `lm15.RateLimitError` and `lm15.TimeoutError` as the faults say; DSPy turns them into its
    `LMRateLimitError` and `LMTimeoutError`. A malformed answer makes DSPy's adapters raise `AdapterParseError`.
    """

    def __init__(self, faults: Faults = no_faults) -> None:
        self.faults = faults

    def complete(self, request: lm15.Request) -> lm15.Response:
        messages = _messages(request)
        text = self._reply(messages, request.model)
        sent = sum(count_tokens(message["content"]) for message in messages)
        received = count_tokens(text)
        return lm15.Response(
            id=None,
            model=request.model,
            message=lm15.Message.assistant([lm15.TextPart(text)]),
            finish_reason="stop",
            usage=lm15.Usage(input_tokens=sent, output_tokens=received, total_tokens=sent + received),
        )

    def _reply(self, messages: Sequence[Message], model: str) -> str:
        match self.faults(messages, model):
            case Fault.RATE_LIMITED:
                raise lm15.RateLimitError("Simulated fault: too many requests.", provider="embedded", status=429)
            case Fault.TIMED_OUT:
                raise lm15.TimeoutError("Simulated fault: no answer within the time limit.", provider="embedded")
            case Fault.MALFORMED:
                return MALFORMED_ANSWER
            case None:
                return reply(messages)

    def dump_state(self) -> dict[str, Any]:
        """Nothing needs saving: faults belong to a demo or a test, not to a program's state."""
        return {}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> EmbeddedModel:
        return cls(**state)


def reply(messages: Sequence[Message]) -> str:
    """The model's answer to a prompt of DSPy's, also where an optimizer asks for an instruction.

    To any other prompt it answers, as a provider would, but with nothing that could be read as a value.
    """
    try:
        prompt = read_prompt(messages)
    except ValueError:
        return MALFORMED_ANSWER
    return write_answer(prompt, {**answer(prompt), **written_instruction(prompt)})


def count_tokens(text: str) -> int:
    """An estimate, as good as simulated tokens need: four characters are a token."""
    return max(1, len(text) // CHARACTERS_PER_TOKEN)


def _messages(request: lm15.Request) -> list[Message]:
    messages: list[Message] = []
    if request.system is not None:
        parts = request.system
        text = parts if isinstance(parts, str) else "".join(getattr(part, "text", "") for part in parts)
        messages.append({"role": "system", "content": text})
    return messages + [{"role": message.role, "content": message.text or ""} for message in request.messages]
