"""A language model whose every call is paid out of a budget: reserved at its worst case before, settled after.

The meter sits below DSPy's cache and retries, so that what is repeated from the cache is free, and each attempt is
paid for on its own. An answer is kept with its payment: a run that is taken up again gets what it has paid for.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from dspy import lm15

# DSPy exports lm15's types, and not what writes them as JSON.
from dspy._vendor.lm15.serde import request_to_dict, response_from_dict, response_to_dict

from dspy_modules.prices import Price, UnboundedCallError, tokens_of
from dspy_modules.stop_signals import ModelUnavailable, RunStopped

RETRIES = 4
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0
"""A provider that asks for a longer wait is not waited for: the run is taken up again later."""

PASSING = (lm15.RateLimitError, lm15.ServerError, lm15.TimeoutError, lm15.TransportError)
"""Worth another attempt."""

ABOUT_THE_PROGRAM = (lm15.ContextLengthError, lm15.InvalidRequestError, lm15.StreamAssemblyError)
"""The program, or a candidate for it, asks for what the model cannot do: its answer is wrong, and the model is well."""

SURELY_NOT_BILLED = (
    lm15.RateLimitError,
    lm15.AuthError,
    lm15.BillingError,
    lm15.InvalidRequestError,
    lm15.ContextLengthError,
    lm15.UnsupportedModelError,
    lm15.ConfigurationError,
    lm15.CapabilityError,
)
NEVER_CONNECTED = frozenset({"ConnectError", "ConnectTimeout", "ConnectionRefusedError", "PoolTimeout"})


_RESERVING = ThreadPoolExecutor(64, thread_name_prefix="reserve")
"""Where reservations of programs that await their model wait. Not the loop's own threads: calls need these to end, and
reservations wait for calls to end."""


@dataclass(frozen=True)
class Call:
    """One attempt to call a model. `key` stands for all that is asked; `worst_case` is in nanodollars."""

    purpose: str
    model: str
    key: str
    worst_case: int


@dataclass(frozen=True)
class Bill:
    """What a call cost, in nanodollars, and its tokens where the provider says."""

    nanodollars: int
    input_tokens: int | None = None
    output_tokens: int | None = None


class Meter(Protocol):
    """Where calls are paid. All methods may be called by threads at once."""

    def recall(self, call: Call) -> str | None:
        """The answer to the same call, where it was paid for before, as often as it was."""
        ...

    def reserve(self, call: Call) -> str:
        """Set the worst case aside, and give the reservation's id. Raises RunStopped where that cannot be."""
        ...

    def settle(self, reservation: str, bill: Bill, answer: str) -> None:
        """Pay the bill, and keep the answer. Raises RunStopped where it is higher than what was reserved."""
        ...

    def release(self, reservation: str) -> None:
        """The call was surely not billed."""
        ...

    def lose(self, reservation: str) -> None:
        """Nobody knows whether the call was billed: it counts as billed in full."""
        ...

    def note(self, stop: RunStopped) -> None:
        """Remember what stopped a call: a program that gathers exceptions may keep it from whoever runs it."""
        ...


class Engine(Protocol):
    def complete(self, request: lm15.Request) -> lm15.Response: ...


class AsyncEngine(Protocol):
    def complete(self, request: lm15.Request) -> Awaitable[lm15.Response]: ...


@dataclass(frozen=True)
class MeteredEngine:
    """DSPy's engine protocol around another engine, for one purpose (task, reflection, judge, gate).

    Raises ModelUnavailable where the model cannot be used, after RETRIES attempts where these may help, and what the
    meter raises. What is wrong with a request itself is raised as it is.
    """

    engine: Engine
    meter: Meter
    price: Price
    purpose: str
    sleep: Callable[[float], None] = time.sleep

    def complete(self, request: lm15.Request) -> lm15.Response:
        try:
            return self._complete(request)
        except RunStopped as stop:
            self.meter.note(stop)
            raise

    def _complete(self, request: lm15.Request) -> lm15.Response:
        call = _call(request, self.price, self.purpose)
        if paid := self.meter.recall(call):
            return response_from_dict(json.loads(paid))
        for wait in _waits():
            reservation = self.meter.reserve(call)
            try:
                response = self.engine.complete(request)
            except Exception as error:  # noqa: BLE001 (it is raised again, unless another attempt may help)
                pause = _close(self.meter, reservation, error, wait, request.model)
            except BaseException:
                self.meter.lose(reservation)
                raise
            else:
                return _paid(self.meter, reservation, call, self.price, response)
            self.sleep(pause)
        raise AssertionError("The last wait is none, and ends the loop.")

    def stream(self, request: lm15.Request) -> Iterator[Any]:
        """The whole answer at once: for programs that stream, so that they are metered like others."""
        yield from lm15.response_to_events(self.complete(request))


@dataclass(frozen=True)
class AsyncMeteredEngine:
    """The same for programs that await their model. What may wait, waits in threads, so that the loop goes on."""

    engine: AsyncEngine
    meter: Meter
    price: Price
    purpose: str

    async def complete(self, request: lm15.Request) -> lm15.Response:
        try:
            return await self._complete(request)
        except RunStopped as stop:
            self.meter.note(stop)
            raise

    async def _complete(self, request: lm15.Request) -> lm15.Response:
        call = _call(request, self.price, self.purpose)
        if paid := self.meter.recall(call):
            return response_from_dict(json.loads(paid))
        for wait in _waits():
            # Shielded: a reservation that was made while its caller was cancelled would stay open.
            reserving = asyncio.get_running_loop().run_in_executor(_RESERVING, self.meter.reserve, call)
            try:
                reservation = await asyncio.shield(reserving)
            except asyncio.CancelledError:
                self.meter.release(await reserving)
                raise
            try:
                response = await self.engine.complete(request)
            except Exception as error:  # noqa: BLE001 (it is raised again, unless another attempt may help)
                pause = _close(self.meter, reservation, error, wait, request.model)
            except BaseException:
                self.meter.lose(reservation)
                raise
            else:
                return _paid(self.meter, reservation, call, self.price, response)
            await asyncio.sleep(pause)
        raise AssertionError("The last wait is none, and ends the loop.")

    async def stream(self, request: lm15.Request) -> AsyncIterator[Any]:
        for event in lm15.response_to_events(await self.complete(request)):
            yield event


def _waits() -> Iterator[float | None]:
    """Seconds to wait after each attempt; None after the last."""
    for attempt in range(RETRIES):
        yield FIRST_WAIT_SECONDS * 2**attempt
    yield None


def _call(request: lm15.Request, price: Price, purpose: str) -> Call:
    _refuse_unless_text(request)
    content = request_to_dict(request)
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    try:
        worst_case = price.worst_case(content, len(request.messages) + 1, request.config.max_tokens)
    except UnboundedCallError as error:
        raise ModelUnavailable(str(error), is_lasting=True) from error
    return Call(purpose, request.model, key, worst_case)


def _refuse_unless_text(request: lm15.Request) -> None:
    system: Sequence[Any] = () if request.system is None or isinstance(request.system, str) else request.system
    for part in [*system, *(part for message in request.messages for part in message.parts)]:
        if part.type not in ("text", "thinking", "tool_call", "tool_result"):
            raise ModelUnavailable(
                f"A prompt holds a part of type {part.type}, whose cost cannot be bounded before the call: only text "
                "can be optimized.",
                is_lasting=True,
            )


def _paid(meter: Meter, reservation: str, call: Call, price: Price, response: lm15.Response) -> lm15.Response:
    try:
        tokens = tokens_of(response.usage)
        bill = Bill(price.cost(*tokens), *tokens) if tokens else Bill(call.worst_case)
        answer = json.dumps(response_to_dict(response))
    except Exception as error:
        # Left open, the reservation would be waited for, for ever.
        meter.lose(reservation)
        raise ModelUnavailable(f"{call.model} gave an answer that cannot be kept: {_words(error)}") from error
    meter.settle(reservation, bill, answer)
    return response


def _close(meter: Meter, reservation: str, error: Exception, wait: float | None, model: str) -> float:
    """Settle an attempt that failed; how many seconds to wait before the next. Raises what ends the attempts."""
    if not isinstance(error, lm15.LM15Error):
        meter.lose(reservation)
        raise ModelUnavailable(f"{model} broke: {_words(error)}", is_lasting=True) from error
    if isinstance(error, SURELY_NOT_BILLED) or _never_connected(error):
        meter.release(reservation)
    else:
        meter.lose(reservation)
    return _pause(error, wait, model)


def _never_connected(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__name__ in NEVER_CONNECTED:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _pause(error: lm15.LM15Error, wait: float | None, model: str) -> float:
    """How many seconds to wait before the next attempt. Raises what ends the attempts."""
    if isinstance(error, ABOUT_THE_PROGRAM):
        raise error
    if not isinstance(error, PASSING):
        raise ModelUnavailable(f"{model} cannot be used: {_words(error)}", is_lasting=True) from error
    asked = getattr(error, "retry_after", None)
    if wait is None or (asked or 0) > LONGEST_WAIT_SECONDS:
        raise ModelUnavailable(f"{model} does not answer: {_words(error)}") from error
    return asked if asked is not None else min(wait * random.uniform(1, 1.5), LONGEST_WAIT_SECONDS)


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
