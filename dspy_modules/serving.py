"""What an agent process runs: its own program with the state that was promoted for it, kept up to date.

    from dspy_modules.serving import AgentProgram
    from resources.program_source import program_source

    inbound = AgentProgram("InboundAgent", InboundAgent, program_source("/var/lib/perf/lake/programs"))
    answer = inbound(message="…")

An agent must answer whatever becomes of us: where a version cannot be read, was changed on its way, or is for another
signature, the last good one stays, and at first the program as it stands in the code.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import dspy

from dspy_modules.programs import Program, ProgramError, ProgramFactory, signature_fingerprint, with_state

_log = logging.getLogger(__name__)

CODE = "code"
"""The version that spans name while the program runs as it stands in the code."""


class Pointer(Protocol):
    @property
    def version(self) -> str | None: ...
    @property
    def sequence(self) -> int: ...
    @property
    def sha256(self) -> str | None: ...


class Source(Protocol):
    """`resources.program_source.ProgramSource`, as far as it matters here."""

    def pointer(self, agent: str, alias: str) -> Pointer | None: ...
    def artifact(self, agent: str, version: str) -> bytes: ...


@dataclass(frozen=True)
class Served:
    """What runs. `sequence` is that of the alias, 0 where it was never moved."""

    program: Program
    version: str
    sequence: int


class AgentProgram:
    """An agent's program at its promoted version. Threads may share it.

    Looks for a newer version at most every `poll_seconds`, beside the tasks, none of which waits for it. `trouble` says
    why a version was not taken, None where all is well.
    """

    def __init__(
        self,
        agent: str,
        factory: ProgramFactory,
        source: Source,
        *,
        alias: str = "production",
        poll_seconds: float = 30,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.agent = agent
        self.trouble: str | None = None
        self._alias = alias
        self._source = source
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._looking = threading.Lock()
        self._code = factory()
        self._served = Served(self._code, CODE, 0)
        self.refresh()
        self._looked_at = clock()

    def __call__(self, **inputs: Any) -> dspy.Prediction:
        """The program's answer; the spans of the task name the version."""
        served = self.current()
        with stamped(served.version):
            return served.program(**inputs)

    @property
    def version(self) -> str:
        return self._served.version

    def current(self) -> Served:
        """What is to run now, for those who call the program themselves: then `stamped` names the version on spans."""
        if self._clock() - self._looked_at >= self._poll_seconds:
            self._looked_at = self._clock()
            threading.Thread(target=self.refresh, name=f"program-of-{self.agent}", daemon=True).start()
        return self._served

    def refresh(self) -> None:
        """Look for another version now. Never raises: what is wrong is logged, and in `trouble`."""
        if not self._looking.acquire(blocking=False):
            return
        try:
            self._served = self._look()
            self.trouble = None
        except Exception as error:  # noqa: BLE001 (whatever is wrong with us, the agent goes on)
            trouble = f"{self.agent} stays at version {self.version}: {error}"
            if trouble != self.trouble:
                _log.warning("%s", trouble)
            self.trouble = trouble
        finally:
            self._looking.release()

    def _look(self) -> Served:
        pointer = self._source.pointer(self.agent, self._alias)
        served = self._served
        if pointer is None or pointer.sequence == served.sequence:
            return served
        if pointer.sequence < served.sequence:
            raise ProgramError(
                f"the alias {self._alias} was read at move {pointer.sequence}, older than move {served.sequence}, "
                "which is known already"
            )
        if pointer.version is None:
            return Served(self._code, CODE, pointer.sequence)
        body = self._source.artifact(self.agent, pointer.version)
        return Served(self._verified(body, pointer), pointer.version, pointer.sequence)

    def _verified(self, body: bytes, pointer: Pointer) -> Program:
        digest = hashlib.sha256(body).hexdigest()
        if digest != pointer.sha256 or not digest.startswith(str(pointer.version)):
            raise ProgramError(f"version {pointer.version} does not have the hash that was promoted: it was changed")
        return restored(self._code, json.loads(body), str(pointer.version))


def restored(program: Program, content: dict[str, Any], version: str) -> Program:
    """The program with the state of a version's file. Raises ProgramError where it is for another signature."""
    made_for, here = content.get("signature"), signature_fingerprint(program)
    if made_for != here:
        raise ProgramError(
            f"version {version} was made for the signature {made_for}, and the program's is {here}: it changed since, "
            "so optimize it again"
        )
    return with_state(program, content["state"])


@contextmanager
def stamped(version: str) -> Iterator[None]:
    """Spans of OpenInference that begin inside carry the version, beside what their metadata says already."""
    try:
        from openinference.instrumentation import get_attributes_from_context, using_metadata
        from openinference.semconv.trace import SpanAttributes
        from opentelemetry import trace
    except ImportError:
        yield
        return
    trace.get_current_span().set_attribute("program.version", version)
    known = dict(get_attributes_from_context()).get(SpanAttributes.METADATA)
    with using_metadata({**(json.loads(str(known)) if known else {}), "program_version": version}):
        yield
