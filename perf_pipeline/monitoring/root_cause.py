"""The most likely cause of a finding, in words that only repeat what the tables hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.disagreement_causes import WHERE_TO_LOOK
from perf_pipeline.monitoring.findings import FAMILIES, Finding, family_of
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.tables import ANOMALIES

CHANGE_LOOKBACK = timedelta(hours=2)
DOMINANT_SHARE = 0.6
EXAMPLES = 3
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

NO_CULPRIT = "No single error, model or version stands out"
NO_CHANGE_KNOWN = "No change of the agent or of the fleet is known from that time"


@dataclass(frozen=True)
class Cause:
    root_cause: str
    recommended_action: str
    example_traces: tuple[str, ...]
    label: str = ""
    """The cause without figures: findings of several agents that have the same one are one trouble."""


def anomalies_frame(
    findings: Sequence[Finding], tasks: pd.DataFrame, changes: pd.DataFrame, window: timedelta
) -> pd.DataFrame:
    """Findings with their causes, as `tables.ANOMALIES`.

    `tasks` (`tables.AGENT_TASKS`) and `changes` (`tables.CHANGE_EVENTS`) should reach back to the onsets, and hold
    the windows shortly before, which show what is new about the affected tasks.
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
            }
        )
    return ANOMALIES.conform(pd.DataFrame(rows)) if rows else ANOMALIES.empty()


def explain(
    finding: Finding, known: pd.DataFrame, changes: pd.DataFrame, affected_time: Window, began_by: datetime
) -> Cause:
    """Name what the affected tasks have in common, and the change that came with them.

    `known` are tasks of the finding's agent. Those that began in `affected_time` are affected; the trouble had begun
    by `began_by`.
    """
    action = {Severity.CRITICAL: "IMMEDIATE", Severity.HIGH: "IMMEDIATE", Severity.MEDIUM: "INVESTIGATE"}.get(
        finding.severity, "MONITOR"
    )
    if finding.type == "data_gap":
        return Cause(finding.reason, action, ())
    own = known[(known["start_time"] >= affected_time.start) & (known["start_time"] < affected_time.end)]
    family = family_of(finding.type)
    if family == "latency":
        affected = own.sort_values("latency_ms", ascending=False)
        first = _slow_part(own)
    elif family == "cost":
        affected = own.sort_values(["cost_usd", "prompt_tokens"], ascending=False)
        first = ""
    elif finding.type == "unnoticed_failures":
        affected, first = own[~own["ok"] & own["span_ok"].fillna(False).astype(bool)], WHERE_TO_LOOK[finding.type]
    elif finding.type not in FAMILIES or finding.type in WHERE_TO_LOOK or family in ("traffic", "surge"):
        affected, first = own[:0], WHERE_TO_LOOK.get(finding.type, "")
    else:
        affected = own[~own["ok"]] if (~own["ok"]).any() else own[own["error_count"] > 0]
        first = _dominant_error(affected)
    where = (_shared(affected, known, "model", "model"), _shared(affected, known, "program_version", "version"))
    common = ", ".join(part for part in (first, *where) if part)
    change = nearest_change(finding.agent, changes, affected_time, began_by)
    parts = (common, _change_in_words(change) if change is not None else "")
    words = "; ".join(part for part in parts if part) or (
        NO_CHANGE_KNOWN if finding.type not in FAMILIES or family in ("traffic", "surge") else NO_CULPRIT
    )
    traces = tuple(affected["trace_id"].drop_duplicates().head(EXAMPLES))
    return Cause(words, action, traces, _label(affected, known, change))


def nearest_change(agent: str, changes: pd.DataFrame, affected: Window, began_by: datetime) -> pd.Series | None:
    """The change, of the agent or of the whole fleet, that the trouble most likely came with.

    That is the last one before `began_by`, at most two hours before the affected time. A first bad window may be
    chance, so where there is none it is the first one after that; later ones are rather attempts to mend it.
    """
    near = changes[
        (changes["time"] >= affected.start - CHANGE_LOOKBACK)
        & (changes["time"] < affected.end)
        & (changes["agent"].isna() | (changes["agent"] == agent))
    ].sort_values("time")
    earlier = near[near["time"] < began_by]
    if len(earlier):
        return earlier.iloc[-1]
    return near.iloc[0] if len(near) else None


def short_error(error_type: str) -> str:
    """The class of an exception without its modules."""
    return error_type.rsplit(".", 1)[-1]


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


def _dominant_error(affected: pd.DataFrame) -> str:
    """'9 of 9 failures are TimeoutError', where one error dominates."""
    error = _dominant(affected, "error_type")
    count = (affected["error_type"] == error).sum()
    return f"{count} of {len(affected)} failures are {short_error(error)}" if error else ""


def _shared(affected: pd.DataFrame, known: pd.DataFrame, column: str, noun: str) -> str:
    """'all on model m', where the affected tasks mostly share a value and the agent's known tasks do not."""
    value = _dominant(affected, column)
    if not value or known[column].nunique() < 2:
        return ""
    count = (affected[column] == value).sum()
    return f"{'all' if count == len(affected) else f'{count} of {len(affected)}'} on {noun} {value}"


def _change_in_words(change: pd.Series) -> str:
    kind = {"model": "model change", "prompt": "prompt change"}.get(str(change["kind"]), change["kind"])
    words = f"after the {kind} of {change['time']:%H:%M} UTC: {change['description']}"
    if pd.notna(change["from_version"]) and pd.notna(change["to_version"]):
        words += f" ({change['from_version']} → {change['to_version']})"
    return words


def _slow_part(own: pd.DataFrame) -> str:
    total = float(own["latency_ms"].sum())
    if not total:
        return ""
    share = 100 * float(own["llm_ms"].sum()) / total
    return f"{min(share, 100):.0f}% of the time was spent in language-model calls"
