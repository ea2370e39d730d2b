"""Which span attributes fill which column: OpenInference's names first, then OpenTelemetry GenAI's.

Sources: OpenInference semantic conventions; OpenTelemetry semantic conventions for generative AI.
"""

from __future__ import annotations

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
