"""Incidents with known causes, as the product sees them: tasks, changes, a finding, and what is explained of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import ibis
import numpy as np
import pandas as pd

from perf_pipeline.fleet import Severity
from perf_pipeline.monitoring.findings import Finding, FindingState
from perf_pipeline.monitoring.nearby_changes import time_and_words
from perf_pipeline.monitoring.ownership import own_spans
from perf_pipeline.monitoring.root_cause import BASELINE, Cause, explain
from perf_pipeline.monitoring.tasks import tasks_from_spans
from perf_pipeline.monitoring.windows import Window
from perf_pipeline.simulated_incidents.kinds import KINDS, Happening, Values
from perf_pipeline.simulated_incidents.spans import spans_frame, spans_of
from perf_pipeline.simulated_incidents.traffic import ONSET, WINDOW, Traffic, draw_traffic
from perf_pipeline.tables import AGENT_TASKS, CHANGE_EVENTS

BATCH = 50
"""Incidents whose spans are summed up together."""


@dataclass(frozen=True)
class LabelledIncident:
    """`kind` is a name of `kinds.KINDS`, `causes` the values that are to blame, each a combination. `tasks`
    (`tables.AGENT_TASKS`) and `changes` (`tables.CHANGE_EVENTS`) reach back a day before the onset."""

    seed: int
    kind: str
    causes: tuple[Values, ...]
    finding: Finding
    affected: Window
    tasks: pd.DataFrame
    changes: pd.DataFrame

    def explained(self) -> Cause:
        return explain(self.finding, self.tasks, self.changes, self.affected, ONSET + WINDOW)


def labelled_incidents(seeds: Iterable[int]) -> list[LabelledIncident]:
    """One incident a seed; the kinds take turns. The same seed gives the same incident."""
    every = list(seeds)
    found: list[LabelledIncident] = []
    for first in range(0, len(every), BATCH):
        found += _batch(every[first : first + BATCH])
    return found


def _batch(seeds: list[int]) -> list[LabelledIncident]:
    drawn = [_drawn(seed) for seed in seeds]
    rows = [row for _, _, traffic, rng in drawn for row in spans_of(traffic, rng)]
    latest = ONSET + timedelta(days=1)
    owned = own_spans(ibis.duckdb.connect().create_table("raw_spans", spans_frame(rows)))
    tasks = AGENT_TASKS.conform(tasks_from_spans(owned, ONSET - BASELINE, latest).to_pandas())
    by_agent = dict(list(tasks.sort_values("start_time").groupby("agent")))
    return [
        _labelled(seed, kind, happening, traffic, by_agent[traffic.agent], rng)
        for seed, (kind, happening, traffic, rng) in zip(seeds, drawn, strict=True)
    ]


def _drawn(seed: int) -> tuple[str, Happening, Traffic, np.random.Generator]:
    rng = np.random.default_rng(seed)
    kind = list(KINDS)[seed % len(KINDS)]
    while True:
        traffic = draw_traffic(f"Agent{seed:05d}", rng)
        happening = KINDS[kind](traffic, rng)
        if happening is not None:
            return kind, happening, Traffic(traffic.agent, traffic.affected, happening.tasks), rng


def _labelled(
    seed: int, kind: str, happening: Happening, traffic: Traffic, tasks: pd.DataFrame, rng: np.random.Generator
) -> LabelledIncident:
    changes = _changes(happening, traffic.agent, rng)
    causes = happening.causes
    if happening.blames_deployment:
        blamed = changes[changes["agent"] == traffic.agent].iloc[-1]
        causes = [{"deployment": time_and_words(blamed["time"], blamed["description"])}]
    finding = Finding(
        window_start=traffic.affected.end - WINDOW,
        agent=traffic.agent,
        type=happening.finding,
        state=FindingState.OPEN,
        severity=Severity.HIGH,
        details="",
        onset=ONSET,
        tasks=int((tasks["start_time"] >= pd.Timestamp(ONSET)).sum()),
    )
    return LabelledIncident(seed, kind, tuple(causes), finding, traffic.affected, tasks, changes)


def _changes(happening: Happening, agent: str, rng: np.random.Generator) -> pd.DataFrame:
    """The changes that belong to what happened, and some that do not.

    Shortly before the onset none of these is a deployment where all tasks are affected: nobody could tell them apart.
    """
    rows = [_change(at, "deployment", agent, version) for at, version in happening.deployments]
    # Those that happened to come before the deployment to blame are told first, so that it is the agent's last.
    if rng.random() < 0.4:
        rows.insert(0, _change(-rng.uniform(4, 22) * 3600, "deployment", agent, None))
    if rng.random() < 0.4:
        kind = "prompt" if happening.everywhere else "deployment"
        rows.insert(0, _change(-rng.uniform(600, 7_000), kind, None, None))
    if rng.random() < 0.4:
        rows.append(_change(-rng.uniform(60, 7_000), "deployment", "AnotherAgent", "v2"))
    return CHANGE_EVENTS.conform(pd.DataFrame(rows, columns=CHANGE_EVENTS.columns))


def _change(at: float, kind: str, agent: str | None, version: str | None) -> dict[str, object]:
    return {
        "time": ONSET + timedelta(seconds=float(at)),
        "kind": kind,
        "agent": agent,
        "from_version": "v7" if version else None,
        "to_version": version,
        "description": f"Change of {agent or 'the fleet'} at {at:.0f} s",
    }
