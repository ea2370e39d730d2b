"""Analysts over a real wire: a model words incidents where it answers in time, can be paid and tells the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perf_pipeline.analysts.asking import AnalystTools
from perf_pipeline.analysts.incidents import analyse
from perf_pipeline.assets.incident_analyses import still_awaited
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.fleet_analysts import PERFORMANCE_AGENT
from perf_pipeline.fleet_model import Severity
from perf_pipeline.monitoring.incident_analysis import to_analyse
from perf_pipeline.records import Incident, IncidentAnalysis
from resources.ledger import Ledger
from resources.ledger.spend import NANODOLLARS
from resources.program_files import ProgramFiles
from resources.span_files import SpanFilesResource
from tests.alert_stories import failing
from tests.analyst_builders import fleet_with_analysts, honest_answer, known_incident, saying
from tests.builders import shipped_fleet
from tests.wire.model_server import SERVER_ERROR, UNAUTHORIZED, Hang, ModelServer, Plan, model_server

NOW = datetime(2025, 10, 27, 14, 2, tzinfo=UTC)


@dataclass
class Desk:
    """An analyst's desk in a folder: a ledger, a lake, files of spans, and a model over HTTP."""

    folder: Path
    server: ModelServer
    book: Ledger

    def fleet(self, **analysts: Any) -> FleetConfig:
        return fleet_with_analysts(shipped_fleet(), self.server.base_url, **analysts)

    def analyse(self, *incidents: Incident, key: str | None = "k", **analysts: Any) -> list[IncidentAnalysis]:
        fleet = self.fleet(**analysts)
        asked = to_analyse(incidents, self.book.incident_analyses([one.id for one in incidents]), fleet, NOW)
        self.book.await_analyses(asked)
        tools = AnalystTools(self.book, fleet, self.spans, lambda _: key, lambda: datetime.now(UTC))
        files = ProgramFiles(str(self.folder / "lake"))
        return analyse(self.book.awaited_analyses(), {one.id: one for one in incidents}, tools, files)

    @property
    def spans(self) -> SpanFilesResource:
        return SpanFilesResource(folder=str(self.folder / "spans"), agent_attributes=["agent.name"])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Plan], Desk]]:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "true")
    book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with model_server() as server:

        def made(plan: Plan) -> Desk:
            server.plan = plan
            return Desk(tmp_path, server, book)

        yield made
    book.close()


def honest(incident: Incident, **changes: str) -> Plan:
    return saying(lambda _query: honest_answer(incident, **changes))


def test_a_model_words_an_incident_and_the_ledger_keeps_it(desk: Callable[[Plan], Desk]) -> None:
    incident = known_incident()
    here = desk(honest(incident, what_changed="Success rate of InboundAgent fell from 85% to 0% since 13:30 UTC."))
    [analysis] = here.analyse(incident)
    assert analysis.trouble == ""
    assert analysis.written_by == "openai/simulated-1"
    assert analysis.what_changed == "Success rate of InboundAgent fell from 85% to 0% since 13:30 UTC."
    assert analysis.cause_kind == "program"
    assert here.book.incident_analyses([incident.id]) == {incident.id: analysis}


def test_what_is_understood_is_not_asked_again_until_it_gets_worse(desk: Callable[[Plan], Desk]) -> None:
    incident = known_incident(severity=Severity.HIGH)
    here = desk(honest(incident))
    assert here.analyse(incident)
    assert here.analyse(incident) == []
    assert len(here.server.calls) == 2
    worse = known_incident(severity=Severity.CRITICAL)
    assert here.analyse(worse)
    assert len(here.server.calls) == 4


@pytest.mark.parametrize(
    "lie",
    [
        {"what_changed": "Success rate fell from 86% to 0% since 13:30 UTC."},
        {"what_changed": "Success rate of BillingAgent fell from 85% to 0%."},
        {"likely_cause": "The database ran out of memory."},
        {"what_to_do": "Ask Maria to restart openai."},
        {"what_to_do": ""},
        {"what_changed": "Success rate fell. " * 30},
    ],
    ids=["figure", "agent", "cause", "person", "empty", "long"],
)
def test_a_lie_is_not_told_and_rules_say_why(desk: Callable[[Plan], Desk], lie: dict[str, str]) -> None:
    incident = known_incident()
    [analysis] = desk(honest(incident, **lie)).analyse(incident)
    assert analysis.written_by is None
    assert analysis.what_changed == ""
    assert analysis.trouble.startswith(("its words do not hold", "it took", "it said nothing"))


def test_a_model_that_hangs_is_given_up_at_the_deadline(desk: Callable[[Plan], Desk]) -> None:
    here = desk(lambda _number, _body: Hang(20))
    [analysis] = here.analyse(known_incident(), seconds=0.5)
    assert analysis.trouble == "the model did not answer within 0.5 s"


def test_a_model_that_is_down_or_refuses_the_key_leaves_it_to_rules(desk: Callable[[Plan], Desk]) -> None:
    incident = known_incident()
    [refused] = desk(lambda _number, _body: UNAUTHORIZED).analyse(incident)
    assert "openai/simulated-1 cannot be used" in refused.trouble
    [down] = desk(lambda _number, _body: SERVER_ERROR).analyse(incident, seconds=1)
    assert down.trouble == "the model did not answer within 1 s"
    [keyless] = desk(honest(incident)).analyse(incident, key=None)
    assert keyless.trouble == "ANALYST_KEY is not set: it holds the key of openai/simulated-1"


def test_an_incident_is_asked_about_three_times_at_most(desk: Callable[[Plan], Desk]) -> None:
    here = desk(lambda _number, _body: UNAUTHORIZED)
    assert [len(here.analyse(known_incident())) for _ in range(5)] == [1, 1, 1, 0, 0]


def test_no_call_is_made_beyond_the_budget_of_the_month(desk: Callable[[Plan], Desk]) -> None:
    incident = known_incident()
    here = desk(honest(incident))
    [analysis] = here.analyse(incident, monthly_budget_usd=0.000_001)
    assert analysis.trouble == "the analysts' budget of this month is spent"
    assert here.server.calls == ()


def test_what_is_paid_is_what_the_provider_bills(desk: Callable[[Plan], Desk]) -> None:
    incident = known_incident()
    here = desk(honest(incident))
    here.analyse(incident)
    billed = sum(400 * call.prompt_tokens + 1600 * call.completion_tokens for call in here.server.billed)
    month = f"analysts:{datetime.now(UTC):%Y-%m}"
    assert here.book.committed_spend(month) == billed
    assert 0 < billed < 0.01 * NANODOLLARS


def test_an_analysis_is_traced_as_a_task_of_performance_agent(desk: Callable[[Plan], Desk]) -> None:
    incident = known_incident()
    here = desk(honest(incident))
    here.analyse(incident)
    now = datetime.now(UTC)
    [part] = here.spans.read_spans(now - timedelta(minutes=5), now + timedelta(minutes=5))
    [task] = part[part["kind"] == "AGENT"].to_dict("records")
    assert (task["agent"], task["status"], task["task_id"]) == (PERFORMANCE_AGENT, "OK", incident.id)
    assert task["program_version"] == "code"
    assert (part["kind"] == "LLM").sum() == 2


def test_the_analysts_own_incidents_are_left_to_rules(desk: Callable[[Plan], Desk]) -> None:
    here = desk(lambda _number, _body: UNAUTHORIZED)
    assert here.analyse(failing(PERFORMANCE_AGENT)) == []
    assert here.server.calls == ()


def test_an_answer_to_what_was_asked_anew_meanwhile_is_dropped(desk: Callable[[Plan], Desk]) -> None:
    incident = known_incident()
    here = desk(honest(incident))
    [analysis] = here.analyse(incident)
    asked_anew = IncidentAnalysis(incident.id, "another digest", NOW, attempts=1)
    here.book.await_analyses([asked_anew])
    assert not here.book.settle_analysis(analysis)
    assert here.book.awaited_analyses() == [asked_anew]
    assert here.book.settle_analysis(replace(asked_anew, trouble="late"))
    assert not here.book.settle_analysis(replace(asked_anew, trouble="later"))


def test_nobody_is_asked_about_an_incident_that_is_over(desk: Callable[[Plan], Desk]) -> None:
    here = desk(honest(known_incident()))
    gone = IncidentAnalysis("gone", "digest", NOW)
    here.book.await_analyses([gone])
    assert still_awaited(here.book, {}) == []
    assert here.book.awaited_analyses() == []
    assert here.book.incident_analyses(["gone"])["gone"].trouble == "the incident was over before a model was asked"
