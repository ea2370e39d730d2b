"""The attribute values that explain why tasks of an agent are affected."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from perf_pipeline.monitoring.affected_tasks import AffectedTasks, Trouble
from perf_pipeline.monitoring.attribute_scan import SIGNIFICANT, Combination, of_many, scan, tail
from perf_pipeline.monitoring.cause_evidence import Explanation
from perf_pipeline.monitoring.nearby_changes import time_and_words
from perf_pipeline.monitoring.task_cells import COUNTS, cells_from

SHOWN = 3
CHOSEN = ("model", "program_version", "provider", "tools", "parent_agent", "deployment")
"""What a task was done with. Where two mean the same tasks, the first is named first."""

OBSERVED = {
    Trouble.FAILING: ("error_type", "first_failing_step"),
    Trouble.SLOW: ("slowest_step",),
    Trouble.DEAR: (),
}
"""What is seen of a task only because of how it went: it tells what went wrong, and not which tasks it hits."""

NAMES = {"tools": "tool"}
HALF = 0.5


def explanations(tasks: AffectedTasks, changes: pd.DataFrame) -> tuple[Explanation, ...]:
    """The likeliest first; none where it may be chance. `changes` (`tables.CHANGE_EVENTS`) are those that concern the
    agent, as far back as the tasks.

    Where the tasks of all models, versions, tools and so on are affected alike, what they have in common is what was
    observed of them: the error, or the step, that has become more frequent.
    """
    parts = []
    for part, hit, every in ((tasks.since, "affected", "tasks"), (tasks.before, "usual_affected", "usual_tasks")):
        counts = dict.fromkeys(COUNTS, 0.0) | {hit: part["affected"].astype(float), every: 1.0}
        parts.append(part.assign(deployment=deployments(part, changes), **counts))
    counts = pd.concat(parts, ignore_index=True)
    found = scan(cells_from(counts, CHOSEN, reached=("tools",)))
    observed = _observed(tasks) if not found.causes else []
    first = [_explanation(cause) for cause in found.causes] or observed[:1]
    rest = observed[1:] + [_explanation(other, alternative=True) for other in found.others]
    likely = [one for one in (*first, *rest) if one.p_value <= SIGNIFICANT and one.share > 0]
    return tuple(likely[:SHOWN])


def with_values(tasks: pd.DataFrame, values: dict[str, str], changes: pd.DataFrame) -> pd.Series:
    """Which tasks (`tables.AGENT_TASKS`) an explanation's values are those of."""
    known = tasks.assign(deployment=deployments(tasks, changes))
    columns = {shown: column for column, shown in NAMES.items()}
    same = pd.Series(True, index=tasks.index)
    for attribute, value in values.items():
        column = known[columns.get(attribute, attribute)]
        same &= column.map(lambda text, value=value: isinstance(text, str) and value in text.split("\n")).astype(bool)
    return same


def deployments(tasks: pd.DataFrame, changes: pd.DataFrame) -> pd.Series:
    """The latest deployment before each task began; missing before the first that is known."""
    deployed = changes[changes["kind"] == "deployment"].sort_values("time", kind="stable")
    names = np.array([None, *map(time_and_words, deployed["time"], deployed["description"])], dtype=object)
    place = pd.DatetimeIndex(deployed["time"]).searchsorted(pd.DatetimeIndex(tasks["start_time"]), side="right")
    return pd.Series(names[place], index=tasks.index, dtype=object)


def _explanation(found: Combination, *, alternative: bool = False) -> Explanation:
    return Explanation(
        values={NAMES.get(name, name): value for name, value in found.values.items()},
        affected=found.affected,
        tasks=found.tasks,
        usual_rate=round(found.usual_rate, 4),
        usual_tasks=found.usual_tasks,
        share=round(found.share, 3),
        p_value=_digits(found.p_value),
        alternative=alternative,
    )


def _digits(p_value: float) -> float:
    """Three of them: it is no more exact than that."""
    return float(f"{p_value:.3g}")


def _observed(tasks: AffectedTasks) -> list[Explanation]:
    """What became more frequent among the affected tasks, if that is at least half of the excess."""
    now, before = tasks.since, tasks.before
    usual = (before["affected"].sum() + 0.5) / (len(before) + 1)
    excess = float(now["affected"].sum() - len(now) * usual)
    if excess <= 0:
        return []
    found = [one for column in OBSERVED[tasks.trouble] for one in _of_column(column, tasks, excess)]
    return sorted((one for one in found if one.share >= HALF), key=lambda one: one.p_value)


def _of_column(column: str, tasks: AffectedTasks, excess: float) -> Iterable[Explanation]:
    now = tasks.since.loc[tasks.since["affected"], column].value_counts()
    before = tasks.before.loc[tasks.before["affected"], column].value_counts()
    for value, affected in now.items():
        seen = int(before.get(value, 0))
        rate = (seen + 0.5) / (len(tasks.before) + 1)
        expected = len(tasks.since) * rate
        yield Explanation(
            values={column: str(value)},
            affected=int(affected),
            tasks=len(tasks.since),
            usual_rate=round(seen / len(tasks.before) if len(tasks.before) else rate, 4),
            usual_tasks=len(tasks.before),
            share=round(float(np.clip((affected - expected) / excess, 0, 1)), 3),
            p_value=_digits(of_many(tail(affected, expected, seen + 0.5), len(now))),
        )
