"""Does a learned layer pay? `python -m benchmarks.detection.learned_layer` [--seeds N] (needs scikit-learn).

An isolation forest over the joint vector of an agent's metrics (`forest.py`), beside and instead of the detectors, at
the same false alarms an agent-week: the detectors give up a part of their budget, and the forest gets what is left.
Its threshold is the lowest that keeps the budget on the very fleets that it is judged on, which flatters it. It runs
on tuning seeds, as it is a choice of ours whether to have it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.detection.evaluation import fleet_file
from benchmarks.detection.forest import FIRST_DAYS, TRAINING_DAYS, TREES, Floats, joint_residuals, unusualness
from benchmarks.detection.rivals import FINDING_COLUMNS
from benchmarks.detection.scores import Scores
from benchmarks.detection.scoring import combine, instants, score
from benchmarks.detection.simulator import Simulation, simulate
from perf_pipeline.monitoring.backtest import findings_in

FIRST_SEED, SEEDS = 40, 12
SHARES_OF_BUDGET = (1.0, 0.5, 0.25)  # of the policy's bound, that the detectors keep
SMOOTHING = 0.3  # weight of the newest window in the forest that gathers evidence
QUIET_WINDOWS = 4  # as long as the product takes a finding that comes back for the same one
SAME_TROUBLE = pd.Timedelta(hours=6)  # after a finding of the detectors the forest has nothing new to say
THRESHOLDS = np.linspace(0.5, 7.0, 66)
WORTH_IT = 0.01  # of the findable; less is not worth a model to be trained

log = Console(stderr=True)


@dataclass(frozen=True)
class Observed:
    """One fleet: the detectors' findings by their share of the budget, and the forest's view of every window."""

    simulation: Simulation
    findings: dict[float, pd.DataFrame]
    agents: tuple[str, ...]
    windows: pd.DatetimeIndex
    single: Floats
    forest_s: float


@dataclass(frozen=True)
class System:
    name: str
    threshold: float | None
    scores: Scores


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection.learned_layer", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"how many, from {FIRST_SEED} on (tuning seeds)")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + arguments.seeds)
    every = []
    with ProcessPoolExecutor(arguments.processes) as pool:
        for fleet in pool.map(observe, seeds):
            every.append(fleet)
            log.log(f"Seed {fleet.simulation.seed}: forests {fleet.forest_s:.0f} s")
    systems = compare(every)
    figures = verdict(systems, sum(fleet.forest_s for fleet in every) / len(every))
    out = Console(width=130)
    out.print(_table(systems, seeds))
    out.print(_in_words(systems, figures))
    print(json.dumps(figures))


def observe(seed: int) -> Observed:
    fleet, simulation = fleet_file(), simulate(seed)
    policy = fleet.detection
    findings = {}
    for share in SHARES_OF_BUDGET:
        bound = policy.false_alarms_per_agent_week * share
        stricter = policy.model_copy(update={"false_alarms_per_agent_week": bound})
        findings[share] = findings_in(simulation.metrics, fleet.model_copy(update={"detection": stricter}))
    joint = joint_residuals(simulation.metrics, fleet)
    began = time.perf_counter()
    unusual = unusualness(joint)
    return Observed(simulation, findings, joint.agents, joint.windows, unusual, time.perf_counter() - began)


def compare(every: list[Observed]) -> list[System]:
    """The detectors alone, the forest alone, and both, all within the false alarms of the detectors alone."""
    alone = combine([score(one.findings[1.0], one.simulation) for one in every])
    budget = _false_alarms(alone)
    systems = [System("detectors alone", None, alone)]
    for gathers in (False, True):
        how = "gathering evidence" if gathers else "window by window"
        for share in (0.0, *SHARES_OF_BUDGET[1:]):

            def judged(threshold: float, share: float = share, gathers: bool = gathers) -> Scores:
                return combine([_judge(one, share, threshold, gathers=gathers) for one in every])

            name = f"detectors at {share:.0%} of the budget + forest, {how}" if share else f"forest alone, {how}"
            threshold = lowest_within(budget, lambda at, judged=judged: _false_alarms(judged(at)))
            if threshold is not None:
                systems.append(System(name, threshold, judged(threshold)))
    return systems


def lowest_within(budget: float, rate: Callable[[float], float]) -> float | None:
    """The lowest of `THRESHOLDS` whose rate keeps the budget, taking it that rates fall with thresholds."""
    low, high = 0, len(THRESHOLDS)
    while low < high:
        middle = (low + high) // 2
        if rate(float(THRESHOLDS[middle])) <= budget:
            high = middle
        else:
            low = middle + 1
    return float(THRESHOLDS[low]) if low < len(THRESHOLDS) else None


def forest_findings(
    agents: tuple[str, ...], windows: pd.DatetimeIndex, unusual: Floats, threshold: float, *, gathers: bool
) -> pd.DataFrame:
    """An alarm where a window is too unusual, `QUIET_WINDOWS` after the last; it names no metric, so it fits all."""
    rows = []
    for agent, values in zip(agents, unusual, strict=True):
        alarms = _gathered(values) > threshold if gathers else values > threshold
        since = QUIET_WINDOWS
        for at in np.flatnonzero(np.isfinite(values)).tolist():
            if alarms[at] and since >= QUIET_WINDOWS:
                rows.append((agent, windows[at], "score", "low", windows[at], "open"))
            since = 0 if alarms[at] else since + 1
    return pd.DataFrame(rows, columns=FINDING_COLUMNS)


def _gathered(values: Floats) -> Floats:
    """A moving mean, in its own standard deviations; windows without a value leave it as it is."""
    mean = pd.Series(values).ewm(alpha=SMOOTHING, adjust=False, ignore_na=True).mean().to_numpy()
    return mean / np.sqrt(SMOOTHING / (2 - SMOOTHING))


def _judge(one: Observed, share: float, threshold: float, *, gathers: bool) -> Scores:
    forest = forest_findings(one.agents, one.windows, one.single, threshold, gathers=gathers)
    if not share:
        return score(forest, one.simulation)
    own = one.findings[share]
    new = forest[~_said_already(forest, own)]
    return score(pd.concat([own, new], ignore_index=True), one.simulation)


def _said_already(forest: pd.DataFrame, own: pd.DataFrame) -> NDArray[np.bool_]:
    said = np.zeros(len(forest), dtype=bool)
    for agent, mine in own.groupby("agent"):
        at = instants(forest["window_start"])[:, None] - instants(mine["window_start"])[None, :]
        near = ((at >= 0) & (at <= SAME_TROUBLE // pd.Timedelta(microseconds=1))).any(axis=1)
        said |= near & (forest["agent"] == agent).to_numpy()
    return said


def verdict(systems: list[System], forest_s: float) -> dict[str, Any]:
    """The best system with a forest against the detectors alone: findable incidents gained and lost."""
    alone = systems[0].scores
    both = [system for system in systems[1:] if system.name.startswith("detectors")]
    forests = [system for system in systems[1:] if system.name.startswith("forest")]
    best = max(both, key=_found, default=systems[0])
    findable = alone.outcomes["findable"]
    before, after = alone.outcomes.loc[findable, "found"], best.scores.outcomes.loc[findable, "found"]
    return {
        "budget_per_agent_week": round(_false_alarms(alone), 4),
        "alone_findable_found": round(_found(systems[0]), 4),
        "best_with_forest": best.name,
        "best_with_forest_findable_found": round(_found(best), 4),
        "forest_alone_findable_found": round(max(map(_found, forests), default=0.0), 4),
        "gained": int((after & ~before).sum()),
        "lost": int((before & ~after).sum()),
        "forest_s_per_fleet": round(forest_s, 1),
        "pays": bool(_found(best) - _found(systems[0]) >= WORTH_IT),
    }


def _found(system: System) -> float:
    return system.scores.summary()["findable_found"] or 0.0


def _false_alarms(scores: Scores) -> float:
    return scores.summary()["false_alarms_per_agent_week"] or 0.0


def _table(systems: list[System], seeds: range) -> Table:
    table = Table(
        "System",
        title=f"Isolation forest ({TREES} trees, refit daily on {TRAINING_DAYS} days, from day {FIRST_DAYS}), "
        f"tuning seeds {seeds[0]}-{seeds[-1]}",
    )
    columns = {
        "false alarms": "false_alarms_per_agent_week",
        "findable found": "findable_found",
        "not findable found": "found_though_not_findable",
        "within 2": "fast_within_2_windows",
        "blips": "blips_alarmed",
        "flapping": "flapping_by_family",
    }
    for column in ("threshold", *columns):
        table.add_column(column, justify="right")
    for system in systems:
        summary = system.scores.summary()
        shown = [summary[figure] for figure in columns.values()]
        threshold = "" if system.threshold is None else f"{system.threshold:.1f}"
        table.add_row(system.name, threshold, f"{shown[0]:.3f}", *(f"{100 * share:.1f} %" for share in shown[1:]))
    return table


def _in_words(systems: list[System], figures: dict[str, Any]) -> str:
    pays = "It pays" if figures["pays"] else "It does not pay"
    return (
        f"{pays}: at {figures['budget_per_agent_week']:.3f} false alarms an agent-week the best system with a forest "
        f"finds {figures['best_with_forest_findable_found']:.1%} of the findable, the detectors alone "
        f"{figures['alone_findable_found']:.1%} ({figures['gained']} gained, {figures['lost']} lost of "
        f"{int(systems[0].scores.outcomes['findable'].sum())}). "
        f"The forests took {figures['forest_s_per_fleet']:.0f} s for seven agents and sixty days."
    )


if __name__ == "__main__":
    main()
