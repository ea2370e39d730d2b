"""alertmanager: what is wrong now is shown to the Alertmanagers of fleet.yaml, again and again.

It is a state and not a message, so nothing is kept of it: what one tick could not show, the next one does.
"""

from datetime import UTC, datetime

import dagster as dg

from perf_pipeline.alertmanager_targets import alertmanager_key, alertmanager_targets, alertmanagers_of
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.notifications.alertmanager_alerts import SHOWN_EVERY, alertmanager_alerts
from perf_pipeline.situation import situation_now
from resources.reading import MessengerError


def alertmanager_sensors(fleet: FleetConfig) -> list[dg.SensorDefinition]:
    """The sensor, where fleet.yaml has a target for it."""
    targets = alertmanager_targets(fleet)
    if not targets:
        return []

    @dg.sensor(
        name="alertmanager",
        minimum_interval_seconds=round(SHOWN_EVERY.total_seconds()),
        required_resource_keys={"ledger", "span_source"} | {alertmanager_key(target) for target in targets},
        description="Shows the open incidents, and those that have just ended, to Prometheus Alertmanager.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        now = datetime.now(UTC)
        with context.resources.ledger.open() as book:
            situation = situation_now(book, fleet, now)
        done = []
        for target, alertmanager in alertmanagers_of(context.resources, fleet).items():
            alerts = alertmanager_alerts(situation, fleet, target, now, context.resources.span_source.trace_url)
            open_ones = sum(alert.ends_at > now for alert in alerts)
            try:
                if alerts:
                    alertmanager.show([alert.payload() for alert in alerts])
            except MessengerError as error:
                done.append(f"{target}: {error}")
            else:
                done.append(f"{target}: {open_ones} open, {len(alerts) - open_ones} ended.")
        return dg.SkipReason(" ".join(done))

    return [sensor]
