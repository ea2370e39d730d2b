"""An MCP server on pipes that speaks as the npm package @arizeai/phoenix-mcp does, in front of any Phoenix's REST.

The package itself may be missing from a closed registry, so this program stands in for it. It keeps to the package's
contract as far as spans are concerned, with its traps: arguments that it does not know are ignored, projects come as a
bare list without a cursor, spans come newest first and in no other order, and failures are results with `isError`.

It is started as a program. Address and key of Phoenix are PHOENIX_HOST and PHOENIX_API_KEY in its environment. The
argument `--camel-case` spells the tools' arguments as other versions of the package do.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import anyio
import httpx
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)

SNAKE_CASE = {"project": "project_identifier", "start": "start_time", "end": "end_time"}
CAMEL_CASE = {"project": "projectIdentifier", "start": "startTime", "end": "endTime"}
TEXT = {"type": "string"}
DEFAULT_PROJECT = "default"


class RefusedError(Exception):
    """Phoenix, or the tool itself, refused the call; the message goes into the result."""


def tools(spelling: Mapping[str, str]) -> list[Tool]:
    spans = dict.fromkeys((*spelling.values(), "cursor"), TEXT) | {"limit": a_limit(1000)}
    projects = {"cursor": TEXT, "limit": a_limit(500)}
    return [
        Tool(name="list-projects", input_schema={"type": "object", "properties": projects}),
        Tool(name="get-spans", input_schema={"type": "object", "properties": spans}),
    ]


def a_limit(maximum: int) -> dict[str, Any]:
    return {"type": "number", "minimum": 1, "maximum": maximum, "default": 100}


async def list_projects(phoenix: httpx.AsyncClient, arguments: Mapping[str, Any]) -> Any:
    page = await get(phoenix, "/v1/projects", {"limit": limit(arguments, 500), "cursor": arguments.get("cursor")})
    return page["data"]


async def get_spans(phoenix: httpx.AsyncClient, arguments: Mapping[str, Any], spelling: Mapping[str, str]) -> Any:
    asked = {
        "limit": limit(arguments, 1000),
        "cursor": arguments.get("cursor"),
        "start_time": arguments.get(spelling["start"]),
        "end_time": arguments.get(spelling["end"]),
    }
    project = arguments.get(spelling["project"], DEFAULT_PROJECT)
    page = await get(phoenix, f"/v1/projects/{quote(project, safe='')}/spans", asked)
    return {"spans": page["data"], "nextCursor": page["next_cursor"]}


def limit(arguments: Mapping[str, Any], maximum: int) -> int:
    asked = arguments.get("limit", 100)
    if not 1 <= asked <= maximum:
        raise RefusedError(f"Input validation error: limit must be between 1 and {maximum}")
    return asked


async def get(phoenix: httpx.AsyncClient, path: str, params: Mapping[str, Any]) -> Any:
    try:
        answer = await phoenix.get(path, params={name: value for name, value in params.items() if value is not None})
    except httpx.TransportError as error:
        raise RefusedError("fetch failed") from error
    if not answer.is_success:
        raise RefusedError(f"{answer.url}: {answer.status_code} {answer.reason_phrase}")
    return answer.json()


async def serve(spelling: Mapping[str, str]) -> None:
    key = os.environ.get("PHOENIX_API_KEY", "")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    phoenix = httpx.AsyncClient(base_url=os.environ["PHOENIX_HOST"], headers=headers, timeout=60)

    async def on_list_tools(
        _context: ServerRequestContext[Any], _params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return ListToolsResult(tools=tools(spelling))

    async def on_call_tool(_context: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        arguments = params.arguments or {}
        try:
            if params.name == "list-projects":
                found = await list_projects(phoenix, arguments)
            elif params.name == "get-spans":
                found = await get_spans(phoenix, arguments, spelling)
            else:
                raise RefusedError(f"Tool {params.name} not found")
        except RefusedError as refusal:
            return CallToolResult(content=[TextContent(type="text", text=str(refusal))], is_error=True)
        return CallToolResult(content=[TextContent(type="text", text=json.dumps(found, indent=2))])

    server = Server("phoenix-mcp-server", on_list_tools=on_list_tools, on_call_tool=on_call_tool)
    async with phoenix, stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(serve, CAMEL_CASE if "--camel-case" in sys.argv[1:] else SNAKE_CASE)
