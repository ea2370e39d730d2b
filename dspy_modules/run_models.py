"""The language models of an optimization run, each metered for its purpose."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import dspy
from dspy import lm15
from dspy.utils.callback import BaseCallback

from dspy_modules.embedded_model import EmbeddedModel
from dspy_modules.metered_engine import AsyncEngine, AsyncMeteredEngine, Engine, Meter, MeteredEngine
from dspy_modules.prices import Price
from dspy_modules.stop_signals import InfrastructureFailure, ModelUnavailable

Model: TypeAlias = dspy.LM
EMBEDDED = "embedded/"


@dataclass(frozen=True)
class ModelSettings:
    """A model as fleet.yaml describes it, with its key."""

    model: str
    price: Price
    max_tokens: int
    temperature: float | None = None
    timeout_seconds: float = 120
    api_base: str | None = None
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _InThreads:
    """An engine for programs that await their model, out of one that computes its answers."""

    engine: Engine

    async def complete(self, request: lm15.Request) -> lm15.Response:
        return await asyncio.to_thread(self.engine.complete, request)


def metered_model(settings: ModelSettings, meter: Meter, purpose: str) -> Model:
    """A `dspy.LM` whose every call goes through the meter. Raises ModelUnavailable where DSPy refuses the settings."""
    engine, async_engine = _engines(settings)
    try:
        return dspy.LM(
            settings.model,
            engine=MeteredEngine(engine, meter, settings.price, purpose),
            async_engine=AsyncMeteredEngine(async_engine, meter, settings.price, purpose),
            max_tokens=settings.max_tokens,
            temperature=settings.temperature,
            # Below the meter, retries would be attempts that nobody pays for; above it, the engine makes them.
            num_retries=0,
        )
    except (dspy.LMError, ValueError) as error:
        raise ModelUnavailable(f"The settings of {settings.model} cannot be used: {error}", is_lasting=True) from error


@contextmanager
def fresh_cache() -> Iterator[None]:
    """DSPy's cache in memory only, and empty, while the block runs: what a run pays must not depend on other runs."""
    before = dspy.cache  # pyright: ignore[reportAttributeAccessIssue] (made when it is first asked for)
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
    try:
        with dspy.context(disable_history=True):
            yield
    finally:
        dspy.cache = before  # pyright: ignore[reportAttributeAccessIssue]


class _RefuseUnmetered(BaseCallback):
    """Sees every call of a language model in the context. DSPy passes on what is no Exception."""

    def on_lm_start(self, call_id: str, instance: object, inputs: dict[str, object]) -> None:  # noqa: ARG002
        if not isinstance(getattr(instance, "engine", None), MeteredEngine):
            name = getattr(instance, "model", type(instance).__name__)
            raise InfrastructureFailure(
                f"The program calls {name} past the budget: let it use the model of dspy.context, and make none.",
                is_lasting=True,
            )


@contextmanager
def only_metered_calls() -> Iterator[None]:
    """No call of a language model that is not metered, while the block runs: such a one raises InfrastructureFailure,
    also where the program makes the model within its `forward`."""
    with dspy.context(callbacks=[*dspy.settings.callbacks, _RefuseUnmetered()]):
        yield


def _engines(settings: ModelSettings) -> tuple[Engine, AsyncEngine]:
    if settings.model.startswith(EMBEDDED):
        embedded = EmbeddedModel()
        return embedded, _InThreads(embedded)
    # LiteLLM would ask the internet for prices as it is imported, and wait: fleet.yaml says what a call costs.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")
    # Loaded here, for seconds, and not within the first call: that may have a deadline.
    import litellm  # noqa: F401
    from dspy.clients.engines.litellm_engine import AsyncLiteLLMEngine, LiteLLMEngine

    options = {"timeout": settings.timeout_seconds, "api_base": settings.api_base, "api_key": settings.api_key}
    given = {name: value for name, value in options.items() if value is not None}
    return LiteLLMEngine(**given), AsyncLiteLLMEngine(**given)
