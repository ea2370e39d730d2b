"""The ledger on SQLite: one winner of every race, aware times, a schema that its migrations build."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy.exc import StatementError

from perf_pipeline.fleet import Approval, Severity
from perf_pipeline.message import Message
from perf_pipeline.records import (
    Incident,
    IncidentState,
    Notification,
    NotificationState,
    OptimizationRequest,
    RequestState,
    SourceHealth,
    SourceStatus,
)
from resources.ledger import Ledger, LedgerResource
from resources.ledger import schema as ledger_schema
from resources.ledger.connection import MIGRATIONS
from tests.incident_builders import incident as an_incident
from tests.incident_builders import notification

REPOSITORY = Path(__file__).parent.parent
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LONG_AGO = NOON - timedelta(days=400)


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'deep' / 'ledger.db'}"


@pytest.fixture
def ledger(address: str) -> Iterator[Ledger]:
    opened = Ledger(address)
    yield opened
    opened.close()


def message(key: str = "alert:1", **changes: Any) -> Notification:
    return notification(key, NOON, **changes)


def request(agent: str = "InboundAgent", identity: str = "a", **changes: Any) -> OptimizationRequest:
    made = OptimizationRequest(
        id=identity,
        agent=agent,
        optimizer="BootstrapFewShot",
        approval=Approval.AUTOMATIC,
        max_cost_usd=5.0,
        state=RequestState.READY,
        completed_tasks=10,
        window_start=NOON,
        requested_at=NOON,
        reasons=("10 of 10", "runs on its own"),
    )
    return replace(made, **changes)


def incident(**changes: Any) -> Incident:
    known = {"id": "1", "also": ("error_spike",), "onset": NOON, "example_traces": ("a", "b"), "cause": "TimeoutError"}
    return an_incident(**(known | changes))


def claim(ledger: Ledger, wanted: Notification, claimant: str, now: datetime = NOON) -> bool:
    return ledger.claim(wanted, claimant, now)


def test_the_migrations_build_the_declared_schema(ledger: Ledger, address: str) -> None:
    assert ledger.notifications() == []
    engine = sa.create_engine(address)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), ledger_schema.metadata)
    engine.dispose()
    assert differences == []


def test_records_come_back_as_they_were_put_in(ledger: Ledger) -> None:
    health = SourceHealth("spans", NOON, SourceStatus.PARTIAL, "reason", 3, 1, NOON)
    ledger.record_health([health])
    ledger.record_incidents([incident()])
    assert ledger.enqueue(message())
    assert ledger.request_optimization(request())
    assert ledger.health(NOON, NOON + timedelta(minutes=30)) == [health]
    assert ledger.incidents(NOON) == [incident()]
    assert ledger.notifications() == [message()]
    assert ledger.optimization_requests() == [request()]


def test_times_come_back_aware_and_in_utc(ledger: Ledger) -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    ledger.enqueue(message(created_at=elsewhere))
    [found] = ledger.notifications()
    assert (found.created_at, found.created_at.utcoffset()) == (NOON, timedelta(0))


def test_a_time_without_zone_is_refused(ledger: Ledger) -> None:
    with pytest.raises(StatementError, match="aware times only"):
        ledger.enqueue(message(created_at=NOON.replace(tzinfo=None)))
    assert ledger.notifications() == []


def test_a_later_reading_replaces_the_health_of_its_window_and_source(ledger: Ledger) -> None:
    first = SourceHealth("spans", NOON, SourceStatus.UNAVAILABLE, "down", 0, 0, NOON)
    second = replace(first, status=SourceStatus.COMPLETE, reason="", rows=5)
    logs = replace(first, source="logs")
    ledger.record_health([first, logs])
    ledger.record_health([second])
    assert ledger.health(NOON, NOON + timedelta(minutes=30)) == [logs, second]
    assert ledger.health(NOON + timedelta(microseconds=1), NOON + timedelta(hours=1)) == []
    assert ledger.health(NOON - timedelta(hours=1), NOON) == []


def test_open_incidents_are_found_however_old_and_resolved_ones_while_recent(ledger: Ledger) -> None:
    old = incident(id="old", onset=LONG_AGO, last_seen=LONG_AGO)
    over = replace(old, id="over", state=IncidentState.RESOLVED)
    recent = incident(id="recent", state=IncidentState.RESOLVED)
    ledger.record_incidents([recent, over, old])
    assert [found.id for found in ledger.incidents(NOON)] == ["old", "recent"]
    assert [found.id for found in ledger.incidents(NOON, state=IncidentState.OPEN)] == ["old"]
    ledger.record_incidents([replace(old, state=IncidentState.RESOLVED, resolved_at=LONG_AGO)])
    assert [found.id for found in ledger.incidents(NOON)] == ["recent"]


HOUR = timedelta(hours=1)
OVER = incident(state=IncidentState.RESOLVED, last_seen=NOON + HOUR, resolved_at=NOON + 2 * HOUR)


@pytest.mark.parametrize(
    ("known", "late", "expected"),
    [
        (incident(severity=Severity.CRITICAL, details="worse"), incident(), {"severity": Severity.CRITICAL}),
        (incident(severity=Severity.CRITICAL, details="worse"), incident(), {"details": "worse"}),
        (incident(), incident(severity=Severity.CRITICAL, details="worse"), {"details": "worse"}),
        (OVER, incident(last_seen=NOON + HOUR), {"state": IncidentState.RESOLVED, "resolved_at": NOON + 2 * HOUR}),
        (OVER, incident(last_seen=NOON + 3 * HOUR), {"state": IncidentState.OPEN, "resolved_at": None}),
        (OVER, incident(reopened=1), {"state": IncidentState.OPEN, "resolved_at": None, "reopened": 1}),
        (replace(OVER, reopened=1), incident(last_seen=NOON + 9 * HOUR), {"state": IncidentState.RESOLVED}),
        (OVER, replace(OVER, resolved_at=NOON + HOUR), {"resolved_at": NOON + 2 * HOUR}),
        (
            incident(state=IncidentState.RECOVERING, last_seen=NOON + HOUR),
            incident(),
            {"state": IncidentState.RECOVERING, "last_seen": NOON + HOUR},
        ),
        (
            incident(onset=NOON - HOUR, opened_at=NOON),
            incident(opened_at=NOON + HOUR),
            {"onset": NOON - HOUR, "opened_at": NOON},
        ),
    ],
    ids=[
        "its severity stays",
        "and with it its words",
        "a worse finding stands for it",
        "what is over stays over",
        "until a later window shows it again",
        "or it comes back",
        "who does not know that it came back says nothing new",
        "its end stays",
        "its state is that of the latest window",
        "its beginning stays",
    ],
)
def test_a_process_that_knows_less_takes_nothing_back(
    ledger: Ledger, known: Incident, late: Incident, expected: dict[str, Any]
) -> None:
    ledger.record_incidents([known])
    ledger.record_incidents([late])
    (found,) = ledger.incidents(LONG_AGO)
    assert {name: getattr(found, name) for name in expected} == expected


def test_an_incident_from_before_the_lifecycle_opened_at_its_onset(address: str) -> None:
    engine = sa.create_engine(address.replace("deep/", ""))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        texts = {"also": "[]", "example_traces": "[]", "severity": "high"}
        for state in ("open", "resolved"):
            row = {"id": state, "state": state, "onset": "2026-03-01 10:00:00", "last_seen": "2026-03-01 11:00:00"}
            row |= texts | dict.fromkeys(("agent", "family", "type", "root_cause", "recommended_action", "details"), "")
            marks = ", ".join(f":{name}" for name in row)
            connection.execute(sa.text(f"INSERT INTO incidents ({', '.join(row)}) VALUES ({marks})"), row)
    engine.dispose()
    upgraded = Ledger(address.replace("deep/", ""))
    found = {one.id: one for one in upgraded.incidents(LONG_AGO)}
    upgraded.close()
    ten, eleven = (datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (10, 11))
    assert [(one.opened_at, one.resolved_at, one.reopened) for one in (found["open"], found["resolved"])] == [
        (ten, None, 0),
        (ten, eleven, 0),
    ]


def test_a_key_is_used_once_and_what_it_said_first_stays(ledger: Ledger) -> None:
    assert ledger.enqueue(message())
    assert not ledger.enqueue(message(message=Message(title="another")))
    assert [found.message.title for found in ledger.notifications()] == ["title of alert:1"]


def test_what_could_not_be_delivered_is_counted_and_may_be_tried_again(ledger: Ledger) -> None:
    ledger.enqueue(message("failed", state=NotificationState.UNDELIVERABLE, attempts=20, note="refused"))
    ledger.enqueue(message("sent", state=NotificationState.SENT))
    assert (ledger.undeliverable_count(), ledger.deliverable(NOON, NOON)) == (1, [])
    assert ledger.retry_undeliverable() == 1
    [waiting] = ledger.deliverable(NOON, NOON)
    # It counts as tried, so that it is looked for before it is posted.
    assert (waiting.key, waiting.attempts, waiting.note) == ("failed", 1, "refused")
    assert (ledger.undeliverable_count(), ledger.retry_undeliverable()) == (0, 0)


def test_messages_are_found_by_their_keys(ledger: Ledger) -> None:
    ledger.enqueue(message("a", thread="b", picture=b"\x89PNG"))
    assert ledger.notifications_by_key(["a", "unknown"]) == {"a": message("a", thread="b", picture=b"\x89PNG")}
    assert ledger.notifications_by_key([]) == {}


def test_only_what_waits_and_is_due_or_was_abandoned_is_deliverable(ledger: Ledger) -> None:
    hour = timedelta(hours=1)
    due = [message("new"), message("due", not_before=NOON)]
    waiting = [
        message("later", not_before=NOON + hour),
        message("withheld", state=NotificationState.WITHHELD),
        message("sent", state=NotificationState.SENT),
        message("undeliverable", state=NotificationState.UNDELIVERABLE),
        message("in work", state=NotificationState.CLAIMED, claimed_by="a", claimed_at=NOON),
    ]
    abandoned = message("abandoned", state=NotificationState.CLAIMED, claimed_by="b", claimed_at=NOON - hour)
    for each in [*due, *waiting, abandoned]:
        assert ledger.enqueue(each)
    assert {found.key for found in ledger.deliverable(NOON, NOON - hour / 2)} == {"new", "due", "abandoned"}


def test_a_claim_counts_an_attempt_and_excludes_others_until_it_is_given_up(ledger: Ledger) -> None:
    ledger.enqueue(message())
    [seen] = ledger.notifications()
    assert claim(ledger, seen, "one")
    assert not claim(ledger, seen, "two")
    [claimed] = ledger.notifications()
    assert (claimed.state, claimed.claimed_by, claimed.attempts) == (NotificationState.CLAIMED, "one", 1)
    assert claim(ledger, claimed, "three", NOON + timedelta(hours=1))
    assert not claim(ledger, claimed, "four", NOON + timedelta(hours=1))
    assert not ledger.settle("alert:1", "one", NotificationState.SENT, sent_at=NOON)
    assert ledger.settle("alert:1", "three", NotificationState.SENT, sent_at=NOON, channel="C1", message_ts="1.1")
    [sent] = ledger.notifications()
    assert (sent.state, sent.attempts, sent.channel, sent.message_ts) == (NotificationState.SENT, 2, "C1", "1.1")
    assert not ledger.settle("alert:1", "three", NotificationState.PENDING)


def test_a_message_that_was_sent_in_the_meantime_is_not_taken_over(ledger: Ledger) -> None:
    ledger.enqueue(message())
    [waiting] = ledger.notifications()
    assert claim(ledger, waiting, "slow")
    [seen_as_abandoned] = ledger.notifications()
    assert ledger.settle("alert:1", "slow", NotificationState.SENT, sent_at=NOON)
    assert not claim(ledger, seen_as_abandoned, "next", NOON + timedelta(hours=1))
    assert [found.state for found in ledger.notifications()] == [NotificationState.SENT]


def test_of_many_threads_one_claims(address: str) -> None:
    ledgers = [Ledger(address) for _ in range(8)]
    ledgers[0].enqueue(message())
    [seen] = ledgers[0].notifications()
    start, won = threading.Barrier(len(ledgers)), []

    def race(number: int) -> None:
        start.wait()
        if ledgers[number].claim(seen, f"sender {number}", NOON):
            won.append(number)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(len(ledgers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [found] = ledgers[0].notifications()
    for opened in ledgers:
        opened.close()
    assert [f"sender {number}" for number in won] == [found.claimed_by]
    assert found.attempts == 1


CONTENDER = """
import sys, time
from datetime import UTC, datetime
from resources.ledger import Ledger
from tests.incident_builders import notification
address, name, begin = sys.argv[1], sys.argv[2], float(sys.argv[3])
time.sleep(max(begin - time.time(), 0))
ledger = Ledger(address)
now = datetime.now(UTC)
ledger.enqueue(notification("alert:1", now))
won = [m.key for m in ledger.deliverable(now, datetime(2026, 1, 1, tzinfo=UTC)) if ledger.claim(m, name, now)]
print(len(won))
"""


def test_processes_that_open_a_new_ledger_together_agree_on_one_winner(address: str) -> None:
    # The imports take a second or two: all contenders wait for one moment after them.
    begin = str(datetime.now(UTC).timestamp() + 4)
    contenders = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", CONTENDER, address, f"process {number}", begin],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    outcomes = [contender.communicate(timeout=60) for contender in contenders]
    assert [contender.returncode for contender in contenders] == [0, 0], outcomes
    assert sorted(out.strip() for out, _ in outcomes) == ["0", "1"]
    ledger = Ledger(address)
    [found] = ledger.notifications()
    ledger.close()
    assert found.attempts == 1


def test_a_migration_that_was_killed_half_way_is_done_again(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import op

    def die(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(op, "create_index", die)
        with pytest.raises(KeyboardInterrupt):
            Ledger(address)
    ledger = Ledger(address)
    assert ledger.notifications() == []
    ledger.close()


@pytest.mark.parametrize("state", [RequestState.AWAITING_APPROVAL, RequestState.READY, RequestState.RUNNING])
def test_an_agent_has_one_open_request(ledger: Ledger, state: RequestState) -> None:
    assert ledger.request_optimization(request(state=state))
    assert not ledger.request_optimization(request(identity="b"))
    assert ledger.request_optimization(request("AuditAgent", identity="c"))


@pytest.mark.parametrize("state", [state for state in RequestState if not state.is_open])
def test_an_agent_whose_request_is_over_may_have_another_but_not_the_same(ledger: Ledger, state: RequestState) -> None:
    assert ledger.request_optimization(request(state=state))
    assert not ledger.request_optimization(request())
    assert ledger.request_optimization(request(identity="b"))


def test_a_resource_opens_and_closes_the_ledger_at_its_address(address: str) -> None:
    resource = LedgerResource(url=address)
    with resource.open() as book:
        assert book.enqueue(message())
    with resource.open() as book:
        assert not book.enqueue(message())
