"""The connection to Slack: one request after another, rate limits waited out, failures as sentences."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from resources.reading import SlackError
from resources.slack_refusals import POSTING, doubt, refusal

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError
    from slack_sdk.web import SlackResponse

MAX_RATE_LIMIT_WAIT_SECONDS = 30
"""The most that posting a message, or looking for one, waits for Slack's rate limits, all its requests together."""


@dataclass
class SlackConnection:
    """Slack's Web API for one piece of work. `channel` is what messages to people call the channel."""

    token: str
    channel: str
    base_url: str
    timeout_seconds: float
    may_wait_seconds: float = MAX_RATE_LIMIT_WAIT_SECONDS
    """What is left of the time for waiting out rate limits."""

    def __post_init__(self) -> None:
        # A character that no header can hold would make the HTTP library quote the token in its error.
        if not re.fullmatch(r"[\x21-\x7e]+", self.token):
            raise SlackError(
                "SLACK_BOT_TOKEN is empty or contains a space, a line break or another character that no token has: "
                "copy the token again.",
                retryable=False,
                surely_refused=True,
            )

    def call(self, method: str, **arguments: Any) -> SlackResponse:
        """Slack's answer; arguments that are None are left out. Raises SlackError, or one of its kinds."""
        from slack_sdk.errors import SlackApiError

        given = {name: value for name, value in arguments.items() if value is not None}
        # Blocks and metadata are JSON; most of the other methods take forms only.
        json, form = (given, None) if method == POSTING else (None, given)
        client = self._client()
        while True:
            try:
                return client.api_call(method, json=json, params=form)
            except SlackApiError as error:
                wait = _rate_limit_seconds(error)
                if wait is None:
                    raise refusal(error, method, self.channel, self.base_url) from error
                self.wait_out(wait)
            except (OSError, HTTPException, UnicodeError, LookupError) as error:
                # A refused, reset or timed-out connection is an OSError, an answer that broke off an HTTPException; an
                # error page of a proxy's may be in another encoding than it says.
                raise SlackError(
                    f"The connection to Slack at {self.base_url} failed ({type(error).__name__}){doubt(method)}. "
                    "Check the network and SLACK_BASE_URL.",
                    retryable=True,
                ) from error

    def pages(self, method: str, **arguments: Any) -> Iterator[SlackResponse]:
        """All of Slack's pages, to the end. Raises what `call` does."""
        cursor: str | None = None
        while True:
            page = self.call(method, **arguments, cursor=cursor)
            yield page
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return

    def wait_out(self, seconds: float) -> None:
        """Waits as Slack asks. Raises SlackError where that takes longer than this work may wait."""
        if seconds > self.may_wait_seconds:
            raise SlackError(
                f"Slack limits the rate of requests and asks to wait {seconds:g} s, longer than the "
                f"{self.may_wait_seconds:g} s that may still be waited here. Try again then.",
                retryable=True,
                surely_refused=True,
                not_for_seconds=seconds,
            )
        self.may_wait_seconds -= seconds
        time.sleep(seconds)

    def _client(self) -> WebClient:
        from slack_sdk import WebClient

        # The client's own handler posts again after a dropped connection, which may post twice.
        return WebClient(
            token=self.token,
            base_url=self.base_url,
            timeout=max(1, round(self.timeout_seconds)),
            retry_handlers=[],
        )


def retry_after_seconds(headers: dict[str, str]) -> float:
    """How long an answer about rate limits asks to wait; names of headers in any case."""
    told = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
    return max(float(told), 1.0) if re.fullmatch(r"\d+(\.\d+)?", told) else 1.0


def _rate_limit_seconds(error: SlackApiError) -> float | None:
    """Seconds to wait before the same request may be sent again; None where it was refused for another reason."""
    response = error.response
    limited = isinstance(response.data, dict) and response.data.get("error") in ("ratelimited", "rate_limited")
    return retry_after_seconds(dict(response.headers)) if response.status_code == 429 or limited else None
