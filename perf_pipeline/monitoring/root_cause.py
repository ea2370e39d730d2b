"""The most likely cause of a finding, in words that only repeat what the tables hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pandas as pd

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.detection import Finding
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.tables import ANOMALIES

CHANGE_LOOKBACK = timedelta(hours=2)
DOMINANT_SHARE = 0.6
EXAMPLES = 3


@dataclass(frozen=True)
class Cause:
    root_cause: str
    recommended_action: str
    example_traces: tuple[str, ...]


def anomalies_frame(
    findings: Sequence[Finding], tasks: pd.DataFrame, changes: pd.DataFrame, window: timedelta
) -> pd.DataFrame:
    """Findings with their causes, as `tables.ANOMALIES`.

    `tasks` (`tables.AGENT_TASKS`) and `changes` (`tables.CHANGE_EVENTS`) should also hold the windows shortly
    before, which show what is new about the affected tasks.
    """
    rows = []
    for finding in findings:
        cause = explain(finding, tasks, changes, Window(finding.window_start, finding.window_start + window))
        rows.append(
            {
                "window_start": finding.window_start,
                "agent": finding.agent,
                "type": finding.type,
                "severity": str(finding.severity),
                "observed": finding.observed,
                "baseline": finding.baseline,
                "effect": finding.effect,
                "p_value": finding.p_value,
                "tasks": finding.tasks,
                "root_cause": cause.root_cause,
                "recommended_action": cause.recommended_action,
                "details": finding.details,
                "example_traces": " ".join(cause.example_traces),
            }
        )
    return ANOMALIES.conform(pd.DataFrame(rows)) if rows else ANOMALIES.empty()


def explain(finding: Finding, tasks: pd.DataFrame, changes: pd.DataFrame, window: Window) -> Cause:
    """Name what the affected tasks have in common, and the latest change before them."""
    action = {Severity.CRITICAL: "IMMEDIATE", Severity.HIGH: "IMMEDIATE", Severity.MEDIUM: "INVESTIGATE"}.get(
        finding.severity, "MONITOR"
    )
    if finding.type == "data_gap":
        return Cause(finding.reason, action, ())
    known = tasks[tasks["agent"] == finding.agent]
    own = known[(known["start_time"] >= window.start) & (known["start_time"] < window.end)]
    if finding.type == "latency_increase":
        affected = own.sort_values("latency_ms", ascending=False)
        first = _slow_part(own)
    else:
        affected = own[~own["ok"]] if (~own["ok"]).any() else own[own["error_count"] > 0]
        first = _dominant_error(affected)
    where = (_shared(affected, known, "model", "model"), _shared(affected, known, "program_version", "version"))
    common = ", ".join(part for part in (first, *where) if part)
    change = latest_change(finding.agent, changes, window)
    parts = (common, _change_in_words(change) if change is not None else "")
    words = "; ".join(part for part in parts if part) or "No single error, model or version stands out"
    return Cause(words, action, tuple(affected["trace_id"].drop_duplicates().head(EXAMPLES)))


def latest_change(agent: str, changes: pd.DataFrame, window: Window) -> pd.Series | None:
    """The last change before the window's end, of the agent or of the whole fleet, at most two hours old."""
    near = changes[
        (changes["time"] >= window.start - CHANGE_LOOKBACK)
        & (changes["time"] < window.end)
        & (changes["agent"].isna() | (changes["agent"] == agent))
    ]
    return near.sort_values("time").iloc[-1] if len(near) else None


def short_error(error_type: str) -> str:
    """The class of an exception without its modules."""
    return error_type.rsplit(".", 1)[-1]


def _dominant_error(affected: pd.DataFrame) -> str:
    """'9 of 9 failures are TimeoutError', where one error dominates."""
    counts = affected["error_type"].dropna().value_counts()
    if counts.empty or counts.iloc[0] < DOMINANT_SHARE * len(affected):
        return ""
    return f"{counts.iloc[0]} of {len(affected)} failures are {short_error(str(counts.index[0]))}"


def _shared(affected: pd.DataFrame, known: pd.DataFrame, column: str, noun: str) -> str:
    """'all on model m', where the affected tasks mostly share a value and the agent's known tasks do not."""
    counts = affected[column].dropna().value_counts()
    if counts.empty or known[column].nunique() < 2 or counts.iloc[0] < DOMINANT_SHARE * len(affected):
        return ""
    share = "all" if counts.iloc[0] == len(affected) else f"{counts.iloc[0]} of {len(affected)}"
    return f"{share} on {noun} {counts.index[0]}"


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
