"""slack_messages: incidents that people must hear of go into the outbox, and the outbox goes to Slack.

A plain sensor over the ledger, not one on run status: those move on even when their body fails, and an alert
would be lost.
"""

from datetime import UTC, datetime

import dagster as dg

from perf_pipeline.delivery import deliver
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.notifications.outbox import alerts
from perf_pipeline.records import NotificationState
from resources.ledger import LedgerResource
from resources.sources import Messenger, SpanSource


def slack_messages_sensor(fleet: FleetConfig) -> dg.SensorDefinition:
    @dg.sensor(
        name="slack_messages",
        minimum_interval_seconds=10,
        description="Alerts of high and critical incidents, and the daily summary: each is sent once.",
    )
    def sensor(
        ledger: LedgerResource, messenger: dg.ResourceParam[Messenger], span_source: dg.ResourceParam[SpanSource]
    ) -> dg.SkipReason:
        now = datetime.now(UTC)
        with ledger.open() as book:
            recent = book.incidents(now - max(fleet.act_within, fleet.catch_up) - fleet.window)
            for alert in alerts(recent, now, fleet.act_within, fleet.window, fleet.timezone, span_source.trace_url):
                if not book.enqueue(alert) and alert.state is NotificationState.PENDING:
                    # An incident that was history when it became known has come back.
                    book.release(alert)
            outcome = deliver(book, messenger, lambda: datetime.now(UTC))
        done = ", ".join(f"{count} {state}" for state, count in outcome.items())
        return dg.SkipReason(done or "Nothing to send.")

    return sensor
