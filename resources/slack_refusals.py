"""What Slack's refusals mean: whether it may have posted, what may be tried in its place, and which setting to mend."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from resources.reading import SlackError

if TYPE_CHECKING:
    from slack_sdk.errors import SlackApiError

POSTING = "chat.postMessage"

BLOCK_REFUSALS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "invalid_arguments"})
"""Slack posted nothing, because of the layout: the same message with less of it may be posted."""

THREAD_REFUSALS = frozenset(
    {
        "cannot_reply_to_message",
        "restricted_action_non_threadable_channel",
        "restricted_action_thread_locked",
        "thread_not_found",
    }
)
"""The thread is gone or closed: nothing was posted to it, and the channel itself may still take the message."""

UNCERTAIN = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})
"""Slack failed, and its documentation says that the message may have been posted all the same."""

TOKEN_ERRORS = frozenset(
    {"not_authed", "invalid_auth", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type"}
)
CHANNEL_ERRORS = frozenset({"channel_not_found", "not_in_channel", "is_archived", "restricted_action"})

SCOPES = {
    POSTING: "chat:write",
    "conversations.list": "channels:read",
    "conversations.history": "channels:history (groups:history for a private channel)",
    "conversations.replies": "channels:history (groups:history for a private channel)",
    "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write",
    "reactions.get": "reactions:read",
}
"""The scope that each method needs, for where Slack does not name it."""


class RefusedBlocks(SlackError):
    """Slack posted nothing because of the blocks."""


class RefusedPicture(RefusedBlocks):
    """Slack posted nothing because it cannot show the picture, or not yet: it scans a file before it may be shown."""


class RefusedThread(SlackError):
    """Slack posted or read nothing because the thread is gone or closed."""


def refusal(error: SlackApiError, method: str, channel: str, base_url: str) -> SlackError:
    """What `error`, Slack's answer to a call of `method`, means; `channel` is that of SLACK_CHANNEL or of a target."""
    status = error.response.status_code
    answer = error.response.data if isinstance(error.response.data, dict) else {}
    code = str(answer.get("error", "no reason"))
    if status >= 500 or code in UNCERTAIN:
        return SlackError(
            f"Slack failed ({f'HTTP {status}' if status >= 500 else code}){doubt(method)}. Nothing needs to be set; "
            "try again later.",
            retryable=True,
        )
    if not re.fullmatch(r"[a-z_]+", code):
        return SlackError(
            f"{base_url} answered HTTP {status} with something that is not Slack's Web API. Set SLACK_BASE_URL to "
            "https://slack.com/api/, or leave it out.",
            retryable=False,
        )
    advice = _advice(code, str(answer.get("needed") or SCOPES.get(method, "a scope")), method, channel)
    return _kind(code, answer)(advice, retryable=False, surely_refused=True)


def doubt(method: str) -> str:
    return ", so that it is not known whether Slack posted the message" if method == POSTING else ""


def _kind(code: str, answer: dict[str, object]) -> type[SlackError]:
    if code in THREAD_REFUSALS:
        return RefusedThread
    if code not in BLOCK_REFUSALS:
        return SlackError
    details = f"{answer.get('errors')} {answer.get('response_metadata')}"
    return RefusedPicture if "slack_file" in details else RefusedBlocks


def _advice(code: str, needed: str, method: str, channel: str) -> str:
    if code in TOKEN_ERRORS:
        return (
            f"Slack answered {code}: SLACK_BOT_TOKEN is wrong, expired or revoked. Copy the Bot User OAuth Token "
            "from the app's page OAuth & Permissions."
        )
    if code == "missing_scope":
        return (
            f"Slack answered missing_scope: the app of SLACK_BOT_TOKEN lacks {needed}. Add it under OAuth & "
            "Permissions, install the app again, and set SLACK_BOT_TOKEN to the token shown then."
        )
    if code in CHANNEL_ERRORS:
        return (
            f"Slack answered {code} for {channel}: check SLACK_CHANNEL and the channels in fleet.yaml, that the "
            "channel is not archived, and invite the bot to it with /invite."
        )
    if code == "message_not_found":
        return f"Slack answered message_not_found for {channel}: the message was deleted there."
    return f"Slack refused the request: {code}. Slack's page on {method} says what this means."
