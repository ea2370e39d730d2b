"""kill -9 at random moments of a GEPA run under Dagster: it is taken up again, and has its one result all the same."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean

from benchmarks.optimization.children import in_child, in_workers
from benchmarks.optimization.dagster_runs import REQUEST, DagsterRuns, Result, State, from_template, write_template
from benchmarks.optimization.fault_plans import FaultPlan
from benchmarks.optimization.model_server_process import ModelServerProcess
from benchmarks.optimization.warm_up import warm_up
from perf_pipeline.records import RequestState, RunOutcome

LATENCY_SECONDS = 0.006
UNINTERRUPTED = 4
KILLED_AGAIN = 0.35
"""How often a run that was taken up again is killed again."""

LATE_SHARE = 0.2
"""So many more runs are killed near their end, where a moment at random seldom falls: around the promotion."""

LATE_FROM = 0.85
MOST_KILLS = 3
RESULT_MESSAGE = f"optimization:{REQUEST}:result"


@dataclass(frozen=True)
class Life:
    """A run that is to be killed."""

    number: int
    is_killed_late: bool = False


@dataclass(frozen=True)
class Uninterrupted:
    result: Result
    calls: int
    seconds: float
    messages: tuple[str, ...]


@dataclass(frozen=True)
class KilledRun:
    """`hit` says in which part of the run each kill was. `extra_results` are promotions and messages of the result
    beyond the first; `problems` hold a sentence for whatever else is not as after a run without kills."""

    hit: tuple[str, ...]
    repeated_calls: int
    extra_results: int
    problems: tuple[str, ...]


@dataclass
class KillFigures:
    uninterrupted: list[Uninterrupted]
    runs: list[KilledRun] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        return sum(len(run.hit) for run in self.runs)

    @property
    def hit(self) -> Counter[str]:
        return Counter(part for run in self.runs for part in run.hit)

    @property
    def double_results(self) -> int:
        return sum(run.extra_results for run in self.runs)

    @property
    def repeated_paid_share(self) -> float:
        """Calls that were billed beyond those of an uninterrupted run, as a share of these: the mean over the runs."""
        calls = mean(run.calls for run in self.uninterrupted)
        return mean(run.repeated_calls / calls for run in self.runs)

    @property
    def problems(self) -> list[str]:
        return [said for run in self.runs for said in run.problems]


def measure_kills(number: int, log: Callable[[str], None]) -> KillFigures:
    """So many runs, each of which is killed at a random moment, at least once; and some more that are killed late."""
    began = time.monotonic()
    warm_up()
    with tempfile.TemporaryDirectory(prefix="bench-kills-") as name:
        folder = Path(name)
        write_template(folder / "template")
        undisturbed = list(in_workers(partial(_uninterrupted, folder), range(UNINTERRUPTED)))
        found = KillFigures(undisturbed)
        log(f"A run takes {mean(run.seconds for run in undisturbed):.1f} s and {undisturbed[0].calls} calls")
        lives = [Life(each, each >= number) for each in range(number + round(LATE_SHARE * number))]
        for run in in_workers(partial(_killed, folder, undisturbed), lives):
            found.runs.append(run)
            if len(found.runs) % 10 == 0:
                log(
                    f"{len(found.runs)} of {len(lives)} runs were killed and ended, with {len(found.problems)} problems"
                )
    found.seconds = time.monotonic() - began
    return found


def _uninterrupted(folder: Path, server: ModelServerProcess, number: int) -> Uninterrupted:
    place = folder / f"uninterrupted-{number}"
    runs = from_template(folder / "template", place, server.open(FaultPlan(latency_seconds=LATENCY_SECONDS)))
    began = time.monotonic()
    ended = in_child(runs.run)
    seconds = time.monotonic() - began
    calls = server.close()
    state = runs.state()
    shutil.rmtree(place)
    if not ended.result:
        raise RuntimeError(f"A run that nobody disturbed did not succeed: {state.run}")
    return Uninterrupted(state.result, sum(call.is_billed for call in calls), seconds, state.messages)


def _killed(folder: Path, undisturbed: Sequence[Uninterrupted], server: ModelServerProcess, life: Life) -> KilledRun:
    chance = random.Random(life.number)
    duration = mean(run.seconds for run in undisturbed)
    while True:
        place = folder / f"killed-{life.number}"
        runs = from_template(folder / "template", place, server.open(FaultPlan(latency_seconds=LATENCY_SECONDS)))
        began = time.monotonic()
        earliest = LATE_FROM * duration if life.is_killed_late else 0.0
        hit = _run_to_its_end(runs, chance, chance.uniform(earliest, duration), duration)
        seconds = time.monotonic() - began
        calls = sum(call.is_billed for call in server.close())
        state = runs.state()
        shutil.rmtree(place)
        if hit:
            extra = max(0, len(state.moves) - 1) + max(0, _result_messages(state) - 1)
            problems = tuple(f"run {life.number}: {said}" for said in problems_of(state, undisturbed))
            return KilledRun(hit, calls - round(mean(run.calls for run in undisturbed)), extra, problems)
        # The run was over before it was to be killed: the machine is quicker by now, and another moment is drawn.
        duration = min(duration, seconds)


def _run_to_its_end(runs: DagsterRuns, chance: random.Random, first_kill: float, duration: float) -> tuple[str, ...]:
    """Which part each kill hit. After the last one the run had a process to itself."""
    hit: list[str] = []
    kill_after: float | None = first_kill
    while in_child(runs.run, kill_after).was_killed:
        hit.append(part_of(runs.state()))
        is_to_die = len(hit) < MOST_KILLS and chance.random() < KILLED_AGAIN
        kill_after = chance.uniform(0, duration) if is_to_die else None
    return tuple(hit)


def part_of(state: State) -> str:
    """Which part of the run had begun when its process was killed."""
    if state.run is None:
        return "before it began"
    if state.run.outcome is not None:
        return "after its result"
    if state.has_seen_examples:
        return "gate"
    return "search" if {"task", "reflection"} & set(state.spent_for) else "baseline"


def problems_of(state: State, undisturbed: Sequence[Uninterrupted]) -> list[str]:
    """A sentence for whatever is not as after the runs that nobody disturbed."""
    found = []
    if state.result not in {run.result for run in undisturbed}:
        found.append(f"its result is {state.result}, and without kills {undisturbed[0].result}")
    if state.request.state is not RequestState.FINISHED:
        found.append(f"its request is {state.request.state}")
    expected_moves = 1 if state.result.outcome is RunOutcome.PROMOTED else 0
    if len(state.moves) != expected_moves:
        found.append(f"its alias was moved {len(state.moves)} times after the outcome {state.result.outcome}")
    published = (state.pointer.version, state.pointer.sequence) if state.pointer else None
    recorded = (state.alias.version, state.alias.sequence) if state.alias else None
    if published != recorded:
        found.append(f"agents are told {published}, the ledger says {recorded}")
    if sorted(state.messages) != sorted(undisturbed[0].messages):
        found.append(f"people are told {state.messages}, and without kills {undisturbed[0].messages}")
    return found


def _result_messages(state: State) -> int:
    return sum(key.startswith(RESULT_MESSAGE) for key in state.messages)
