"""Two daemons tell of the same incidents, from what each saw a while ago: nothing is told twice, all is in the end."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from perf_pipeline.fleet import Severity
from perf_pipeline.notifications.muting import silenced_by
from perf_pipeline.notifications.telling import Situation, tellings
from perf_pipeline.records import Incident, IncidentState, Silence, ToldIncident
from perf_pipeline.situation import situation_now
from resources.ledger import Ledger
from tests.builders import shipped_fleet
from tests.incident_builders import incident
from tests.test_telling import no_link

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
WINDOW = timedelta(minutes=30)
AGENTS = ("InboundAgent", "AuditAgent", "ResearchAgent")
DAEMONS = ("one", "two")


class TwoDaemons(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = Ledger(f"sqlite:///{self.folder.name}/ledger.db")
        self.fleet = shipped_fleet()
        self.now = NOON
        self.incidents: dict[str, Incident] = {}
        self.seen: dict[str, Situation] = {}
        self.learned: Counter[tuple[str, ToldIncident | None]] = Counter()

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
            self.folder.cleanup()

    @rule(agent=st.sampled_from(AGENTS), cause=st.sampled_from(["", "TimeoutError"]))
    def it_fails(self, agent: str, cause: str) -> None:
        known = self.incidents.get(agent)
        if known is None:
            new = incident(id=agent, agent=agent, onset=self.now - WINDOW, cause=cause)
        elif known.state is IncidentState.RESOLVED:
            again = known.reopened + 1
            new = replace(known, state=IncidentState.OPEN, resolved_at=None, reopened=again, last_seen=self.now)
        else:
            new = replace(known, severity=Severity.CRITICAL, last_seen=self.now)
        self._record(new)

    @rule(agent=st.sampled_from(AGENTS))
    def late_data_show_that_it_went_on(self, agent: str) -> None:
        known = self.incidents.get(agent)
        if known is not None and known.state is IncidentState.RESOLVED:
            later = self.now + timedelta(seconds=1)
            self._record(replace(known, state=IncidentState.OPEN, resolved_at=None, last_seen=later))

    @rule(agent=st.sampled_from(AGENTS), hours=st.sampled_from([1, 4]))
    def it_is_silenced(self, agent: str, hours: int) -> None:
        end = self.now + timedelta(hours=hours)
        self.ledger.add_silence(Silence(f"{agent} {self.now}", agent, "*", self.now, end, "ana"))

    @rule(agent=st.sampled_from(AGENTS))
    def it_recovers(self, agent: str) -> None:
        known = self.incidents.get(agent)
        if known is not None and known.state is not IncidentState.RESOLVED:
            self._record(replace(known, state=IncidentState.RESOLVED, last_seen=self.now, resolved_at=self.now))

    @rule(daemon=st.sampled_from(DAEMONS))
    def it_looks(self, daemon: str) -> None:
        self.seen[daemon] = situation_now(self.ledger, self.fleet, self.now)

    @rule(daemon=st.sampled_from(DAEMONS))
    def it_tells(self, daemon: str) -> None:
        for telling in tellings(self.seen[daemon], self.fleet, self.now, no_link) if daemon in self.seen else ():
            if self.ledger.tell(telling):
                self.learned.update((learned.after.incident_id, learned.before) for learned in telling.learned)

    @rule(minutes=st.sampled_from([1, 30]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def in_the_end_people_know_how_it_is(self) -> None:
        for _ in range(4):
            self.it_looks("one")
            self.it_tells("one")
        told = {known.incident_id: known for known in self.ledger.told_incidents(self.incidents)}
        for name, one in self.incidents.items():
            fresh = one.last_seen + WINDOW + self.fleet.act_within >= self.now
            if fresh and silenced_by(one, self.ledger.silences(self.now), self.now) is None:
                assert not (told[name].withheld and one.state is not IncidentState.RESOLVED)
                assert (told[name].severity, told[name].state) == (one.severity, one.state)

    @invariant()
    def nothing_is_told_twice(self) -> None:
        if hasattr(self, "learned"):
            assert max(self.learned.values(), default=0) <= 1

    @invariant()
    def people_know_only_what_a_message_told(self) -> None:
        if not hasattr(self, "ledger"):
            return
        threads = {known.thread for known in self.ledger.told_incidents(self.incidents)}
        keys = {message.key for message in self.ledger.notifications()}
        assert {f"{thread}@slack" for thread in threads} <= keys

    def _record(self, new: Incident) -> None:
        self.incidents[new.agent] = new
        self.ledger.record_incidents([new])


TestTwoDaemons = TwoDaemons.TestCase
TestTwoDaemons.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("attempt", range(5))
def test_of_eight_threads_that_tell_at_once_one_does(tmp_path: Path, attempt: int) -> None:
    address, fleet = f"sqlite:///{tmp_path / f'ledger-{attempt}.db'}", shipped_fleet()
    ledgers = [Ledger(address) for _ in range(8)]
    ledgers[0].record_incidents([incident(id=agent, agent=agent, onset=NOON - WINDOW) for agent in AGENTS])
    start, told = threading.Barrier(len(ledgers)), []

    def race(ledger: Ledger) -> None:
        found = tellings(situation_now(ledger, fleet, NOON), fleet, NOON, no_link)
        start.wait()
        told.extend(ledger.tell(telling) for telling in found)

    threads = [threading.Thread(target=race, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    messages = ledgers[0].notifications()
    for ledger in ledgers:
        ledger.close()
    assert (told.count(True), told.count(False), len(messages)) == (1, 7, 1)
