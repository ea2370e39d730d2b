"""The metrics of fleet.yaml: of which tasks they are computed, what becomes of their values, how they are scored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perf_pipeline.fleet_detection import ChangePolicy
from perf_pipeline.fleet_metrics import CHANGES_TO_ZERO, RATIO_AT_ZERO, MetricConfig
from perf_pipeline.monitoring.detectors.judgement import CUSTOM, CUSTOM_TASKS
from perf_pipeline.records import FeedbackKind, TaskFeedback

STRENGTH = (FeedbackKind.JUDGE, FeedbackKind.CODE, FeedbackKind.HUMAN)
"""Whose score of a task holds, the strongest last: a judge does not speak over a person."""

NOT_POSITIVE = "It is not above 0, so it cannot be compared as a ratio: give detection.min_change in fleet.yaml."


@dataclass(frozen=True)
class Group:
    """The tasks of one agent in one window, by a number."""

    number: int
    window_start: pd.Timestamp
    agent: str
    tasks: int


@dataclass(frozen=True)
class Computed:
    """The value of a metric of one group, None for none, with the number of tasks that it rests on; or why not."""

    value: float | None
    tasks: int
    error: str | None = None


def grouped(tasks: pd.DataFrame, window: pd.Timedelta) -> tuple[pd.DataFrame, list[Group]]:
    """The tasks (`tables.AGENT_TASKS`) with the column task_group, and the groups, in order of window and agent."""
    starts = tasks["start_time"].dt.floor(window).dt.as_unit("us")
    by = tasks.assign(window_start=starts).groupby(["window_start", "agent"], sort=True)
    numbered = tasks.assign(task_group=by.ngroup())
    sizes = by.size().rename("tasks").reset_index()
    groups = [
        Group(number, row["window_start"], str(row["agent"]), int(row["tasks"]))
        for number, row in enumerate(sizes.to_dict("records"))
    ]
    return numbered, groups


def groups_of(metric: MetricConfig, groups: Iterable[Group]) -> list[Group]:
    return [group for group in groups if metric.applies_to(group.agent)]


def annotation_means(
    tasks: pd.DataFrame, groups: Sequence[Group], feedback: Sequence[TaskFeedback], name: str
) -> dict[int, Computed]:
    """The mean score of the annotation of that name over the tasks of each group that have one.

    Of several scores of a task, the newest of the strongest kind holds. What names a task by its id in agent_state
    only is about all tasks that were stamped with it. `tasks` are those of `grouped`.
    """
    scored = [said for said in feedback if said.name == name and said.score is not None]
    scored.sort(key=lambda said: (STRENGTH.index(said.kind), said.at))
    by_span = {said.span_id: said.score for said in scored if said.span_id is not None}
    by_task = {said.task_id: said.score for said in scored if said.task_id is not None}
    scores = tasks["task_span_id"].map(by_span).fillna(tasks["task_id"].map(by_task)).astype("float64")
    by_group = scores.groupby(tasks["task_group"])
    means, counts = by_group.mean().to_dict(), by_group.count().to_dict()
    return {
        group.number: Computed(float(means[group.number]), int(counts[group.number]))
        if counts[group.number]
        else Computed(None, 0)
        for group in groups
    }


def metric_rows(
    metric: MetricConfig, groups: Sequence[Group], computed: Mapping[int, Computed] | str
) -> list[dict[str, object]]:
    """Rows of `tables.CUSTOM_METRICS`. `computed` is by the groups' numbers, or why there is no value at all."""
    rows = []
    for group in groups:
        if isinstance(computed, str):
            found = Computed(None, group.tasks, computed)
        else:
            found = computed.get(group.number, Computed(None, group.tasks))
        error = found.error
        if error is None and found.value is not None and found.value <= 0 and metric.watched and metric.is_ratio:
            error = NOT_POSITIVE
        rows.append(
            {
                "window_start": group.window_start,
                "agent": group.agent,
                "metric": metric.name,
                "value": math.nan if found.value is None else found.value,
                "unit": metric.unit,
                "tasks": found.tasks,
                "definition": metric.definition,
                "error": error,
            }
        )
    return rows


def problems(values: pd.DataFrame) -> list[str]:
    """What went wrong with the metrics in rows of `tables.CUSTOM_METRICS`: a sentence for each metric and reason."""
    failed = values[values["error"].notna()]
    told = []
    for (metric, error), rows in failed.groupby(["metric", "error"], sort=True):
        agents = sorted(rows["agent"].unique())
        whose = agents[0] if len(agents) == 1 else f"{len(agents)} agents"
        told.append(f"{metric} of {whose}: {error}")
    return told


def with_custom_metrics(metrics: pd.DataFrame, values: pd.DataFrame, known: Sequence[MetricConfig]) -> pd.DataFrame:
    """`metrics` (`tables.AGENT_METRICS`) with two columns for each known metric: CUSTOM, CUSTOM_TASKS before its name.

    `values` are rows of `tables.CUSTOM_METRICS`; what was computed by another definition is left out.
    """
    keys = pd.MultiIndex.from_frame(metrics[["window_start", "agent"]])
    columns: dict[str, np.ndarray] = {}
    for metric in known:
        own = values[(values["metric"] == metric.name) & (values["definition"] == metric.definition)]
        own = own.set_index(["window_start", "agent"]).reindex(keys)
        columns[f"{CUSTOM}{metric.name}"] = own["value"].to_numpy(dtype=float)
        columns[f"{CUSTOM_TASKS}{metric.name}"] = own["tasks"].to_numpy(dtype=float)
    return metrics.assign(**columns) if columns else metrics


def score_part(metric: MetricConfig, value: float) -> float:
    """What a value adds to the score, 0 to 1: 1 at the objective or better than it, falling to 0 at `zero_at`.

    Without `zero_at`, a metric that is compared as a ratio falls with its logarithm, to 0 at RATIO_AT_ZERO times the
    objective (or its quarter, where more is better); another one linearly, to 0 at CHANGES_TO_ZERO smallest changes
    that matter. Raises ValueError for a metric without an objective.
    """
    if metric.objective is None:
        raise ValueError(f"{metric.name} has no objective")
    worse = metric.sign * (value - metric.objective)
    if worse <= 0:
        return 1.0
    if metric.zero_at is not None:
        return max(0.0, 1 - worse / abs(metric.zero_at - metric.objective))
    rule = metric.rule
    if isinstance(rule, ChangePolicy):
        return max(0.0, 1 - worse / (CHANGES_TO_ZERO * rule.min_change))
    if value <= 0:
        return 0.0
    return max(0.0, 1 - metric.sign * math.log(value / metric.objective) / math.log(RATIO_AT_ZERO))


def score_parts(row: Mapping[str, object], agent: str, known: Iterable[MetricConfig]) -> list[tuple[float, float]]:
    """Weight and part (`score_part`) of each metric that counts in the agent's score and has a value in the row.

    `row` has the columns of `with_custom_metrics`.
    """
    parts = []
    for metric in known:
        value = row.get(f"{CUSTOM}{metric.name}", math.nan)
        if metric.weight and metric.applies_to(agent) and isinstance(value, float) and not math.isnan(value):
            parts.append((metric.weight, score_part(metric, value)))
    return parts
