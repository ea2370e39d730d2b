"""optimization_requests: a decision to optimize becomes one recorded request, for approval or to be run."""

from datetime import UTC, datetime

import dagster as dg

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.optimization.requests import requests_from_decisions
from perf_pipeline.tables import OPTIMIZATION_DECISIONS
from resources.lake import LakeResource
from resources.ledger import LedgerResource


def optimization_requests_sensor(fleet: FleetConfig) -> dg.SensorDefinition:
    @dg.sensor(
        name="optimization_requests",
        minimum_interval_seconds=30,
        description="Records a request for every agent that reached its threshold of completed tasks.",
    )
    def sensor(lake: LakeResource, ledger: LedgerResource) -> dg.SkipReason:
        now = datetime.now(UTC)
        since = now - fleet.act_within - 2 * fleet.window
        decisions = lake.open().read(OPTIMIZATION_DECISIONS, since, now)
        with ledger.open() as book:
            known = book.optimization_requests()
            requests = requests_from_decisions(decisions, known, now, fleet.act_within, fleet.window)
            recorded = [request.agent for request in requests if book.request_optimization(request)]
        return dg.SkipReason(f"Requested for {', '.join(recorded)}." if recorded else "Nothing new to request.")

    return sensor
