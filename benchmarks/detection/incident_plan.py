"""What goes wrong in a simulated fleet, when and how much: incidents, blips, outages, and their effects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.detection.healthy_fleet import Floats, HealthyFleet

WARM_UP = pd.Timedelta(days=9)
BETWEEN_INCIDENTS = pd.Timedelta(hours=36)
DAYS_A_CYCLE = 10.0  # an incident and the healthy time after it, on average
BLIPS_A_WEEK = 1.0
BLIP_DISTANCE = pd.Timedelta(hours=6)
NO_BLIPS_BEFORE = pd.Timedelta(days=3)
OUTAGE_SHARE = 0.005
OUTAGE_WINDOWS = 3.0  # mean length
GRADES = ("low", "medium", "high", "critical")

SHARES = {
    "success_drop": 0.28,
    "success_drift": 0.08,
    "error_spike": 0.12,
    "log_error_spike": 0.06,
    "latency_increase": 0.16,
    "latency_drift": 0.06,
    "cost_spike": 0.08,
    "silence": 0.06,
    "traffic_drop": 0.05,
    "traffic_surge": 0.05,
}
# Sizes around which the true ones are drawn (+-10 %), so that not all of them lie on the border between two grades.
# Success in points lost, everything else as a factor.
SIZES: dict[str, list[float]] = {
    "success_drop": [12, 18, 25, 35, 50, 100],
    "error_spike": [3, 5, 20],
    "log_error_spike": [3, 5, 20],
    "latency_increase": [1.3, 1.5, 2, 3],
    "cost_spike": [1.5, 2, 4],
    "silence": [0],
    "traffic_drop": [0.3],
    "traffic_surge": [3, 6],
}
# Smaller effects are nobody's business (min_ratio in fleet.yaml), so none is planned.
FLOORS = {"latency_increase": 1.2, "cost_spike": 1.4}
# The lower limits of medium, high and critical, as in fleet.yaml; below the first it is low.
LIMITS = {
    "success": (12, 25, 50),
    "error": (2.5, 5, 20),
    "latency": (1.4, 2, 3),
    "cost": (2, 3, 5),
    "surge": (3, 6, np.inf),
}
SUCCESS_KINDS = ("success_drop", "success_drift", "cold_start_collapse")


@dataclass(frozen=True)
class Incident:
    """One incident; `first` and `end` (exclusive) count windows. `profile` is its course from 0 to 1."""

    agent: int
    kind: str
    label: str
    size: float
    first: int
    end: int
    severity: str
    profile: Floats
    with_tokens: bool = False


@dataclass(frozen=True)
class Blip:
    """A disturbance of one window that nobody should be called for."""

    agent: int
    kind: str
    size: float
    window: int


@dataclass
class Effects:
    """What is laid over the healthy fleet (agents x windows): success lost as a share of tasks, else factors."""

    success_lost: Floats
    errors: Floats
    log_errors: Floats
    latency: Floats
    cost: Floats
    tokens: Floats
    traffic: Floats

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> Effects:
        return cls(np.zeros(shape), *(np.ones(shape) for _ in range(6)))


def success_after(healthy: Floats, lost: Floats) -> Floats:
    """The probability of success that is left; only a loss of everything leaves exactly 0."""
    return np.where(lost >= 1, 0.0, np.where(lost > 0, np.clip(healthy - lost, 0.01, 1), healthy))


def plan_incidents(rng: np.random.Generator, fleet: HealthyFleet, late_agent: int | None) -> list[Incident]:
    """Incidents of all agents; none in an agent's first 9 days but the collapse of a new one."""
    window = fleet.windows[1] - fleet.windows[0]
    per_hour = pd.Timedelta(hours=1) / window
    incidents: list[Incident] = []
    if late_agent is not None and rng.random() < 0.5:
        incidents.append(_collapse(rng, fleet, late_agent, per_hour))
    for agent in range(len(fleet.names)):
        at = fleet.began[agent] + WARM_UP / window
        while True:
            kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
            drifts = kind.endswith("_drift")
            hours = rng.uniform(24, 72) if drifts else np.exp(rng.uniform(np.log(1.5), np.log(36)))
            first = int(np.ceil(at + rng.exponential(DAYS_A_CYCLE * 24 - 36 - 12) * per_hour))
            end = first + max(round(hours * per_hour), 1)
            if end > len(fleet.windows):
                break
            incidents.append(_incident(rng, fleet, agent, kind, first, end, per_hour))
            at = end + BETWEEN_INCIDENTS / window
    return incidents


def plan_blips(
    rng: np.random.Generator, fleet: HealthyFleet, incidents: list[Incident], tasks: NDArray[np.int64]
) -> list[Blip]:
    """Blips in windows with at least two tasks, away from incidents and from each other."""
    window = fleet.windows[1] - fleet.windows[0]
    distance = int(BLIP_DISTANCE / window)
    chance = BLIPS_A_WEEK * (window / pd.Timedelta(days=7))
    blips: list[Blip] = []
    for agent in range(len(fleet.names)):
        allowed = tasks[agent] >= 2
        # A new agent's healthy windows are noise only.
        quiet = WARM_UP if fleet.began[agent] else NO_BLIPS_BEFORE
        allowed[: fleet.began[agent] + int(quiet / window)] = False
        for incident in incidents:
            if incident.agent == agent:
                allowed[max(incident.first - distance, 0) : incident.end + distance] = False
        # The chance is raised where tasks are few, so that such agents have their blips too.
        raised = min(chance * len(allowed) / max(int(allowed.sum()), 1), 0.05)
        last = -distance
        for at in np.flatnonzero(allowed & (rng.random(len(allowed)) < raised)):
            if at - last >= distance:
                blips.append(_blip(rng, agent, int(at)))
                last = int(at)
    return blips


def plan_outages(rng: np.random.Generator, windows: int) -> NDArray[np.bool_]:
    """Windows that never arrived, for the whole fleet, in stretches."""
    absent = np.zeros(windows, dtype=bool)
    for first in np.flatnonzero(rng.random(windows) < OUTAGE_SHARE / OUTAGE_WINDOWS):
        absent[first : first + rng.geometric(1 / OUTAGE_WINDOWS)] = True
    absent[0] = False
    return absent


def effects_of(fleet: HealthyFleet, incidents: list[Incident], blips: list[Blip]) -> Effects:
    """Lay incidents and blips over a fleet in which nothing is wrong."""
    effects = Effects.none(fleet.success.shape)
    for incident in incidents:
        _apply(effects, incident)
    for blip in blips:
        at = (blip.agent, slice(blip.window, blip.window + 1))
        if blip.kind == "success":
            effects.success_lost[at] = fleet.success[at] * (1 - blip.size)
        else:
            getattr(effects, blip.kind)[at] = blip.size
            if blip.kind == "cost":
                effects.tokens[at] = blip.size
    return effects


def _apply(effects: Effects, incident: Incident) -> None:
    at = (incident.agent, slice(incident.first, incident.end))
    if incident.kind in SUCCESS_KINDS:
        effects.success_lost[at] = 1.0 if incident.label == "to zero" else incident.size / 100 * incident.profile
    elif incident.kind.startswith("latency"):
        effects.latency[at] = incident.size**incident.profile
    elif incident.kind == "error_spike":
        effects.errors[at] = incident.size
    elif incident.kind == "log_error_spike":
        effects.log_errors[at] = incident.size
    elif incident.kind == "cost_spike":
        effects.cost[at] = incident.size
        effects.tokens[at] = incident.size if incident.with_tokens else 1.0
    else:
        effects.traffic[at] = incident.size


def _incident(
    rng: np.random.Generator, fleet: HealthyFleet, agent: int, kind: str, first: int, end: int, per_hour: float
) -> Incident:
    healthy = 100 * float(fleet.success[agent, first:end].mean())
    profile = np.ones(end - first)
    if kind.endswith("_drift"):
        ramp = rng.uniform(12, min(48, (end - first) / per_hour)) * per_hour
        profile = np.clip((np.arange(end - first) + 1) / ramp, 0, 1)
        if kind == "success_drift":
            size = rng.uniform(15, 40)
            label = "to 15-25 points" if size < 25 else "to 25-40 points"
        else:
            size = float(np.exp(rng.uniform(np.log(1.4), np.log(3))))
            label = "to x1.4-2" if size < 2 else "to x2-3"
    else:
        nominal = float(rng.choice(SIZES[kind]))
        label = _label(kind, nominal)
        size = healthy if label == "to zero" else max(nominal * rng.uniform(0.9, 1.1), FLOORS.get(kind, 0.0))
        if kind == "success_drop":
            size = min(size, healthy)
    severity = severity_of(kind, size, healthy, float(fleet.expected_tasks[agent, first:end].sum()))
    return Incident(agent, kind, label, size, first, end, severity, profile, with_tokens=bool(rng.random() < 2 / 3))


def _label(kind: str, nominal: float) -> str:
    if kind == "success_drop":
        return "to zero" if nominal >= 100 else f"{nominal:g} points"
    return f"x{nominal:g}"


def _collapse(rng: np.random.Generator, fleet: HealthyFleet, agent: int, per_hour: float) -> Incident:
    first = int(fleet.began[agent] + rng.uniform(0, 18) * per_hour)
    end = first + max(round(6 * per_hour), 1)
    healthy = 100 * float(fleet.success[agent, first:end].mean())
    size = healthy - rng.uniform(1, 10)
    return Incident(agent, "cold_start_collapse", "to <= 10 %", size, first, end, "critical", np.ones(end - first))


def _blip(rng: np.random.Generator, agent: int, window: int) -> Blip:
    kind, low, high = [("success", 0.3, 0.6), ("errors", 5, 10), ("latency", 1.8, 3), ("cost", 3, 3)][rng.integers(4)]
    return Blip(agent, str(kind), float(rng.uniform(low, high)), window)


def severity_of(kind: str, size: float, healthy_success: float, expected_tasks: float) -> str:
    """The true severity by the table in fleet.yaml. `size` in the kind's unit; success in %."""
    if kind in SUCCESS_KINDS:
        return "critical" if healthy_success - size <= 20 else _grade(size, LIMITS["success"])
    if kind == "silence":
        # Nobody misses an agent from which a task or two would have come.
        return "critical" if expected_tasks >= 5 else "high"
    if kind == "traffic_drop":
        return "high" if size <= 0.25 else "medium" if size <= 0.5 else "low"
    if kind == "traffic_surge":
        return _grade(size, LIMITS["surge"])
    return _grade(size, LIMITS["error" if "error" in kind else kind.split("_")[0]])


def _grade(size: float, limits: tuple[float, float, float]) -> str:
    return GRADES[int(np.searchsorted(limits, size, side="right"))]
