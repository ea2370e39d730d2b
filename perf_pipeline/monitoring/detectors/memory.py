"""What a detector remembers of an agent: decayed sums, seasons, evidence and the state of its incident.

A memory is a numpy record array with one record per agent. It is plain numbers, so it can be stored and taken up
again exactly: a replay that begins from a stored memory gives what a replay from the beginning gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

ALTERNATIVES = 3
"""Sizes of change that each detector tests for at once: small, medium and large."""

NEVER = -1.0
"""A window number for what has not happened."""


SUMS = 11
"""Places for a model's decayed sums; models with fewer leave the rest at zero."""


def _record() -> np.dtype:
    number, per_size, sums = ("f8",), ("f8", (ALTERNATIVES,)), ("f8", (SUMS,))
    fields = {
        "first": number,
        "last": number,
        "windows": number,
        "tasks": number,
        "trusted": sums,
        "recent": sums,
        "residual": number,
        "block": number,
        "block_windows": number,
        "block_squares": number,
        "blocks": number,
        "ratios": per_size,
        "ratio_windows": number,
        "ratio": per_size,
        "run": per_size,
        "peak": per_size,
        "began": per_size,
        "seen_in_run": per_size,
        "expected_in_run": per_size,
        "phase": number,
        "size": number,
        "onset": number,
        "opened": number,
        "recovery": number,
        "good_windows": number,
        "severity": number,
    }
    return np.dtype([(name, *kind) for name, kind in fields.items()])


RECORD = _record()
"""What one detector remembers of one agent, but for its seasons.

Times are window numbers: how many windows began before this one since 1970 (UTC).
"""


def season_dtype(slots: Mapping[str, int]) -> np.dtype:
    """The seasons of one metric of one agent: slots by the hour of the day or of the week."""
    return np.dtype([(name, "f8", (count,)) for name, count in slots.items()])


def empty_memory(detectors: int, agents: int) -> np.ndarray:
    """The records (detectors × agents) of agents that were never seen."""
    memory = np.zeros((detectors, agents), dtype=RECORD)
    for name in ("first", "last", "began", "onset", "opened"):
        memory[name] = NEVER
    memory["ratio"] = -np.inf
    return memory


def layout(seasons: Mapping[str, int], definition: str = "") -> str:
    """Names the layout, so that a memory written by another version, or of another metric, is not misread."""
    described = f"{RECORD.descr} {season_dtype(seasons).descr}" + (f" {definition}" if definition else "")
    return hashlib.sha256(described.encode()).hexdigest()[:12]
