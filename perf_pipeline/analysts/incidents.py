"""What a language model says of the incidents that wait for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dspy_modules.analysts import IncidentAnalyst
from dspy_modules.serving import AgentProgram
from perf_pipeline.analysts.asking import AnalystTools, NoAnswer, Question, ask
from perf_pipeline.fleet_analysts import PERFORMANCE_AGENT
from perf_pipeline.monitoring.incident_analysis import Answer, with_answer, without_answer
from perf_pipeline.monitoring.incident_facts import facts_of_incident
from perf_pipeline.records import Incident, IncidentAnalysis
from resources.program_files import ProgramFiles


def analyse(
    awaited: Sequence[IncidentAnalysis], incidents: Mapping[str, Incident], tools: AnalystTools, files: ProgramFiles
) -> list[IncidentAnalysis]:
    """The analyses, settled and recorded: with the model's words, or with why there are none.

    `incidents` are by id, those of all that is awaited. The program is the version of the analyst that was promoted, as
    for any agent.
    """
    facts = [facts_of_incident(incidents[one.incident_id]) for one in awaited]
    questions = [Question(one.incident_id, lines) for one, lines in zip(awaited, facts, strict=True)]
    served = AgentProgram(PERFORMANCE_AGENT, IncidentAnalyst, files.programs).current()
    answers = ask(served, questions, tools)
    model, now = str(tools.fleet.analysts.model), tools.clock()
    settled = []
    for one, lines, fields in zip(awaited, facts, answers, strict=True):
        if isinstance(fields, NoAnswer):
            settled.append(without_answer(one, fields.trouble))
        else:
            name = tools.fleet.models[model].model
            settled.append(with_answer(one, _answer(fields), lines, name, now))
    return [one for one in settled if tools.book.settle_analysis(one)]


def _answer(fields: Mapping[str, object]) -> Answer:
    texts = ("cause_kind", "what_changed", "likely_cause", "what_to_do")
    kind, changed, cause, to_do = (str(fields.get(name) or "") for name in texts)
    confidence = fields.get("confidence")
    return Answer(kind, float(confidence) if isinstance(confidence, int | float) else 0.0, changed, cause, to_do)
