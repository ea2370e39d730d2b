"""E-mail, SMS, PagerDuty, Teams, Discord, webhooks, and what else Apprise can reach by an address."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from perf_pipeline.message import RenderedMessage
from resources.apprise_failure import Failure, failure_of
from resources.apprise_log import kept_out_of_logs
from resources.messenger import PostedMessage
from resources.reading import MessengerError

if TYPE_CHECKING:
    import logging

    import apprise


class AppriseResource(dg.ConfigurableResource):
    """Sends to one Apprise address, such as mailtos://user:password@example.com.

    The address holds secrets. It is read from its variable when a message is posted, and not given as an `EnvVar`:
    one that is not set would make Dagster refuse the whole tick, with the messages of all other targets.
    """

    url_variable: str = Field(description="The environment variable that holds the address.")
    timeout_seconds: float = Field(default=15, gt=0, description="How long one message may take.")

    @property
    def can_find(self) -> bool:
        return False

    @property
    def takes_clicks(self) -> bool:
        return False

    def describe(self) -> str:
        return f"the address in {self.url_variable}"

    def post(self, message: RenderedMessage, key: str, reply_to: PostedMessage | None = None) -> PostedMessage:  # noqa: ARG002
        """Sends title and text, and the picture where the channel takes attachments.

        Raises MessengerError, whose `surely_refused` is false where the message may have arrived.
        """
        address = dg.EnvVar(self.url_variable).get_value()
        if not address or not address.strip():
            raise self._misconfigured(f"{self.url_variable} is not set: set it to the Apprise address of the channel")
        address = address.strip()
        with kept_out_of_logs() as said:
            sender = self._sender(address)
            self._send(sender, address, message, said)
        return PostedMessage(self.url_variable, key)

    def find(
        self,
        key: str,  # noqa: ARG002
        since: datetime,  # noqa: ARG002
        reply_to: PostedMessage | None = None,  # noqa: ARG002
    ) -> PostedMessage | None:
        return None

    def _send(
        self, sender: apprise.Apprise, address: str, message: RenderedMessage, said: list[logging.LogRecord]
    ) -> None:
        from apprise import AppriseAttachment, NotifyFormat, NotifyType
        from apprise.attachment.memory import AttachMemory

        service = sender[0]
        picture = (
            AppriseAttachment([AttachMemory(content=message.picture, name="picture.png", mimetype="image/png")])
            if message.picture and service.attachment_support
            else None
        )
        title = message.subject or message.title
        cut = service.body_maxlen - len(title) - 2 if _may_cut(address) else len(message.plain)
        result = sender.notify(
            title=title,
            body=_shortened(message.plain, cut) or title,
            body_format=NotifyFormat.TEXT,
            # Reports carry no severity here, and PagerDuty takes plain information for nothing to wake anybody for.
            notify_type=NotifyType.WARNING,
            attach=picture,
            timeout=self.timeout_seconds,
        )
        if not result:
            failure = failure_of([(record.levelname, record.getMessage()) for record in said], address)
            raise self._refused(service.service_name, failure)

    def _sender(self, address: str) -> apprise.Apprise:
        import apprise

        # Without its own pictures, which Apprise would have the receiver fetch from GitHub.
        asset = apprise.AppriseAsset(
            app_id="perf-pipeline", app_desc="perf-pipeline", app_url="", image_url_mask="", image_url_logo=""
        )
        sender = apprise.Apprise(asset=asset)
        if not sender.add(address) or len(sender) == 0:
            raise self._misconfigured(
                f"{self.url_variable} holds no address that Apprise can use: see https://appriseit.com/services/ for "
                "how the address of a service is written"
            )
        if len(sender) > 1:
            raise self._misconfigured(
                f"{self.url_variable} holds {len(sender)} addresses. One that fails would make the others hear twice: "
                "give each a variable and a target of its own"
            )
        if _may_cut(address):
            sender[0].overflow_mode = apprise.OverflowMode.TRUNCATE
        return sender

    def _misconfigured(self, sentence: str) -> MessengerError:
        return MessengerError(
            f"{sentence}, and run 'perf-pipeline notify retry'.", retryable=False, surely_refused=True
        )

    def _refused(self, service: object, failure: Failure) -> MessengerError:
        doubt = "" if failure.surely_refused else ", so that it is not known whether it has the message"
        return MessengerError(
            f"{service} at the address in {self.url_variable} did not take the message: {failure.reason}{doubt}. "
            + ("It is tried again." if failure.retryable else f"Mend the address in {self.url_variable}."),
            retryable=failure.retryable,
            surely_refused=failure.surely_refused,
        )


def _may_cut(address: str) -> bool:
    """Whether a message that is too long is cut; an address may ask for the rest in further messages."""
    return "overflow=" not in address.lower()


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"
