"""What the ledger holds about the incidents and what people know of them, for the decision what to tell."""

from __future__ import annotations

from datetime import datetime

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.notifications.telling import Situation
from perf_pipeline.records import RequestState
from resources.ledger import Ledger


def situation_now(book: Ledger, fleet: FleetConfig, now: datetime) -> Situation:
    incidents = book.incidents_to_tell(now - max(fleet.act_within, fleet.catch_up) - fleet.window)
    told = {known.incident_id: known for known in book.told_incidents(incident.id for incident in incidents)}
    threads = book.alert_threads({known.thread for known in told.values()})
    running = book.optimization_requests(RequestState.RUNNING)
    return Situation(
        incidents=incidents,
        told=told,
        threads={thread.id: thread for thread in threads},
        silences=book.silences(now),
        optimizing={request.agent for request in running},
        analyses=book.incident_analyses([incident.id for incident in incidents]),
    )
