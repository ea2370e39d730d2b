"""What the detectors would have found in a table of metrics: the same engine, and the same incidents, as production."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pandas as pd

from perf_pipeline.fleet import FleetConfig, Severity
from perf_pipeline.monitoring.detectors.lifecycle import Event, Phase
from perf_pipeline.monitoring.detectors.registry import detectors
from perf_pipeline.monitoring.detectors.replay import Step, replay, window_time
from perf_pipeline.monitoring.findings import FindingState, family_of, place_of, type_of_finding
from perf_pipeline.monitoring.incidents import incidents_from_findings, judged_windows
from perf_pipeline.records import Incident

REQUIRED = ("agent", "window_start", "tasks", "successes")
OPTIONAL = (
    "error_count",
    "log_errors",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_log_mean",
    "latency_log_sd",
    "total_tokens",
    "cost_usd",
    "planned_changes",
)
"""Columns that may be missing: what was not measured is not judged, and no change is known of."""

FINDING_COLUMNS = ["agent", "window_start", "type", "severity", "onset", "state"]
UNKNOWN_CAUSE = dict.fromkeys(
    ("root_cause", "recommended_action", "details", "example_traces", "cause", "cause_evidence"), ""
)
"""What incidents are told of their findings, and metrics alone do not say."""

STATES = {
    Phase.QUIET: FindingState.RESOLVED,
    Phase.PENDING: FindingState.PENDING,
    Phase.OPEN: FindingState.OPEN,
    Phase.RECOVERING: FindingState.RECOVERING,
}


class MetricsError(ValueError):
    """A table of metrics cannot be replayed. The message says what to mend, and where."""


def metrics_table(frame: pd.DataFrame) -> pd.DataFrame:
    """A table as read from a file, with times (UTC) and numbers. Raises MetricsError.

    `frame` has the columns `REQUIRED`, and those of `OPTIONAL` that were measured; one row an agent and window. Times
    without a zone are UTC. Rows that are not there mean that there are no data.
    """
    missing = [name for name in REQUIRED if name not in frame.columns]
    if missing:
        raise MetricsError(f"The table lacks the column(s) {', '.join(missing)}.")
    if frame.empty:
        raise MetricsError("The table has no rows.")
    table = pd.DataFrame({"agent": frame["agent"].astype(str)})
    starts = pd.to_datetime(frame["window_start"], utc=True, errors="coerce", format="ISO8601")
    _refuse(starts.isna(), frame["window_start"], "window_start is not a time such as 2026-11-22T09:30:00Z")
    table["window_start"] = starts
    _refuse(starts.dt.floor("min") != starts, frame["window_start"], "window_start is not on a whole minute")
    for name in (*REQUIRED[2:], *(name for name in OPTIONAL if name in frame.columns)):
        numbers = pd.to_numeric(frame[name], errors="coerce").astype(float)
        given = frame[name].notna() & (frame[name].astype(str).str.strip() != "")
        _refuse(given & ~np.isfinite(numbers), frame[name], f"{name} is not a number")
        if name != "latency_log_mean":
            _refuse(numbers < 0, frame[name], f"{name} is negative")
        table[name] = numbers
    _refuse(table["tasks"].isna(), frame["tasks"], "tasks is missing")
    _refuse(table["successes"] > table["tasks"], frame["successes"], "successes is larger than tasks")
    twice = table.duplicated(["agent", "window_start"])
    _refuse(twice, frame["agent"].astype(str) + " at " + frame["window_start"].astype(str), "appears a second time:")
    return table


def window_of(table: pd.DataFrame, usual_minutes: int) -> int:
    """Length of the table's windows in minutes: the largest part of the hour that all of its times begin with.

    A table of a single window says nothing about it, and has that of the fleet file if that fits.
    """
    starts = np.unique(table["window_start"].astype("datetime64[s, UTC]").astype("int64").to_numpy()) // 60
    if len(starts) == 1 and starts[0] % usual_minutes == 0:
        return usual_minutes
    return math.gcd(60, int(np.gcd.reduce(starts)))


def _refuse(wrong: pd.Series, values: pd.Series, reason: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong.to_numpy())[0])
        raise MetricsError(f"Row {row + 1}: {reason} (it is {str(values.iloc[row])[:80]!r}).")


def findings_in(metrics: pd.DataFrame, fleet: FleetConfig) -> pd.DataFrame:
    """The findings in a table of metrics (`metrics_table`, or `tables.AGENT_METRICS`), oldest first.

    Columns `FINDING_COLUMNS`: a row for each incident, in the window at whose close it opened, with the type that it
    opened as, the worst severity that it reached, and its onset. Findings that never opened have no row.
    """
    return findings_from(finding_states(metrics, fleet), metrics["window_start"], fleet)


def findings_from(states: pd.DataFrame, windows: pd.Series, fleet: FleetConfig) -> pd.DataFrame:
    """`findings_in` a table of metrics, from its `finding_states` and the starts of its windows (UTC)."""
    judged = judged_windows(windows.drop_duplicates().dt.to_pydatetime(), [])
    reopen = timedelta(hours=fleet.detection.reopen_within_hours)
    opening = states[states["window_start"] == states["opened"]]
    opening = opening.assign(family=opening["type"].map(family_of), place=opening["type"].map(place_of))
    opened_as = opening.sort_values("place").drop_duplicates(["agent", "family", "opened"])
    types = opened_as.set_index(["agent", "family", "opened"])["type"]
    rows = [
        {
            "agent": incident.agent,
            "window_start": incident.opened_at,
            "type": types[incident.agent, incident.family, incident.opened_at],
            "severity": str(incident.severity),
            "onset": incident.onset,
            "state": str(FindingState.OPEN),
        }
        for incident in incidents_from_findings(states, judged, reopen)
    ]
    return pd.DataFrame(rows, columns=FINDING_COLUMNS)


def changes_of_state(metrics: pd.DataFrame, fleet: FleetConfig) -> pd.DataFrame:
    """As `findings_in`, but with a row whenever a single finding's state or severity changes, pending ones included."""
    states = finding_states(metrics, fleet).sort_values(["agent", "type", "window_start"], kind="stable")
    before = states.groupby(["agent", "type"])[["state", "severity", "opened"]].shift()
    same = (states["state"] == before["state"]) & (states["severity"] == before["severity"])
    changed = states[~same | (states["opened"] != before["opened"]) & states["opened"].notna()]
    return changed.sort_values(["window_start", "agent"], kind="stable")[FINDING_COLUMNS].reset_index(drop=True)


def finding_states(metrics: pd.DataFrame, fleet: FleetConfig) -> pd.DataFrame:
    """Every window in which a finding is not quiet: `FINDING_COLUMNS` and opened, and empty columns for its cause."""
    rows: list[dict[str, object]] = []

    def keep(step: Step) -> None:
        outcome = step.outcome
        for place in np.flatnonzero((outcome.phase != Phase.QUIET) | (outcome.event != Event.NOTHING)):
            rows.append(_row(step, int(place), fleet))

    every = detectors(fleet.detection, fleet.window, fleet.metrics)
    replay(metrics, every, fleet.window, timedelta(days=fleet.detection.memory_days), on_step=keep)
    frame = pd.DataFrame(rows, columns=[*FINDING_COLUMNS, "opened", *UNKNOWN_CAUSE])
    for name in ("window_start", "onset", "opened"):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame


def history_report(
    metrics: pd.DataFrame, fleet: FleetConfig, recorded: Sequence[Incident]
) -> tuple[dict[str, float], pd.DataFrame]:
    """What a policy would have made of an installation's history (`tables.AGENT_METRICS`).

    The findings (`findings_in`), with sent (high or critical: people would have heard of it at once), confirmed (it
    was still open after the window in which it opened), and recorded (an incident of the ledger overlaps it); and
    their counts, with agents, windows, agent_weeks and findings_per_agent_week.
    """
    states = finding_states(metrics, fleet)
    found = findings_from(states, metrics["window_start"], fleet)
    still = states[(states["state"] == FindingState.OPEN) & (states["window_start"] > states["opened"])]
    families = still["type"].map(family_of)
    lasting = set(zip(still["agent"], families, still["opened"], strict=True))
    family = found["type"].map(family_of)
    found["sent"] = found["severity"].isin([Severity.HIGH, Severity.CRITICAL])
    found["confirmed"] = [key in lasting for key in zip(found["agent"], family, found["window_start"], strict=True)]
    found["recorded"] = [
        any(
            (known.agent, known.family) == (agent, kind) and known.onset <= opened and onset <= known.last_seen
            for known in recorded
        )
        for agent, kind, opened, onset in zip(
            found["agent"], family, found["window_start"], found["onset"], strict=True
        )
    ]
    judged = metrics[metrics["complete"]]
    weeks = len(judged) * fleet.window / timedelta(days=7)
    summary = {
        "agents": judged["agent"].nunique(),
        "windows": judged["window_start"].nunique(),
        "agent_weeks": weeks,
        "findings": len(found),
        "findings_per_agent_week": len(found) / weeks if weeks else 0.0,
        **{name: int(found[name].sum()) for name in ("sent", "confirmed", "recorded")},
    }
    return summary, found


def _row(step: Step, place: int, fleet: FleetConfig) -> dict[str, object]:
    outcome, finding = step.outcome, step.detector.finding
    return {
        "agent": step.agents[place],
        "window_start": window_time(step.index, fleet.window),
        "type": type_of_finding(finding, step.tasks[place], outcome.effect[place], fleet.detection),
        "severity": str(list(Severity)[outcome.severity[place]]),
        "onset": window_time(outcome.onset[place], fleet.window),
        "state": str(STATES[Phase(outcome.phase[place])]),
        "opened": window_time(outcome.opened[place], fleet.window),
        **UNKNOWN_CAUSE,
    }
