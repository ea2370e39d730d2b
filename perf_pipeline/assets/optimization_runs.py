"""optimization_runs: what came of a request to optimize an agent, one partition a request."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import dagster as dg

from perf_pipeline.fleet import FleetConfig
from perf_pipeline.jobs import OPTIMIZATION_RUNS
from perf_pipeline.partitions import OPTIMIZATION_REQUESTS
from perf_pipeline.runs.tools import RunInterrupted, RunProgress, RunRefused, RunResult, RunTools
from perf_pipeline.tables import OPTIMIZATION_DECISIONS
from resources.lake import LakeResource
from resources.ledger import LedgerResource
from resources.program_files import ProgramFiles

SHOWN_EVERY_SECONDS = 10


def optimization_runs_asset(fleet: FleetConfig) -> dg.AssetsDefinition:
    @dg.asset(
        name=OPTIMIZATION_RUNS,
        description="An optimizer's run for a request: its scores on held-out tasks, its cost, and what was promoted.",
        group_name="optimization",
        kinds={"dspy"},
        owners=[fleet.owner],
        partitions_def=OPTIMIZATION_REQUESTS,
        pool="optimizations",
        required_resource_keys={"lake", "ledger", "span_source"},
        deps=[dg.AssetDep(OPTIMIZATION_DECISIONS.name, partition_mapping=dg.AllPartitionMapping())],
    )
    def optimization_runs(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from perf_pipeline.runs.run import run_request

        request_id = context.partition_key
        lake: LakeResource = context.resources.lake
        ledger: LedgerResource = context.resources.ledger
        with ledger.open() as book:
            tools = RunTools(
                book=book,
                lake=lake.open(),
                files=ProgramFiles(lake.url),
                spans=context.resources.span_source,
                fleet=fleet,
                key_of=lambda variable: dg.EnvVar(variable).get_value(),
                clock=lambda: datetime.now(UTC),
                on_progress=_shown_in(context),
            )
            try:
                result = run_request(request_id, tools)
            except RunInterrupted as interruption:
                again = f"{interruption.again_at:%Y-%m-%d %H:%M} UTC" if interruption.again_at else "never"
                raise dg.Failure(
                    f"{interruption} Nothing was promoted.", metadata={"taken up again": again}, allow_retries=False
                ) from interruption
            except RunRefused as refusal:
                raise dg.Failure(str(refusal), allow_retries=False) from refusal
            except dg.DagsterExecutionInterruptedError:
                # Dagster stops a run for people who cancel it, and for its own reasons, such as a new deployment.
                if _is_being_cancelled(context):
                    book.ask_to_cancel(request_id, "Somebody in Dagster's UI", datetime.now(UTC))
                    with suppress(RunRefused):
                        run_request(request_id, tools)
                raise
        return dg.MaterializeResult(metadata=_metadata(result))

    return optimization_runs


def _metadata(result: RunResult) -> dict[str, dg.MetadataValue]:
    run = result.run
    words = {"outcome": str(run.outcome), "agent": run.agent, "optimizer": run.optimizer, "version": run.version}
    figures = {
        "points before": run.baseline_score,
        "points after": run.candidate_score,
        "gain in points": run.gain_points,
        "held-out items": run.held_out_items,
        "spent in US dollars": run.spent_usd,
        "cap in US dollars": run.cap_usd,
        "attempts": run.attempts,
    }
    return {
        "report": dg.MetadataValue.md(result.report),
        **{name: dg.MetadataValue.text(word) for name, word in words.items() if word is not None},
        **{
            name: dg.MetadataValue.float(round(float(figure), 4 if "dollars" in name else 1))
            for name, figure in figures.items()
            if figure is not None
        },
    }


def _shown_in(context: dg.AssetExecutionContext) -> Callable[[RunProgress], None]:
    """Shows progress in the log, and in the UI as observations of the asset: a new part at once, else now and then."""
    last = {"part": "", "at": 0.0, "best": None}

    def show(progress: RunProgress) -> None:
        is_news = progress.part != last["part"] or progress.best_points != last["best"]
        if not is_news and time.monotonic() - float(last["at"] or 0) < SHOWN_EVERY_SECONDS:
            return
        last.update(part=progress.part, at=time.monotonic(), best=progress.best_points)
        best = "" if progress.best_points is None else f", best {progress.best_points:.1f} points on validation"
        tried = f", {progress.candidates} candidates" if progress.candidates else ""
        context.log.info(f"{progress.part}{tried}{best}, ${progress.spent_usd:.4f} spent")
        metadata: dict[str, float | int | str] = {"part": progress.part, "spent in US dollars": progress.spent_usd}
        if progress.candidates:
            metadata["candidates"] = progress.candidates
        if progress.best_points is not None:
            metadata["best points on validation"] = progress.best_points
        context.log_event(dg.AssetObservation(context.asset_key, partition=context.partition_key, metadata=metadata))

    return show


def _is_being_cancelled(context: dg.AssetExecutionContext) -> bool:
    run = context.instance.get_run_by_id(context.run_id)
    return run is not None and run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
