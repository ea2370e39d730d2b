"""Alerts in a model's words: they wait for these, but not for long, and say who worded them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from perf_pipeline.monitoring.cause_evidence import CauseEvidence
from perf_pipeline.monitoring.cause_kinds import CauseKind
from perf_pipeline.monitoring.incident_analysis import Answer, digest_of, to_analyse, trouble_with, with_answer, worded
from perf_pipeline.monitoring.incident_facts import facts_of_incident
from perf_pipeline.monitoring.incident_summary import MOST_WORDS, summary_by_rules
from perf_pipeline.monitoring.prose.faithfulness import unfaithful
from perf_pipeline.notifications.alert_messages import alert_message
from perf_pipeline.notifications.plain_text import plain_text
from perf_pipeline.records import Incident, IncidentAnalysis
from resources.ledger import Ledger
from tests.alert_stories import failing, slow
from tests.analyst_builders import EVIDENCE, fleet_with_analysts, known_incident
from tests.builders import shipped_fleet
from tests.incident_builders import ONSET
from tests.test_telling import Newsroom

FLEET = fleet_with_analysts(shipped_fleet(), "http://127.0.0.1:9/v1")
NOW = ONSET + timedelta(minutes=32)
ANSWER = Answer(
    cause_kind="deployment",
    confidence=0.9,
    what_changed="Success rate fell from 85% to 0% since 13:30 UTC.",
    likely_cause="The deployment of 13:24 UTC came 6 minutes before the onset.",
    what_to_do="Roll the deployment back.",
)


@pytest.fixture
def newsroom(tmp_path: Path) -> Iterator[Newsroom]:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield Newsroom(ledger, FLEET)
    ledger.close()


def asked_about(incident: Incident) -> IncidentAnalysis:
    [asked] = to_analyse([incident], {}, FLEET, NOW)
    return asked


def test_an_alert_waits_for_its_words_and_is_sent_with_them(newsroom: Newsroom) -> None:
    incident = known_incident()
    asked = asked_about(incident)
    newsroom.ledger.await_analyses([asked])
    assert newsroom.tick(NOW, incident) == []
    answered = with_answer(asked, ANSWER, facts_of_incident(incident), "openai/small", NOW)
    assert answered.trouble == ""
    assert newsroom.ledger.settle_analysis(answered)
    [alert] = newsroom.tick(NOW + timedelta(seconds=5), incident)
    text = plain_text(alert.message)
    assert "Recommended Action: IMMEDIATE. Roll the deployment back." in text
    assert "Worded by: openai/small, every figure and name held against the data" in text


def test_an_alert_whose_words_do_not_come_is_sent_in_those_of_the_rules(newsroom: Newsroom) -> None:
    incident = known_incident()
    asked = asked_about(incident)
    newsroom.ledger.await_analyses([asked])
    assert newsroom.tick(asked.due_at - timedelta(seconds=1), incident) == []
    [alert] = newsroom.tick(asked.due_at, incident)
    assert "Worded by: rules (the model was not asked in time)" in plain_text(alert.message)
    assert newsroom.tick(asked.due_at + timedelta(seconds=5), incident) == []


def test_an_alert_says_why_rules_worded_it(newsroom: Newsroom) -> None:
    incident = known_incident()
    asked = asked_about(incident)
    newsroom.ledger.await_analyses([asked])
    newsroom.ledger.settle_analysis(replace(asked, trouble="the model did not answer within 8 s"))
    [alert] = newsroom.tick(NOW, incident)
    assert "Worded by: rules (the model did not answer within 8 s)" in plain_text(alert.message)
    no_model = worded(incident, None, shipped_fleet())
    assert (no_model.written_by, no_model.trouble) == (None, "no model is configured")


def test_words_about_an_incident_as_it_was_are_not_told_of_what_it_became() -> None:
    incident = known_incident()
    answered = with_answer(asked_about(incident), ANSWER, facts_of_incident(incident), "openai/small", NOW)
    assert worded(incident, answered, FLEET).written_by == "openai/small"
    assert worded(replace(incident, reopened=1), answered, FLEET).written_by is None


def test_figures_that_grow_from_window_to_window_do_not_ask_again() -> None:
    incident = known_incident()
    assert digest_of(replace(incident, details="other figures", last_seen=NOW)) == digest_of(incident)
    assert digest_of(replace(incident, cause="another")) != digest_of(incident)


def test_old_resolved_and_light_incidents_and_outages_are_not_asked_about() -> None:
    incident = known_incident()
    others = [
        replace(incident, state="resolved"),
        replace(incident, severity=type(incident.severity).MEDIUM),
        replace(incident, family="data"),
        replace(incident, last_seen=NOW - timedelta(hours=3)),
        replace(incident, agent="PerformanceAgent"),
    ]
    assert to_analyse(others, {}, FLEET, NOW) == []
    assert to_analyse([incident], {}, shipped_fleet(), NOW) == []


def test_an_answer_of_no_kind_or_too_many_words_may_not_be_told() -> None:
    facts = facts_of_incident(known_incident())
    assert "no kind of cause" in trouble_with(replace(ANSWER, cause_kind="moon"), facts)
    long = "Success rate fell from 85% to 0% since 13:30 UTC. " * 6
    assert f"{MOST_WORDS} are allowed" in trouble_with(replace(ANSWER, what_changed=long), facts)


@pytest.mark.parametrize(
    "incident", [known_incident(), failing(), slow(), known_incident(evidence="")], ids=["known", "old", "slow", "bare"]
)
def test_a_reader_gets_to_the_details_within_sixty_words(incident: Incident) -> None:
    before, _, _ = plain_text(alert_message([incident], "alert:1", "UTC", lambda _: None)).partition("Details:")
    assert len(before.split()) <= 60, before


def test_what_rules_say_holds_against_the_facts() -> None:
    for incident in (known_incident(), slow(evidence=EVIDENCE.model_dump_json())):
        summary, facts = summary_by_rules(incident), facts_of_incident(incident)
        plain = summary.what_changed.partition(" (")[0] + "."
        assert unfaithful(plain, facts) == []
        assert unfaithful(summary.what_to_do, facts, advice=True) == []


def test_the_kind_of_cause_decides_what_to_do() -> None:
    summary = summary_by_rules(known_incident())
    assert summary.cause_kind is CauseKind.PROGRAM
    assert summary.what_to_do.startswith("Roll InboundAgent back")
    only_the_deployment = EVIDENCE.model_copy(update={"explanations": ()})
    summary = summary_by_rules(known_incident(evidence=only_the_deployment.model_dump_json()))
    assert summary.cause_kind is CauseKind.DEPLOYMENT
    nothing = CauseEvidence(affected_means="failed", affected=3, tasks=9)
    assert summary_by_rules(known_incident(evidence=nothing.model_dump_json())).cause_kind is CauseKind.UNKNOWN
