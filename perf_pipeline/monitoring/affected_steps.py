"""What went wrong in affected tasks: the errors they had, the steps they failed in first, the steps that took long."""

from __future__ import annotations

import pandas as pd

from perf_pipeline.monitoring.affected_tasks import AffectedTasks
from perf_pipeline.monitoring.cause_evidence import ErrorShare, FailingStep, SlowStep

SHOWN = 3


def error_types(tasks: AffectedTasks) -> tuple[ErrorShare, ...]:
    """The most frequent errors of the affected tasks, beside those of the affected tasks before."""
    now, before = tasks.affected["error_type"], tasks.before.loc[tasks.before["affected"], "error_type"]
    usual = before.value_counts()
    return tuple(
        ErrorShare(
            error_type=str(error),
            tasks=int(count),
            of=len(now),
            usual_tasks=int(usual.get(error, 0)),
            usual_of=len(before),
        )
        for error, count in now.value_counts().head(SHOWN).items()
    )


def first_failing_steps(tasks: AffectedTasks) -> tuple[FailingStep, ...]:
    """The steps in which most affected tasks failed first."""
    affected = tasks.affected
    failing = affected.dropna(subset=["first_failing_step", "first_failing_kind"])
    grouped = failing.groupby(["first_failing_step", "first_failing_kind"], sort=False)
    found = [
        FailingStep(name=str(name), kind=str(kind), error_type=_usual(rows), tasks=len(rows), of=len(affected))
        for (name, kind), rows in grouped
    ]
    return tuple(sorted(found, key=lambda step: (-step.tasks, step.name))[:SHOWN])


def slowest_steps(tasks: AffectedTasks) -> tuple[SlowStep, ...]:
    """The steps that took most affected tasks longest."""
    affected = tasks.affected
    usual = tasks.before.groupby("slowest_step")["slowest_step_ms"].median()
    found = [
        SlowStep(
            name=str(name),
            tasks=len(rows),
            of=len(affected),
            median_ms=float(rows["slowest_step_ms"].median()),
            usual_median_ms=float(usual[name]) if name in usual.index else None,
        )
        for name, rows in affected.groupby("slowest_step")
    ]
    return tuple(sorted(found, key=lambda step: (-step.tasks, step.name))[:SHOWN])


def _usual(rows: pd.DataFrame) -> str | None:
    counts = rows["first_failing_error"].value_counts()
    return None if counts.empty else str(counts.index[0])
