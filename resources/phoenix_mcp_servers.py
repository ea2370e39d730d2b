"""The two ways to an MCP server: Phoenix's own `/mcp` on the web, and a program that is spoken to by pipes."""

from __future__ import annotations

import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from resources.phoenix_connection import CONNECT_TIMEOUT_SECONDS, authorization, public_address
from resources.reading import PhoenixError

if TYPE_CHECKING:
    import httpx2
    from mcp import ClientSession

STATUS_IN_TEXT = re.compile(r"(?:HTTP error|:) ([45]\d\d)\b")
UNREACHABLE_IN_TEXT = re.compile(r"fetch failed|ECONNREFUSED|ENOTFOUND|[Cc]onnection (?:refused|attempts failed)")
QUOTED_CHARACTERS = 300


class WebServer:
    """The MCP server within Phoenix, at `/mcp`."""

    def __init__(self, endpoint: str, api_key: str, timeout_seconds: float) -> None:
        self._phoenix = Phoenix(endpoint, api_key, timeout_seconds)
        self._url = f"{endpoint.rstrip('/')}/mcp"
        self._headers = authorization(api_key)
        self._last_status = 200
        self._last_content_type = ""

    @asynccontextmanager
    async def session(self) -> AsyncIterator[ClientSession]:
        import httpx2
        from mcp import Client
        from mcp.client.streamable_http import streamable_http_client

        self._last_status, self._last_content_type = 200, ""
        seconds = self._phoenix.timeout_seconds
        timeout = httpx2.Timeout(seconds, connect=min(CONNECT_TIMEOUT_SECONDS, seconds))
        hooks = {"response": [self._note]}
        async with httpx2.AsyncClient(headers=self._headers, timeout=timeout, event_hooks=hooks) as http_client:
            # A page of spans is larger than the library's limit for one event.
            transport = streamable_http_client(self._url, http_client=http_client, max_sse_event_size=None)
            async with Client(transport, read_timeout_seconds=seconds) as client:
                yield client.session

    async def _note(self, answer: httpx2.Response) -> None:
        # The library's own errors do not say the status.
        self._last_status = answer.status_code
        self._last_content_type = answer.headers.get("content-type", "no content").partition(";")[0]

    def fault(self, errors: Sequence[BaseException]) -> PhoenixError:
        import httpx2

        if any(isinstance(error, httpx2.TimeoutException) for error in errors) or _timed_out(errors):
            return self._phoenix.too_slow()
        for error in errors:
            if isinstance(error, httpx2.ConnectError):
                return self._phoenix.unreachable(self._phoenix.without_secrets(str(error)))
        if self._last_status in (401, 403, 429) or self._last_status >= 500:
            return self._phoenix.refused(self._last_status)
        if self._last_status >= 300 or self._last_content_type == "text/html":
            return PhoenixError(
                f"{self._phoenix.address} answers /mcp with HTTP {self._last_status} and {self._last_content_type}, as "
                "Phoenix's MCP server does not: set PHOENIX_ENDPOINT to Phoenix's base URL, without /mcp or a page's "
                "path, and see that this version of Phoenix has an MCP server.",
                retryable=False,
            )
        return PhoenixError(
            f"The MCP server of Phoenix at {self._phoenix.address} broke off its answer "
            f"({self._phoenix.in_words(errors)}): read the log of the server that PHOENIX_ENDPOINT names.",
            retryable=True,
        )

    def refusal(self, tool: str, text: str) -> PhoenixError:
        if text.startswith("Unknown tool"):
            return PhoenixError(
                f"The MCP server of Phoenix at {self._phoenix.address} has no tool {tool}, so its version is too old "
                "or too new: take one that the README names, or set PHOENIX_ENABLE_MCP_CODE_MODE=false there.",
                retryable=False,
            )
        return self._phoenix.refused_by_tool(tool, text)


class CommandServer:
    """An MCP server that is started for us, such as `npx -y @arizeai/phoenix-mcp@<version>`.

    It gets the address and the key of Phoenix in its environment, by the names that the npm package documents, and of
    our own environment only what the MCP library passes on: PATH, HOME, the user's name, shell and terminal.
    """

    def __init__(self, command: Sequence[str], endpoint: str, api_key: str, timeout_seconds: float) -> None:
        self._phoenix = Phoenix(endpoint, api_key, timeout_seconds)
        self._command = list(command)
        address = endpoint.rstrip("/")
        # The package read PHOENIX_BASE_URL first and PHOENIX_HOST later.
        self._environment = {"PHOENIX_HOST": address, "PHOENIX_BASE_URL": address}
        if authorization(api_key):
            self._environment["PHOENIX_API_KEY"] = api_key.strip()
        self._last_words = ""

    @asynccontextmanager
    async def session(self) -> AsyncIterator[ClientSession]:
        from mcp import Client, StdioServerParameters
        from mcp.client.stdio import stdio_client

        program, *arguments = self._command
        started = StdioServerParameters(command=program, args=arguments, env=self._environment)
        self._last_words = ""
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as spoken:
            try:
                transport = stdio_client(started, errlog=spoken)
                # Servers on pipes know the older handshake; a question for the newer one would double the waiting.
                async with Client(
                    transport, mode="legacy", read_timeout_seconds=self._phoenix.timeout_seconds
                ) as client:
                    yield client.session
            finally:
                spoken.seek(0)
                said = self._phoenix.without_secrets(" ".join(spoken.read().split()))
                self._last_words = said[-QUOTED_CHARACTERS:]

    def fault(self, errors: Sequence[BaseException]) -> PhoenixError:
        for error in errors:
            if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
                return PhoenixError(
                    f"{self._named()} cannot be started ({error.strerror}): install it, or correct the setting.",
                    retryable=False,
                )
        said = f" It said: {self._last_words}" if self._last_words else ""
        if _timed_out(errors):
            return PhoenixError(
                f"{self._named()} did not answer within {self._phoenix.timeout_seconds:g} s: see whether it speaks MCP "
                f"and reaches Phoenix, or raise request_timeout_seconds.{said}",
                retryable=True,
            )
        return PhoenixError(
            f"{self._named()} ended or failed ({self._phoenix.in_words(errors)}): start it by hand to see why.{said}",
            retryable=True,
        )

    def refusal(self, tool: str, text: str) -> PhoenixError:
        return self._phoenix.refused_by_tool(tool, text)

    def _named(self) -> str:
        return f"The MCP server {self._command[0]!r} that fleet.yaml's sources.phoenix_mcp_command names"


class Phoenix:
    """The server behind an MCP server, and what can be wrong with it, in sentences without secrets."""

    def __init__(self, endpoint: str, api_key: str, timeout_seconds: float) -> None:
        self.address = public_address(endpoint)
        self.timeout_seconds = timeout_seconds
        self._api_key = api_key.strip()
        self._secrets = sorted({self._api_key, *_credentials(endpoint)} - {""}, key=len, reverse=True)

    def refused(self, status: int) -> PhoenixError:
        if status in (401, 403):
            advice = (
                "refuses the API key: set PHOENIX_API_KEY to a key that is valid there"
                if self._api_key
                else "asks for an API key, and PHOENIX_API_KEY is not set: set it"
            )
            return PhoenixError(
                f"Phoenix at {self.address} {advice}. Keys are made on Phoenix's page Settings, API Keys. "
                f"(HTTP {status})",
                retryable=False,
            )
        return PhoenixError(
            f"Phoenix at {self.address} cannot answer now (HTTP {status}): try again later, and if it lasts, read the "
            "log of the server that PHOENIX_ENDPOINT names.",
            retryable=True,
        )

    def refused_by_tool(self, tool: str, text: str) -> PhoenixError:
        found = STATUS_IN_TEXT.search(text)
        status = int(found[1]) if found else None
        if status is not None and (status in (401, 403, 429) or status >= 500):
            return self.refused(status)
        if UNREACHABLE_IN_TEXT.search(text):
            return self.unreachable(f"says the MCP tool {tool}")
        return PhoenixError(
            f"The MCP tool {tool} failed for Phoenix at {self.address}, so the versions of the two may not fit: "
            f"{self.without_secrets(text)[:QUOTED_CHARACTERS]}",
            retryable=False,
        )

    def unreachable(self, reason: str) -> PhoenixError:
        return PhoenixError(
            f"Phoenix at {self.address} cannot be reached ({reason}): start the server, or correct PHOENIX_ENDPOINT.",
            retryable=True,
        )

    def too_slow(self) -> PhoenixError:
        return PhoenixError(
            f"Phoenix at {self.address} did not answer within {self.timeout_seconds:g} s: see whether the server that "
            "PHOENIX_ENDPOINT names is overloaded, or raise request_timeout_seconds.",
            retryable=True,
        )

    def in_words(self, errors: Sequence[BaseException]) -> str:
        """The errors' kinds and texts, each once, without secrets."""
        words = "; ".join(dict.fromkeys(f"{type(error).__name__}: {error}" for error in errors))
        return self.without_secrets(words)[:QUOTED_CHARACTERS]

    def without_secrets(self, text: str) -> str:
        """The text without the key and the endpoint's user name and password. Cut it afterwards, not before."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _credentials(endpoint: str) -> set[str]:
    """User name and password together, and the password, however a program may write them into its errors."""
    written = endpoint.partition("//")[2].rpartition("@")[0]
    user, _, password = map(unquote, written.partition(":"))
    quoted_password = quote(password, safe="")
    return {
        written,
        unquote(written),
        f"{quote(user, safe='')}:{quoted_password}" if written else "",
        written.partition(":")[2],
        password,
        quoted_password,
    }


def _timed_out(errors: Sequence[BaseException]) -> bool:
    from mcp import MCPError
    from mcp.types import REQUEST_TIMEOUT

    return any(isinstance(error, MCPError) and error.code == REQUEST_TIMEOUT for error in errors)
