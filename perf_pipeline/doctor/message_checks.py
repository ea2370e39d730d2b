"""Messages not sending: Slack's token, rights and channel, the other targets, and the outbox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import dagster as dg

from perf_pipeline.doctor.finding import Concern, Examined, Finding, failed, ok, warning
from perf_pipeline.fleet_people import SlackTarget
from perf_pipeline.messengers import messenger_key
from perf_pipeline.records import NotificationState
from resources.reading import SlackError
from resources.slack import SlackResource

MESSAGES = Concern.MESSAGES
STUCK_AFTER = timedelta(minutes=10)


def slack_checks(examined: Examined) -> Iterator[Finding]:
    slack = examined.settings.slack
    if slack is None:
        yield warning(
            MESSAGES,
            "slack",
            f"SLACK_BOT_TOKEN is not set: messages go to {examined.settings.home / 'messages.jsonl'}.",
            "Set SLACK_BOT_TOKEN to have them in Slack.",
        )
        return
    for name, target in examined.fleet.notifications.targets.items():
        if isinstance(target, SlackTarget):
            yield _slack_check(examined, name)
    if not (slack.has_signing_secret or slack.has_app_token):
        yield warning(
            MESSAGES,
            "buttons",
            "Messages have no buttons.",
            "Set SLACK_SIGNING_SECRET or SLACK_APP_TOKEN and run 'perf-pipeline serve'; ✅ and ❌ answer without.",
        )


def _slack_check(examined: Examined, name: str) -> Finding:
    key = messenger_key(name)
    with dg.build_resources({key: examined.resources[key]}) as resolved:
        messenger: SlackResource = getattr(resolved, key)
        try:
            return ok(MESSAGES, name, messenger.prove())
        except SlackError as error:
            return failed(MESSAGES, name, str(error))


def outbox_check(examined: Examined, now: datetime) -> Iterator[Finding]:
    messages = examined.book.notifications(now - timedelta(days=7))
    undeliverable = [one for one in messages if one.state is NotificationState.UNDELIVERABLE]
    waiting = [one for one in messages if one.state is NotificationState.PENDING and one.created_at < now - STUCK_AFTER]
    if undeliverable:
        yield failed(
            MESSAGES,
            "outbox",
            f"{len(undeliverable)} messages of a week could not be delivered; the last: {undeliverable[-1].note}",
            "Mend that, then 'perf-pipeline notify retry'.",
        )
    if waiting:
        yield warning(
            MESSAGES,
            "outbox",
            f"{len(waiting)} messages wait for over ten minutes.",
            "Switch on the sensor notifications, and see 'perf-pipeline notify outbox'.",
        )
    if not undeliverable and not waiting:
        sent = sum(one.state is NotificationState.SENT for one in messages)
        yield ok(MESSAGES, "outbox", f"Nothing is stuck; {sent} messages were sent within a week.")
