"""The most likely cause of a finding, in figures and in words that only repeat what the tables hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.affected_steps import error_types, first_failing_steps, slowest_steps
from perf_pipeline.monitoring.affected_tasks import AffectedTasks, Trouble, affected_tasks
from perf_pipeline.monitoring.cause_evidence import CauseEvidence
from perf_pipeline.monitoring.cause_words import (
    DOMINANT_SHARE,
    NO_CHANGE_KNOWN,
    NO_CULPRIT,
    cause_in_words,
    change_in_words,
    short_error,
)
from perf_pipeline.monitoring.disagreement_causes import WHERE_TO_LOOK
from perf_pipeline.monitoring.explanations import explanations, with_values
from perf_pipeline.monitoring.findings import FAMILIES, Finding, family_of
from perf_pipeline.monitoring.nearby_changes import nearby_changes, nearest_change, of_agent
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.tables import AGENT_TASKS, ANOMALIES

EXAMPLES = 3
BASELINE = timedelta(days=1)
"""What tasks did in the day before the onset is usual: a day sees every hour's customers and jobs."""

MODEL_STANDS_OUT = 0.2
"""By how much more of the affected tasks than of the known ones a model must have done to be named as their cause."""

SAYS_NOTHING = frozenset(
    (
        "AssertionError",
        "AttributeError",
        "Exception",
        "IndexError",
        "KeyError",
        "RuntimeError",
        "TypeError",
        "ValueError",
    )
)
"""Errors that any defect may raise: two agents that fail with one need not fail for one cause."""

TASKS = AGENT_TASKS.view(
    "trace_id",
    "agent",
    "parent_agent",
    "start_time",
    "ok",
    "span_ok",
    "error_type",
    "latency_ms",
    "error_count",
    "model",
    "provider",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "program_version",
    "tools",
    "first_failing_step",
    "first_failing_kind",
    "first_failing_error",
    "slowest_step",
    "slowest_step_ms",
)
"""What of the tasks the causes are found in."""


@dataclass(frozen=True)
class Cause:
    root_cause: str
    recommended_action: str
    example_traces: tuple[str, ...]
    label: str = ""
    """The cause without figures: findings of several agents that have the same one are one trouble."""
    evidence: CauseEvidence | None = None
    """None where tasks are not what the finding is about."""


def anomalies_frame(
    findings: Sequence[Finding], tasks: pd.DataFrame, changes: pd.DataFrame, window: timedelta
) -> pd.DataFrame:
    """Findings with their causes, as `tables.ANOMALIES`.

    `tasks` (`TASKS`) and `changes` (`tables.CHANGE_EVENTS`) should reach back to `BASELINE` before the onsets.
    """
    rows = []
    by_agent = dict(list(tasks.groupby("agent")))
    for finding in findings:
        onset = finding.onset or finding.window_start
        affected = Window(onset, finding.window_start + window)
        cause = explain(finding, by_agent.get(finding.agent, tasks[:0]), changes, affected, onset + window)
        rows.append(
            {
                "window_start": finding.window_start,
                "agent": finding.agent,
                "type": finding.type,
                "metric": finding.metric,
                "state": str(finding.state),
                "severity": str(finding.severity),
                "onset": finding.onset,
                "opened": finding.opened,
                "observed": finding.observed,
                "baseline": finding.baseline,
                "effect": finding.effect,
                "effect_low": finding.effect_low,
                "effect_high": finding.effect_high,
                "evidence_nats": finding.evidence_nats,
                "tasks": finding.tasks,
                "root_cause": cause.root_cause,
                "recommended_action": cause.recommended_action,
                "details": finding.details,
                "example_traces": " ".join(cause.example_traces),
                "cause": cause.label,
                "cause_evidence": cause.evidence.model_dump_json() if cause.evidence else None,
            }
        )
    return ANOMALIES.conform(pd.DataFrame(rows)) if rows else ANOMALIES.empty()


def explain(
    finding: Finding, known: pd.DataFrame, changes: pd.DataFrame, affected_time: Window, began_by: datetime
) -> Cause:
    """Name what the affected tasks have in common, what explains them, and the change that came with them.

    `known` are tasks of the finding's agent. Those that began in `affected_time` may be affected, those of the day
    before show what is usual; the trouble had begun by `began_by`.
    """
    action = {Severity.CRITICAL: "IMMEDIATE", Severity.HIGH: "IMMEDIATE", Severity.MEDIUM: "INVESTIGATE"}.get(
        finding.severity, "MONITOR"
    )
    if finding.type == "data_gap":
        return Cause(finding.reason, action, ())
    near = known[(known["start_time"] >= affected_time.start - BASELINE) & (known["start_time"] < affected_time.end)]
    own_changes = of_agent(finding.agent, changes)
    change = nearest_change(finding.agent, changes, affected_time, began_by)
    tasks = _affected(finding.type, near, affected_time)
    if tasks is None:
        ranked = nearby_changes(own_changes, near, affected_time, began_by)
        evidence = CauseEvidence(affected_means="", affected=0, tasks=0, changes=ranked)
        where, changed = WHERE_TO_LOOK.get(finding.type, ""), change_in_words(ranked[0]) if ranked else ""
        words = "; ".join(part for part in (where, changed) if part) or NO_CHANGE_KNOWN
        return Cause(words, action, (), _label(near[:0], near, change), evidence)
    evidence = cause_evidence(tasks, near, own_changes, affected_time, began_by)
    return Cause(
        root_cause=_where_and_why(finding.type, cause_in_words(evidence, tasks)),
        recommended_action=action,
        example_traces=_examples(tasks, evidence, own_changes),
        label=_label(tasks.affected, near, change),
        evidence=evidence,
    )


def _where_and_why(type: str, why: str) -> str:
    where = WHERE_TO_LOOK.get(type)
    if where is None:
        return why
    return where if why == NO_CULPRIT else f"{where}; {why}"


def _affected(type: str, near: pd.DataFrame, affected_time: Window) -> AffectedTasks | None:
    """None for what is no task's doing, and for a metric of the team's own: it says nothing of single tasks."""
    elsewhere = type in WHERE_TO_LOOK and type != "unnoticed_failures"
    return None if elsewhere or type not in FAMILIES else affected_tasks(family_of(type), type, near, affected_time)


def cause_evidence(
    tasks: AffectedTasks, known: pd.DataFrame, changes: pd.DataFrame, affected_time: Window, began_by: datetime
) -> CauseEvidence:
    """`changes` are those that concern the agent of the tasks."""
    explaining = explanations(tasks, changes)
    values = {value for one in explaining[:1] for value in one.values.values()}
    return CauseEvidence(
        affected_means=tasks.means,
        affected=len(tasks.affected),
        tasks=len(tasks.since),
        usual_affected=int(tasks.before["affected"].sum()),
        usual_tasks=len(tasks.before),
        explanations=explaining,
        error_types=error_types(tasks) if tasks.trouble is Trouble.FAILING else (),
        first_failing_steps=first_failing_steps(tasks) if tasks.trouble is Trouble.FAILING else (),
        slowest_steps=slowest_steps(tasks) if tasks.trouble is Trouble.SLOW else (),
        changes=nearby_changes(changes, known, affected_time, began_by, values),
    )


def _examples(tasks: AffectedTasks, evidence: CauseEvidence, changes: pd.DataFrame) -> tuple[str, ...]:
    """Traces of the first explanation, then others that are affected, each the worst or newest first."""
    shown = tasks.affected[::-1]
    if evidence.explanations:
        explained = with_values(shown, evidence.explanations[0].values, changes)
        shown = pd.concat([shown[explained], shown[~explained]])
    return tuple(shown["trace_id"].drop_duplicates().head(EXAMPLES))


def _label(affected: pd.DataFrame, known: pd.DataFrame, change: pd.Series | None) -> str:
    """A change of the whole fleet before an error that dominates, and that before a model that the tasks share."""
    if change is not None and pd.isna(change["agent"]):
        return f"{change['kind']} of {change['time']:%Y-%m-%d %H:%M} UTC: {change['description']}"
    error = short_error(_dominant(affected, "error_type"))
    if error and error not in SAYS_NOTHING:
        return error
    model = _dominant(affected, "model")
    stands_out = (affected["model"] == model).mean() >= (known["model"] == model).mean() + MODEL_STANDS_OUT
    return model if model and stands_out else ""


def _dominant(affected: pd.DataFrame, column: str) -> str:
    """The value that most of the tasks have; "" where there is none."""
    counts = affected[column].dropna().value_counts()
    return "" if counts.empty or counts.iloc[0] < DOMINANT_SHARE * len(affected) else str(counts.index[0])
