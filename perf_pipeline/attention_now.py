"""What waits for people according to the ledger."""

from __future__ import annotations

from datetime import datetime

from perf_pipeline.notifications.attention import Attention, in_force, unacknowledged, waiting_approvals
from perf_pipeline.records import ApprovalState, IncidentState
from resources.ledger import Ledger


def attention_now(book: Ledger, now: datetime) -> Attention:
    ongoing = [one for one in book.incidents(now) if one.state is not IncidentState.RESOLVED]
    told = {known.incident_id: known for known in book.told_incidents(incident.id for incident in ongoing)}
    threads = {thread.id: thread for thread in book.alert_threads({known.thread for known in told.values()})}
    return Attention(
        approvals=waiting_approvals(book.optimization_requests(), book.approvals(ApprovalState.REQUESTED)),
        unacknowledged=unacknowledged(ongoing, told, threads),
        undeliverable=book.undeliverable_count(),
        silences=in_force(book.silences(now), now),
    )
