"""The memories of all detectors for all agents, and how they are stored beside the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from perf_pipeline.monitoring.detectors.engine import Detector
from perf_pipeline.monitoring.detectors.memory import RECORD, empty_memory, layout, season_dtype


@dataclass(frozen=True)
class FleetMemory:
    """`records` (detectors × agents, `memory.RECORD`) and the seasons of each metric (one entry per agent)."""

    agents: tuple[str, ...]
    records: np.ndarray
    seasons: Mapping[str, np.ndarray]

    def with_agents(self, agents: Iterable[str], detectors: Sequence[Detector]) -> FleetMemory:
        """The same with agents that were not seen before, who begin without a memory."""
        known = set(self.agents)
        new = tuple(name for name in dict.fromkeys(agents) if name not in known)
        if not new:
            return self
        records = np.concatenate([self.records, empty_memory(len(detectors), len(new))], axis=1)
        seasons = {
            metric: np.concatenate([slots, np.zeros(len(new), dtype=slots.dtype)])
            for metric, slots in self.seasons.items()
        }
        return FleetMemory((*self.agents, *new), records, seasons)


def no_memory(detectors: Sequence[Detector]) -> FleetMemory:
    seasons = {
        metric: np.zeros(0, dtype=season_dtype(keeper.model.seasons)) for metric, keeper in _keepers(detectors).items()
    }
    return FleetMemory((), empty_memory(len(detectors), 0), seasons)


def stored(memory: FleetMemory, detectors: Sequence[Detector]) -> pd.DataFrame:
    """Columns agent, finding, layout and memory (bytes): one row per agent and detector."""
    keepers = _keepers(detectors)
    frames = []
    for detector, records in zip(detectors, memory.records, strict=True):
        content = [record.tobytes() for record in records]
        if keepers[detector.metric] is detector:
            slots = memory.seasons[detector.metric]
            content = [record + season.tobytes() for record, season in zip(content, slots, strict=True)]
        frame = {
            "agent": list(memory.agents),
            "finding": detector.finding,
            "layout": layout(detector.model.seasons, detector.definition),
            "memory": content,
        }
        frames.append(pd.DataFrame(frame))
    return pd.concat(frames, ignore_index=True)


def restored(rows: pd.DataFrame, detectors: Sequence[Detector]) -> FleetMemory | None:
    """The memory in rows of `stored`; None where it was written by another version.

    A detector that has no rows was added since, and begins without a memory; so does a metric of fleet.yaml whose
    definition has changed, and one for an agent that it was not computed of.
    """
    agents = tuple(rows["agent"].drop_duplicates())
    if not agents:
        return None
    memory = no_memory(detectors).with_agents(agents, detectors)
    keepers = _keepers(detectors)
    known = 0
    for place, detector in enumerate(detectors):
        own = rows[rows["finding"] == detector.finding].set_index("agent")
        own, expected = (
            own.loc[own.index.intersection(list(agents))],
            layout(detector.model.seasons, detector.definition),
        )
        if own.empty:
            continue
        if detector.definition:
            own = own[own["layout"] == expected]
        elif len(own) != len(agents) or (own["layout"] != expected).any():
            return None
        known += 1
        positions = [agents.index(str(agent)) for agent in own.index]
        contents = [bytes(value) for value in own["memory"]]
        size = RECORD.itemsize
        memory.records[place, positions] = np.frombuffer(b"".join(content[:size] for content in contents), dtype=RECORD)
        if keepers[detector.metric] is detector and detector.model.seasons:
            slots = memory.seasons[detector.metric]
            slots[positions] = np.frombuffer(b"".join(content[size:] for content in contents), dtype=slots.dtype)
    return memory if known else None


def _keepers(detectors: Sequence[Detector]) -> dict[str, Detector]:
    """The detector of each metric that keeps its seasons: the first one."""
    return {detector.metric: detector for detector in reversed(detectors)}
