"""Findings: what an agent does that it should not do, from the states of its detectors."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from perf_pipeline.fleet import DetectionPolicy, FleetConfig, Severity
from perf_pipeline.monitoring.finding_facts import facts_of
from perf_pipeline.monitoring.finding_words import in_words

FAMILIES = {
    "success_drop": "reliability",
    "error_spike": "reliability",
    "unseen_errors": "reliability",
    "log_error_spike": "reliability",
    "latency_increase": "latency",
    "cost_spike": "cost",
    "token_spike": "cost",
    "silence": "traffic",
    "traffic_drop": "traffic",
    "traffic_surge": "surge",
    "unnoticed_failures": "disagreement",
    "missing_traces": "disagreement",
    "score_drop": "score",
    "data_gap": "data",
}
"""The family of each built-in type of finding. Of equally severe findings, the type named first stands for all.

Lines of error that no failing task explains are a case of lines of error, and so make one incident with them.
"""


def family_of(type: str) -> str:
    """The family of a type of finding: a metric of fleet.yaml is a family of its own, of the same name."""
    return FAMILIES.get(type, type)


def place_of(type: str) -> int:
    """The place of a type among those that are equally severe."""
    return list(FAMILIES).index(type) if type in FAMILIES else len(FAMILIES)


class FindingState(StrEnum):
    """Pending may still be chance; open and recovering make an incident; resolved is told once, when it is over."""

    PENDING = "pending"
    OPEN = "open"
    RECOVERING = "recovering"
    RESOLVED = "resolved"


@dataclass(frozen=True)
class Finding:
    """One row of `tables.ANOMALIES`, without its cause. Units are those of the table.

    `reason` is what a source said of a data_gap.
    """

    window_start: datetime
    agent: str
    type: str
    state: FindingState
    severity: Severity
    details: str
    metric: str | None = None
    onset: datetime | None = None
    opened: datetime | None = None
    observed: float = np.nan
    baseline: float = np.nan
    effect: float = np.nan
    effect_low: float = np.nan
    effect_high: float = np.nan
    evidence_nats: float = np.nan
    tasks: int = 0
    reason: str = ""


def type_of_finding(finding: str, tasks: float, effect: float, policy: DetectionPolicy) -> str:
    """What a detector's finding is called: a critical drop of traffic that leaves no `tasks` at all is silence."""
    silent = tasks == 0 and effect >= policy.traffic_drop.severity.critical
    return "silence" if finding == "traffic_drop" and silent else finding


def findings_from_states(states: pd.DataFrame, windows: Collection[datetime], fleet: FleetConfig) -> list[Finding]:
    """The findings in `windows`, in order of window, agent and detector.

    `states` are rows of `tables.DETECTOR_STATES` (the memory is not needed): of these windows, and of those before
    them back to the onsets for the agents with findings. What is missing of the past is missing in the figures.
    """
    wanted = states[states["window_start"].isin(list(windows)) & ~states["agent"].isin(fleet.ignored_agents)]
    speaking = wanted[(wanted["phase"] != "quiet") | (wanted["event"] != "nothing")]
    speaking = speaking[~_says_it_again(speaking, fleet)].sort_values(["window_start", "agent"], kind="stable")
    keys = set(zip(speaking["agent"], speaking["finding"], strict=True))
    pasts = {
        key: rows.sort_values("window_start")
        for key, rows in states[states["agent"].isin(speaking["agent"])].groupby(["agent", "finding"])
        if key in keys
    }
    return [_finding(row, pasts[row["agent"], row["finding"]], fleet) for row in speaking.to_dict("records")]


def _says_it_again(speaking: pd.DataFrame, fleet: FleetConfig) -> pd.Series:
    """Marks what another finding of the same agent and window says already, and better.

    A score sums up what is said of all that it is made of. Lines of error that no failing task explains are lines of
    error.
    """
    unscored = {metric.name for metric in fleet.metrics if not metric.weight}
    explains_no_score = speaking["finding"].isin({"score_drop", "unnoticed_failures", "missing_traces", *unscored})
    of_score = _has_other(speaking, "score_drop", ~explains_no_score & (speaking["phase"] != "quiet"))
    unseen = (speaking["finding"] == "unseen_errors") & speaking["phase"].isin(["open", "recovering"])
    return of_score | _has_other(speaking, "log_error_spike", unseen)


def _has_other(speaking: pd.DataFrame, finding: str, others: pd.Series) -> pd.Series:
    """Marks the findings of this name whose agent has one of the others in the same window."""
    place = ["window_start", "agent"]
    told = pd.MultiIndex.from_frame(speaking.loc[others, place])
    return (speaking["finding"] == finding) & pd.MultiIndex.from_frame(speaking[place]).isin(told)


def _finding(row: Mapping[Hashable, Any], past: pd.DataFrame, fleet: FleetConfig) -> Finding:
    facts = facts_of(row, past, fleet.rule(str(row["finding"])))
    state = FindingState.RESOLVED if row["phase"] == "quiet" else FindingState(row["phase"])
    type = type_of_finding(str(row["finding"]), facts.total, facts.effect, fleet.detection)
    start = row["window_start"].to_pydatetime()
    return Finding(
        window_start=start,
        agent=str(row["agent"]),
        type=type,
        state=state,
        severity=Severity(row["severity"]),
        details=in_words(
            type, state, facts, fleet.window, start, accepted=row["event"] == "new_normal", custom=fleet.metric(type)
        ),
        metric=str(row["metric"]),
        onset=facts.onset,
        opened=None if pd.isna(row["opened"]) else row["opened"].to_pydatetime(),
        observed=facts.observed,
        baseline=facts.baseline,
        effect=facts.effect,
        effect_low=facts.effect_low,
        effect_high=facts.effect_high,
        evidence_nats=facts.evidence_nats,
        tasks=facts.tasks,
    )
