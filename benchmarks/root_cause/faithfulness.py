"""Reports of a model that lies on purpose, over HTTP and through DSPy, beside reports of one that does not.

The prose is that of the rules, where it holds against the facts: then a lie is turned away for the lie in it.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import islice
from pathlib import Path

from benchmarks.lies import KINDS, lying
from perf_pipeline.analysts.asking import AnalystTools
from perf_pipeline.analysts.incidents import analyse
from perf_pipeline.fleet import FleetConfig, load_fleet
from perf_pipeline.monitoring.incident_analysis import Answer, digest_of, trouble_with, worded
from perf_pipeline.monitoring.incident_facts import facts_of_incident
from perf_pipeline.monitoring.incident_summary import summary_by_rules
from perf_pipeline.records import Incident, IncidentAnalysis
from perf_pipeline.simulated_incidents.incidents import incident_of
from perf_pipeline.simulated_incidents.labelled import labelled_incidents
from resources.ledger import Ledger
from resources.program_files import ProgramFiles
from resources.span_files import SpanFilesResource
from tests.analyst_builders import fleet_with_analysts, saying
from tests.wire.model_server import ModelServer, model_server

REPORTS = 200
FIRST_SEED = 50_000
AT_ONCE = 20
SECONDS = 60.0
ABOUT_ITS_WORDS = ("its words do not hold", "it took", "it said nothing", "it named")


class Verdict(Enum):
    TOLD = "told"
    TURNED_AWAY = "turned away"
    UNANSWERED = "unanswered"


@dataclass(frozen=True)
class Faithfulness:
    """Of lies and honest reports that the model gave: what people were told. `missed` are the kinds of told lies;
    `unanswered` are reports that failed for another reason than their words, and say nothing."""

    lies: int
    caught: int
    missed: Mapping[str, int]
    honest: int
    told: int
    unanswered: int


def measure(reports: int = REPORTS) -> Faithfulness:
    incidents = {incident.id: incident for incident in _incidents(reports)}
    honest = {incident.id: _honest(incident) for incident in incidents.values()}
    kinds = {one: KINDS[place % len(KINDS)] for place, one in enumerate(incidents)}
    lies = {
        one: _lie(honest[one], facts_of_incident(incident), kinds[one], place)
        for place, (one, incident) in enumerate(incidents.items())
    }
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")
    with model_server() as server:
        lied, truthful = (_settled(incidents, answers, server) for answers in (lies, honest))
    missed = Counter(kinds[one] for one, verdict in lied.items() if verdict is Verdict.TOLD)
    counts, honest_counts = Counter(lied.values()), Counter(truthful.values())
    return Faithfulness(
        lies=counts[Verdict.TOLD] + counts[Verdict.TURNED_AWAY],
        caught=counts[Verdict.TURNED_AWAY],
        missed=missed,
        honest=honest_counts[Verdict.TOLD] + honest_counts[Verdict.TURNED_AWAY],
        told=honest_counts[Verdict.TOLD],
        unanswered=counts[Verdict.UNANSWERED] + honest_counts[Verdict.UNANSWERED],
    )


def _incidents(count: int) -> list[Incident]:
    """Incidents that rules word so that it holds against their facts."""
    found: list[Incident] = []
    seed = FIRST_SEED
    while len(found) < count:
        batch = [incident_of(one) for one in labelled_incidents(range(seed, seed + 50))]
        found += [one for one in batch if not trouble_with(_honest(one), facts_of_incident(one))]
        seed += 50
    return list(islice(found, count))


def _honest(incident: Incident) -> Answer:
    summary = summary_by_rules(incident)
    # How sure it is stands in the rules' sentence as a word, which no fact holds.
    changed = summary.what_changed.partition(" (")[0].rstrip(".")
    return Answer(str(summary.cause_kind), 0.9, f"{changed}.", summary.likely_cause, summary.what_to_do)


def _lie(honest: Answer, facts: Sequence[str], kind: str, seed: int) -> Answer:
    told = lying(honest.what_changed, honest.likely_cause, honest.what_to_do, facts, kind, seed)
    return Answer(honest.cause_kind, honest.confidence, *told)


def _settled(
    incidents: Mapping[str, Incident], answers: Mapping[str, Answer], server: ModelServer
) -> dict[str, Verdict]:
    """What became of the answers, by incident."""
    by_facts = {"\n".join(facts_of_incident(incidents[one])): answer for one, answer in answers.items()}
    server.plan = saying(lambda query: vars(by_facts[query["facts"]]))
    fleet = fleet_with_analysts(load_fleet(Path("fleet.yaml")), server.base_url, seconds=SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        analyses = _analyses(list(incidents.values()), fleet, Path(folder))
    return {one: _verdict(incident, analyses[one], fleet) for one, incident in incidents.items()}


def _verdict(incident: Incident, analysis: IncidentAnalysis, fleet: FleetConfig) -> Verdict:
    if worded(incident, analysis, fleet).written_by:
        return Verdict.TOLD
    return Verdict.TURNED_AWAY if analysis.trouble.startswith(ABOUT_ITS_WORDS) else Verdict.UNANSWERED


def _analyses(incidents: Sequence[Incident], fleet: FleetConfig, folder: Path) -> dict[str, IncidentAnalysis]:
    book = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    spans = SpanFilesResource(folder=str(folder / "spans"), agent_attributes=["agent.name"])
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731
    tools = AnalystTools(book, fleet, spans, lambda _variable: "a key", clock)
    due = clock() + timedelta(hours=1)
    try:
        for first in range(0, len(incidents), AT_ONCE):
            batch = incidents[first : first + AT_ONCE]
            asked = [IncidentAnalysis(one.id, digest_of(one), due) for one in batch]
            book.await_analyses(asked)
            analyse(asked, {one.id: one for one in batch}, tools, ProgramFiles(str(folder / "lake")))
        return book.incident_analyses([one.id for one in incidents])
    finally:
        book.close()
