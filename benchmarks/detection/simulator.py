"""A fleet of agents with known incidents, as the metrics that a backtest reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.detection.evidence_truth import arrived_evidence
from benchmarks.detection.healthy_fleet import FIRST_WINDOW, Floats, HealthyFleet, draw_fleet
from benchmarks.detection.incident_plan import (
    Blip,
    Effects,
    Incident,
    effects_of,
    plan_blips,
    plan_incidents,
    plan_outages,
    success_after,
)

FINDABLE_NATS = 11.5
FAST_WINDOWS = 2
INCIDENT_COLUMNS = [
    "agent",
    "kind",
    "label",
    "start",
    "end",
    "size",
    "severity",
    "nats",
    "findable",
    "windows_to_findable",
    "fast",
]


@dataclass(frozen=True)
class Simulation:
    """What a detector may see (`metrics`), and what only the scoring and the clairvoyant may.

    `metrics`: the columns of a backtest, one row per agent and window that arrived, sorted by window, then agent.
    `incidents`: agent, kind, label (kind and rounded size), start, end (exclusive; both starts of windows, UTC), size
    (points of success lost, else a factor), severity, nats, findable, windows_to_findable (1 = the first; NaN where
    never), fast. `blips`: agent, window_start, kind, size.
    """

    seed: int
    metrics: pd.DataFrame
    incidents: pd.DataFrame
    blips: pd.DataFrame
    fleet: HealthyFleet
    planned: list[Incident]
    planned_blips: list[Blip]

    @property
    def window(self) -> pd.Timedelta:
        return self.fleet.windows[1] - self.fleet.windows[0]

    def arrays(self) -> dict[str, NDArray]:
        """The metrics as arrays (agents x windows), 0 where nothing is known, and `arrived`."""
        agent = pd.Index(self.fleet.names).get_indexer(pd.Index(self.metrics["agent"]))
        window = self.fleet.windows.get_indexer(pd.Index(self.metrics["window_start"]))
        shape = self.fleet.success.shape
        arrays: dict[str, NDArray] = {"arrived": np.zeros(shape, dtype=bool)}
        arrays["arrived"][agent, window] = True
        for name in self.metrics.columns.drop(["agent", "window_start"]):
            known = np.nan_to_num(self.metrics[name].to_numpy())
            arrays[name] = np.zeros(shape, dtype=known.dtype)
            arrays[name][agent, window] = known
        return arrays


def simulate(
    seed: int,
    agents: int = 7,
    days: int = 60,
    window: pd.Timedelta | str = "30min",
    incidents: bool = True,
    blips: bool | None = None,
) -> Simulation:
    """Draw a fleet and its metrics. Without incidents (and blips, unless asked for) it is the null.

    In a third of the seeds one agent begins late; its rows begin then.
    """
    rng = np.random.default_rng([20260302, seed])
    windows = pd.date_range(
        FIRST_WINDOW, periods=int(days / (pd.Timedelta(window) / pd.Timedelta(days=1))), freq=window
    )
    late_agent = int(rng.integers(agents)) if rng.random() < 1 / 3 else None
    fleet = draw_fleet(rng, agents, windows, late_agent)
    plan = plan_incidents(rng, fleet, late_agent)
    plan = plan if incidents else []
    absent = plan_outages(rng, len(windows))

    tasks = _tasks(rng, fleet, effects_of(fleet, plan, []))
    blip_plan = plan_blips(rng, fleet, plan, tasks) if (incidents if blips is None else blips) else []
    effects = effects_of(fleet, plan, blip_plan)
    values = _counts(rng, fleet, effects, tasks, blip_plan) | _per_task(rng, fleet, effects, tasks)
    arrived = ~absent[None, :] & (np.arange(len(windows))[None, :] >= fleet.began[:, None])

    metrics = _metrics_frame(fleet, values, arrived)
    nats = arrived_evidence(fleet, plan, blip_plan, values, arrived)
    return Simulation(
        seed=seed,
        metrics=metrics,
        incidents=_incident_frame(fleet, plan, nats),
        blips=pd.DataFrame(
            [(fleet.names[blip.agent], windows[blip.window], blip.kind, blip.size) for blip in blip_plan],
            columns=["agent", "window_start", "kind", "size"],
        ),
        fleet=fleet,
        planned=plan,
        planned_blips=blip_plan,
    )


def _tasks(rng: np.random.Generator, fleet: HealthyFleet, effects: Effects) -> NDArray[np.int64]:
    shape = 1 / np.broadcast_to(fleet.traffic_dispersion[:, None], fleet.success.shape)
    return rng.poisson(fleet.expected_tasks * effects.traffic * rng.gamma(shape) / shape)


def _counts(
    rng: np.random.Generator, fleet: HealthyFleet, effects: Effects, tasks: NDArray[np.int64], blips: list[Blip]
) -> dict[str, NDArray]:
    """Successes, errors and error logs of each agent and window."""
    wandering = _ar1(rng, fleet.success_ar_sd, fleet.success_ar_phi, tasks.shape[1])
    healthy = shift_logit(fleet.success, wandering)
    left = success_after(healthy, effects.success_lost)
    certain = (left <= 0) | (left >= 1)
    inside = np.where(certain, 0.5, left)
    sharpness = (1 - fleet.success_rho[:, None]) / fleet.success_rho[:, None]
    drawn = np.where(certain, left, rng.beta(inside * sharpness, (1 - inside) * sharpness))
    successes = rng.binomial(tasks, drawn)
    for blip in blips:
        if blip.kind == "success":  # a blip is never a fall to zero
            successes[blip.agent, blip.window] = max(successes[blip.agent, blip.window], 1)

    from_failures = rng.binomial(tasks - successes, fleet.errors_per_failure[:, None])
    recovered = fleet.recovered_errors[:, None] + (effects.errors - 1) * fleet.error_rate()
    errors = from_failures + _overdispersed(rng, tasks * recovered, fleet.recovered_dispersion)
    log_mean = (fleet.log_background[:, None] + fleet.logs_per_error[:, None] * errors) * effects.log_errors
    log_errors = _overdispersed(rng, log_mean, fleet.log_dispersion)
    return {"tasks": tasks, "successes": successes, "error_count": errors, "log_errors": log_errors}


def _per_task(
    rng: np.random.Generator, fleet: HealthyFleet, effects: Effects, tasks: NDArray[np.int64]
) -> dict[str, Floats]:
    """Latency, tokens and cost, from tasks drawn one by one."""
    agents, windows = tasks.shape
    per_window = tasks.ravel()
    agent_of_window = np.repeat(np.arange(agents), windows)
    window_of_task = np.repeat(np.arange(agents * windows), per_window)
    agent = agent_of_window[window_of_task]
    deviation = rng.normal(size=len(agent))

    level = fleet.latency + np.log(effects.latency) + _ar1(rng, fleet.latency_ar_sd, fleet.latency_ar_phi, windows)
    log_latency = level.ravel()[window_of_task] + fleet.latency_sd[agent] * deviation
    log_latency = log_latency[np.lexsort((log_latency, window_of_task))]

    shared = fleet.tokens_with_latency[agent]
    token_deviation = shared * deviation + np.sqrt(1 - shared**2) * rng.normal(size=len(agent))
    usual = fleet.tokens[:, None] + fleet.cost_window_sd[:, None] * rng.normal(size=tasks.shape)
    log_tokens = usual.ravel()[window_of_task] + fleet.tokens_sd[agent] * token_deviation
    log_cost = log_tokens + fleet.cost_per_token[agent] + fleet.cost_sd[agent] * rng.normal(size=len(agent))

    def total(values: Floats, factor: Floats) -> Floats:
        sums = np.bincount(window_of_task, values, minlength=agents * windows) * factor.ravel()
        return np.where(per_window > 0, sums, np.nan).reshape(tasks.shape)

    ones = np.ones(tasks.shape)
    ends = np.cumsum(per_window)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total(log_latency, ones) / tasks
        centred = log_latency - mean.ravel()[window_of_task]
        sd = np.where(tasks > 1, np.sqrt(total(centred**2, ones) / (tasks - 1)), np.nan)
    return {
        "latency_p50_ms": np.exp(_quantile(log_latency, ends, per_window, 0.5)).reshape(tasks.shape),
        "latency_p95_ms": np.exp(_quantile(log_latency, ends, per_window, 0.95)).reshape(tasks.shape),
        "latency_log_mean": mean,
        "latency_log_sd": sd,
        "total_tokens": np.round(total(np.exp(log_tokens), effects.tokens)),
        "cost_usd": total(np.exp(log_cost), effects.cost),
    }


def _quantile(ordered: Floats, ends: NDArray[np.int64], sizes: NDArray[np.int64], share: float) -> Floats:
    """Quantile of each group of a flat array, sorted within groups, with linear interpolation of the logs."""
    some = sizes > 0
    place = (ends - sizes)[some] + share * (sizes[some] - 1)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, ends[some] - 1)
    result = np.full(len(sizes), np.nan)
    result[some] = ordered[below] + (place - below) * (ordered[above] - ordered[below])
    return result


def shift_logit(probability: Floats, shift: Floats) -> Floats:
    """Move probabilities on the logit scale."""
    return 1 / (1 + (1 - probability) / probability * np.exp(-shift))


def _ar1(rng: np.random.Generator, sd: Floats, phi: Floats, windows: int) -> Floats:
    """Stationary AR(1) paths (agents x windows)."""
    noise = rng.normal(size=(len(sd), windows))
    path = np.empty_like(noise)
    path[:, 0] = noise[:, 0]
    step = np.sqrt(1 - phi**2)
    for at in range(1, windows):
        path[:, at] = phi * path[:, at - 1] + step * noise[:, at]
    return path * sd[:, None]


def _overdispersed(rng: np.random.Generator, mean: Floats, dispersion: Floats) -> NDArray[np.int64]:
    shape = 1 / np.broadcast_to(dispersion[:, None], mean.shape)
    return rng.poisson(mean * rng.gamma(shape) / shape)


def _metrics_frame(fleet: HealthyFleet, values: dict[str, NDArray], arrived: NDArray[np.bool_]) -> pd.DataFrame:
    window, agent = np.nonzero(arrived.T)
    columns = {"agent": np.array(fleet.names, dtype=object)[agent], "window_start": fleet.windows[window]}
    return pd.DataFrame(columns | {name: array[agent, window] for name, array in values.items()})


def _incident_frame(fleet: HealthyFleet, plan: list[Incident], nats: list[Floats]) -> pd.DataFrame:
    """`nats`: for each incident the evidence of each of its windows (0 where nothing arrived)."""
    step = fleet.windows[1] - fleet.windows[0]
    rows = []
    for incident, gained in zip(plan, nats, strict=True):
        so_far = np.cumsum(gained)
        findable = bool(so_far[-1] >= FINDABLE_NATS)
        crossed = int(np.argmax(so_far >= FINDABLE_NATS)) + 1 if findable else np.nan
        start = fleet.windows[incident.first]
        rows.append(
            {
                "agent": fleet.names[incident.agent],
                "kind": incident.kind,
                "label": incident.label,
                "start": start,
                "end": start + len(gained) * step,
                "size": incident.size,
                "severity": incident.severity,
                "nats": float(so_far[-1]),
                "findable": findable,
                "windows_to_findable": crossed,
                "fast": bool(findable and crossed <= FAST_WINDOWS),
            }
        )
    return pd.DataFrame(rows, columns=INCIDENT_COLUMNS)
