"""Asking Railway's GraphQL API: tokens, rate limits, retries, and refusals as sentences. What is asked is elsewhere."""

from __future__ import annotations

import functools
import math
import random
import ssl
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import stamina

from resources.reading import RailwayError

if TYPE_CHECKING:
    import httpx

MAX_WAIT_SECONDS = 60.0
"""The most that one reading waits for rate limits, all its requests together."""

ATTEMPTS = 3
"""How often a request is sent that meets a failing server or connection. Rate limits are not counted."""

LONGEST_GUESSED_WAIT_SECONDS = 16.0
"""The most that is waited for a rate limit at once, where Railway does not say how long it takes."""


class UnansweredError(RailwayError):
    """Railway or the way to it failed at once, so that asking again costs little and may help."""


@dataclass
class RailwayApi:
    """One reading's connection to Railway. Queries only read, so that sending one again is always safe.

    Raises RailwayError from `query` and nothing else; the token is in no message and no repr.
    """

    endpoint: str
    token: str = field(repr=False)
    uses_project_token: bool
    timeout_seconds: float
    max_wait_seconds: float = MAX_WAIT_SECONDS
    _waited_seconds: float = field(default=0.0, init=False)
    _quota_returns_in: float | None = field(default=None, init=False)
    _client: httpx.Client | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        import httpx

        # A character that no header can hold would make the HTTP library quote the token in its error.
        if not self.token or not self.token.isascii() or not self.token.isprintable() or " " in self.token:
            raise RailwayError(
                f"{self.token_setting} is empty or contains a space, a line break or another character that no token "
                "has: copy the token again.",
                retryable=False,
            )
        name, value = (
            ("Project-Access-Token", self.token)
            if self.uses_project_token
            else ("Authorization", f"Bearer {self.token}")
        )
        self._client = httpx.Client(headers={name: value}, timeout=self.timeout_seconds, verify=_certificates())
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()

    @property
    def token_setting(self) -> str:
        return "RAILWAY_TOKEN" if self.uses_project_token else "RAILWAY_API_TOKEN"

    def query(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The `data` of the answer. Variables that are None are left out: Railway reads null as a value of its own."""
        if self._quota_returns_in is not None:
            self._wait(self._quota_returns_in)
        body = {"query": query, "variables": {name: value for name, value in variables.items() if value is not None}}
        retry = stamina.RetryingCaller(attempts=ATTEMPTS, timeout=None, wait_initial=0.25, wait_max=2, wait_jitter=0.5)
        return self._data(retry(UnansweredError, self._attempt, body))

    def _attempt(self, body: dict[str, Any]) -> httpx.Response:
        """Railway's answer, whatever it says. Waits out rate limits."""
        guesses = 0
        while True:
            response = self._send(body)
            remaining = response.headers.get("X-RateLimit-Remaining")
            reset = _seconds_until(response.headers.get("X-RateLimit-Reset"))
            self._quota_returns_in = reset if remaining == "0" else None
            if response.status_code != 429:
                return response
            told = _seconds_until(response.headers.get("Retry-After")) or reset
            self._wait(told or min(2.0**guesses, LONGEST_GUESSED_WAIT_SECONDS))
            guesses += not told

    def _send(self, body: dict[str, Any]) -> httpx.Response:
        import httpx

        assert self._client is not None, "RailwayApi is a context manager: use it in a with block."
        try:
            response = self._client.post(self.endpoint, json=body)
        except httpx.TimeoutException as error:
            # It has cost the whole of timeout_seconds already, so it is not sent again.
            raise RailwayError(
                f"Railway did not answer within {self.timeout_seconds:g} s at {self.endpoint} (RAILWAY_ENDPOINT). "
                "Try again later.",
                retryable=True,
            ) from error
        except httpx.RequestError as error:
            raise UnansweredError(
                f"Railway could not be reached at {self.endpoint} ({type(error).__name__}). Check RAILWAY_ENDPOINT "
                "and the network.",
                retryable=True,
            ) from error
        if response.status_code >= 500:
            raise UnansweredError(
                f"Railway failed with HTTP {response.status_code}. Nothing needs to be set; try again later.",
                retryable=True,
            )
        return response

    def _wait(self, seconds: float) -> None:
        seconds = max(seconds, 0.5)
        if self._waited_seconds + seconds > self.max_wait_seconds:
            at = datetime.fromtimestamp(time.time() + seconds, UTC)
            raise RailwayError(
                f"Railway allows {self.token_setting} no further request until {at:%Y-%m-%d %H:%M:%S} UTC, which is "
                f"longer than the {self.max_wait_seconds:g} s that a reading may wait in all. Try again then, or use a "
                "plan with a higher limit.",
                retryable=True,
            )
        # Never earlier than told, and not all readers at the same moment.
        seconds *= random.uniform(1.0, 1.1)
        self._waited_seconds += seconds
        time.sleep(seconds)

    def _data(self, response: httpx.Response) -> dict[str, Any]:
        if response.status_code in (401, 403):
            raise self._unauthorized(f"HTTP {response.status_code}")
        content_type = response.headers.get("Content-Type", "without a content type").split(";")[0]
        try:
            answer = response.json()
        except ValueError as error:
            raise self._not_railway(response.status_code, content_type) from error
        if not isinstance(answer, dict):
            raise self._not_railway(response.status_code, content_type)
        if answer.get("errors"):
            raise self._refusal(answer["errors"])
        if not isinstance(answer.get("data"), dict):
            raise self._not_railway(response.status_code, content_type)
        return answer["data"]

    def _not_railway(self, status: int, content_type: str) -> RailwayError:
        return RailwayError(
            f"{self.endpoint} answered HTTP {status} with {content_type}, which is not Railway's GraphQL API. Set "
            "RAILWAY_ENDPOINT to https://backboard.railway.com/graphql/v2, or leave it out.",
            retryable=False,
        )

    def _refusal(self, errors: Any) -> RailwayError:
        first = errors[0] if isinstance(errors, list) else errors
        error: dict[str, Any] = first if isinstance(first, dict) else {"message": first}
        said = str(error.get("message", "an error without a message")).replace(self.token, "<token>")
        if "not authorized" in said.lower():
            return self._unauthorized(repr(said))
        extensions = error.get("extensions")
        code = extensions.get("code") if isinstance(extensions, dict) else None
        return RailwayError(
            f"Railway refused the query: {said!r}. Check RAILWAY_ENVIRONMENT_ID, RAILWAY_PROJECT_ID and "
            "RAILWAY_SERVICE_ID, and that the token may see them.",
            retryable=code == "INTERNAL_SERVER_ERROR",
        )

    def _unauthorized(self, said: str) -> RailwayError:
        other = (
            "An account or workspace token belongs into RAILWAY_API_TOKEN instead."
            if self.uses_project_token
            else "A project token belongs into RAILWAY_TOKEN instead, with RAILWAY_API_TOKEN unset."
        )
        return RailwayError(
            f"Railway answered {said}: {self.token_setting} is wrong, was revoked, or may not see "
            f"RAILWAY_ENVIRONMENT_ID. Make a new token in Railway's settings. {other}",
            retryable=False,
        )


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The trusted authorities, loaded once a process: it takes 0.1 s."""
    import httpx

    return httpx.create_ssl_context()


def _seconds_until(value: str | None) -> float | None:
    """Seconds from now, at least 0, that a Retry-After or X-RateLimit-Reset header means; None where it says nothing.

    Railway documents X-RateLimit-Reset as a time without saying how it is written, so that all usual ways are read:
    seconds from now, seconds since 1970 or thousandths, millionths or billionths of them, ISO 8601, and the HTTP date.
    """
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return _seconds_until_date(value)
    if not math.isfinite(number):
        return None
    now = time.time()
    while number > 1e11:
        number /= 1000
    if number > 1e9:
        number -= now
    return max(number, 0.0)


def _seconds_until_date(value: str) -> float | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(value)
        except ValueError:
            continue
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(moment.timestamp() - time.time(), 0.0)
    return None
