"""How a run ends: its result, its promotion and its report, each recorded once however often it is tried."""

from __future__ import annotations

from dataclasses import dataclass, replace

from perf_pipeline.notifications.optimization_messages import result_messages
from perf_pipeline.optimization.gate import GateVerdict
from perf_pipeline.optimization.run_plan import next_attempt
from perf_pipeline.optimization.run_report import Cost, HeldOutItem, PredictorChange, RunReport, report_markdown
from perf_pipeline.records import OptimizationRun, ProgramAlias, RunOutcome
from perf_pipeline.runs.tools import PRODUCTION, REPORT, RunInterrupted, RunRefused, RunResult, RunTools
from perf_pipeline.runs.training_data import TrainingData
from resources.ledger import Ledger
from resources.program_files import ProgramFiles


@dataclass(frozen=True)
class Findings:
    """What a run found out, as far as it got."""

    data: TrainingData | None = None
    is_simulated: bool = False
    verdict: GateVerdict | None = None
    changes: tuple[PredictorChange, ...] = ()
    items: tuple[HeldOutItem, ...] = ()
    stopped: str | None = None


def end_run(run: OptimizationRun, outcome: RunOutcome, said: str, findings: Findings, tools: RunTools) -> RunResult:
    """Record the outcome; with it, for a promotion, the move of the alias. Raises RunRefused where the run has ended
    already."""
    now = tools.clock()
    spent_usd = tools.book.spent_usd(run.request_id)
    ended = replace(run, outcome=outcome, said=said, finished_at=now, spent_usd=spent_usd)
    move = None
    if outcome is RunOutcome.PROMOTED:
        reason = f"{run.optimizer}, request {run.request_id}"
        move = ProgramAlias(run.agent, PRODUCTION, run.version, run.baseline_sequence + 1, now, "optimizer", reason)
    recorded = tools.book.finish_run(ended, move=move, messages=result_messages(ended, tools.fleet, now))
    if recorded is None and move is not None:
        now_known = tools.book.optimization_run(run.request_id)
        version = tools.book.program_version(run.agent, run.version or "")
        if now_known and now_known.cancel_requested_by:
            ended = replace(ended, outcome=RunOutcome.CANCELLED, said=cancelled_words(now_known))
        elif version and version.quarantined_because:
            words = f"The version that it found was taken back before ({version.quarantined_because})."
            ended = replace(ended, outcome=RunOutcome.REJECTED, said=words)
        else:
            ended = replace(ended, outcome=RunOutcome.STALE, said="Another version is in production by now.")
        recorded = tools.book.finish_run(ended, messages=result_messages(ended, tools.fleet, now))
    if recorded is None:
        raise RunRefused(f"Request {run.request_id} has ended meanwhile.")
    return RunResult(recorded, finish_files(recorded, findings, tools))


def cancelled_words(run: OptimizationRun) -> str:
    return f"{run.cancel_requested_by} cancelled the run."


def interrupt_run(
    run: OptimizationRun, trouble: str, findings: Findings, tools: RunTools, *, is_lasting: bool
) -> RunInterrupted:
    """Note that the run cannot go on, or end it where taking it up again is of no use. What is to be raised."""
    again = next_attempt(run.attempts, is_lasting, tools.clock())
    if again is None:
        end_run(run, RunOutcome.INFRASTRUCTURE_FAILURE, trouble, findings, tools)
    else:
        tools.book.interrupt_run(run.request_id, trouble, again)
    return RunInterrupted(trouble, again)


def finish_files(run: OptimizationRun, findings: Findings, tools: RunTools) -> str:
    """Write the report, show agents what was promoted, and forget the texts of answers; the report."""
    split = findings.data.split if findings.data else None
    spent = tools.book.spent_by_purpose(run.request_id)
    report = report_markdown(
        RunReport(
            run,
            findings.is_simulated,
            story=findings.data.story if findings.data else (),
            sizes=(len(split.train), len(split.validation), len(split.holdout)) if split else None,
            verdict=findings.verdict,
            changes=findings.changes,
            items=findings.items,
            costs=[Cost(str(part.purpose), part.calls, part.usd) for part in spent],
            stopped=findings.stopped,
        )
    )
    tools.files.write_run_file(run.request_id, REPORT, report)
    publish_aliases(tools.book, tools.files)
    tools.book.forget_answers(run.request_id)
    return report


def publish_aliases(book: Ledger, files: ProgramFiles) -> list[str]:
    """Copy every alias that moved to where agents read it; whose these are. A run that was killed after it had
    promoted a version has not done so."""
    published = []
    for alias in book.program_aliases():
        version = book.program_version(alias.agent, alias.version) if alias.version else None
        if files.publish(alias, version.sha256 if version else None):
            published.append(alias.agent)
    return published
