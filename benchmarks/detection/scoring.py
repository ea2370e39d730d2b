"""What a detector's findings are worth against a simulation in which all incidents are known.

`findings`: agent, window_start (UTC; the window at whose close it opens), type, severity, onset, state. Rows of state
"open" are alarms. Rows of other states only serve the grading of the incident's severity.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.detection.incident_plan import GRADES, SUCCESS_KINDS, severity_of
from benchmarks.detection.scores import Scores
from benchmarks.detection.simulator import Simulation

AFTER_END = 2  # windows after an incident or a blip in which an alarm still belongs to it
FIRST_DAYS = pd.Timedelta(days=3)  # of an agent; counted apart
FAMILIES = {
    "reliability": {"success_drop", "error_spike", "log_error_spike"},
    "latency": {"latency_increase"},
    "cost": {"cost_spike", "token_spike"},
    "traffic": {"silence", "traffic_drop", "traffic_surge"},
}
FAMILY_OF_TYPE = {kind: family for family, kinds in FAMILIES.items() for kind in kinds}
ANY_FAMILY = {"score_drop", "score"}
NOT_JUDGED = {"data_gap"}


def score(findings: pd.DataFrame, simulation: Simulation) -> Scores:
    """Judge findings.

    An alarm inside an incident of its agent (to two windows after its end) is true if the family fits and neutral if
    not; else it belongs to a blip in whose window or the next two it opens; else it is false.
    """
    step = simulation.window
    metrics, incidents, blips = simulation.metrics, simulation.incidents, simulation.blips
    findings = findings[~findings["type"].isin(NOT_JUDGED)]
    opened = findings[findings["state"] == "open"].sort_values("window_start", kind="stable").reset_index(drop=True)
    first_row = metrics.groupby("agent")["window_start"].min()
    with_tasks = _by_agent(metrics[metrics["tasks"] > 0])
    alarms_of, rows_of = _by_agent(opened), _by_agent(findings)
    outcomes = [
        _outcome(
            row,
            rows_of.get(row["agent"], findings.iloc[:0]),
            alarms_of.get(row["agent"], opened.iloc[:0]),
            with_tasks.get(row["agent"], metrics.iloc[:0]),
            step,
        )
        for _, row in incidents.iterrows()
    ]
    verdicts, alarmed = _verdicts(opened, incidents, blips, step)
    early = opened["window_start"] < opened["agent"].map(first_row) + FIRST_DAYS
    per_week = pd.Timedelta(days=7) / step
    early_rows = metrics["window_start"] < metrics["agent"].map(first_row) + FIRST_DAYS
    return Scores(
        alarms=opened.assign(verdict=verdicts, early=early.astype(bool), seed=simulation.seed),
        outcomes=pd.concat([incidents, pd.DataFrame(outcomes, index=incidents.index, columns=OUTCOME_COLUMNS)], axis=1)
        .astype(dict.fromkeys(["findable", "fast", *OUTCOME_FLAGS], bool))
        .assign(seed=simulation.seed),
        blips=blips.assign(alarmed=alarmed, seed=simulation.seed),
        agent_weeks=len(metrics) / per_week,
        early_agent_weeks=float(early_rows.sum()) / per_week,
    )


def combine(scores: Iterable[Scores]) -> Scores:
    """The scores of several simulations as one; every alarm, incident and agent-week weighs the same."""
    every = list(scores)

    def joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
        # An empty frame knows no types and would turn flags into objects.
        return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)

    return Scores(
        alarms=joined([one.alarms for one in every]),
        outcomes=joined([one.outcomes for one in every]),
        blips=joined([one.blips for one in every]),
        agent_weeks=sum(one.agent_weeks for one in every),
        early_agent_weeks=sum(one.early_agent_weeks for one in every),
    )


OUTCOME_FLAGS = ["found", "zero_with_5_tasks", "found_at_first_tasks", "critical_at_first_tasks", "clear"]
OUTCOME_COLUMNS = [
    *OUTCOME_FLAGS,
    "delay",
    "first_tasks",
    "opened_same_type",
    "opened_same_family",
    "graded",
    "grade_error",
]


def family_of(kind: str) -> str:
    """The family of an incident's kind."""
    if kind in SUCCESS_KINDS:
        return "reliability"
    return FAMILY_OF_TYPE["latency_increase" if kind.startswith("latency") else kind]


def fits(alarm_type: str, kind: str) -> bool:
    """Whether an alarm of this type may tell of an incident of this kind."""
    return alarm_type in ANY_FAMILY or FAMILY_OF_TYPE.get(alarm_type) == family_of(kind)


def _by_agent(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {str(agent): mine for agent, mine in frame.groupby("agent")}


def _verdicts(
    opened: pd.DataFrame, incidents: pd.DataFrame, blips: pd.DataFrame, step: pd.Timedelta
) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """The verdict on each alarm, and whether each blip was alarmed."""
    verdicts = np.full(len(opened), "false", dtype=object)
    alarmed = np.zeros(len(blips), dtype=bool)
    incidents_of, blips_of = _by_agent(incidents), _by_agent(blips.assign(place=np.arange(len(blips))))
    for agent, alarms in _by_agent(opened).items():
        at, places = instants(alarms["window_start"])[:, None], alarms.index.to_numpy()
        if agent in blips_of:
            mine = blips_of[agent]
            start = instants(mine["window_start"])
            near = (start <= at) & (at <= instants(mine["window_start"] + AFTER_END * step))
            verdicts[places[near.any(axis=1)]] = "blip"
        else:
            mine, near = blips, np.zeros((len(alarms), 0), dtype=bool)
        inside = np.zeros((len(alarms), 1), dtype=bool)
        if agent in incidents_of:
            theirs = incidents_of[agent]
            inside = (instants(theirs["start"]) <= at) & (at <= instants(theirs["end"] + AFTER_END * step))
            fitting = np.array([[fits(name, kind) for kind in theirs["kind"]] for name in alarms["type"]])
            verdicts[places[inside.any(axis=1)]] = "neutral"
            verdicts[places[(inside & fitting).any(axis=1)]] = "true"
        if near.shape[1]:
            alarmed[mine["place"].to_numpy()] = near[~inside.any(axis=1)].any(axis=0)
    return verdicts, alarmed


def instants(times: pd.Series) -> NDArray[np.int64]:
    """Microseconds since 1970."""
    return pd.DatetimeIndex(times).as_unit("us").asi8


def _outcome(
    incident: pd.Series, findings: pd.DataFrame, opened: pd.DataFrame, with_tasks: pd.DataFrame, step: pd.Timedelta
) -> dict[str, Any]:
    """What became of one incident (OUTCOME_COLUMNS), from its agent's findings, alarms and windows with tasks."""
    start, kind = incident["start"], incident["kind"]
    alarms, rows = (_belonging(frame, incident, step) for frame in (opened, findings))
    tasks = with_tasks[(with_tasks["window_start"] >= start) & (with_tasks["window_start"] < incident["end"])]
    is_zero = kind == "success_drop" and incident["label"] == "to zero"
    first_tasks = tasks["window_start"].iloc[0] if len(tasks) else start
    at_once = rows[rows["window_start"] <= first_tasks]
    graded = _graded(rows, kind)
    return {
        "found": len(alarms) > 0,
        "delay": (alarms["window_start"].iloc[0] - start) / step if len(alarms) else np.nan,
        "opened_same_type": int(alarms["type"].value_counts().max()) if len(alarms) else 0,
        "opened_same_family": len(alarms),
        "graded": graded,
        "grade_error": GRADES.index(graded) - GRADES.index(incident["severity"]) if len(alarms) and graded else np.nan,
        "clear": _is_clear(kind, float(incident["size"]), incident["severity"]),
        "zero_with_5_tasks": bool(is_zero and len(tasks) and tasks["tasks"].iloc[0] >= 5),
        "first_tasks": (first_tasks - start) / step,
        "found_at_first_tasks": bool((alarms["window_start"] <= first_tasks).any()),
        "critical_at_first_tasks": bool((at_once["severity"] == "critical").any()),
    }


def _belonging(frame: pd.DataFrame, incident: pd.Series, step: pd.Timedelta) -> pd.DataFrame:
    at = frame["window_start"]
    mine = frame[(at >= incident["start"]) & (at <= incident["end"] + AFTER_END * step)]
    return mine[np.array([fits(alarm_type, incident["kind"]) for alarm_type in mine["type"]], dtype=bool)]


def _graded(rows: pd.DataFrame, kind: str) -> str | None:
    """The highest severity that was given, by the findings of the incident's own type where there are any."""
    own = "success_drop" if kind in SUCCESS_KINDS else "latency_increase" if kind.startswith("latency") else kind
    telling = rows[rows["type"] == own] if (rows["type"] == own).any() else rows
    given = [grade for grade in telling["severity"] if grade in GRADES]
    return max(given, key=GRADES.index) if given else None


def _is_clear(kind: str, size: float, severity: str) -> bool:
    """Whether the true grade would be the same if the size were 15 % more or less."""
    if kind in SUCCESS_KINDS and severity == "critical":
        return True
    # The border at <= 20 % left depends on the agent and is left out.
    grades = {severity_of(kind, size * factor, np.inf, np.inf) for factor in (0.85, 1.0, 1.15)}
    return len(grades) == 1
