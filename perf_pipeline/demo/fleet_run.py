"""Runs planned tasks on the demo fleet: real DSPy programs, the embedded model, real spans at simulated times."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from opentelemetry.sdk.trace.export import SpanExporter

from dspy_modules.demo_agents import FLEET, AccountOrchestrator, Inputs
from dspy_modules.embedded_model import FAILURES, Fault, embedded_lm
from dspy_modules.embedded_prompt import Message, expects_json
from dspy_modules.programs import ProgramFactory
from dspy_modules.serving import CODE, AgentProgram
from dspy_modules.tracing import AgentTracer, Answer, Model, Program, Task, counting_tokens
from perf_pipeline.demo.retiming import RetimingExporter, SeededIds, TaskTime
from perf_pipeline.demo.script import DemoScript, PlannedTask, SimulatedTask
from resources.program_source import ProgramSource, ProgramSourceError


class FleetRun:
    """The fleet at work while it is entered as a context manager. One task at a time, in one thread."""

    def __init__(self, exporter: SpanExporter, script: DemoScript, promoted: ProgramSource | None = None) -> None:
        self._script = script
        self._retiming = RetimingExporter(exporter)
        ids = SeededIds(f"{script.seed}|{script.start.isoformat()}")
        self._tracer = AgentTracer(self._retiming, script.project, ids)
        self._inputs = {agent.name: agent.inputs for agent in FLEET}
        self._right_answers = {agent.name: [answer for _, answer in agent.examples] for agent in FLEET}
        factories: dict[str, ProgramFactory] = {agent.name: agent.program for agent in FLEET}
        factories["AccountOrchestrator"] = lambda: AccountOrchestrator(self._delegate)
        source = promoted or NothingPromoted()
        self._programs = {name: AgentProgram(name, factory, source) for name, factory in factories.items()}
        self._healthy = counting_tokens(embedded_lm(script.old_model))
        self._current: PlannedTask | None = None
        self._nested: list[Task] = []

    def __enter__(self) -> FleetRun:
        self._tracer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tracer.__exit__(kind, error, traceback)

    def run(self, planned: PlannedTask) -> list[SimulatedTask]:
        """What happened to the task, and to the tasks that it gave to other agents.

        Raises LookupError where the exporter did not take its spans: then they would not agree with what happened.
        """
        inputs = self._inputs[planned.agent]
        served = self._programs[planned.agent].current()
        version = planned.program_version if served.version == CODE else served.version
        task = Task(planned.agent, planned.task_id, planned.session_id, version)
        self._current, self._nested = planned, []
        self._retiming.schedule(TaskTime(planned.start, planned.latency_ms))
        number = int(planned.draw * len(inputs))
        answer, failure = self._attempt(task, served.program, inputs[number], _planned_lm(planned))
        time = self._retiming.time_of(task.task_id)
        right_answers = self._right_answers[planned.agent]
        right = right_answers[number] if number < len(right_answers) else None
        own = SimulatedTask(
            task.agent,
            task.task_id,
            time.start,
            time.latency_ms,
            failure is None,
            _qualified_name(failure),
            planned.window_start,
            is_right=None if right is None else answer is not None and _agrees(answer, right),
            right_answer=right,
        )
        return [own, *(self._nested_truth(nested, own.agent) for nested in self._nested)]

    def _attempt(
        self, task: Task, program: Program, inputs: Inputs, lm: Model
    ) -> tuple[Answer | None, Exception | None]:
        try:
            return self._tracer.run(program, inputs, task, lm), None
        except FAILURES as failure:
            return None, failure

    def _delegate(self, agent: str, program: Program, inputs: Inputs) -> Answer:
        caller = self._current
        if caller is None:
            raise RuntimeError("An agent was called while no task was running.")
        task_id = str(uuid.uuid5(uuid.UUID(caller.task_id), agent))
        task = Task(agent, task_id, caller.session_id, self._script.old_version)
        self._nested.append(task)
        # The script's faults strike the caller's model: the called agent has its own.
        return self._tracer.run(program, inputs, task, self._healthy)

    def _nested_truth(self, task: Task, parent: str) -> SimulatedTask:
        time = self._retiming.time_of(task.task_id)
        window = self._script.window_of(time.start)
        return SimulatedTask(task.agent, task.task_id, time.start, time.latency_ms, True, None, window, parent)


class NothingPromoted:
    """Where no version is ever found: the agents run their code."""

    def pointer(self, agent: str, alias: str) -> None:  # noqa: ARG002
        return None

    def artifact(self, agent: str, version: str) -> bytes:
        raise ProgramSourceError(f"There is no version {version} of {agent}.")


def _agrees(answer: Answer, right: Mapping[str, Any]) -> bool:
    return all(answer.get(name) == value for name, value in right.items())


def _planned_lm(planned: PlannedTask) -> Model:
    def faults(messages: Sequence[Message], model: str) -> Fault | None:  # noqa: ARG001
        # DSPy asks for JSON when it could not parse the first answer.
        strikes = planned.fault is not None and (planned.persists or not expects_json(messages))
        return Fault(planned.fault) if strikes else None

    return counting_tokens(embedded_lm(planned.model, faults))


def _qualified_name(error: Exception | None) -> str | None:
    return None if error is None else f"{type(error).__module__}.{type(error).__qualname__}"
