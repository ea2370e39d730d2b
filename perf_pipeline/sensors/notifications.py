"""notifications: incidents that people must hear of go into the outbox, and the outbox goes to its targets.

A plain sensor over the ledger, not one on run status: those move on even when their body fails, and an alert
would be lost.
"""

from datetime import UTC, datetime

import dagster as dg

from perf_pipeline.delivery import deliver
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.messengers import messenger_keys, messengers_of
from perf_pipeline.notifications.telling import tellings
from perf_pipeline.situation import situation_now
from resources.ledger import Ledger
from resources.sources import SpanSource


def notifications_sensor(fleet: FleetConfig) -> dg.SensorDefinition:
    @dg.sensor(
        name="notifications",
        # Dagster looks every 5 s, and takes a tick that comes a moment early for one that is not due.
        minimum_interval_seconds=3,
        required_resource_keys={"ledger", "span_source"} | messenger_keys(fleet),
        description="Alerts, their updates, summaries and questions, each to the targets that fleet.yaml names, once.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        with context.resources.ledger.open() as book:
            try:
                tell(book, fleet, context.resources.span_source)
            finally:
                # What waits already goes out even if something is wrong with the news.
                outcome = deliver(book, messengers_of(context.resources, fleet), lambda: datetime.now(UTC))
            undeliverable = book.undeliverable_count()
        done = ", ".join(f"{count} {state}" for state, count in outcome.items()) or "Nothing to send"
        kept = f"; {undeliverable} undeliverable in all: see 'perf-pipeline notify outbox'" if undeliverable else ""
        return dg.SkipReason(f"{done}{kept}.")

    return sensor


def tell(book: Ledger, fleet: FleetConfig, spans: SpanSource) -> None:
    now = datetime.now(UTC)
    for telling in tellings(situation_now(book, fleet, now), fleet, now, spans.trace_url):
        # Where it is known already, another process has told it; what is left is seen at the next tick.
        book.tell(telling)
