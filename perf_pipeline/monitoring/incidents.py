"""Findings of neighbouring windows joined to incidents. Recomputed from the tables, so a replay gives the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pandas as pd

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.findings import FindingState, family_of, place_of
from perf_pipeline.records import Incident, IncidentState, SourceHealth

ACTIVE = (FindingState.OPEN, FindingState.RECOVERING)


@dataclass(frozen=True)
class Judged:
    """Where findings could have been made: the windows that agents were judged in, and those that each source
    (`source:spans`) was read for, whether well or badly. All in order of time."""

    windows: pd.DatetimeIndex
    sources: Mapping[str, pd.DatetimeIndex]

    def of(self, agent: str) -> pd.DatetimeIndex:
        return self.sources.get(agent, self.windows[:0]) if agent.startswith("source:") else self.windows


def judged_windows(windows: Iterable[datetime], health: Iterable[SourceHealth]) -> Judged:
    """`windows` are those whose findings are known."""
    read: dict[str, list[datetime]] = {}
    for reading in health:
        read.setdefault(f"source:{reading.source}", []).append(reading.window_start)
    return Judged(_times(windows), {source: _times(starts) for source, starts in read.items()})


def incidents_from_findings(anomalies: pd.DataFrame, judged: Judged, reopen_within: timedelta) -> list[Incident]:
    """The incidents in the findings (`tables.ANOMALIES`), oldest first.

    An incident lasts from the first window in which a finding of its family is open to the first judged window in
    which none is open or recovering any more: because they were resolved, or because nothing is said of them now.
    Windows that were not judged neither prolong nor end it. What opens again within `reopen_within` of the end is the
    same incident; a data gap is one of its own each time, for a source that fails again must be looked at again.
    """
    active = anomalies[anomalies["state"].isin(ACTIVE)]
    active = active.assign(family=active["type"].map(family_of))
    incidents: list[Incident] = []
    for (agent, family), rows in active.groupby(["agent", "family"], sort=True):
        current: list[_Stretch] = []
        for stretch in _stretches(rows, judged.of(str(agent))):
            if current and not (family != "data" and stretch.comes_after(current[-1]) <= reopen_within):
                incidents.append(_incident(str(agent), str(family), current))
                current = []
            current.append(stretch)
        incidents.append(_incident(str(agent), str(family), current))
    return sorted(incidents, key=lambda incident: (incident.opened_at, incident.agent, incident.family))


def reconcile(
    computed: Sequence[Incident],
    recorded: Sequence[Incident],
    judged: Judged,
    span: tuple[datetime, datetime],
    reopen_within: timedelta,
) -> list[Incident]:
    """The incidents to record: computed ones under the identity that they were first known by.

    A computed incident that overlaps a recorded one of the same agent and family, or comes within `reopen_within` of
    it, continues it, and keeps its id and the earlier beginning, so late data cannot announce it again. Its severity
    only rises. A recorded incident that is not over and has no counterpart is withdrawn if all of it lies in `span`,
    the windows from the first to before the second that `computed` was computed from, and ended if its agent was
    judged since it was last seen.
    """
    unmatched = list(recorded)
    ids = {incident.id for incident in computed}
    result: list[Incident] = []
    for incident in computed:
        # A recorded incident that is still computed under its own id continues as that one, and as no other.
        candidates = [other for other in unmatched if other.id == incident.id] or [
            other for other in unmatched if other.id not in ids and _same_trouble(incident, other, reopen_within)
        ]
        if not candidates:
            result.append(incident)
            continue
        known = min(candidates, key=lambda other: abs(other.opened_at - incident.opened_at))
        unmatched.remove(known)
        result.append(_continued(known, incident))
    since, until = span
    for old in unmatched:
        if old.state is IncidentState.RESOLVED:
            continue
        looked_at = judged.of(old.agent)
        later = looked_at[looked_at.searchsorted(pd.Timestamp(old.last_seen), side="right") :]
        if len(later) or (old.opened_at >= since and old.last_seen < until):
            ended = later[0].to_pydatetime() if len(later) else old.last_seen
            result.append(replace(old, state=IncidentState.RESOLVED, resolved_at=ended))
    return result


def incident_id(agent: str, family: str, opened_at: datetime) -> str:
    return hashlib.sha256(f"{agent}|{family}|{opened_at.isoformat()}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Stretch:
    """Windows in which a family was never without an open or recovering finding; `end` is the first one without."""

    rows: pd.DataFrame
    end: pd.Timestamp | None

    def comes_after(self, before: _Stretch) -> timedelta:
        assert before.end is not None
        return self.rows["window_start"].min() - before.end


def _stretches(rows: pd.DataFrame, judged: pd.DatetimeIndex) -> Iterator[_Stretch]:
    windows = pd.DatetimeIndex(rows["window_start"].drop_duplicates().sort_values())
    begins = windows[0]
    for number, window in enumerate(windows):
        after = judged[judged.searchsorted(window, side="right") :]
        following = windows[number + 1] if number + 1 < len(windows) else None
        quiet = after[0] if len(after) and (following is None or after[0] < following) else None
        if quiet is not None or following is None:
            within = (rows["window_start"] >= begins) & (rows["window_start"] <= window)
            yield _Stretch(rows[within], quiet)
            begins = following


def _incident(agent: str, family: str, stretches: Sequence[_Stretch]) -> Incident:
    rows = pd.concat([stretch.rows for stretch in stretches]).assign(
        rank=lambda frame: [Severity(value).rank for value in frame["severity"]],
        place=lambda frame: [place_of(kind) for kind in frame["type"]],
    )
    worst = rows.sort_values(["rank", "place", "window_start"], ascending=[False, True, True]).iloc[0]
    last = rows[rows["window_start"] == rows["window_start"].max()]
    end = stretches[-1].end
    # The window in which it opened may lie before the ones at hand; a data gap opens in its first.
    opened_at = stretches[0].rows["opened"].fillna(rows["window_start"]).min().to_pydatetime()
    state = IncidentState.OPEN if (last["state"] == FindingState.OPEN).any() else IncidentState.RECOVERING
    return Incident(
        id=incident_id(agent, family, opened_at),
        agent=agent,
        family=family,
        type=str(worst["type"]),
        also=tuple(sorted(set(rows["type"]) - {worst["type"]})),
        severity=Severity(worst["severity"]),
        state=state if end is None else IncidentState.RESOLVED,
        onset=rows["onset"].fillna(rows["window_start"]).min().to_pydatetime(),
        opened_at=opened_at,
        last_seen=rows["window_start"].max().to_pydatetime(),
        resolved_at=None if end is None else end.to_pydatetime(),
        reopened=len(stretches) - 1,
        root_cause=str(worst["root_cause"]),
        recommended_action=str(worst["recommended_action"]),
        details=str(worst["details"]),
        example_traces=tuple(str(worst["example_traces"]).split()),
        cause="" if pd.isna(worst["cause"]) else str(worst["cause"]),
        evidence="" if pd.isna(worst["cause_evidence"]) else str(worst["cause_evidence"]),
    )


def _same_trouble(one: Incident, other: Incident, reopen_within: timedelta) -> bool:
    if (one.agent, one.family) != (other.agent, other.family):
        return False
    near = timedelta(0) if one.family == "data" else reopen_within
    return one.opened_at <= other.last_seen + near and other.opened_at <= one.last_seen + near


def _continued(known: Incident, incident: Incident) -> Incident:
    """The incident as it is now, with what must not be taken back of how it was known."""
    worst = known if known.severity.rank > incident.severity.rank else incident
    return replace(
        incident,
        id=known.id,
        onset=min(known.onset, incident.onset),
        opened_at=min(known.opened_at, incident.opened_at),
        reopened=max(known.reopened, incident.reopened),
        type=worst.type,
        also=worst.also,
        severity=worst.severity,
        root_cause=worst.root_cause,
        recommended_action=worst.recommended_action,
        details=worst.details,
        example_traces=worst.example_traces,
        cause=worst.cause,
        evidence=worst.evidence,
    )


def _times(starts: Iterable[datetime]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(sorted(set(starts)), utc=True)).as_unit("us")
