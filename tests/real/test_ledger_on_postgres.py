"""The ledger on a real PostgreSQL: the same rules as on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from perf_pipeline.fleet import Approval, Severity
from perf_pipeline.records import (
    Incident,
    IncidentState,
    NotificationState,
    OptimizationRequest,
    RequestState,
    SourceHealth,
    SourceStatus,
)
from resources.ledger import Ledger
from tests.incident_builders import notification
from tests.real.services.postgrest import postgres

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("other servers")]

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
def ledger(address: str) -> Iterator[Ledger]:
    book = Ledger(address)
    yield book
    book.close()


def test_ledgers_that_open_together_migrate_once(address: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        books = list(pool.map(lambda _: Ledger(address), range(4)))
    for book in books:
        assert book.notifications() == []
        book.close()


def test_what_is_recorded_is_read_back_equal(ledger: Ledger) -> None:
    health = SourceHealth("spans", NOW, SourceStatus.PARTIAL, "half of it", 3, 1, NOW)
    incident = Incident(
        id="an incident",
        agent="InboundAgent",
        family="reliability",
        type="success_drop",
        also=("error_spike",),
        severity=Severity.CRITICAL,
        state=IncidentState.OPEN,
        onset=NOW,
        opened_at=NOW,
        last_seen=NOW,
        resolved_at=None,
        reopened=0,
        root_cause="TimeoutError",
        recommended_action="IMMEDIATE",
        details="down",
        example_traces=("abc",),
    )
    for _ in range(2):
        ledger.record_health([health])
        ledger.record_incidents([incident])
    assert ledger.health(NOW, NOW + timedelta(minutes=30)) == [health]
    assert ledger.incidents(NOW) == [incident]
    ledger.record_incidents([replace(incident, severity=Severity.LOW, reopened=1, resolved_at=NOW)])
    assert ledger.incidents(NOW) == [replace(incident, reopened=1, resolved_at=NOW)]


def test_of_many_senders_one_gets_a_message(ledger: Ledger) -> None:
    message = notification("a key", NOW)
    assert ledger.enqueue(message)
    assert not ledger.enqueue(message)
    [waiting] = ledger.deliverable(NOW, NOW)
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda number: ledger.claim(waiting, f"sender {number}", NOW), range(8)))
    assert sum(claims) == 1
    winner = f"sender {claims.index(True)}"
    assert not ledger.settle("a key", "somebody else", NotificationState.SENT, sent_at=NOW)
    assert ledger.settle("a key", winner, NotificationState.SENT, sent_at=NOW, channel="C1", message_ts="1.2")
    assert ledger.deliverable(NOW, NOW) == []


def test_an_agent_has_one_open_request(ledger: Ledger) -> None:
    request = OptimizationRequest(
        id="first",
        agent="StrategyAgent",
        optimizer="GEPA",
        approval=Approval.REQUIRED,
        max_cost_usd=30,
        state=RequestState.AWAITING_APPROVAL,
        completed_tasks=20,
        window_start=NOW,
        requested_at=NOW,
    )
    assert ledger.request_optimization(request)
    assert not ledger.request_optimization(replace(request, id="second"))
    assert ledger.request_optimization(replace(request, id="third", agent="InboundAgent"))
