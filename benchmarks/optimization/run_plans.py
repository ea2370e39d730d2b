"""Randomized optimization runs: what is run, with how much money, against which faults, and when it is killed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.optimization.fault_plans import NEVER_SAYS_USAGE, FaultPlan

Kind = Literal["evaluation", "awaited", "BootstrapFewShot", "GEPA"]
KINDS: dict[Kind, float] = {"evaluation": 0.25, "awaited": 0.15, "BootstrapFewShot": 0.54, "GEPA": 0.06}
"""What the search of a run is, and how often."""

KILLED_SHARE = 0.4
"""Of the runs, how many are to be killed; some end before."""
SECONDS_OF = {"evaluation": 0.35, "awaited": 0.35, "BootstrapFewShot": 0.45, "GEPA": 0.5}
"""About how long a run of the kind takes, to aim at."""

CAPS = {(-3.7, -2.4): 0.1, (-2.4, -1.9): 0.6, (-1.9, 0.0): 0.3}
"""Ranges of the cap's decimal logarithm, in dollars, and how often. A call may cost a tenth of a cent and costs a tenth
of that; a run makes some 20. So a cap pays for no call, for some, or for all."""

HANGING = 0.05
"""How many of the runs have a provider that once does not answer in time."""

SILENT = 0.03
SILENT_CAP_USD = 0.005
SILENT_ITEMS = 60
"""How many have one that never says what it took. The cap pays for some four calls at their worst case."""

RUNS_A_MONTH = 20
TIGHT_MONTHS = 0.3
AMPLE_USD = 1_000.0


@dataclass(frozen=True)
class RunPlan:
    """`items` are the search's; `kills` say for each attempt but the last after how many seconds it is killed."""

    number: int
    kind: Kind
    agent: Literal["InboundAgent", "StrategyAgent"]
    cap_usd: float
    month: str
    month_usd: float
    threads: int
    items: int
    faults: FaultPlan
    kills: tuple[float, ...]

    @property
    def request_id(self) -> str:
        return f"run-{self.number}"

    @property
    def model(self) -> str:
        return f"openai/simulated-1-{self.request_id}"


def run_plan(number: int) -> RunPlan:
    chance = random.Random(number)
    [kind] = chance.choices(list(KINDS), list(KINDS.values()))
    kills = 0
    while kills < 3 and chance.random() < KILLED_SHARE:
        kills += 1
    plan = RunPlan(
        number,
        kind,
        "InboundAgent" if kind == "awaited" else chance.choice(("InboundAgent", "StrategyAgent")),
        cap_usd=_cap_usd(chance),
        month=f"month:2026-11:agent:{number // RUNS_A_MONTH}",
        month_usd=_month_usd(number // RUNS_A_MONTH),
        threads=chance.randint(1, 16),
        items=chance.randint(5, 16),
        faults=_faults(chance, number),
        kills=tuple(chance.uniform(0, SECONDS_OF[kind]) for _ in range(kills)),
    )
    return _silent_about_usage(plan) if chance.random() < SILENT else plan


def _faults(chance: random.Random, seed: int) -> FaultPlan:
    return FaultPlan(
        seed,
        chance.choice((0.0, 0.0, 0.05, 0.15, 0.4)),
        hangs_at=chance.randint(1, 20) if chance.random() < HANGING else None,
        latency_seconds=chance.choice((0.0, 0.002, 0.01)),
    )


def _silent_about_usage(plan: RunPlan) -> RunPlan:
    """The same run with a provider that never says how many tokens it took, and more calls than the cap pays for."""
    faults = FaultPlan(plan.number, 1.0, NEVER_SAYS_USAGE, latency_seconds=plan.faults.latency_seconds)
    return replace(plan, kind="evaluation", cap_usd=SILENT_CAP_USD, items=SILENT_ITEMS, faults=faults)


def _cap_usd(chance: random.Random) -> float:
    [(low, high)] = chance.choices(list(CAPS), list(CAPS.values()))
    return 10 ** chance.uniform(low, high)


def _month_usd(month: int) -> float:
    """The runs of a month share it, whichever process they are in."""
    chance = random.Random(f"month {month}")
    return chance.uniform(0.005, 0.05) if chance.random() < TIGHT_MONTHS else AMPLE_USD
