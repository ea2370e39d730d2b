"""Which tasks of an agent a finding is about: those since its onset, and those of the time before to compare with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from perf_pipeline.monitoring.windows import Window

QUANTILE = 0.9
"""Slow, or dear, is what a tenth of the tasks were before."""

ENOUGH_BEFORE = 10
"""With fewer tasks before, slow and dear are judged by all tasks at hand."""


class Trouble(StrEnum):
    FAILING = "failing"
    SLOW = "slow"
    DEAR = "dear"


@dataclass(frozen=True)
class AffectedTasks:
    """The tasks `since` the onset and `before` it of which it is known whether they are affected: `tables.AGENT_TASKS`
    with the column `affected` (bool), the worst ones last, or the newest where none is worse than another. An
    `error_type` is also told of tasks that recovered from it.

    `means` says which ones are affected ('slower than 4.2 s'), `did` what they did ('were slow'), `noun` what they are
    called ('slow tasks').
    """

    trouble: Trouble
    means: str
    did: str
    noun: str
    since: pd.DataFrame
    before: pd.DataFrame

    @property
    def affected(self) -> pd.DataFrame:
        return self.since[self.since["affected"]]


@dataclass(frozen=True)
class _Measure:
    """A figure of a task that is too high above a limit, and how that is told."""

    trouble: Trouble
    values: Callable[[pd.DataFrame], pd.Series]
    limit_in_words: Callable[[float], str]
    did: str
    noun: str


def affected_tasks(family: str, type: str, known: pd.DataFrame, affected_time: Window) -> AffectedTasks | None:
    """`known` are tasks of one agent (`tables.AGENT_TASKS`). None for a finding that is about no task's doing."""
    if family in ("traffic", "surge", "data"):
        return None
    began = known["start_time"]
    since = known[(began >= affected_time.start) & (began < affected_time.end)]
    before = known[began < affected_time.start]
    if family == "latency":
        return _above(LATENCY, since, before)
    if family == "cost":
        of_money = type != "token_spike" and bool(since["cost_usd"].notna().any())
        return _above(COST if of_money else TOKENS, since, before)
    if type == "unnoticed_failures":
        marked = [_marked(part, _failed_unnoticed) for part in (since, before)]
        return AffectedTasks(Trouble.FAILING, "failed", "failed unnoticed", "unnoticed failures", *marked)
    errors_matter = type in ("error_spike", "log_error_spike") and bool((since["error_count"] > 0).any())
    if errors_matter or since["ok"].all():
        means, did, noun, rule = "with errors", "had errors", "tasks with errors", _has_errors
    else:
        means, did, noun, rule = "failed", "failed", "failures", _failed
    return AffectedTasks(Trouble.FAILING, means, did, noun, _marked(since, rule), _marked(before, rule))


def _above(measure: _Measure, since: pd.DataFrame, before: pd.DataFrame) -> AffectedTasks:
    measured = [part.assign(measure=measure.values(part)).dropna(subset="measure") for part in (since, before)]
    rest_on = measured[1]["measure"] if len(measured[1]) >= ENOUGH_BEFORE else pd.concat(measured)["measure"]
    limit = float(rest_on.quantile(QUANTILE)) if len(rest_on) else 0.0
    marked = [
        part.assign(affected=part["measure"] > limit).sort_values("measure", kind="stable").drop(columns="measure")
        for part in measured
    ]
    return AffectedTasks(measure.trouble, measure.limit_in_words(limit), measure.did, measure.noun, *marked)


def _marked(tasks: pd.DataFrame, rule: Callable[[pd.DataFrame], pd.Series]) -> pd.DataFrame:
    errors = tasks["error_type"].fillna(tasks["first_failing_error"])
    return tasks.assign(affected=rule(tasks).astype(bool), error_type=errors).sort_values("start_time", kind="stable")


def _failed(tasks: pd.DataFrame) -> pd.Series:
    return ~tasks["ok"]


def _failed_unnoticed(tasks: pd.DataFrame) -> pd.Series:
    return ~tasks["ok"] & tasks["span_ok"].fillna(False).astype(bool)


def _has_errors(tasks: pd.DataFrame) -> pd.Series:
    return (tasks["error_count"] > 0) | ~tasks["ok"]


def _latency(tasks: pd.DataFrame) -> pd.Series:
    return tasks["latency_ms"]


def _cost(tasks: pd.DataFrame) -> pd.Series:
    return tasks["cost_usd"]


def _tokens(tasks: pd.DataFrame) -> pd.Series:
    """The sum of what is known; missing where neither is."""
    return tasks[["prompt_tokens", "completion_tokens"]].astype(float).sum(axis=1, min_count=1)


LATENCY = _Measure(Trouble.SLOW, _latency, lambda limit: f"slower than {limit / 1000:.2g} s", "were slow", "slow tasks")
COST = _Measure(Trouble.DEAR, _cost, lambda limit: f"dearer than ${limit:.2g}", "were dear", "dear tasks")
TOKENS = _Measure(Trouble.DEAR, _tokens, lambda limit: f"longer than {limit:,.0f} tokens", "were long", "long tasks")
