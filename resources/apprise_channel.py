"""E-mail, SMS, PagerDuty, Teams, Discord, webhooks, and what else Apprise can reach by an address."""

from __future__ import annotations

from datetime import datetime

import dagster as dg
from pydantic import Field

from perf_pipeline.message import RenderedMessage
from resources.messenger import PostedMessage
from resources.reading import MessengerError


class AppriseResource(dg.ConfigurableResource):
    """Sends to one Apprise address, such as mailtos://user:password@example.com. It holds secrets."""

    url: str = Field(repr=False, description="The Apprise address.")
    url_variable: str = Field(description="The environment variable that holds it, for messages to people.")

    @property
    def can_find(self) -> bool:
        return False

    def describe(self) -> str:
        return f"the address in {self.url_variable}"

    def post(self, message: RenderedMessage, key: str, reply_to: PostedMessage | None = None) -> PostedMessage:  # noqa: ARG002
        import apprise

        sender = apprise.Apprise()
        if not sender.add(self.url):
            raise MessengerError(f"{self.url_variable} holds no address that Apprise knows.", retryable=False)
        if not sender.notify(title=message.title, body=message.plain):
            raise MessengerError(f"The channel behind {self.url_variable} did not take the message.", retryable=True)
        return PostedMessage(self.url_variable, key)

    def find(
        self,
        key: str,
        since: datetime,
        reply_to: PostedMessage | None = None,  # noqa: ARG002
    ) -> PostedMessage | None:
        return None
