"""What /openapi.json says beyond what the routes themselves do."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

ABOUT = """Watches a fleet of LLM agents and improves it.

Send a token as `Authorization: Bearer …`; `perf-pipeline token create` makes one. Scopes: `read` sees everything,
`trigger` runs the pipeline, `approve` acts and answers for the person of the token, `admin` may do all of it.
Errors are problems by RFC 9457. All times are UTC in ISO 8601.
"""

TAGS = [
    {"name": "pipeline", "description": "Running the pipeline now, and how it stands."},
    {"name": "agents", "description": "Figures of the agents, per window."},
    {"name": "incidents", "description": "What is wrong, who looks after it, and what nobody wants to hear."},
    {"name": "optimizations", "description": "Requests to optimize agents, and people's answers to them."},
    {"name": "programs", "description": "Versions of the agents' programs, for agent processes."},
    {"name": "health", "description": "For supervisors and Prometheus."},
    {"name": "slack", "description": "What Slack itself sends."},
    {"name": "browser", "description": "Logging in with a browser."},
]


def describe(app: FastAPI) -> None:
    """Let the application describe itself, with its errors as problem+json."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            described = get_openapi(
                title=app.title, version=app.version, description=ABOUT, routes=app.routes, tags=TAGS
            )
            for operations in described["paths"].values():
                for operation in operations.values():
                    _problems(operation["responses"])
            app.openapi_schema = described
        return app.openapi_schema

    app.openapi = openapi


def _problems(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        content = response.get("content", {})
        if status >= "400" and "application/json" in content:
            content["application/problem+json"] = content.pop("application/json")
