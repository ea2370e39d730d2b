"""Socket Mode: Slack's clicks over a connection that this machine opens, so that no address must be public."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, TypeGuard

from resources.reading import SlackError

if TYPE_CHECKING:
    from slack_sdk.errors import SlackApiError
    from slack_sdk.socket_mode.builtin import SocketModeClient
    from slack_sdk.socket_mode.client import BaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest

RETRY_SECONDS = 10.0
TRANSIENT = frozenset(
    {"ratelimited", "rate_limited", "fatal_error", "internal_error", "request_timeout", "service_unavailable"}
)

_log = logging.getLogger(__name__)


class SlackSocket:
    """Gives the payload of each interaction to `on_interaction`, tells Slack that it was taken, and then calls what
    came back, which may take its time.

    Where `on_interaction` raises, Slack is told nothing and sends the interaction again. Connections that break are
    made anew.
    """

    def __init__(
        self,
        app_token: str,
        on_interaction: Callable[[dict[str, Any]], Callable[[], None]],
        base_url: str = "https://slack.com/api/",
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._app_token = app_token
        self._on_interaction = on_interaction
        self._base_url = base_url
        self._retry_seconds = retry_seconds
        self._closing = threading.Event()
        self._client: SocketModeClient | None = None
        self._reconnecting: threading.Thread | None = None
        self._given_up: str | None = None

    @property
    def given_up(self) -> str | None:
        """Why no connection is tried any more, as a sentence; None while there is one, or one is tried."""
        return self._given_up

    def open(self) -> None:
        """Connect, or go on trying in the background where Slack cannot be reached now. Raises SlackError where it
        refuses the app token."""
        # A character that no header can hold would make slack_sdk quote the token in its log, once a try.
        if not re.fullmatch(r"[\x21-\x7e]+", self._app_token):
            raise SlackError(
                "SLACK_APP_TOKEN is empty or contains a space, a line break or another character that no token has: "
                "copy the token again.",
                retryable=False,
                surely_refused=True,
            )
        from slack_sdk import WebClient
        from slack_sdk.socket_mode.builtin import SocketModeClient

        web = WebClient(token=self._app_token, base_url=self._base_url, retry_handlers=[])
        self._client = SocketModeClient(self._app_token, web_client=web, ping_interval=self._retry_seconds)
        self._client.socket_mode_request_listeners.append(self._take)
        if not self._connect():
            self._reconnecting = threading.Thread(target=self._keep_trying, name="slack-socket", daemon=True)
            self._reconnecting.start()

    def close(self) -> None:
        self._closing.set()
        if self._reconnecting is not None:
            self._reconnecting.join()
        if self._client is not None:
            self._client.close()

    def _connect(self) -> bool:
        """Whether there is a connection now. Raises SlackError where trying again is no use."""
        from slack_sdk.errors import SlackApiError

        assert self._client is not None
        try:
            self._client.connect_to_new_endpoint()
        except SlackApiError as error:
            if _is_refusal(error):
                self._client.close()
                raise SlackError(
                    f"Slack refused Socket Mode: {_code(error)}. SLACK_APP_TOKEN must be an app-level token (xapp-) "
                    "with the scope connections:write, and Socket Mode must be switched on for the app.",
                    retryable=False,
                    surely_refused=True,
                ) from None
            _log.warning("Slack cannot open Socket Mode now (%s); trying again.", _code(error))
        except (OSError, HTTPException, ValueError, LookupError, AttributeError) as error:
            # Of an answer that is not Slack's, such as a proxy's page, slack_sdk lets through whatever its parts raise.
            _log.warning("Slack cannot be reached for Socket Mode (%s); trying again.", type(error).__name__)
        return self._client.is_connected()

    def _keep_trying(self) -> None:
        while not self._closing.wait(self._retry_seconds):
            try:
                if (self._client and self._client.is_connected()) or self._connect():
                    return
            except SlackError as error:
                _log.error("%s", error)
                self._given_up = str(error)
                return

    def _take(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        from slack_sdk.socket_mode.response import SocketModeResponse

        afterwards = self._on_interaction(request.payload) if request.type == "interactive" else None
        client.send_socket_mode_response(SocketModeResponse(request.envelope_id))
        if afterwards is not None:
            afterwards()


def _is_refusal(error: SlackApiError) -> bool:
    """Whether Slack itself said no, for a reason that does not pass."""
    return error.response.status_code < 500 and _is_code(_code(error)) and _code(error) not in TRANSIENT


def _code(error: SlackApiError) -> str:
    """Slack's error code. Where there is none, slack_sdk has put the page of whoever answered in its place."""
    data = error.response.data
    code = data.get("error") if isinstance(data, dict) else None
    return code if _is_code(code) else f"HTTP {error.response.status_code} without an error code of Slack's"


def _is_code(text: object) -> TypeGuard[str]:
    return isinstance(text, str) and re.fullmatch(r"[a-z_]+", text) is not None
