"""Slack as a channel: posts a message once, finds again what may have been posted, and reads people's reactions."""

from __future__ import annotations

import html
import re
import time
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from perf_pipeline.message import RenderedMessage
from resources.messenger import PostedMessage, Reaction
from resources.reading import SlackError
from resources.slack_connection import MAX_RATE_LIMIT_WAIT_SECONDS, SlackConnection
from resources.slack_pictures import can_hold_a_picture, upload_picture, with_note, with_picture
from resources.slack_refusals import POSTING, RefusedBlocks, RefusedPicture, RefusedThread

EVENT_TYPE = "perf_pipeline_message"
"""The `event_type` of the metadata that carries a message's key."""

CLOCK_DIFFERENCE = timedelta(minutes=5)
"""How far our clock may be ahead of Slack's for `find` still to see a message."""

MAX_TEXT = 4000
"""Slack splits a longer text into several messages."""

PICTURE_RATE_LIMIT_WAIT_SECONDS = 10
"""The part of the waiting for rate limits that a picture may use: the message needs the rest."""

PICTURE_PAUSES_SECONDS = (1, 2, 4, 8)
"""How long to wait, again and again, for Slack to have scanned a picture. `files.info` could tell when it has, but
needs a scope of its own; that Slack refuses the message until then is as good to know, and nothing is posted by it."""


NEEDED_SCOPES = ("chat:write", "channels:history", "channels:read", "files:write", "reactions:read")


class SlackResource(dg.ConfigurableResource):
    """Posts to one channel as a bot, and reads reactions there.

    Needs the scopes chat:write, channels:read, channels:history (groups:history where the channel is private),
    files:write for pictures and reactions:read for answers by reaction.
    """

    token: str = Field(repr=False, description="SLACK_BOT_TOKEN, which begins with xoxb-.")
    channel: str = Field(description="Name of a public channel, with or without #, or the ID of any channel.")
    base_url: str = Field(default="https://slack.com/api/", description="Address of the Web API.")
    request_timeout_seconds: float = Field(default=15, gt=0)
    takes_clicks: bool = Field(default=False, description="Whether 'perf-pipeline serve' hears of clicks on buttons.")

    def describe(self) -> str:
        return f"Slack channel {self.channel} at {self.base_url}"

    @property
    def can_find(self) -> bool:
        return True

    def post(self, message: RenderedMessage, key: str, reply_to: PostedMessage | None = None) -> PostedMessage:
        """Posts the message, with `key` in its metadata; with less of its layout where Slack refuses more.

        An answer goes to the thread of `reply_to`, or stands alone where that thread is gone or closed. A picture that
        cannot be shown is left out, and the message says why. Sends again only where Slack surely did not post. Raises
        SlackError, whose `surely_refused` is false where the message may have been posted: then look for the key with
        `find` before posting again.
        """
        layouts = self._layouts(message)
        pauses = iter(PICTURE_PAUSES_SECONDS)
        thread = {"thread_ts": reply_to.ts, "reply_broadcast": message.announce or None} if reply_to else {}
        connection = self._connection()
        while True:
            try:
                answer = connection.call(
                    POSTING,
                    channel=reply_to.channel if reply_to else self.channel,
                    metadata={"event_type": EVENT_TYPE, "event_payload": {"key": key}},
                    # The text comes in part from outside: Slack shall neither find names nor markup in it.
                    parse="none",
                    link_names=False,
                    mrkdwn=False,
                    unfurl_links=False,
                    unfurl_media=False,
                    **thread,
                    **layouts[0],
                )
                return PostedMessage(str(answer["channel"]), str(answer["ts"]))
            except RefusedBlocks as error:
                pause = next(pauses, None) if isinstance(error, RefusedPicture) else None
                if pause is not None:
                    time.sleep(pause)
                elif len(layouts) > 1:
                    layouts = layouts[1:]
                else:
                    raise
            except RefusedThread:
                if not thread:
                    raise
                thread = {}

    def find(self, key: str, since: datetime, reply_to: PostedMessage | None = None) -> PostedMessage | None:
        """The message that `post` wrote with this key after `since` (aware), or None where there is none.

        With `reply_to`, its thread is searched and then the channel, where an answer stands whose thread was gone.
        Raises SlackError where something could not be read to its end, so that None always means that it is not there.
        """
        connection = self._connection()
        channel = reply_to.channel if reply_to else self._channel_id(connection)
        page = {
            "channel": channel,
            "oldest": f"{(since - CLOCK_DIFFERENCE).timestamp():.6f}",
            "limit": 200,
            "include_all_metadata": True,
        }
        if reply_to is not None:
            try:
                found = _with_key(key, connection, "conversations.replies", {**page, "ts": reply_to.ts})
            except RefusedThread:
                found = None
            if found is not None:
                return PostedMessage(channel, found)
        found = _with_key(key, connection, "conversations.history", page)
        return None if found is None else PostedMessage(channel, found)

    def reactions(self, message: PostedMessage) -> list[Reaction]:
        """The reactions under a message, the bot's own included. Needs the scope reactions:read. Raises SlackError,
        also where Slack does not name everybody: whoever is missing might be the one who said no."""
        answer = self._connection().call("reactions.get", channel=message.channel, timestamp=message.ts, full=True)
        found: list[Reaction] = []
        for reaction in (answer.get("message") or {}).get("reactions") or []:
            members = tuple(reaction["users"])
            if len(set(members)) < reaction["count"]:
                raise SlackError(
                    f"Slack names only {len(set(members))} of the {reaction['count']} people who reacted with "
                    f":{reaction['name']}: to a message. Remove some of these reactions, or answer in another way.",
                    retryable=True,
                )
            found.append(Reaction(reaction["name"], members))
        return found

    def own_member_id(self) -> str:
        """The member ID of the bot. Needs no scope. Raises SlackError."""
        return str(self._connection().call("auth.test")["user_id"])

    def prove(self) -> str:
        """That the token is valid, has the rights, and finds the channel, in a sentence. Nothing is posted. Raises
        SlackError."""
        connection = self._connection()
        bot = connection.call("auth.test")
        granted = {name.strip() for name in str(bot.headers.get("x-oauth-scopes", "")).split(",")} - {""}
        if granted and (lacking := [scope for scope in NEEDED_SCOPES if scope not in granted]):
            raise SlackError(
                f"The app lacks the scopes {', '.join(lacking)}: add them under OAuth & Permissions, and install the "
                "app to the workspace again.",
                retryable=False,
                surely_refused=True,
            )
        self._channel_id(connection)
        return f"Slack knows the bot as {bot.get('user') or bot['user_id']}, and has the channel {self.channel}."

    def _connection(self, may_wait_seconds: float = MAX_RATE_LIMIT_WAIT_SECONDS) -> SlackConnection:
        return SlackConnection(
            self.token, self.channel, self.base_url, self.request_timeout_seconds, may_wait_seconds=may_wait_seconds
        )

    def _layouts(self, message: RenderedMessage) -> list[dict[str, Any]]:
        """Text and blocks of the message as it may be posted, the fullest first, text alone at the end."""
        text, blocks = message.slack_text, message.slack_blocks
        layouts: list[dict[str, Any]] = []
        if message.picture and can_hold_a_picture(blocks):
            try:
                file_id = upload_picture(self._connection(PICTURE_RATE_LIMIT_WAIT_SECONDS), message.picture)
                alt_text = message.picture_text or message.title
                layouts.append({"text": text, "blocks": with_picture(blocks, file_id, alt_text)})
                note = "The picture of this message is missing: Slack has not accepted it."
            except SlackError as error:
                note = f"The picture of this message is missing. {error}"
            blocks = with_note(blocks, note)
            noted = f"{text}\n\n{html.escape(note, quote=False)}"
            text = noted if len(noted) <= MAX_TEXT else text
        return [*layouts, *([{"text": text, "blocks": blocks}] if blocks else []), {"text": text}]

    def _channel_id(self, connection: SlackConnection) -> str:
        if re.fullmatch(r"[CDG][A-Z0-9]{8,}", self.channel):
            return self.channel
        name = self.channel.removeprefix("#")
        for page in connection.pages("conversations.list", types="public_channel", exclude_archived=True, limit=1000):
            for channel in page.get("channels", []):
                if channel["name"] == name:
                    return channel["id"]
        raise SlackError(
            f"Slack has no public channel named {self.channel}. Correct SLACK_CHANNEL or the channel in fleet.yaml; "
            "for a private channel, set it to the channel's ID, which Slack shows at the end of the channel's details.",
            retryable=False,
            surely_refused=True,
        )


def _with_key(key: str, connection: SlackConnection, method: str, arguments: dict[str, Any]) -> str | None:
    """The `ts` of the bot's own message with the key in what the method lists. Another app may give its messages the
    same metadata."""
    for page in connection.pages(method, **arguments):
        for message in page.get("messages", []):
            metadata = message.get("metadata") or {}
            has_key = (metadata.get("event_payload") or {}).get("key") == key
            if metadata.get("event_type") == EVENT_TYPE and has_key and _is_own(message, connection):
                return message["ts"]
    return None


def _is_own(message: dict[str, Any], connection: SlackConnection) -> bool:
    bot = connection.call("auth.test")
    return message.get("user") == bot["user_id"] or message.get("bot_id") == bot.get("bot_id", "")
