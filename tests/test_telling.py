"""What people are told of incidents, and when: over a real ledger, tick after tick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perf_pipeline.fleet import FleetConfig, Severity
from perf_pipeline.fleet_people import NotificationsConfig
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.notifications.telling import acknowledgement, tellings
from perf_pipeline.records import (
    Incident,
    IncidentState,
    Notification,
    NotificationState,
    OptimizationRequest,
    RequestState,
    Silence,
)
from perf_pipeline.situation import situation_now
from resources.ledger import Ledger
from tests.builders import shipped_fleet
from tests.incident_builders import incident
from tests.test_ledger import request

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
WINDOW = timedelta(minutes=30)
HOUR = timedelta(hours=1)
ALERT = "🚨 PERFORMANCE ALERT"


def no_link(_trace: str) -> None:
    """Traces that nobody can look at."""


class Newsroom:
    """A ledger, and people who hear what is told of its incidents."""

    def __init__(self, ledger: Ledger, fleet: FleetConfig) -> None:
        self.ledger, self.fleet = ledger, fleet
        self.heard: set[str] = set()

    def tick(self, now: datetime, *incidents: Incident) -> list[Notification]:
        """The messages that a tick adds, after these incidents were recorded."""
        self.ledger.record_incidents(incidents)
        for telling in tellings(situation_now(self.ledger, self.fleet, now), self.fleet, now, no_link):
            self.ledger.tell(telling)
        new = [message for message in self.ledger.notifications() if message.key not in self.heard]
        self.heard |= {message.key for message in new}
        return new


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


@pytest.fixture
def newsroom(ledger: Ledger) -> Newsroom:
    return Newsroom(ledger, shipped_fleet())


def with_rules(ledger: Ledger, **rules: Any) -> Newsroom:
    config = NotificationsConfig.model_validate(rules)
    return Newsroom(ledger, shipped_fleet().model_copy(update={"notifications": config}))


def failing(agent: str = "InboundAgent", *, at: Any = NOON - WINDOW, **changes: Any) -> Incident:
    facts = {"id": f"{agent}-{changes.get('family', 'reliability')}", "agent": agent, "onset": at}
    return incident(**(facts | changes))


def over(one: Incident, at: datetime) -> Incident:
    return replace(one, state=IncidentState.RESOLVED, resolved_at=at)


def seen(one: Incident, at: datetime, **changes: Any) -> Incident:
    return replace(one, last_seen=at, **changes)


def titles(messages: list[Notification]) -> list[str]:
    return [message.message.title for message in messages]


@pytest.mark.parametrize(
    ("severity", "told"),
    [(Severity.LOW, False), (Severity.MEDIUM, False), (Severity.HIGH, True), (Severity.CRITICAL, True)],
)
def test_incidents_are_told_from_high_severity_on(newsroom: Newsroom, severity: Severity, told: bool) -> None:
    assert bool(newsroom.tick(NOON, failing(severity=severity))) == told


def test_the_severity_from_which_incidents_are_told_is_the_teams_choice(ledger: Ledger) -> None:
    newsroom = with_rules(ledger, alert_from="medium")
    assert len(newsroom.tick(NOON, failing(severity=Severity.MEDIUM))) == 1


def test_an_incident_is_told_once_however_often_it_is_looked_at(newsroom: Newsroom) -> None:
    [alert] = newsroom.tick(NOON, failing())
    assert (alert.state, alert.thread, alert.target) == (NotificationState.PENDING, None, "slack")
    assert [newsroom.tick(NOON + minutes * timedelta(minutes=10)) for minutes in range(3)] == [[], [], []]


def test_an_incident_that_grows_to_high_is_told_then(newsroom: Newsroom) -> None:
    assert newsroom.tick(NOON, failing(severity=Severity.MEDIUM)) == []
    assert len(newsroom.tick(NOON, failing(severity=Severity.HIGH))) == 1


def test_what_becomes_of_an_incident_is_told_in_the_thread_of_its_alert(newsroom: Newsroom) -> None:
    one = failing()
    [alert] = newsroom.tick(NOON, one)
    stages = [
        seen(one, NOON, severity=Severity.CRITICAL),
        over(seen(one, NOON, severity=Severity.CRITICAL), NOON + WINDOW),
        seen(one, NOON + HOUR, severity=Severity.CRITICAL, reopened=1),
    ]
    told = [newsroom.tick(NOON + WINDOW * (1 + number), stage) for number, stage in enumerate(stages)]
    assert [titles(messages) for messages in told] == [["It got worse"], ["✅ RECOVERED"], ["It is back"]]
    assert {message.thread for messages in told for message in messages} == {alert.key}


def test_a_recovery_is_told_however_late_it_becomes_known(newsroom: Newsroom) -> None:
    newsroom.tick(NOON, failing())
    week = timedelta(days=7)
    assert titles(newsroom.tick(NOON + week, over(failing(), NOON))) == ["✅ RECOVERED"]


def test_an_incident_that_opened_and_ended_while_nobody_looked_is_told_with_its_end(newsroom: Newsroom) -> None:
    assert titles(newsroom.tick(NOON, over(failing(), NOON))) == [ALERT]
    assert titles(newsroom.tick(NOON)) == ["✅ RECOVERED"]
    assert newsroom.tick(NOON) == []


def test_an_incident_that_was_over_long_ago_is_recorded_and_withheld(newsroom: Newsroom) -> None:
    [kept] = newsroom.tick(NOON, over(failing(at=NOON - 5 * HOUR), NOON - 4 * HOUR))
    assert (kept.state, kept.note) == (
        NotificationState.WITHHELD,
        "The incident was over before it became known.",
    )
    assert newsroom.tick(NOON) == []


@pytest.mark.parametrize("state", [IncidentState.OPEN, IncidentState.RECOVERING])
def test_an_old_incident_that_is_not_over_waits_for_the_windows_that_are_to_be_read(
    newsroom: Newsroom, state: IncidentState
) -> None:
    old = failing(at=NOON - 5 * HOUR, state=state)
    assert newsroom.tick(NOON, old) == []
    assert titles(newsroom.tick(NOON, seen(old, NOON - WINDOW))) == [ALERT]


@pytest.mark.parametrize(("minutes", "state"), [(0, NotificationState.PENDING), (1, NotificationState.WITHHELD)])
def test_the_time_to_act_counts_from_the_windows_end(
    newsroom: Newsroom, minutes: int, state: NotificationState
) -> None:
    last = NOON - WINDOW - newsroom.fleet.act_within - timedelta(minutes=minutes)
    [message] = newsroom.tick(NOON, over(failing(at=last), last))
    assert message.state is state


def test_what_was_withheld_is_told_when_it_comes_back(newsroom: Newsroom) -> None:
    one = failing(at=NOON - 5 * HOUR)
    newsroom.tick(NOON, over(one, NOON - 4 * HOUR))
    [alert] = newsroom.tick(NOON, seen(one, NOON - WINDOW, reopened=1))
    assert (alert.message.title, alert.state, alert.thread) == (ALERT, NotificationState.PENDING, None)


def test_what_late_data_reopen_and_end_again_is_told_each_time(newsroom: Newsroom) -> None:
    """A window that is read again may reopen an incident that does not count as having come back."""
    one = failing()
    newsroom.tick(NOON, one)
    told = [
        newsroom.tick(NOON + WINDOW, over(one, NOON)),
        newsroom.tick(NOON + 2 * WINDOW, seen(one, NOON + WINDOW)),
        newsroom.tick(NOON + 3 * WINDOW, over(seen(one, NOON + WINDOW), NOON + 2 * WINDOW)),
    ]
    assert [titles(messages) for messages in told] == [["✅ RECOVERED"], ["It is back"], ["✅ RECOVERED"]]


def test_what_was_withheld_as_over_and_was_not_is_told(newsroom: Newsroom) -> None:
    one = failing(at=NOON - 5 * HOUR)
    newsroom.tick(NOON, over(one, NOON - 4 * HOUR))
    [alert] = newsroom.tick(NOON + WINDOW, seen(one, NOON))
    assert (alert.message.title, alert.state) == (ALERT, NotificationState.PENDING)
    assert newsroom.tick(NOON + WINDOW) == []


# One trouble, one message


def test_agents_that_fail_for_one_cause_in_one_window_are_one_message(newsroom: Newsroom) -> None:
    agents = [failing(f"Agent{number}", cause="deployment abc") for number in range(200)]
    [alert] = newsroom.tick(NOON, *agents)
    assert "200" in plain_text(alert.message)
    assert newsroom.tick(NOON) == []


def test_agents_that_fail_for_different_causes_are_different_messages(newsroom: Newsroom) -> None:
    both = [failing("InboundAgent", cause="TimeoutError"), failing("AuditAgent", cause="RateLimitError")]
    assert len(newsroom.tick(NOON, *both)) == 2


def test_agents_that_fail_without_a_known_cause_are_one_message_for_each_kind_of_trouble(newsroom: Newsroom) -> None:
    slow = {"family": "latency", "type": "latency_increase"}
    found = [failing("InboundAgent"), failing("AuditAgent"), failing("Introspection", **slow)]
    assert len(newsroom.tick(NOON, *found)) == 2


def test_all_that_is_wrong_with_an_agent_in_one_window_is_one_message(newsroom: Newsroom) -> None:
    slow = {"family": "latency", "type": "latency_increase", "severity": Severity.CRITICAL}
    [alert] = newsroom.tick(NOON, failing(), failing(**slow))
    assert "success_drop" in plain_text(alert.message)
    assert "latency_increase" in plain_text(alert.message)


def test_an_agent_that_shows_the_same_trouble_later_joins_the_thread(newsroom: Newsroom) -> None:
    [alert] = newsroom.tick(NOON, failing("InboundAgent", cause="TimeoutError"))
    late = failing("AuditAgent", at=NOON, cause="TimeoutError")
    [update] = newsroom.tick(NOON + WINDOW, late)
    assert (update.message.title, update.thread, update.message.announce) == ("More is failing", alert.key, True)
    assert titles(newsroom.tick(NOON + WINDOW, over(failing("InboundAgent", cause="TimeoutError"), NOON))) == [
        "Recovered"
    ]
    assert titles(newsroom.tick(NOON + WINDOW, over(late, NOON + WINDOW))) == ["✅ RECOVERED"]


@pytest.mark.parametrize(
    ("late", "ended"),
    [({"at": NOON + 3 * HOUR}, False), ({"at": NOON}, True), ({"at": NOON, "cause": "RateLimitError"}, False)],
    ids=["much later", "after its end", "for another cause"],
)
def test_a_trouble_of_its_own_has_a_thread_of_its_own(newsroom: Newsroom, late: dict[str, Any], ended: bool) -> None:
    first = failing("InboundAgent", cause="TimeoutError")
    newsroom.tick(NOON, over(first, NOON) if ended else first)
    if ended:
        newsroom.tick(NOON)
    [alert] = newsroom.tick(late["at"] + WINDOW, failing("AuditAgent", **({"cause": "TimeoutError"} | late)))
    assert (alert.message.title, alert.thread) == (ALERT, None)


def test_windows_that_become_known_at_once_after_a_pause_are_one_thread(newsroom: Newsroom) -> None:
    agents = ("InboundAgent", "AuditAgent", "Introspection")
    found = [
        failing(agent, at=NOON - WINDOW * (3 - number), cause="TimeoutError") for number, agent in enumerate(agents)
    ]
    [alert] = newsroom.tick(NOON, *found)
    assert "InboundAgent" in plain_text(alert.message)
    [joined] = newsroom.tick(NOON)
    assert (joined.message.title, joined.thread) == ("More is failing", alert.key)
    assert newsroom.tick(NOON) == []


# What is known explains it


def outage(**changes: Any) -> Incident:
    facts: dict[str, Any] = {"id": "outage", "agent": "source:spans", "family": "data", "type": "data_gap"}
    return incident(**(facts | {"onset": NOON - WINDOW} | changes))


def test_an_outage_of_the_spans_is_one_message_and_mutes_the_agents(newsroom: Newsroom) -> None:
    agents = [failing(f"Agent{number}", type="log_error_spike") for number in range(200)]
    [alert] = newsroom.tick(NOON, outage(), *agents)
    assert "source:spans" not in alert.message.title
    assert newsroom.tick(NOON + WINDOW) == []


def test_agents_that_still_fail_after_the_outage_are_told_then(newsroom: Newsroom) -> None:
    newsroom.tick(NOON, outage(), failing())
    told = newsroom.tick(NOON + WINDOW, over(outage(), NOON), seen(failing(), NOON))
    assert sorted(titles(told)) == sorted([ALERT, "✅ RECOVERED"])


def test_agents_that_recovered_during_the_outage_are_withheld_with_the_reason(newsroom: Newsroom) -> None:
    newsroom.tick(NOON, outage(), failing())
    [kept] = newsroom.tick(NOON + WINDOW, over(failing(), NOON))
    assert (kept.state, kept.note) == (
        NotificationState.WITHHELD,
        "The spans could not be read completely when it opened.",
    )


def test_agents_whose_trouble_ended_with_the_outage_are_withheld(newsroom: Newsroom) -> None:
    newsroom.tick(NOON, outage(), failing())
    told = newsroom.tick(NOON + WINDOW, over(outage(), NOON), over(failing(), NOON))
    assert {message.message.title: message.state for message in told} == {
        "✅ RECOVERED": NotificationState.PENDING,
        ALERT: NotificationState.WITHHELD,
    }


def test_an_outage_that_nobody_is_told_of_mutes_nobody(newsroom: Newsroom) -> None:
    heard = newsroom.tick(NOON, outage(severity=Severity.MEDIUM), failing())
    assert titles(heard) == [ALERT]


@pytest.mark.parametrize(
    "gap",
    [
        outage(agent="source:logs"),
        outage(onset=NOON),
        outage(onset=NOON - 20 * HOUR, last_seen=NOON - 10 * HOUR),
    ],
    ids=["of the logs", "that began after it", "long before it"],
)
def test_an_outage_that_explains_nothing_mutes_nobody(newsroom: Newsroom, gap: Incident) -> None:
    heard = newsroom.tick(NOON + WINDOW, gap, failing())
    assert any("InboundAgent" in plain_text(message.message) for message in heard)


@pytest.mark.parametrize(
    ("family", "told"), [("latency", False), ("cost", False), ("surge", False), ("reliability", True)]
)
def test_a_running_optimization_mutes_the_noise_that_it_makes_and_no_failure(
    newsroom: Newsroom, family: str, told: bool
) -> None:
    running: OptimizationRequest = request("InboundAgent", state=RequestState.RUNNING)
    newsroom.ledger.request_optimization(running)
    assert bool(newsroom.tick(NOON, failing(family=family))) == told
    assert newsroom.tick(NOON, failing("AuditAgent", family=family)) != []


# Silences


def silence(**changes: Any) -> Silence:
    facts: dict[str, Any] = {"id": "s", "agent": "*", "type": "*", "created_by": "ana"}
    facts |= {"starts_at": NOON, "ends_at": NOON + HOUR} | changes
    return Silence(**facts)


def test_a_silenced_incident_is_told_when_the_silence_ends_and_it_is_not_over(newsroom: Newsroom) -> None:
    newsroom.ledger.add_silence(silence(agent="Inbound*"))
    assert newsroom.tick(NOON, failing()) == []
    assert titles(newsroom.tick(NOON, failing("AuditAgent", id="b"))) == [ALERT]
    assert titles(newsroom.tick(NOON + HOUR, seen(failing(), NOON + WINDOW))) == [ALERT]


def test_a_silenced_incident_that_ends_is_kept_with_who_silenced_it(newsroom: Newsroom) -> None:
    newsroom.ledger.add_silence(silence())
    [kept] = newsroom.tick(NOON, over(failing(), NOON))
    assert (kept.state, kept.note) == (
        NotificationState.WITHHELD,
        "It was silenced by ana until 2026-03-02 13:00 UTC.",
    )


def test_a_silence_of_one_type_does_not_hide_another(newsroom: Newsroom) -> None:
    newsroom.ledger.add_silence(silence(type="error_spike"))
    assert newsroom.tick(NOON, failing(type="error_spike")) == []
    assert titles(newsroom.tick(NOON, failing(type="success_drop", also=("error_spike",)))) == [ALERT]


def test_silences_of_all_types_of_an_incident_silence_it_until_the_first_ends(newsroom: Newsroom) -> None:
    newsroom.ledger.add_silence(silence(id="a", type="error_spike", ends_at=NOON + HOUR))
    newsroom.ledger.add_silence(silence(id="b", type="success_drop", ends_at=NOON + 2 * HOUR))
    both = failing(type="success_drop", also=("error_spike",))
    assert newsroom.tick(NOON, both) == []
    assert titles(newsroom.tick(NOON + HOUR, seen(both, NOON + WINDOW))) == [ALERT]


def test_a_silence_that_is_taken_back_ends_at_once(newsroom: Newsroom) -> None:
    newsroom.ledger.add_silence(silence())
    assert newsroom.tick(NOON, failing()) == []
    assert newsroom.ledger.end_silence("s", NOON)
    assert not newsroom.ledger.end_silence("s", NOON)
    assert titles(newsroom.tick(NOON)) == [ALERT]


def test_a_silence_keeps_reminders_back_but_not_the_recovery(newsroom: Newsroom) -> None:
    newsroom.tick(NOON, failing())
    newsroom.ledger.add_silence(silence(ends_at=NOON + 48 * HOUR))
    later = NOON + newsroom.fleet.notifications.repeat
    assert newsroom.tick(later, seen(failing(), later - WINDOW)) == []
    assert titles(newsroom.tick(later, over(failing(), later))) == ["✅ RECOVERED"]


# Nobody answers


def test_an_incident_that_nobody_acknowledges_is_brought_up_again_at_every_interval(newsroom: Newsroom) -> None:
    [alert] = newsroom.tick(NOON, failing())
    repeat = newsroom.fleet.notifications.repeat

    def at(moment: datetime) -> list[Notification]:
        return newsroom.tick(moment, seen(failing(), moment - WINDOW))

    assert at(NOON + repeat - timedelta(seconds=1)) == []
    [reminder] = at(NOON + repeat)
    assert (reminder.message.title, reminder.thread, reminder.message.announce) == (
        "⏰ Still not over",
        alert.key,
        True,
    )
    assert at(NOON + repeat + HOUR) == []
    assert titles(at(NOON + 2 * repeat)) == ["⏰ Still not over"]
    # After a long pause there is one reminder, not one for each interval that was missed.
    assert titles(at(NOON + 9 * repeat)) == ["⏰ Still not over"]


def test_a_daemon_whose_clock_is_behind_reminds_nobody(newsroom: Newsroom) -> None:
    newsroom.tick(NOON, failing())
    assert newsroom.tick(NOON - timedelta(seconds=5)) == []


def acknowledge(newsroom: Newsroom, alert: Notification, now: datetime, person: str = "ana") -> bool:
    [thread] = newsroom.ledger.alert_threads([alert.key.removesuffix("@slack")])
    return newsroom.ledger.acknowledge(thread.id, person, now, acknowledgement(thread, person, now))


def test_who_acknowledges_is_told_in_the_thread_and_ends_the_reminders(newsroom: Newsroom) -> None:
    [alert] = newsroom.tick(NOON, failing())
    assert acknowledge(newsroom, alert, NOON)
    [said] = newsroom.tick(NOON)
    assert (said.thread, "ana" in plain_text(said.message)) == (alert.key, True)
    later = NOON + 3 * newsroom.fleet.notifications.repeat
    assert newsroom.tick(later, seen(failing(), later - WINDOW)) == []


def test_one_person_acknowledges_and_a_second_changes_nothing(newsroom: Newsroom) -> None:
    [alert] = newsroom.tick(NOON, failing())
    assert acknowledge(newsroom, alert, NOON)
    assert not acknowledge(newsroom, alert, NOON + HOUR, "bo")
    [thread] = newsroom.ledger.alert_threads([alert.key.removesuffix("@slack")])
    assert (thread.acknowledged_by, thread.acknowledged_at) == ("ana", NOON)
    assert len(newsroom.tick(NOON)) == 1


def test_an_acknowledgement_ends_when_it_gets_worse_and_stays_when_a_part_recovers(newsroom: Newsroom) -> None:
    both = [failing("InboundAgent"), failing("AuditAgent")]
    [alert] = newsroom.tick(NOON, *both)
    acknowledge(newsroom, alert, NOON)
    newsroom.tick(NOON, over(both[1], NOON))
    identity = alert.key.removesuffix("@slack")
    assert newsroom.ledger.alert_threads([identity])[0].acknowledged_by == "ana"
    newsroom.tick(NOON, seen(both[0], NOON, severity=Severity.CRITICAL))
    assert newsroom.ledger.alert_threads([identity])[0].acknowledged_by is None


ON_CALL = {"targets": {"on_call": {"kind": "apprise", "url_variable": "ON_CALL_URL"}}}


def test_what_nobody_acknowledges_in_time_is_told_to_those_who_are_called_then(ledger: Ledger) -> None:
    newsroom = with_rules(ledger, **ON_CALL, escalate_to=["on_call"], acknowledge_within_minutes=30)
    newsroom.tick(NOON, failing())
    due = NOON + timedelta(minutes=30)
    assert newsroom.tick(due - timedelta(seconds=1)) == []
    [called] = newsroom.tick(due)
    assert (called.target, called.thread) == ("on_call", None)
    assert "InboundAgent" in plain_text(called.message)
    assert newsroom.tick(due + HOUR) == []


def test_those_who_were_called_hear_how_it_ends(ledger: Ledger) -> None:
    newsroom = with_rules(ledger, **ON_CALL, escalate_to=["on_call"], acknowledge_within_minutes=30)
    newsroom.tick(NOON, failing())
    newsroom.tick(NOON + HOUR)
    ended = newsroom.tick(NOON + HOUR, over(failing(), NOON + WINDOW))
    assert {message.target: message.message.title for message in ended} == {
        "slack": "✅ RECOVERED",
        "on_call": "✅ RECOVERED",
    }


def test_what_gets_worse_after_it_was_acknowledged_has_its_own_time_to_be_acknowledged(ledger: Ledger) -> None:
    newsroom = with_rules(ledger, **ON_CALL, escalate_to=["on_call"], acknowledge_within_minutes=30)
    [alert] = newsroom.tick(NOON, failing())
    acknowledge(newsroom, alert, NOON)
    newsroom.tick(NOON)
    later = NOON + 20 * HOUR
    worse = seen(failing(), later - WINDOW, severity=Severity.CRITICAL)
    assert titles(newsroom.tick(later, worse)) == ["It got worse"]
    assert newsroom.tick(later) == []
    called = newsroom.tick(later + timedelta(minutes=30))
    assert [message.target for message in called] == ["on_call"]


def test_what_was_acknowledged_calls_nobody(ledger: Ledger) -> None:
    newsroom = with_rules(ledger, **ON_CALL, escalate_to=["on_call"], acknowledge_within_minutes=30)
    [alert] = newsroom.tick(NOON, failing())
    acknowledge(newsroom, alert, NOON)
    newsroom.tick(NOON)
    assert newsroom.tick(NOON + HOUR) == []


# Routes


def test_a_target_that_a_worse_severity_calls_in_hears_the_whole_alert(ledger: Ledger) -> None:
    routes = [{"to": ["slack"]}, {"to": ["on_call"], "severities": ["critical"]}]
    newsroom = with_rules(ledger, **ON_CALL, routes=routes)
    [alert] = newsroom.tick(NOON, failing())
    worse = {
        message.target: message
        for message in newsroom.tick(NOON + WINDOW, seen(failing(), NOON, severity=Severity.CRITICAL))
    }
    assert titles([worse["slack"], worse["on_call"]]) == ["It got worse", ALERT]
    assert (worse["slack"].thread, worse["on_call"].thread) == (alert.key, None)
    recovered = newsroom.tick(NOON + HOUR, over(failing(severity=Severity.CRITICAL), NOON + WINDOW))
    assert {message.target: message.thread for message in recovered} == {
        "slack": alert.key,
        "on_call": worse["on_call"].key,
    }


def test_of_a_group_each_team_hears_for_its_own_agent_and_severity(ledger: Ledger) -> None:
    targets = {name: {"kind": "slack", "channel": f"#{name}"} for name in ("inbound", "audit", "sales")}
    routes = [
        {"to": ["inbound"], "agents": ["Inbound*"], "severities": ["high"]},
        {"to": ["audit"], "agents": ["Audit*"], "severities": ["critical"]},
        {"to": ["sales"], "agents": ["Inbound*"], "severities": ["critical"]},
    ]
    newsroom = with_rules(ledger, targets=targets, routes=routes)
    both = (failing("InboundAgent"), failing("AuditAgent", severity=Severity.CRITICAL))
    assert {message.target for message in newsroom.tick(NOON, *both)} == {"inbound", "audit"}


def test_an_acknowledgement_given_while_the_next_target_is_told_stays(ledger: Ledger) -> None:
    newsroom = with_rules(ledger, **ON_CALL, escalate_to=["on_call"], acknowledge_within_minutes=30)
    [alert] = newsroom.tick(NOON, failing())
    [escalation] = tellings(situation_now(ledger, newsroom.fleet, NOON + HOUR), newsroom.fleet, NOON + HOUR, no_link)
    assert acknowledge(newsroom, alert, NOON + HOUR)
    assert ledger.tell(escalation)
    [thread] = ledger.alert_threads([alert.key.removesuffix("@slack")])
    assert (thread.acknowledged_by, thread.targets) == ("ana", ("slack", "on_call"))
