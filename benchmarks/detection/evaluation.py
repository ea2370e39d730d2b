"""Every detector over the same simulated fleets: with incidents, without any, and with an agent that has just begun."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import pandas as pd

from benchmarks.detection import clairvoyant, rivals
from benchmarks.detection.scores import Scores
from benchmarks.detection.scoring import combine, score
from benchmarks.detection.simulator import Simulation, simulate
from perf_pipeline.fleet import FleetConfig, load_fleet
from perf_pipeline.monitoring.backtest import changes_of_state, findings_in
from perf_pipeline.monitoring.findings import FindingState

OURS, CLAIRVOYANT = "perf-pipeline", "clairvoyant"
# The clairvoyant's false alarms can be set near those of the detector that it is compared with.
CLAIRVOYANT_BARS = (8.6, clairvoyant.LOG_THRESHOLD, 9.6)
DETECTORS = (OURS, *rivals.RIVALS, CLAIRVOYANT)
WINDOW_MINUTES = 30
NEW_AGENT_DAYS = 12

World = Literal["incidents", "null", "new agent"]
Judged = dict[str, Scores]
"""Scores by detector."""


@dataclass(frozen=True)
class Job:
    """One fleet to simulate and judge. In the world "new agent" it is short, and only its late agent is judged."""

    seed: int
    world: World


@dataclass(frozen=True)
class Evaluation:
    """What each detector made of the fleets with incidents, without any, and of the agents that had just begun."""

    seeds: dict[str, list[int]]
    incidents: Judged
    null: Judged
    collapsing: Judged
    healthy_new: Judged


def evaluated(results: Iterable[tuple[Job, Judged]]) -> Evaluation:
    """The scores of all jobs as one, whichever came first."""
    results = sorted(results, key=lambda result: result[0].seed)
    parts: dict[str, list[tuple[Job, Judged]]] = {"incidents": [], "null": [], "collapsing": [], "healthy new": []}
    for job, judged_by in results:
        collapses = (judged_by[OURS].outcomes["kind"] == "cold_start_collapse").any()
        parts[("collapsing" if collapses else "healthy new") if job.world == "new agent" else job.world].append(
            (job, judged_by)
        )
    return Evaluation(
        {name: [job.seed for job, _ in part] for name, part in parts.items()},
        *(_combined([judged_by for _, judged_by in part]) for part in parts.values()),
    )


def _combined(every: list[Judged]) -> Judged:
    names = every[0] if every else ()
    return {name: combine([judged_by[name] for judged_by in every]) for name in names}


def judged(jobs: Iterable[Job], processes: int) -> Iterator[tuple[Job, Judged]]:
    """Each job with the scores of every detector, as they are done."""
    if processes == 1:
        yield from ((job, judge(job)) for job in jobs)
        return
    with ProcessPoolExecutor(processes) as pool:
        running = {pool.submit(judge, job): job for job in jobs}
        for done in as_completed(running):
            yield running[done], done.result()


def judge(job: Job) -> Judged:
    """The scores by detector; those of the clairvoyant at other bars under `clairvoyant_at(bar)`."""
    simulation = simulation_of(job)
    metrics, fleet = simulation.metrics, fleet_file()
    bars = CLAIRVOYANT_BARS if job.world == "incidents" else (clairvoyant.LOG_THRESHOLD,)
    findings = {
        OURS: findings_in(metrics, fleet),
        **{name: rivals.detect(watch, metrics) for name, watch in rivals.RIVALS.items()},
        **{clairvoyant_at(bar): clairvoyant.detect(simulation, bar) for bar in bars},
    }
    if job.world == "new agent":
        late = _late_agent(simulation)
        simulation = _only(simulation, late)
        findings = {name: rows[rows["agent"] == late] for name, rows in findings.items()}
    scores = {name: score(rows, simulation) for name, rows in findings.items()}
    if scores[OURS].outcomes["zero_with_5_tasks"].any():
        scores[OURS] = _graded_at_once(scores[OURS], simulation, lambda: changes_of_state(metrics, fleet))
    return scores


def simulation_of(job: Job) -> Simulation:
    if job.world == "new agent":
        return simulate(job.seed, days=NEW_AGENT_DAYS)
    return simulate(job.seed, incidents=job.world == "incidents")


def new_agent_jobs(seeds: Iterable[int], each: int) -> list[Job]:
    """The first short fleets in which a late agent collapses on its first day, and in which it does not: `each` many.

    Fewer where the seeds run out. Choosing by the plan of incidents alone leaves the rest of the draw as it is.
    """
    jobs: dict[bool, list[Job]] = {True: [], False: []}
    for seed in seeds:
        job = Job(seed, "new agent")
        simulation = simulation_of(job)
        if (simulation.fleet.began > 0).any():
            collapses = bool((simulation.incidents["kind"] == "cold_start_collapse").any())
            jobs[collapses].append(job)
        if all(len(found) >= each for found in jobs.values()):
            break
    return jobs[True][:each] + jobs[False][:each]


def clairvoyant_at(bar: float) -> str:
    return CLAIRVOYANT if bar == clairvoyant.LOG_THRESHOLD else f"{CLAIRVOYANT} at {bar:g} nats"


@cache
def fleet_file() -> FleetConfig:
    """The repository's own fleet.yaml."""
    fleet = load_fleet(Path(__file__).resolve().parents[2] / "fleet.yaml")
    return fleet.model_copy(update={"window_minutes": WINDOW_MINUTES})


def _late_agent(simulation: Simulation) -> str:
    return simulation.fleet.names[int(simulation.fleet.began.argmax())]


def _only(simulation: Simulation, agent: str) -> Simulation:
    frames = {name: getattr(simulation, name) for name in ("metrics", "incidents", "blips")}
    own = {name: frame[frame["agent"] == agent].reset_index(drop=True) for name, frame in frames.items()}
    return replace(simulation, **own)


def _graded_at_once(scores: Scores, simulation: Simulation, changes: Callable[[], pd.DataFrame]) -> Scores:
    """With falls to zero graded by what was said at that window's close.

    A finding as exported has the worst severity that it ever reached, which would flatter this figure.
    """
    rows = changes()
    then = score(rows[rows["state"] != FindingState.PENDING], simulation)
    column = "critical_at_first_tasks"
    return replace(scores, outcomes=scores.outcomes.assign(**{column: then.outcomes[column].to_numpy()}))
