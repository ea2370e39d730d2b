"""Slack as a channel: posts a message once, and finds again what may have been posted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from perf_pipeline.message import RenderedMessage
from resources.messenger import PostedMessage
from resources.reading import SlackError

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError
    from slack_sdk.web import SlackResponse

EVENT_TYPE = "perf_pipeline_message"
"""The `event_type` of the metadata that carries a message's key."""

MAX_RATE_LIMIT_WAIT_SECONDS = 30
"""The most that one call waits for Slack's rate limits, all its requests together."""

CLOCK_DIFFERENCE = timedelta(minutes=5)
"""How far our clock may be ahead of Slack's for `find` still to see a message."""

BLOCK_REFUSALS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long"})
"""Slack posted nothing because of the layout: the same text without it may be posted."""

UNCERTAIN = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})
"""Slack failed, and its documentation says that the message may have been posted all the same."""

TOKEN_ERRORS = frozenset(
    {"not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type"}
)
CHANNEL_ERRORS = frozenset({"channel_not_found", "not_in_channel", "is_archived", "restricted_action"})


class SlackResource(dg.ConfigurableResource):
    """Posts to one channel as a bot. Needs the scopes chat:write, channels:read and channels:history."""

    token: str = Field(repr=False, description="SLACK_BOT_TOKEN, which begins with xoxb-.")
    channel: str = Field(description="Name of a public channel, with or without #, or the ID of any channel.")
    base_url: str = Field(default="https://slack.com/api/", description="Address of the Web API.")
    request_timeout_seconds: float = Field(default=15, gt=0)

    def describe(self) -> str:
        return f"Slack channel {self.channel} at {self.base_url}"

    @property
    def can_find(self) -> bool:
        return True

    def post(self, message: RenderedMessage, key: str, reply_to: PostedMessage | None = None) -> PostedMessage:
        """Posts the message, with `key` in its metadata; text alone where Slack refuses the blocks.

        Sends again only where Slack surely did not post. Raises SlackError, whose `surely_refused` is false where the
        message may have been posted: then look for the key with `find` before posting again.
        """
        client = self._client()
        metadata = {"event_type": EVENT_TYPE, "event_payload": {"key": key}}

        def send(layout: list[dict[str, Any]] | None) -> SlackResponse:
            return client.chat_postMessage(
                channel=reply_to.channel if reply_to else self.channel,
                thread_ts=reply_to.ts if reply_to else None,
                text=message.slack_text,
                blocks=layout,
                metadata=metadata,
                unfurl_links=False,
                unfurl_media=False,
            )

        try:
            answer = self._call(lambda: send(message.slack_blocks or None), posts=True)
        except _RefusedBlocks:
            answer = self._call(lambda: send(None), posts=True)
        return PostedMessage(str(answer["channel"]), str(answer["ts"]))

    def find(self, key: str, since: datetime, reply_to: PostedMessage | None = None) -> PostedMessage | None:
        """The message that `post` wrote with this key after `since` (aware), or None where the channel holds none.

        Raises SlackError where the history could not be read to its end, so that None always means that it is not there.
        """
        client = self._client()
        channel = reply_to.channel if reply_to else self._channel_id(client)
        oldest = f"{(since - CLOCK_DIFFERENCE).timestamp():.6f}"
        cursor: str | None = None
        while True:
            page = self._call(
                lambda cursor=cursor: client.conversations_history(
                    channel=channel, oldest=oldest, limit=200, cursor=cursor, include_all_metadata=True
                )
            )
            for message in page.get("messages", []):
                metadata = message.get("metadata") or {}
                if metadata.get("event_type") == EVENT_TYPE and metadata.get("event_payload", {}).get("key") == key:
                    return PostedMessage(channel, message["ts"])
            cursor = _next_cursor(page)
            if cursor is None:
                return None

    def _client(self) -> WebClient:
        from slack_sdk import WebClient

        # A character that no header can hold would make the HTTP library quote the token in its error.
        if not re.fullmatch(r"[\x21-\x7e]+", self.token):
            raise SlackError(
                "SLACK_BOT_TOKEN is empty or contains a space, a line break or another character that no token has: "
                "copy the token again.",
                retryable=False,
                surely_refused=True,
            )
        # The client's own handler posts again after a dropped connection, which may post twice.
        return WebClient(
            token=self.token,
            base_url=self.base_url,
            timeout=max(1, round(self.request_timeout_seconds)),
            retry_handlers=[],
        )

    def _channel_id(self, client: WebClient) -> str:
        if re.fullmatch(r"[CDG][A-Z0-9]{8,}", self.channel):
            return self.channel
        name = self.channel.removeprefix("#")
        cursor: str | None = None
        while True:
            page = self._call(
                lambda cursor=cursor: client.conversations_list(
                    types="public_channel", exclude_archived=True, limit=1000, cursor=cursor
                )
            )
            for channel in page.get("channels", []):
                if channel["name"] == name:
                    return channel["id"]
            cursor = _next_cursor(page)
            if cursor is None:
                raise SlackError(
                    f"Slack has no public channel named {self.channel}. Correct SLACK_CHANNEL; for a private channel, "
                    "set it to the channel's ID, which Slack shows at the end of the channel's details.",
                    retryable=False,
                    surely_refused=True,
                )

    def _call(self, request: Callable[[], SlackResponse], *, posts: bool = False) -> SlackResponse:
        """Slack's answer, after waiting out rate limits. Raises SlackError, or _RefusedBlocks, which is one."""
        from slack_sdk.errors import SlackApiError

        waited = 0.0
        while True:
            try:
                return request()
            except SlackApiError as error:
                wait = _rate_limit_seconds(error)
                if wait is None:
                    raise self._refusal(error, posts) from error
                if waited + wait > MAX_RATE_LIMIT_WAIT_SECONDS:
                    raise SlackError(
                        f"Slack limits the rate of requests and asks to wait {wait:g} s, longer than the "
                        f"{MAX_RATE_LIMIT_WAIT_SECONDS} s that a call may wait in all. Try again then.",
                        retryable=True,
                        surely_refused=True,
                    ) from error
                time.sleep(wait)
                waited += wait
            except (OSError, HTTPException) as error:
                # A refused, reset or timed-out connection is an OSError, an answer that broke off an HTTPException.
                raise SlackError(
                    f"The connection to Slack at {self.base_url} failed ({type(error).__name__}){_doubt(posts)}. "
                    "Check the network and SLACK_BASE_URL.",
                    retryable=True,
                ) from error

    def _refusal(self, error: SlackApiError, posts: bool) -> SlackError:
        status = error.response.status_code
        answer = error.response.data if isinstance(error.response.data, dict) else {}
        code = str(answer.get("error", "no reason"))
        if status >= 500 or code in UNCERTAIN:
            return SlackError(
                f"Slack failed ({f'HTTP {status}' if status >= 500 else code}){_doubt(posts)}. Nothing needs to be "
                "set; try again later.",
                retryable=True,
            )
        if not re.fullmatch(r"[a-z_]+", code):
            return SlackError(
                f"{self.base_url} answered HTTP {status} with something that is not Slack's Web API. Set "
                "SLACK_BASE_URL to https://slack.com/api/, or leave it out.",
                retryable=False,
            )
        kind = _RefusedBlocks if code in BLOCK_REFUSALS else SlackError
        return kind(self._advice(code, str(answer.get("needed", ""))), retryable=False, surely_refused=True)

    def _advice(self, code: str, needed: str) -> str:
        if code in TOKEN_ERRORS:
            return (
                f"Slack answered {code}: SLACK_BOT_TOKEN is wrong, expired or revoked. Copy the Bot User OAuth Token "
                "from the app's page OAuth & Permissions."
            )
        if code == "missing_scope":
            return (
                f"Slack answered missing_scope: the app of SLACK_BOT_TOKEN lacks {needed or 'a scope'}. Add it under "
                "OAuth & Permissions, install the app again, and set SLACK_BOT_TOKEN to the token shown then."
            )
        if code in CHANNEL_ERRORS:
            return (
                f"Slack answered {code} for {self.channel}: check SLACK_CHANNEL, that the channel is not archived, "
                "and invite the bot to it with /invite."
            )
        return f"Slack refused the request: {code}. Slack's pages on chat.postMessage say what this means."


def _doubt(posts: bool) -> str:
    return ", so that it is not known whether Slack posted the message" if posts else ""


class _RefusedBlocks(SlackError):
    """Slack posted nothing because of the blocks."""


def _rate_limit_seconds(error: SlackApiError) -> float | None:
    """Seconds to wait before the same request may be sent again; None where it was refused for another reason."""
    response = error.response
    limited = isinstance(response.data, dict) and response.data.get("error") in ("ratelimited", "rate_limited")
    if response.status_code != 429 and not limited:
        return None
    told = {name.lower(): value for name, value in response.headers.items()}.get("retry-after", "")
    return max(float(told), 1.0) if re.fullmatch(r"\d+(\.\d+)?", told) else 1.0


def _next_cursor(page: SlackResponse) -> str | None:
    return (page.get("response_metadata") or {}).get("next_cursor") or None
