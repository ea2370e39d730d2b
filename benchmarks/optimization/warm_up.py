"""What the first call of a model imports and sets up takes a second; processes that are forked afterwards have it."""

from __future__ import annotations

import logging
import os

import dspy

from dspy_modules import metered_engine
from dspy_modules.metered_engine import Bill, Call
from dspy_modules.prices import Price
from dspy_modules.run_models import ModelSettings, fresh_cache, metered_model
from dspy_modules.stop_signals import ModelUnavailable, RunStopped

NOBODY = "http://127.0.0.1:9/v1"
"""The port of the discard service, where nothing listens."""


def warm_up() -> None:
    """Call a model that is not there: it leaves neither a connection nor a thread, which a fork must not inherit."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")
    logging.getLogger("dspy").setLevel(logging.CRITICAL)
    usual, metered_engine.FIRST_WAIT_SECONDS = metered_engine.FIRST_WAIT_SECONDS, 0.0
    settings = ModelSettings("openai/simulated-1", Price(1, 1), max_tokens=10, api_base=NOBODY, api_key="x")
    with fresh_cache(), dspy.context(lm=metered_model(settings, _FreeMeter(), "task")):
        try:
            dspy.Predict("question -> answer")(question="Is anybody there?")
        except ModelUnavailable:
            return
        finally:
            metered_engine.FIRST_WAIT_SECONDS = usual
    raise AssertionError(f"Something answers at {NOBODY}.")


class _FreeMeter:
    def recall(self, call: Call) -> str | None: ...

    def reserve(self, call: Call) -> str:
        return call.key

    def settle(self, reservation: str, bill: Bill, answer: str) -> None: ...

    def release(self, reservation: str) -> None: ...

    def lose(self, reservation: str) -> None: ...

    def note(self, stop: RunStopped) -> None: ...
