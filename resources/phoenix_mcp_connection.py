"""Tools of an MCP server as plain calls: a session that is opened when it is needed, and retries."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

import stamina
from anyio.from_thread import BlockingPortal, start_blocking_portal

from resources.reading import PhoenixError

if TYPE_CHECKING:
    from mcp import ClientSession

Answer = TypeVar("Answer")


class McpServer(Protocol):
    """The way to an MCP server, and what to tell people when it is barred."""

    def session(self) -> AbstractAsyncContextManager[ClientSession]:
        """A new session, ready for requests."""
        ...

    def fault(self, errors: Sequence[BaseException]) -> PhoenixError:
        """What is behind the errors of one session that failed, the first one first."""
        ...

    def refusal(self, tool: str, text: str) -> PhoenixError:
        """What is behind the text that a tool gave in place of an answer."""
        ...


class McpConnection:
    """A connection to one server; use it as a context manager. Every method raises PhoenixError."""

    def __init__(self, server: McpServer) -> None:
        self._server = server
        self._session: ClientSession | None = None
        self._opened: AbstractContextManager[ClientSession] | None = None
        retrying = stamina.RetryingCaller(attempts=3, timeout=15, wait_initial=0.5, wait_max=4, wait_jitter=0.5)
        self._retry = retrying.on(_may_help)

    def __enter__(self) -> Self:
        # The library is asynchronous: its event loop gets a thread of its own.
        self._event_loop: AbstractContextManager[BlockingPortal] = start_blocking_portal()
        self._portal = self._event_loop.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._close_session()
        finally:
            self._event_loop.__exit__(None, None, None)

    def input_schemas(self) -> dict[str, Mapping[str, Any]]:
        """The JSON schema of each listed tool's arguments, by the tool's name."""
        return self._retry(self._ask, _listed_schemas)

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        """What the tool answers, parsed from JSON."""
        return self._retry(self._call_once, tool, arguments)

    def _call_once(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult, TextContent

        request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=dict(arguments)))
        # Unlike `call_tool`, this does not list all tools again after each call to look for an output schema.
        result = self._ask(lambda session: session.send_request(request, CallToolResult))
        text = "".join(part.text for part in result.content if isinstance(part, TextContent))
        if result.is_error:
            raise self._server.refusal(tool, text)
        if result.structured_content is not None:
            return result.structured_content
        try:
            return json.loads(text)
        except ValueError as error:
            raise PhoenixError(
                f"The MCP tool {tool} answered with a text that is no JSON: see whether the server is of the versions "
                "that the README names.",
                retryable=False,
            ) from error

    def _ask(self, request: Callable[[ClientSession], Awaitable[Answer]]) -> Answer:
        try:
            if self._session is None:
                opened = self._portal.wrap_async_context_manager(self._server.session())
                self._session = opened.__enter__()
                self._opened = opened
            return self._portal.call(request, self._session)
        except Exception as error:
            # What broke a connection comes to light where its session is closed.
            raise self._server.fault([*_leaves(error), *self._close_session()]) from error

    def _close_session(self) -> list[BaseException]:
        """Closes the session, if one is open, and returns what had gone wrong in it."""
        opened, self._opened, self._session = self._opened, None, None
        if opened is not None:
            try:
                opened.__exit__(None, None, None)
            except Exception as error:  # noqa: BLE001 - it is reported together with the request's own error
                return _leaves(error)
        return []


async def _listed_schemas(session: ClientSession) -> dict[str, Mapping[str, Any]]:
    from mcp.types import PaginatedRequestParams

    schemas: dict[str, Mapping[str, Any]] = {}
    cursor: str | None = None
    while True:
        page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        schemas.update((tool.name, tool.input_schema) for tool in page.tools)
        if not page.next_cursor or page.next_cursor == cursor:
            return schemas
        cursor = page.next_cursor


def _leaves(error: BaseException) -> list[BaseException]:
    """The single errors of a group of groups; an error that is no group is its own."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error]


def _may_help(error: Exception) -> bool:
    return isinstance(error, PhoenixError) and error.retryable
