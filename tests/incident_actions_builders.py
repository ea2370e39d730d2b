"""A thread of incidents that people were told of, in a real ledger."""

from __future__ import annotations

from typing import Any

from perf_pipeline.notifications.telling import tellings
from perf_pipeline.records import AlertThread, IncidentState
from perf_pipeline.situation import situation_now
from resources.ledger import Ledger
from tests.approval_builders import FLEET, NOON
from tests.incident_builders import incident


def told_thread(book: Ledger, *incidents: dict[str, Any]) -> AlertThread:
    """Incidents of one cause, by default one, told in one thread; then they are as their `state` says."""
    facts = {"onset": NOON, "cause": "one cause"}
    known = [incident(**facts | {"id": str(number)} | one) for number, one in enumerate(incidents or ({},))]
    book.record_incidents([incident(**vars(one) | {"state": IncidentState.OPEN}) for one in known])
    [telling] = tellings(situation_now(book, FLEET, NOON), FLEET, NOON, lambda _: None)
    assert book.tell(telling)
    book.record_incidents(known)
    assert telling.thread is not None
    return telling.thread
