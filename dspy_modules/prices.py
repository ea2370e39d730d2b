"""What a call of a language model costs, at most and in fact, in whole nanodollars: sums of them are exact."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dspy import lm15

NANODOLLARS = 1_000_000_000
"""In a dollar. The cheapest models cost some 20 of them a token."""

OVERHEAD_TOKENS = 64
OVERHEAD_TOKENS_A_MESSAGE = 16
"""What providers wrap around messages: roles and separators, a few tokens each."""


class UnboundedCallError(ValueError):
    """What a call may cost at most cannot be told. The message says what to change."""


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens."""

    usd_per_million_input_tokens: float
    usd_per_million_output_tokens: float

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        """In nanodollars, rounded up."""
        dollars_times_million = (
            input_tokens * self.usd_per_million_input_tokens + output_tokens * self.usd_per_million_output_tokens
        )
        # Rounded first: 3 * 0.1 must not cost a nanodollar more than 0.3.
        return ceil(round(dollars_times_million * NANODOLLARS / 1_000_000, 6))

    def worst_case(self, request: dict[str, Any], messages: int, max_tokens: int | None) -> int:
        """The most that a call can cost, in nanodollars.

        No tokenizer makes more tokens of a text than it has bytes, and the request as JSON, tools and schemas
        included, has more of them than its texts. Raises UnboundedCallError where the answer has no limit.
        """
        if not max_tokens:
            raise UnboundedCallError(
                "A call without max_tokens may cost any amount: set max_tokens for the model in fleet.yaml."
            )
        sent = len(json.dumps(request, ensure_ascii=False).encode())
        return self.cost(sent + OVERHEAD_TOKENS + messages * OVERHEAD_TOKENS_A_MESSAGE, max_tokens)


def tokens_of(usage: lm15.Usage) -> tuple[int, int] | None:
    """Input and output tokens as they are billed; None where the provider does not say.

    LiteLLM writes zeros for usage that is not there, and no prompt has no tokens. Some providers leave the tokens of
    reasoning out of the output, but not out of the total.
    """
    if not usage.input_tokens or usage.output_tokens is None:
        return None
    beyond_input = (usage.total_tokens or 0) - usage.input_tokens
    return usage.input_tokens, max(usage.output_tokens, beyond_input)
