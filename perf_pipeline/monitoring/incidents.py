"""Findings of neighbouring windows joined to incidents. Recomputed from the tables, so a replay gives the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

import pandas as pd

from perf_pipeline.fleet import Severity
from perf_pipeline.records import Incident, IncidentState, SourceHealth
from perf_pipeline.tables import TIME

FAMILIES = {
    "success_drop": "reliability",
    "error_spike": "reliability",
    "latency_increase": "latency",
    "data_gap": "data",
}
"""The family of each type of finding. Of findings that are equally severe, the type named first stands for all."""


def incidents_from_findings(anomalies: pd.DataFrame, judged: pd.DataFrame) -> list[Incident]:
    """The incidents in the findings (`tables.ANOMALIES`), oldest first.

    `judged` has the columns agent and window_start: where the agent (or source) was looked at, with or without a
    finding. An incident lasts until a judged window without a finding of its family; windows that were not
    judged neither prolong nor end it.
    """
    incidents: list[Incident] = []
    families = anomalies.assign(family=anomalies["type"].map(FAMILIES))
    for (agent, family), rows in families.groupby(["agent", "family"], sort=True):
        looked_at = pd.DatetimeIndex(judged[judged["agent"] == agent]["window_start"])
        by_window = dict(list(rows.groupby("window_start")))
        current: list[pd.DataFrame] = []
        for window in looked_at.union(pd.DatetimeIndex(rows["window_start"])).unique().sort_values():
            if window in by_window:
                current.append(by_window[window])
            elif current:
                incidents.append(_incident(str(agent), str(family), current, IncidentState.RESOLVED))
                current = []
        if current:
            incidents.append(_incident(str(agent), str(family), current, IncidentState.OPEN))
    return sorted(incidents, key=lambda incident: (incident.onset, incident.agent, incident.family))


def reconcile(
    computed: Sequence[Incident], recorded: Sequence[Incident], judged: pd.DataFrame, since: datetime
) -> list[Incident]:
    """The incidents to record: computed ones under the identity that they were first known by.

    A computed incident that overlaps a recorded one of the same agent and family continues it, and keeps its id
    and the earlier onset, so late data cannot announce it again. Its severity only rises. A recorded incident
    without a counterpart is over if it began at or after `since` (the start of what was recomputed), or if its agent
    was judged since it was last seen; `judged` is that of `incidents_from_findings`.
    """
    unmatched = list(recorded)
    ids = {incident.id for incident in computed}
    result: list[Incident] = []
    for incident in computed:
        # A recorded incident that is still computed under its own id continues as that one, and as no other.
        known = next((other for other in unmatched if other.id == incident.id), None) or next(
            (other for other in unmatched if _overlap(incident, other) and other.id not in ids), None
        )
        if known is None:
            result.append(incident)
            continue
        unmatched.remove(known)
        worst = max(incident.severity, known.severity, key=lambda severity: severity.rank)
        result.append(replace(incident, id=known.id, onset=min(known.onset, incident.onset), severity=worst))
    last_judged = judged.groupby("agent")["window_start"].max()

    def is_over(old: Incident) -> bool:
        judged_since = old.agent in last_judged.index and last_judged[old.agent] > old.last_seen
        return old.state is IncidentState.OPEN and (old.onset >= since or bool(judged_since))

    return result + [replace(old, state=IncidentState.RESOLVED) for old in unmatched if is_over(old)]


def incident_id(agent: str, family: str, onset: datetime) -> str:
    return hashlib.sha256(f"{agent}|{family}|{onset.isoformat()}".encode()).hexdigest()[:16]


def _overlap(one: Incident, other: Incident) -> bool:
    same = (one.agent, one.family) == (other.agent, other.family)
    return same and one.onset <= other.last_seen and other.onset <= one.last_seen


def _incident(agent: str, family: str, windows: Sequence[pd.DataFrame], state: IncidentState) -> Incident:
    rows = pd.concat(windows).assign(
        rank=lambda frame: [Severity(value).rank for value in frame["severity"]],
        place=lambda frame: [list(FAMILIES).index(kind) for kind in frame["type"]],
    )
    worst = rows.sort_values(["rank", "window_start", "place"], ascending=[False, True, True]).iloc[0]
    onset = rows["window_start"].min().to_pydatetime()
    return Incident(
        id=incident_id(agent, family, onset),
        agent=agent,
        family=family,
        type=str(worst["type"]),
        also=tuple(sorted(set(rows["type"]) - {worst["type"]})),
        severity=Severity(worst["severity"]),
        state=state,
        onset=onset,
        last_seen=rows["window_start"].max().to_pydatetime(),
        root_cause=str(worst["root_cause"]),
        recommended_action=str(worst["recommended_action"]),
        details=str(worst["details"]),
        example_traces=tuple(str(worst["example_traces"]).split()),
    )


def judged_windows(metrics: pd.DataFrame, health: Iterable[SourceHealth]) -> pd.DataFrame:
    """Where a finding could have been made: agents (`tables.AGENT_METRICS`) in complete windows with tasks, and
    sources in windows that they were read for. Columns agent and window_start."""
    agents = metrics[metrics["complete"] & (metrics["tasks"] > 0)][["agent", "window_start"]]
    sources = pd.DataFrame(
        [{"agent": f"source:{reading.source}", "window_start": reading.window_start} for reading in health],
        columns=["agent", "window_start"],
    )
    sources["window_start"] = pd.to_datetime(sources["window_start"], utc=True).astype(TIME)
    return pd.concat([agents, sources], ignore_index=True)
