"""incident_analyses: what a language model says of the incidents that people are about to hear of."""

from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg
import pandas as pd

from perf_pipeline.assets.window_asset import MAX_WINDOWS_A_RUN, markdown
from perf_pipeline.fleet import FleetConfig
from perf_pipeline.jobs import INCIDENT_ANALYSES
from perf_pipeline.monitoring.incident_analysis import OVER_BEFORE_ASKED, without_answer
from perf_pipeline.partitions import windows_partitions
from perf_pipeline.records import Incident, IncidentAnalysis
from perf_pipeline.tables import ANOMALIES
from resources.lake import LakeResource
from resources.ledger import Ledger, LedgerResource
from resources.sources import SpanSource


def incident_analyses_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @dg.asset(
        name=INCIDENT_ANALYSES,
        description=(
            "Incidents in the words of a language model: what changed, the likeliest cause, what to do. Figures and "
            "names are held against the tables; where one does not hold, or no model answers in time, rules word it."
        ),
        group_name="performance",
        kinds={"dspy"},
        owners=[fleet.owner],
        partitions_def=windows_partitions(fleet),
        backfill_policy=dg.BackfillPolicy.multi_run(MAX_WINDOWS_A_RUN),
        deps=[ANOMALIES.name],
    )
    def incident_analyses(
        span_source: dg.ResourceParam[SpanSource], lake: LakeResource, ledger: LedgerResource
    ) -> dg.MaterializeResult:
        with ledger.open() as book:
            incidents = {incident.id: incident for incident in book.incidents(datetime.now(UTC))}
            awaited = still_awaited(book, incidents)
            if not awaited:
                return dg.MaterializeResult(metadata={"asked": 0})
            # Only where a model is asked: DSPy takes a moment to load.
            from perf_pipeline.analysts.asking import analyst_tools
            from perf_pipeline.analysts.incidents import analyse
            from resources.program_files import ProgramFiles

            settled = analyse(awaited, incidents, analyst_tools(book, fleet, span_source), ProgramFiles(lake.url))
        return dg.MaterializeResult(
            metadata={
                "asked": len(awaited),
                "worded by the model": sum(one.written_by is not None for one in settled),
                "answers": markdown(_for_people(settled, incidents)),
            }
        )

    return incident_analyses


def still_awaited(book: Ledger, incidents: Mapping[str, Incident]) -> list[IncidentAnalysis]:
    """What waits for a model, of the incidents that are not over. Of others nobody asks any more."""
    awaited = book.awaited_analyses()
    for one in awaited:
        if one.incident_id not in incidents:
            book.settle_analysis(without_answer(one, OVER_BEFORE_ASKED))
    return [one for one in awaited if one.incident_id in incidents]


def _for_people(settled: list[IncidentAnalysis], incidents: dict[str, Incident]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "agent": incidents[one.incident_id].agent,
                "type": incidents[one.incident_id].type,
                "worded by": one.written_by or f"rules: {one.trouble}",
                "cause": one.cause_kind,
                "what changed": one.what_changed,
                "likely cause": one.likely_cause,
                "what to do": one.what_to_do,
            }
            for one in settled
        ]
    )
