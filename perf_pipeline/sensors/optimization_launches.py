"""optimization_launches: a request that is ready becomes a Dagster run; one whose run died is taken up again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.jobs import OPTIMIZATION
from perf_pipeline.notifications.optimization_messages import result_messages
from perf_pipeline.optimization.launches import LaunchedRun, launches
from perf_pipeline.partitions import OPTIMIZATION_REQUESTS
from perf_pipeline.runs.ending import publish_aliases
from perf_pipeline.sensors.missing_windows import FINISHED
from resources.lake import LakeResource
from resources.ledger import LedgerResource
from resources.program_files import ProgramFiles

LOOK_BACK = timedelta(days=60)
PARTITION_TAG = "dagster/partition"


def optimization_launches_sensor(fleet: FleetConfig) -> dg.SensorDefinition:
    @dg.sensor(
        name="optimization_launches",
        job_name=OPTIMIZATION,
        minimum_interval_seconds=15,
        description="Runs what is decided and agreed to, and takes up again what was cut off.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, lake: LakeResource, ledger: LedgerResource
    ) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(UTC)
        with ledger.open() as book:
            publish_aliases(book, ProgramFiles(lake.url))
            runs = {run.request_id: run for run in book.optimization_runs()}
            plan = launches(book.optimization_requests(), runs, launched_runs(context.instance, now), now)
            for request_id in plan.given_up:
                said = "It was launched again and again, and never came to an end: see its runs in Dagster's UI."
                run = runs.get(request_id)
                if run is not None:
                    run = replace(run, spent_usd=book.spent_usd(request_id))
                book.fail_request(request_id, said, now, result_messages(run, fleet, now, failed=said) if run else ())
        if not plan.due:
            return dg.SkipReason("No optimization is to be run.")
        return dg.SensorResult(
            run_requests=[
                dg.RunRequest(
                    run_key=f"{launch.request_id}:{launch.number}",
                    partition_key=launch.request_id,
                    # With its tag the partition counts as resolved: it is added by this very tick.
                    tags={PARTITION_TAG: launch.request_id, "perf_pipeline/agent": launch.agent},
                )
                for launch in plan.due
            ],
            dynamic_partitions_requests=[
                OPTIMIZATION_REQUESTS.build_add_request([launch.request_id for launch in plan.due])
            ],
        )

    return sensor


def launched_runs(instance: dg.DagsterInstance, now: datetime) -> list[LaunchedRun]:
    records = instance.get_run_records(dg.RunsFilter(job_name=OPTIMIZATION, created_after=now - LOOK_BACK))
    launched = []
    for record in records:
        request_id = record.dagster_run.tags.get(PARTITION_TAG)
        if request_id is not None:
            over = record.dagster_run.status in FINISHED
            ended = datetime.fromtimestamp(record.end_time or record.update_timestamp.timestamp(), UTC)
            launched.append(LaunchedRun(request_id, ended if over else None))
    return launched
