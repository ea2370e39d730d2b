"""Which span attributes fill which column: OpenInference's and OpenTelemetry's names, then those of other tracers.

Sources: OpenInference semantic conventions; OpenTelemetry semantic conventions for generative AI; MLflow 3.17
(`mlflow/tracing/constant.py`); Langfuse 5.0 (`langfuse/_client/attributes.py`). docs/other-tracers.md shows the same
for people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Where a span has gen_ai.*, Phoenix derives llm.* from it at ingestion, in words of its own (a provider's name is
# another there). So gen_ai.* comes first for model and provider: the span is the same row from Phoenix and from files.
COLUMN_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "model": (
        "gen_ai.response.model",
        "gen_ai.request.model",
        "llm.model_name",
        "mlflow.llm.model",
        "langfuse.observation.model.name",
    ),
    "provider": ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system"),
    "tool": ("tool.name", "gen_ai.tool.name"),
    "prompt_tokens": (
        "llm.token_count.prompt",
        "gen_ai.usage.input_tokens",
        "mlflow.chat.tokenUsage",
        "langfuse.observation.usage_details",
    ),
    "completion_tokens": (
        "llm.token_count.completion",
        "gen_ai.usage.output_tokens",
        "mlflow.chat.tokenUsage",
        "langfuse.observation.usage_details",
    ),
    "cost_usd": ("llm.cost.total", "mlflow.llm.cost", "langfuse.observation.cost_details"),
    "session_id": ("session.id", "gen_ai.conversation.id"),
    "task_id": ("metadata.task_id", "task.id"),
    "program_version": ("metadata.program_version", "program.version", "gen_ai.agent.version"),
}
"""For each column of `raw_spans`, the attributes that may hold it, in order of preference."""

FIELD_OF_COLUMN: dict[str, dict[str, str]] = {
    "mlflow.chat.tokenUsage": {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"},
    "mlflow.llm.cost": {"cost_usd": "total_cost"},
    "langfuse.observation.usage_details": {"prompt_tokens": "input", "completion_tokens": "output"},
    "langfuse.observation.cost_details": {"cost_usd": "total"},
}
"""Attributes whose value is a JSON object, and which of its fields fills which column."""

QUOTED = ("mlflow.", "langfuse.")
"""How the names of attributes begin whose tracer writes a text as JSON, within quotes."""

KIND_ATTRIBUTE = "openinference.span.kind"

KINDS = (
    "AGENT",
    "CHAIN",
    "LLM",
    "TOOL",
    "RETRIEVER",
    "EMBEDDING",
    "RERANKER",
    "GUARDRAIL",
    "EVALUATOR",
    "DECISION",
    "PROMPT",
)
"""The kinds of OpenInference; Phoenix keeps a span of any other as one of no kind."""

KIND_OF_VALUE: dict[str, Mapping[str, str]] = {
    "gen_ai.operation.name": {
        "chat": "LLM",
        "text_completion": "LLM",
        "generate_content": "LLM",
        "embeddings": "EMBEDDING",
        "retrieval": "RETRIEVER",
        "execute_tool": "TOOL",
        "invoke_agent": "AGENT",
        "create_agent": "AGENT",
        "invoke_workflow": "CHAIN",
    },
    "mlflow.spanType": {
        "LLM": "LLM",
        "CHAT_MODEL": "LLM",
        "EMBEDDING": "EMBEDDING",
        "RETRIEVER": "RETRIEVER",
        "RERANKER": "RERANKER",
        "TOOL": "TOOL",
        "AGENT": "AGENT",
        "CHAIN": "CHAIN",
        "WORKFLOW": "CHAIN",
        "TASK": "CHAIN",
        "GUARDRAIL": "GUARDRAIL",
        "EVALUATOR": "EVALUATOR",
    },
    "langfuse.observation.type": {
        "generation": "LLM",
        "embedding": "EMBEDDING",
        "retriever": "RETRIEVER",
        "tool": "TOOL",
        "agent": "AGENT",
        "chain": "CHAIN",
        "guardrail": "GUARDRAIL",
        "evaluator": "EVALUATOR",
    },
}
"""The kind of a span without KIND_ATTRIBUTE, by attributes in order of preference and by their values."""

ERROR_ATTRIBUTE = "error.type"
"""OpenTelemetry's name for the class of the error that a failed span ended with."""

NO_ERROR_TYPE = "_OTHER"
"""What OpenTelemetry writes into ERROR_ATTRIBUTE where a tracer knows no class."""


def wanted_attributes(agent_attributes: Sequence[str]) -> list[str]:
    """Every attribute that may fill a column, each once; `agent_attributes` are those that may name the agent.

    KIND_ATTRIBUTE is not among them: it is the field `span_kind` of every source.
    """
    names = [name for names in COLUMN_ATTRIBUTES.values() for name in names]
    return list(dict.fromkeys([*agent_attributes, *names, *KIND_OF_VALUE, ERROR_ATTRIBUTE]))
