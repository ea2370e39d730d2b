"""Tracing of DSPy agents by OpenInference: each task is an AGENT span, and DSPy's own spans lie below it.

Works with any OpenTelemetry exporter. What does not belong here: which agents there are and what they do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeAlias

import dspy
from dspy import lm15
from openinference.instrumentation import OITracer, TraceConfig, using_attributes
from openinference.instrumentation.dspy import DSPyInstrumentor
from openinference.semconv.trace import OpenInferenceSpanKindValues, SpanAttributes
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator

Program: TypeAlias = Callable[..., dspy.Prediction]
Model: TypeAlias = dspy.LM
Answer: TypeAlias = dspy.Prediction


class Engine(Protocol):
    """What counting tokens asks of a model's engine."""

    def complete(self, request: lm15.Request) -> lm15.Response: ...


@dataclass(frozen=True)
class Task:
    """What a task's spans say about it. `task_id` is the id of its row in agent_state."""

    agent: str
    task_id: str
    session_id: str
    program_version: str

    @property
    def metadata(self) -> dict[str, str]:
        return {"agent_name": self.agent, "task_id": self.task_id, "program_version": self.program_version}


class AgentTracer:
    """Traces DSPy programs to an exporter while it is entered as a context manager.

    DSPy is instrumented for the whole process meanwhile, so only one tracer can be entered at a time.
    `project` names the project that Phoenix puts the spans into.
    """

    def __init__(self, exporter: SpanExporter, project: str = "agents", ids: IdGenerator | None = None) -> None:
        self._provider = TracerProvider(
            resource=Resource({"service.name": "agents", "openinference.project.name": project}), id_generator=ids
        )
        self._provider.add_span_processor(SimpleSpanProcessor(exporter))
        self._tracer = OITracer(self._provider.get_tracer(__name__), config=TraceConfig())
        self._instrumentor = DSPyInstrumentor()

    def __enter__(self) -> AgentTracer:
        if self._instrumentor.is_instrumented_by_opentelemetry:
            raise RuntimeError("DSPy is already traced in this process: leave the other AgentTracer first.")
        self._instrumentor.instrument(tracer_provider=self._provider)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._instrumentor.uninstrument()
        _inherit_calls_again()
        self._provider.shutdown()

    def run(self, program: Program, inputs: Mapping[str, Any], task: Task, lm: Model) -> Answer:
        """The program's answer on the model, traced as a task of the agent. Raises what the program raises.

        Called inside another task, it makes a nested task: an AGENT span below the caller's spans.
        """
        with (
            dspy.context(lm=lm),
            using_attributes(session_id=task.session_id, metadata=task.metadata),
            self._tracer.start_as_current_span(
                task.agent,
                openinference_span_kind=OpenInferenceSpanKindValues.AGENT,
                attributes={SpanAttributes.AGENT_NAME: task.agent},
            ) as span,
        ):
            span.set_input(dict(inputs))
            answer = program(**inputs)
            span.set_output(answer.toDict())
            span.set_status(trace.StatusCode.OK)
        return answer


def _inherit_calls_again() -> None:
    """Undo what the instrumentor leaves on `dspy.LM`: methods of its own instead of those that it inherits, without the
    callbacks that these call."""
    for name in ("__call__", "acall"):
        if name in vars(dspy.LM):
            delattr(dspy.LM, name)


def counting_tokens(lm: Model) -> Model:
    """The same model, noting the tokens of each call on the LLM span around it.

    The DSPy instrumentor leaves token counts out for engines that are not DSPy's own. On the LLM span, a sum over
    the spans of a task counts them once, also where one agent calls another; on the AGENT spans the callee's would
    be counted twice. Raises TypeError for a model on one of DSPy's own engines.
    """
    if isinstance(lm.engine, str):
        raise TypeError(f"The model {lm.model} has no engine of its own whose calls could be counted.")
    return lm.copy(engine=_TokenCountingEngine(lm.engine))


class _TokenCountingEngine:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def complete(self, request: lm15.Request) -> lm15.Response:
        response = self._engine.complete(request)
        counts = {
            SpanAttributes.LLM_TOKEN_COUNT_PROMPT: response.usage.input_tokens,
            SpanAttributes.LLM_TOKEN_COUNT_COMPLETION: response.usage.output_tokens,
            SpanAttributes.LLM_TOKEN_COUNT_TOTAL: response.usage.total_tokens,
        }
        known = {name: count for name, count in counts.items() if count is not None}
        trace.get_current_span().set_attributes(known)
        return response
