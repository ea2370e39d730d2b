"""Which span attributes fill which column: OpenInference's names first, then OpenTelemetry GenAI's.

Sources: OpenInference semantic conventions; OpenTelemetry semantic conventions for generative AI.
docs/other-tracers.md shows the same for people.
"""

from __future__ import annotations

from collections.abc import Sequence

COLUMN_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "model": ("llm.model_name", "gen_ai.response.model", "gen_ai.request.model"),
    "provider": ("llm.provider", "llm.system", "gen_ai.provider.name", "gen_ai.system"),
    "tool": ("tool.name", "gen_ai.tool.name"),
    "prompt_tokens": ("llm.token_count.prompt", "gen_ai.usage.input_tokens"),
    "completion_tokens": ("llm.token_count.completion", "gen_ai.usage.output_tokens"),
    "cost_usd": ("llm.cost.total",),
    "session_id": ("session.id", "gen_ai.conversation.id"),
    "task_id": ("metadata.task_id", "task.id"),
    "program_version": ("metadata.program_version", "program.version"),
}
"""For each column of `raw_spans`, the attributes that may hold it, in order of preference."""

KIND_ATTRIBUTE = "openinference.span.kind"

OPERATION_ATTRIBUTE = "gen_ai.operation.name"

KIND_OF_OPERATION = {
    "chat": "LLM",
    "text_completion": "LLM",
    "generate_content": "LLM",
    "embeddings": "EMBEDDING",
    "execute_tool": "TOOL",
    "invoke_agent": "AGENT",
    "create_agent": "AGENT",
}
"""The kind of a span without KIND_ATTRIBUTE, by its OPERATION_ATTRIBUTE."""


def wanted_attributes(agent_attributes: Sequence[str]) -> list[str]:
    """Every attribute that may fill a column, each once; `agent_attributes` are those that may name the agent."""
    names = [*agent_attributes, *(name for names in COLUMN_ATTRIBUTES.values() for name in names), OPERATION_ATTRIBUTE]
    return list(dict.fromkeys(names))
