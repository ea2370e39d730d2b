"""Requests to Phoenix: authentication, timeouts, retries, paging, and faults as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx
import stamina

from resources.reading import PhoenixError

CONNECT_TIMEOUT_SECONDS = 10
ARROW = "application/x-pandas-arrow"
JSON = "application/json"

COUNT_SPANS = """
query countSpans($project: ID!, $times: TimeRange!) {
  node(id: $project) { ... on Project { recordCount(timeRange: $times) } }
}
"""


class PhoenixConnection:
    """An open connection to one server; use it as a context manager. Every method raises PhoenixError."""

    def __init__(self, endpoint: str, api_key: str, timeout_seconds: float) -> None:
        self._address = public_address(endpoint)
        self._has_key = bool(api_key.strip())
        self._timeout_seconds = timeout_seconds
        retrying = stamina.RetryingCaller(attempts=3, timeout=15, wait_initial=0.5, wait_max=4, wait_jitter=0.5)
        self._retry = retrying.on(_may_help)
        self._retry_unless_broken = retrying.on(lambda error: _may_help(error) and not _is_broken_off(error))
        self._client = httpx.Client(
            base_url=_parsed(endpoint),
            headers=authorization(api_key),
            timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_TIMEOUT_SECONDS, timeout_seconds)),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def pages(self, path: str, params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The rows of a paged list, from the cursor in `params` if there is one, to its end."""
        cursor: str | None = None
        while True:
            page = self._page(path, {**params, "cursor": cursor} if cursor else params)
            yield from page["data"]
            cursor = page["next_cursor"]
            if not cursor:
                return

    def first_page(self, path: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows of a paged list's first page."""
        return self._page(path, params)["data"]

    def _page(self, path: str, params: Mapping[str, Any]) -> dict[str, Any]:
        where = {name: value for name, value in params.items() if value is not None}
        answer = self._retry(self._send, "GET", path, JSON, params=where)
        try:
            page = answer.json()
        except ValueError as error:
            raise self._broke_off(str(error)) from error
        # Without `next_cursor` nothing would say whether this is the last page.
        if not isinstance(page, dict) or not isinstance(page.get("data"), list) or "next_cursor" not in page:
            raise self._not_phoenix(answer)
        return page

    def query(self, params: Mapping[str, str], body: Mapping[str, Any]) -> bytes | None:
        """The answer to one request of span queries: Arrow streams, one after the other; None where Phoenix cannot
        write them, or they do not arrive whole."""
        # Arrow columns hold one type. Where an attribute is a text in one span and a number in another, Phoenix
        # answers 200, and drops the connection before the body or in the middle of it.
        once = {"accept": ARROW, "connection": "close"}
        with suppress(BrokenOffError):
            answer = self._retry_unless_broken(
                self._send, "POST", "v1/spans", ARROW, params=params, body=body, headers=once
            )
            return answer.content or None
        return None

    def count_spans(self, project_id: str, start: datetime, end: datetime) -> int | None:
        """How many spans the project has in [start, end), in aware times; None where GraphQL is not let through.

        For checks only: Phoenix keeps counts for a while, so there may be more.
        """
        times = {"start": start.isoformat(), "end": end.isoformat()}
        body = {"query": COUNT_SPANS, "variables": {"project": project_id, "times": times}}
        try:
            answer = self._retry(self._send, "POST", "graphql", JSON, params={}, body=body).json()
        except PhoenixError as error:
            if error.retryable:
                raise
            return None
        except ValueError:
            return None
        project = ((answer.get("data") or {}) if isinstance(answer, dict) else {}).get("node") or {}
        count = project.get("recordCount")
        return count if isinstance(count, int) else None

    def _send(
        self,
        method: str,
        path: str,
        content_type: str,
        *,
        params: Mapping[str, Any],
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        try:
            answer = self._client.request(method, path, params=params, json=body, headers=headers)
        except httpx.TimeoutException as error:
            raise PhoenixError(
                f"Phoenix at {self._address} did not answer within {self._timeout_seconds:g} s: see whether the server "
                "that PHOENIX_ENDPOINT names is overloaded, or raise request_timeout_seconds.",
                retryable=True,
            ) from error
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.DecodingError) as error:
            raise self._broke_off(str(error)) from error
        except httpx.RequestError as error:
            raise PhoenixError(
                f"Phoenix at {self._address} cannot be reached ({error}): start the server, or correct "
                "PHOENIX_ENDPOINT.",
                retryable=True,
            ) from error
        self._refuse_unless_ok(answer, content_type)
        return answer

    def _refuse_unless_ok(self, answer: httpx.Response, content_type: str) -> None:
        status = answer.status_code
        if status in (401, 403):
            advice = (
                "refuses the API key: set PHOENIX_API_KEY to a key that is valid there"
                if self._has_key
                else "asks for an API key, and PHOENIX_API_KEY is not set: set it"
            )
            raise PhoenixError(
                f"Phoenix at {self._address} {advice}. Keys are made on Phoenix's page Settings, API Keys. "
                f"(HTTP {status})",
                retryable=False,
            )
        if status == 429 or status >= 500:
            raise PhoenixError(
                f"Phoenix at {self._address} cannot answer now (HTTP {status}): try again later, and if it lasts, read "
                "the log of the server that PHOENIX_ENDPOINT names.",
                retryable=True,
            )
        if status == 200 and answer.headers.get("content-type", "").startswith(content_type):
            return
        if status == 422:
            raise PhoenixError(
                f"Phoenix at {self._address} does not understand the request, so its version may be too old: "
                f"{answer.text[:200]} (HTTP 422)",
                retryable=False,
            )
        raise self._not_phoenix(answer)

    def _not_phoenix(self, answer: httpx.Response) -> PhoenixError:
        # Phoenix itself answers an address that it does not know with 200 and its HTML page.
        kind = answer.headers.get("content-type", "no content").partition(";")[0]
        error = NotFoundError if answer.status_code == 404 else PhoenixError
        return error(
            f"{self._address} answers {answer.request.url.path} with HTTP {answer.status_code} and {kind}, as Phoenix "
            "does not: set PHOENIX_ENDPOINT to Phoenix's base URL, without /v1 or a page's path.",
            retryable=False,
        )

    def _broke_off(self, reason: str) -> BrokenOffError:
        return BrokenOffError(
            f"Phoenix at {self._address} broke off its answer ({reason}): read the log of the server that "
            "PHOENIX_ENDPOINT names.",
            retryable=True,
        )


class NotFoundError(PhoenixError):
    """The server has nothing at the address, or nothing of what was asked for there (HTTP 404)."""


class BrokenOffError(PhoenixError):
    """The connection ended within an answer."""


def public_address(endpoint: str) -> str:
    """The endpoint as people may see it: without user name and password, and without a slash at its end.

    Raises PhoenixError where it is no web address.
    """
    return str(_parsed(endpoint).copy_with(userinfo=b"")).rstrip("/")


def _parsed(endpoint: str) -> httpx.URL:
    try:
        url = httpx.URL(endpoint)
    except httpx.InvalidURL:
        # Its words may quote a part of a password.
        raise PhoenixError(
            "PHOENIX_ENDPOINT is not a web address: it must look like http://localhost:6006. In a user name or "
            "password write / as %2F and @ as %40.",
            retryable=False,
        ) from None
    # A password with a / as it is would end the host, and its rest would be shown as a path.
    if "@" in str(url.copy_with(userinfo=b"")):
        raise PhoenixError(
            "PHOENIX_ENDPOINT has an @ behind its host, so its user name or password seems to hold a /, ? or # as it "
            "is: write them as %2F, %3F and %23 there.",
            retryable=False,
        )
    if url.scheme not in ("http", "https") or not url.host:
        raise PhoenixError(
            "PHOENIX_ENDPOINT is not a web address: it must look like http://localhost:6006.", retryable=False
        )
    return url


def authorization(api_key: str) -> dict[str, str]:
    """The headers that log in with the key; none for no key. Raises PhoenixError for a key that cannot be sent."""
    key = api_key.strip()
    if not key:
        return {}
    # The HTTP library would quote such a key in its own error.
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise PhoenixError(
            "PHOENIX_API_KEY holds a blank, a line break or another character that no key has: copy the key again.",
            retryable=False,
        )
    return {"authorization": f"Bearer {key}"}


def _is_broken_off(error: Exception) -> bool:
    return isinstance(error, BrokenOffError)


def _may_help(error: Exception) -> bool:
    return isinstance(error, PhoenixError) and error.retryable
